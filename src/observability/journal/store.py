"""
🌙 Moon Dev's Journal
Built with love by Moon Dev 🚀

The audit trail: one SQLite file, shared by all processes of the fleet. Rows are appended by recorders, read by the
console, and taken and marked by the shipper.

A row's state is one of `open` (begun, not ended), `local` (recorded without keys), `pending`, `shipped`, `rejected`.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..internal_errors import failures
from .columns import COLUMNS, OBSERVATION_COLUMNS, SCORE_COLUMNS, Kind, columns_of
from .connection import JournalConnection
from .file import DamagedJournalError, JournalError

__all__ = ["DamagedJournalError", "Journal", "JournalError", "Mark", "Row"]

Row = dict[str, Any]

LEASE_SECONDS = 30.0
_FAR_FUTURE_NS = _ANY_SIZE = 2**63 - 1


class Mark(NamedTuple):
    """What became of rows: `state` of those with these `seq` and id in `table` (observations or scores), and why.

    By both: what was corrected or completed since it was read is another row under the same id, and the `seq` of the
    newest row is given again once that is deleted.
    """

    table: str
    keys: list[tuple[int, str]]
    state: str
    reason: str | None = None


class Journal(JournalConnection):
    """The journal, for one thread at a time: what is written to it, and asked of it."""

    def append(self, observations: Sequence[Row], scores: Sequence[Row], *, durable: bool = False) -> None:
        """Write rows in one transaction: an open row of the same id is completed, a score of the same id replaced.

        Args:
            observations: rows with the columns of `journal_schema.py`.
            scores: likewise.
            durable: wait until the disk has them, not only the system.

        Raises:
            JournalError: nothing was written; the same rows may be appended again.
        """
        with self.transaction(durable=durable) as db:
            for row in observations:
                if not _inserted(db, _INSERT_OBSERVATION, row):
                    db.execute(_REOPEN_INTERRUPTED, (row["id"], INTERRUPTED))
                    _inserted(db, _REPLACE_OPEN, row)
                if row["tags"]:
                    tags = [(row["trace_id"], tag) for tag in json.loads(row["tags"])]
                    db.executemany("INSERT OR IGNORE INTO trace_tags VALUES (?, ?)", tags)
            for score in scores:
                _inserted(db, _REPLACE_SCORE, score)
        if not self.is_there():
            raise JournalError(f"{self.path} was moved or deleted while it was written to")

    def interrupt(self, process: str) -> int:
        """Close what a dead process had begun: level WARNING, with its input; returns how many there were.

        They end with what is known last of their trace: later is unknown.
        """
        return self.change(_INTERRUPT, {"process": process, "why": INTERRUPTED})

    def processes_with_open_rows(self) -> list[str]:
        """Tokens of the processes that have begun something and not ended it."""
        return [row["process"] for row in self.select("SELECT DISTINCT process FROM observations WHERE state = 'open'")]

    def newest(self) -> tuple[int, int]:
        """How far observations and scores have come: what arrives later has a larger `seq`."""
        return self._newest("observations"), self._newest("scores")

    def _newest(self, table: str) -> int:
        return int(self._value(f"SELECT ifnull(max(seq), 0) FROM {table}"))

    def is_pending(self, destination: str, up_to: tuple[int, int]) -> bool:
        """Whether anything that had arrived at `newest()` waits for this destination."""
        return any(
            self.select(_PENDING.format("1", table), (destination, last, 1))
            for table, last in zip(("observations", "scores"), up_to, strict=True)
        )

    def pending_observations(self, destination: str, limit: int, max_bytes: int, up_to: int) -> list[Row]:
        """The oldest pending observations of a destination, `limit` rows and about `max_bytes` of text at the most.

        Each row has the whole set of its trace's tags as known now.
        """
        return self.with_trace_tags(
            self.page(_PENDING.format("*", "observations"), (destination, up_to, limit), max_bytes)
        )

    def page(self, query: str, parameters: Sequence[Any] | dict[str, Any], max_bytes: int) -> list[Row]:
        """The first rows of a query, about `max_bytes` of text at the most, but one at least where there is one."""
        taken: list[Row] = []
        size = 0
        with self.reading(query, parameters) as found:
            for each in found:
                row = dict(each)
                size += sum(len(value) for value in row.values() if isinstance(value, str))
                if taken and size > max_bytes:
                    break
                taken.append(row)
        return taken

    def with_trace_tags(self, rows: Sequence[Row]) -> list[Row]:
        """Observations as they are shipped: each with the whole set of its trace's tags."""
        tags = self._tags({row["trace_id"] for row in rows})
        return [{**row, "tags": tags[row["trace_id"]]} for row in rows]

    def pending_scores(self, destination: str, limit: int, up_to: int) -> list[Row]:
        """The oldest pending scores of a destination."""
        return self.select(_PENDING.format("*", "scores"), (destination, up_to, limit))

    def mark(self, mark: Mark) -> None:
        """Note what became of rows."""
        query = f"UPDATE {mark.table} SET state = ?, reason = ? WHERE seq = ? AND id = ?"
        with self.transaction() as db:
            db.executemany(query, [(mark.state, mark.reason, *key) for key in mark.keys])

    def take_lease(self, name: str, owner: str, alive: Callable[[str], bool], seconds: float = LEASE_SECONDS) -> bool:
        """Take or keep the lease `name`; false where another process that is alive (`alive(token)`) has it."""
        if self.seconds_held(name, owner, alive):  # most often it is: asked without keeping anybody from writing
            return False
        with self.transaction() as db:
            if self.seconds_held(name, owner, alive):
                return False
            expires = time.monotonic_ns() + int(seconds * 1e9)
            db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (name, owner, expires))
            return True

    def seconds_held(self, name: str, owner: str, alive: Callable[[str], bool]) -> float:
        """For how long another process that is alive may still have the lease `name`; 0 where none has."""
        now = time.monotonic_ns()  # the same for all processes, and no clock that is set moves it
        others = "SELECT owner, expires_ns FROM leases WHERE name = ? AND owner <> ? AND expires_ns > ?"
        found = self.select(others, (name, owner, now))
        return max(((row["expires_ns"] - now) / 1e9 for row in found if alive(row["owner"])), default=0.0)

    def give_up_lease(self, name: str, owner: str) -> None:
        """End the lease `name`, if this process has it."""
        self.change("DELETE FROM leases WHERE name = ? AND owner = ?", (name, owner))

    def delete_done(self, limit: int, before_ns: int = _FAR_FUTURE_NS, max_bytes: int = _ANY_SIZE) -> int:
        """Delete the oldest rows that wait for nothing, begun before a time (Unix ns); how many.

        Shipped ones first, then rejected ones, then those that were never to be shipped; until `max_bytes` of text are
        gone, or `limit` rows.
        """
        return next(filter(None, (self._delete(state, limit, before_ns, max_bytes) for state in _DONE)), 0)

    def delete_pending(self, limit: int, max_bytes: int) -> int:
        """Delete the oldest rows that Langfuse does not have yet, likewise; how many."""
        return self._delete("pending", limit, _FAR_FUTURE_NS, max_bytes)

    def _delete(self, state: str, limit: int, before_ns: int, max_bytes: int) -> int:
        """Observations, and with the last of a trace its tags and scores; waiting scores only with waiting rows."""
        if not self.select(_OLDEST.format("seq"), (state, before_ns, 1)):
            return 0  # without having kept anybody from writing
        query = f"DELETE FROM observations WHERE seq IN ({_FEWEST}) RETURNING trace_id, start_ns"
        with self.transaction() as db:
            deleted = db.execute(query, (state, before_ns, limit, max_bytes)).fetchall()
            traces = [(trace_id, state) for trace_id in {row["trace_id"] for row in deleted}]
            db.executemany(_DELETE_TAGS, [(trace_id,) for trace_id, _ in traces])
            db.executemany(_DELETE_SCORES, traces)
            db.execute(_DELETE_LEFT_SCORES, (max(row["start_ns"] for row in deleted), limit))
        return len(deleted)

    def sums_bytes(self) -> int:
        """About how much of the file the hourly sums take. Reads all of them."""
        return int(self._value(f"SELECT ifnull(sum({_SUM_SIZE}), 0) FROM hourly"))

    def delete_oldest_hour(self, before: int = _FAR_FUTURE_NS) -> int:
        """Delete the sums of the oldest hour, if it lies before the hour `before`; return about how many bytes."""
        hour = self._value("SELECT min(hour) FROM hourly")
        if hour is None or hour >= before:
            return 0
        with self.transaction() as db:
            sizes = db.execute(f"DELETE FROM hourly WHERE hour = ? RETURNING {_SUM_SIZE} AS size", (hour,)).fetchall()
        return sum(row["size"] for row in sizes)

    def used_bytes(self) -> int:
        """What the rows take up: the file without the pages that are free."""
        pages = self._value("PRAGMA page_count") - self._value("PRAGMA freelist_count")
        return int(pages * self._value("PRAGMA page_size"))

    def vacuum(self) -> None:
        """Return free pages to the file system."""
        self.script("PRAGMA incremental_vacuum")  # `execute` would free one page and stop

    def counts(self) -> dict[str, int]:
        """How many rows there are in each state, observations and scores together."""
        counts: dict[str, int] = {}
        for table in ("observations", "scores"):
            for row in self.select(f"SELECT state, count(*) AS number FROM {table} GROUP BY state"):
                counts[row["state"]] = counts.get(row["state"], 0) + row["number"]
        return counts

    def pending(self, destination: str | None = None) -> int:
        """How many observations and scores wait, for one destination or all."""
        where = "state = 'pending'" + (" AND destination = ?" if destination else "")
        given = (destination,) if destination else ()
        return sum(
            int(self._value(f"SELECT count(*) FROM {table} WHERE {where}", given))
            for table in ("observations", "scores")
        )

    def oldest_pending_ns(self) -> int | None:
        """When the oldest that waits began (Unix nanoseconds); None where nothing does."""
        found: int | None = self._value(
            "SELECT min(since) FROM (SELECT min(start_ns) AS since FROM observations WHERE state = 'pending'"
            " UNION ALL SELECT min(timestamp_ns) FROM scores WHERE state = 'pending')"
        )
        return found

    def observations(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Row]:
        """Observations in order of their start, JSON columns decoded."""
        found = self.select(f"SELECT * FROM observations WHERE {where} ORDER BY start_ns, seq", parameters)
        return [_decoded(row) for row in found]

    def scores(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Row]:
        """Scores in order of arrival."""
        return self.select(f"SELECT * FROM scores WHERE {where} ORDER BY seq", parameters)

    def select(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Rows of any query."""
        with self.reading(query, parameters) as found:
            return [dict(row) for row in found]

    def origin_of(self, trace_id: str) -> Row | None:
        """Destination, environment and session of a trace; None where nothing of it is here."""
        found = self.select(
            "SELECT destination, environment, session_id FROM observations WHERE trace_id = ?"
            " ORDER BY is_root DESC LIMIT 1",
            (trace_id,),
        )
        return found[0] if found else None

    def change(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> int:
        """One statement in a transaction of its own; how many rows it changed."""
        with self.transaction() as db:
            return db.execute(query, parameters).rowcount

    def _value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        with self.reading(query, parameters) as found:
            return found.fetchone()[0]

    def _tags(self, trace_ids: set[str]) -> dict[str, list[str]]:
        tags: dict[str, list[str]] = {trace_id: [] for trace_id in trace_ids}
        for row in self.select(_TAGS, (json.dumps([*trace_ids]),)):
            tags[row["trace_id"]].append(row["tag"])
        return tags


INTERRUPTED = "interrupted: the process ended during this call"
_INTERRUPT = """
UPDATE observations SET level = 'WARNING', status_message = :why,
    state = CASE WHEN destination IS NULL THEN 'local' ELSE 'pending' END,
    end_ns = (SELECT max(max(known.start_ns, ifnull(known.end_ns, 0))) FROM observations AS known
              WHERE known.trace_id = observations.trace_id)
WHERE state = 'open' AND process = :process"""
_TAGS = "SELECT * FROM trace_tags WHERE trace_id IN (SELECT value FROM json_each(?)) ORDER BY tag"
_OLDEST = "SELECT {} FROM observations WHERE state = ? AND start_ns < ? ORDER BY start_ns LIMIT ?"
_SIZE = "ifnull(length(input), 0) + ifnull(length(output), 0) + ifnull(length(metadata), 0) AS size"
# As many of the oldest as it takes: a few rows may hold what thousands do.
_FEWEST = f"""SELECT seq FROM (
    SELECT seq, sum(size) OVER (ORDER BY start_ns ROWS UNBOUNDED PRECEDING) - size AS before
    FROM ({_OLDEST.format(f"seq, start_ns, {_SIZE}")})) WHERE before < ?"""
_SUM_SIZE = "120 + length(agent) + length(provider) + length(model)"  # the first: counters, and room in pages
_DONE = ("shipped", "rejected", "local")
_REFUSED = (ValueError, OverflowError, sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError)
_PENDING = "SELECT {} FROM {} WHERE state = 'pending' AND destination = ? AND seq <= ? ORDER BY seq LIMIT ?"
_ALONE = "NOT EXISTS (SELECT 1 FROM observations WHERE observations.trace_id = {0}.trace_id)"
_DELETE_TAGS = f"DELETE FROM trace_tags WHERE trace_id = ?1 AND {_ALONE.format('trace_tags')}"
_DELETE_SCORES = f"""
DELETE FROM scores WHERE trace_id = ?1 AND (state <> 'pending' OR ?2 = 'pending') AND {_ALONE.format("scores")}"""
# Those that still waited when the last observation of their trace went.
_DELETE_LEFT_SCORES = f"""
DELETE FROM scores WHERE state <> 'pending' AND timestamp_ns <= ?1 AND {_ALONE.format("scores")}
    AND seq IN (SELECT seq FROM scores ORDER BY seq LIMIT ?2)"""


def _inserted(db: sqlite3.Connection, statement: str, row: Row) -> bool:
    """Whether it was inserted. A row that SQLite refuses leaves a placeholder: it must not hold up the others."""
    try:
        return db.execute(statement, row).rowcount > 0
    except _REFUSED as error:
        failures.note("refused row", f"a row could not be journalled: {type(error).__name__}: {error}")
        return db.execute(statement, _placeholder(row, error)).rowcount > 0


def _placeholder(row: Row, error: Exception) -> Row:
    """What can be kept of a row that SQLite refuses: that it was, when, and why no more is known."""
    why = f"[NOT RECORDED: {type(error).__name__}]"
    said = {"name": why, "trace_name": why, "level": "WARNING", "status_message": why}
    said |= {"data_type": "CATEGORICAL", "value": why}  # of a score
    return {name: value if COLUMNS[name].is_identity else said.get(name) for name, value in row.items()}


def _insert(verb: str, table: str, columns: Sequence[str], where: str = "true") -> str:
    values = ", ".join(f":{column}" for column in columns)
    return f"{verb} INTO {table} ({', '.join(columns)}) SELECT {values} WHERE {where}"


# An open row gives way to the ended one, and so does one that was closed as interrupted while its call still ran:
# it is open again first, which takes it out of the sums.
_REOPEN_INTERRUPTED = "UPDATE observations SET state = 'open' WHERE id = ? AND status_message = ? AND state <> 'open'"
_REPLACE_OPEN = _insert(
    "INSERT OR REPLACE", "observations", OBSERVATION_COLUMNS,
    where="EXISTS (SELECT 1 FROM observations WHERE id = :id AND state = 'open')",
)  # fmt: skip
# An ended row comes once: a repeat, by a recorder that never learnt that it had written, changes nothing. It is
# inserted, not updated, so that the order of arrival is that of completion: a root after its children.
_INSERT_OBSERVATION = _insert("INSERT", "observations", OBSERVATION_COLUMNS) + " ON CONFLICT (id) DO NOTHING"
_REPLACE_SCORE = _insert("INSERT OR REPLACE", "scores", SCORE_COLUMNS)
_DECODED = columns_of(Kind.JSON)


def _decoded(row: Row) -> Row:
    return {name: json.loads(v) if name in _DECODED and v is not None else v for name, v in row.items()}
