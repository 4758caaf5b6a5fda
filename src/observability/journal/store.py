"""The journal: one SQLite file, shared by all processes of the fleet.

Recorders append rows, the shipper sends and marks them, the console reads them. A row's state is `open` (the call
has not ended), `local` (without a destination, so it is not sent), `pending`, `shipped` or `rejected`.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from ..internal_errors import failures
from . import search
from .columns import COLUMNS, OBSERVATION_COLUMNS, SCORE_COLUMNS, Kind, columns_of
from .connection import JournalConnection
from .file import DamagedJournalError, JournalError

__all__ = ["DamagedJournalError", "Journal", "JournalError", "Mark", "Row"]

Row = dict[str, Any]

LEASE_SECONDS = 30.0
_FAR_FUTURE_NS = _ANY_SIZE = 2**63 - 1


class Mark(NamedTuple):
    """A new state for rows in `table` (observations or scores), and the reason for it.

    `keys` has the `seq` and id of each row. Neither is enough: a replaced row keeps its id, and SQLite reuses the
    highest `seq` after a delete.
    """

    table: str
    keys: list[tuple[int, str]]
    state: str
    reason: str | None = None
    destination: str | None = None  # None means each row's own destination


class Journal(JournalConnection):
    """The journal. Only one thread at a time may use an instance."""

    undelivered = 0  # number of rows deleted through this object before OBSERVABILITY_OTLP_ENDPOINT received them

    def append(self, observations: Sequence[Row], scores: Sequence[Row], *, durable: bool = False) -> None:
        """Write rows in one transaction.

        An observation replaces the open row with the same id. A score replaces the score with the same id.

        Args:
            observations: rows with the columns of `columns.OBSERVATIONS`.
            scores: rows with the columns of `columns.SCORES`.
            durable: wait until the rows are on the disk, not only handed to the operating system.

        Raises:
            JournalError: nothing was written; the same rows may be appended again.
        """
        is_addressed = any(row.get("otlp_destination") for row in observations)
        with self.transaction(durable=durable) as db:
            newest = db.execute(_NEWEST).fetchone()[0] if is_addressed else 0
            for is_new, rows in groupby(observations, key=_are_new(db, observations)):
                (_insert_new if is_new else _complete_open)(db, list(rows))
            tags = [(row["trace_id"], tag) for row in observations if row["tags"] for tag in json.loads(row["tags"])]
            db.executemany("INSERT OR IGNORE INTO trace_tags VALUES (?, ?)", tags)
            if is_addressed:  # inserts the OTLP deliveries of all rows at once: a trigger per row would double the time
                db.execute(_ADDRESS, (newest,))
            for score in scores:
                _insert_row(db, _REPLACE_SCORE, score)
        if not self.is_there():
            raise JournalError(f"{self.path} was moved or deleted while it was written to")

    def interrupt(self, process: str) -> int:
        """End the open rows of a dead process with level WARNING; return the number of rows.

        Since their real end is unknown, it is set to the latest time in their trace. Each row gets a new, highest
        `seq`, since readers may already have read past the old `seq`. A root row gets a higher `seq` than its children.
        """
        with self.transaction() as db:
            rows = db.execute(_OPEN_OF, (process,)).fetchall()
            db.executemany(_INTERRUPT, [(INTERRUPTED, row["seq"]) for row in rows])
        return len(rows)

    def processes_with_open_rows(self) -> list[str]:
        """The tokens of the processes that have open rows."""
        return [row["process"] for row in self.select("SELECT DISTINCT process FROM observations WHERE state = 'open'")]

    def newest(self) -> tuple[int, int]:
        """The highest `seq` of the observations and that of the scores; rows written later have a higher one."""
        return self._newest("observations"), self._newest("scores")

    def _newest(self, table: str) -> int:
        return int(self._value(f"SELECT ifnull(max(seq), 0) FROM {table}"))

    def is_pending(self, destination: str, up_to: tuple[int, int]) -> bool:
        """Whether any row with a `seq` up to `up_to` (a result of `newest`) is pending for this destination."""
        observations, scores = up_to
        pages = (
            (_PENDING.format("1", "observations"), observations),
            (_PENDING_FURTHER.format("1"), observations),
            (_PENDING.format("1", "scores"), scores),
        )
        return any(self.select(query, (destination, last, 1)) for query, last in pages)

    def pending_observations(self, destination: str, limit: int, max_bytes: int, up_to: int) -> list[Row]:
        """Return a destination's oldest pending observations whose `seq` is at most `up_to`.

        Returns at most `limit` rows and about `max_bytes` of text. Each row has all tags recorded so far for its trace.
        """
        pages = (
            self.page(query, (destination, up_to, limit), max_bytes)
            for query in (_PENDING.format("*", "observations"), _PENDING_FURTHER.format("o.*"))
        )
        return self.with_trace_tags(next(filter(None, pages), []))

    def page(self, query: str, parameters: Sequence[Any] | dict[str, Any], max_bytes: int) -> list[Row]:
        """Return the query's first rows: about `max_bytes` of text, but at least one row if there is any."""
        rows: list[Row] = []
        size = 0
        with self.reading(query, parameters) as cursor:
            for row in _dicts(cursor):
                size += sum([len(value) for value in row.values() if type(value) is str])
                if rows and size > max_bytes:
                    break
                rows.append(row)
        return rows

    def with_trace_tags(self, rows: Sequence[Row]) -> list[Row]:
        """Prepare observations for shipping.

        Each row gets all tags of its trace, and the model name from the provider's answers instead of an alias.
        """
        tags = self._tags({row["trace_id"] for row in rows})
        names = self._model_names()
        return [
            row
            | {"tags": tags[row["trace_id"]], "model": names.get((row["provider"] or "", row["model"]), row["model"])}
            for row in rows
        ]

    def _model_names(self) -> dict[tuple[str, str], str]:
        """Map (provider, requested model name) to the model name in the provider's answers."""
        names = self.select("SELECT * FROM model_names")
        return {(name["of_provider"], name["requested"]): name["answered"] for name in names}

    def pending_scores(self, destination: str, limit: int, max_bytes: int, up_to: int) -> list[Row]:
        """The oldest pending scores of a destination, each with the `symbol` of its signal.

        The limits are those of `pending_observations`.
        """
        return self.page(_PENDING.format(f"*, {_SYMBOL}", "scores"), (destination, up_to, limit), max_bytes)

    def mark(self, mark: Mark) -> None:
        """Set the state of the rows that `mark` names."""
        values = [(mark.state, mark.reason, *key, mark.destination) for key in mark.keys]
        with self.transaction() as db:
            db.executemany(_MARK.format(mark.table), values)
            if mark.table == "observations":
                db.executemany(_MARK_FURTHER, values)

    def take_lease(self, name: str, owner: str, alive: Callable[[str], bool], seconds: float = LEASE_SECONDS) -> bool:
        """Acquire or renew the lease `name` for the process `owner`; return whether that succeeded.

        This fails while another living process holds the lease. `alive` returns whether a token's process is alive.
        """
        if self.seconds_held(name, owner, alive):  # check with a read first, since a read blocks no writer
            return False
        with self.transaction() as db:
            if self.seconds_held(name, owner, alive):
                return False
            expires = time.monotonic_ns() + int(seconds * 1e9)
            db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (name, owner, expires))
            return True

    def seconds_held(self, name: str, owner: str, alive: Callable[[str], bool]) -> float:
        """Seconds until the lease `name` expires, if a living process other than `owner` holds it; else 0."""
        now = time.monotonic_ns()  # all processes share this clock, and setting the wall clock does not affect it
        others = "SELECT owner, expires_ns FROM leases WHERE name = ? AND owner <> ? AND expires_ns > ?"
        held = self.select(others, (name, owner, now))
        return max(((row["expires_ns"] - now) / 1e9 for row in held if alive(row["owner"])), default=0.0)

    def give_up_lease(self, name: str, owner: str) -> None:
        """Release the lease `name`, if the process `owner` holds it."""
        self.change("DELETE FROM leases WHERE name = ? AND owner = ?", (name, owner))

    def delete_done(self, limit: int, before_ns: int = _FAR_FUTURE_NS, max_bytes: int = _ANY_SIZE) -> int:
        """Delete the oldest finished observations that began before `before_ns` (Unix ns); return their number.

        One call deletes rows of one state only: shipped rows if there are any, else rejected ones, else local ones. It
        deletes at most `limit` rows, and stops at about `max_bytes` of text.
        """
        return next(filter(None, (self._delete(state, limit, before_ns, max_bytes) for state in _DONE)), 0)

    def delete_pending(self, limit: int, max_bytes: int) -> int:
        """Delete the oldest pending observations, up to `limit` rows or `max_bytes` of text; return their number."""
        return self._delete("pending", limit, _FAR_FUTURE_NS, max_bytes)

    def _delete(self, state: str, limit: int, before_ns: int, max_bytes: int) -> int:
        """Delete the oldest observations in `state`; return their number.

        With the last observation of a trace, the trace's tags and scores are deleted too. Its pending scores are kept,
        unless the observations are pending themselves.
        """
        if not self.select(_OLDEST.format("seq"), (state, before_ns, 1)):
            return 0  # returns before a write transaction begins, which would block other writers
        with self.transaction() as db:
            rows = db.execute(_FEWEST, (state, before_ns, limit, max_bytes)).fetchall()
            deleted_seqs = [row["seq"] for row in rows]
            seqs = json.dumps(deleted_seqs)
            undelivered = db.execute(_UNDELIVERED, (seqs,)).fetchone()[0] if state != "pending" else 0
            deleted = db.execute(_DELETE, (seqs,)).fetchall()
            traces = [(trace_id, state) for trace_id in {row["trace_id"] for row in deleted}]
            db.executemany(_DELETE_TAGS, [(trace_id,) for trace_id, _ in traces])
            db.executemany(_DELETE_SCORES, traces)
            db.execute(_DELETE_LEFT_SCORES, (max(row["start_ns"] for row in deleted), limit))
        self.undelivered += undelivered
        search.forget(self.path, deleted_seqs)
        return len(deleted)

    def received_by(self, trace_id: str) -> list[str]:
        """The labels of the destinations that have received rows of a trace."""
        return sorted(row["destination"] for row in self.select(_RECEIVED_BY, (trace_id,)))

    def delete_trace(self, trace_id: str) -> int:
        """Delete a trace, whatever the state of its rows; return the number of deleted observations and scores.

        The trace's cost stays in the hourly sums. Its contents are overwritten in the file.
        """
        self.script("PRAGMA secure_delete = ON")
        with self.transaction(durable=True) as db:
            query = "DELETE FROM observations WHERE trace_id = ? RETURNING seq"
            seqs = [row["seq"] for row in db.execute(query, (trace_id,)).fetchall()]
            scores = db.execute("DELETE FROM scores WHERE trace_id = ?", (trace_id,)).rowcount
            db.execute("DELETE FROM trace_tags WHERE trace_id = ?", (trace_id,))
        search.forget(self.path, seqs)
        self.vacuum()
        return len(seqs) + scores

    def sums_bytes(self) -> int:
        """The approximate size of the hourly sums in bytes. Slow, since it reads all sums."""
        return int(self._value(f"SELECT ifnull(sum({_SUM_SIZE}), 0) FROM hourly"))

    def delete_oldest_hour(self, before: int = _FAR_FUTURE_NS) -> int:
        """Delete the sums of the oldest hour, if it is before `before` (hours since 1970).

        Returns the approximate size of the deleted sums in bytes.
        """
        hour = self._value("SELECT min(hour) FROM hourly")
        if hour is None or hour >= before:
            return 0
        with self.transaction() as db:
            sizes = db.execute(f"DELETE FROM hourly WHERE hour = ? RETURNING {_SUM_SIZE} AS size", (hour,)).fetchall()
        return sum(row["size"] for row in sizes)

    def used_bytes(self) -> int:
        """The size of the journal's file in bytes, without its free pages."""
        return int(self._value(_USED_BYTES))

    def vacuum(self) -> None:
        """Return the free pages of the journal's file to the file system."""
        self.script("PRAGMA incremental_vacuum")  # `execute` instead of `script` would free only one page

    def counts(self) -> dict[str, int]:
        """The number of rows in each state, observations and scores together."""
        counts: dict[str, int] = {}
        for table in ("observations", "scores"):
            for row in self.select(f"SELECT state, count(*) AS number FROM {table} GROUP BY state"):
                counts[row["state"]] = counts.get(row["state"], 0) + row["number"]
        return counts

    def pending(self, destination: str) -> int:
        """The number of pending deliveries of observations and scores to a destination."""
        query = "SELECT count(*) FROM {} WHERE state = 'pending' AND destination = ?"
        tables = ("observations", "scores", "further_deliveries")
        return sum(int(self._value(query.format(table), (destination,))) for table in tables)

    def waiting(self) -> list[Row]:
        """One row per destination with pending rows: its label, the number of pending rows, and the oldest row's start.

        The columns are `destination`, `rows` and `oldest_ns` (Unix nanoseconds).
        """
        return self.select(_WAITING)

    def further_counts(self) -> dict[str, dict[str, int]]:
        """The number of rows in each state for each destination set by OBSERVABILITY_OTLP_ENDPOINT.

        The result maps destination -> state -> number.
        """
        counts: dict[str, dict[str, int]] = {}
        for row in self.select("SELECT destination, state, count(*) AS rows FROM further_deliveries GROUP BY 1, 2"):
            counts.setdefault(row["destination"], {})[row["state"]] = row["rows"]
        return counts

    def project_of(self, destination: str) -> str | None:
        """The saved id of the Langfuse project at a destination; None if it is unknown."""
        rows = self.select("SELECT id FROM projects WHERE destination = ?", (destination,))
        return rows[0]["id"] if rows else None

    def keep_project(self, destination: str, project: str) -> None:
        """Save the id of the Langfuse project at a destination."""
        if self.project_of(destination) != project:
            self.change("INSERT OR REPLACE INTO projects VALUES (?, ?)", (destination, project))

    def trace_address(self, destination: str, trace_id: str) -> str | None:
        """The URL of a trace's page in Langfuse; None while the id of the destination's project is unknown."""
        project = self.project_of(destination)
        host = destination.partition("|")[0]
        return None if project is None else f"{host}/project/{project}/traces/{trace_id}"

    def oldest_pending_ns(self) -> int | None:
        """The start of the oldest pending row (Unix nanoseconds); None if none is pending."""
        oldest: int | None = self._value(
            "SELECT min(since) FROM (SELECT min(start_ns) AS since FROM observations WHERE state = 'pending'"
            " UNION ALL SELECT min(timestamp_ns) FROM scores WHERE state = 'pending')"
        )
        return oldest

    def observations(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Row]:
        """The observations that match the SQL condition `where`, in order of their start, with JSON columns decoded."""
        rows = self.select(f"SELECT * FROM observations WHERE {where} ORDER BY start_ns, seq", parameters)
        return [_decoded(row) for row in rows]

    def scores(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Row]:
        """The scores that match the SQL condition `where`, in order of arrival."""
        return self.select(f"SELECT * FROM scores WHERE {where} ORDER BY seq", parameters)

    def select(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Run any SELECT query and return its rows."""
        with self.reading(query, parameters) as cursor:
            return list(_dicts(cursor))

    def origin_of(self, trace_id: str) -> Row | None:
        """The destination, environment and session id of a trace; None if the journal has no row of the trace."""
        rows = self.select(
            "SELECT destination, environment, session_id FROM observations WHERE trace_id = ?"
            " ORDER BY is_root DESC LIMIT 1",
            (trace_id,),
        )
        return rows[0] if rows else None

    def decider_of(self, trace_id: str) -> str | None:
        """The id of the generation that made a trace's decision; the last generation's if the trace has no decision."""
        rows = self.select(_DECIDER, {"trace_id": trace_id})
        return rows[0]["id"] if rows else None

    def places_of(self, score_ids: Iterable[str]) -> dict[str, str | None]:
        """Map score ids to the ids of the scores' observations. Scores that are not in the journal are left out.

        The observation id is None for a score of the whole trace.
        """
        query = "SELECT id, observation_id FROM scores WHERE id IN (SELECT value FROM json_each(?))"
        return {row["id"]: row["observation_id"] for row in self.select(query, (json.dumps([*score_ids]),))}

    def change(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> int:
        """Run one statement in its own transaction; return the number of changed rows."""
        with self.transaction() as db:
            return db.execute(query, parameters).rowcount

    def _value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        with self.reading(query, parameters) as cursor:
            return cursor.fetchone()[0]

    def _tags(self, trace_ids: set[str]) -> dict[str, list[str]]:
        tags: dict[str, list[str]] = {trace_id: [] for trace_id in trace_ids}
        for row in self.select(_TAGS, (json.dumps([*trace_ids]),)):
            tags[row["trace_id"]].append(row["tag"])
        return tags


_DECIDER = """
SELECT id FROM observations WHERE trace_id = :trace_id AND type = 'generation' AND state <> 'open'
    AND start_ns <= ifnull((SELECT max(start_ns) FROM decisions WHERE trace_id = :trace_id AND stands), start_ns)
ORDER BY start_ns DESC, seq DESC LIMIT 1"""
INTERRUPTED = "interrupted: the process ended during this call"
_OPEN_OF = "SELECT seq FROM observations WHERE state = 'open' AND process = ? ORDER BY start_ns DESC"
_INTERRUPT = """
UPDATE observations SET level = 'WARNING', status_message = ?,
    seq = (SELECT max(seq) + 1 FROM observations),
    state = CASE WHEN destination IS NULL THEN 'local' ELSE 'pending' END,
    end_ns = (SELECT max(max(other.start_ns, ifnull(other.end_ns, 0))) FROM observations AS other
              WHERE other.trace_id = observations.trace_id)
WHERE seq = ?"""
_TAGS = "SELECT * FROM trace_tags WHERE trace_id IN (SELECT value FROM json_each(?)) ORDER BY tag"
_OLDEST = "SELECT {} FROM observations WHERE state = ? AND start_ns < ? ORDER BY start_ns LIMIT ?"
_SIZE = "ifnull(length(input), 0) + ifnull(length(output), 0) + ifnull(length(metadata), 0) AS size"
# Selects the oldest rows, but only as many as reach a total size: a few rows may be as large as thousands of others.
_FEWEST = f"""SELECT seq FROM (
    SELECT seq, sum(size) OVER (ORDER BY start_ns ROWS UNBOUNDED PRECEDING) - size AS before
    FROM ({_OLDEST.format(f"seq, start_ns, {_SIZE}")})) WHERE before < ?"""
# SQL for the size of one hourly sum in bytes: the lengths of its names, and about 120 bytes for the rest.
_SUM_SIZE = "120 + length(agent) + length(provider) + length(model)"
_DONE = ("shipped", "rejected", "local")
_REFUSED = (
    ValueError, OverflowError, sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError,
    sqlite3.InterfaceError,  # Python 3.10 raises InterfaceError where later versions raise ProgrammingError
)  # fmt: skip
_PENDING = "SELECT {} FROM {} WHERE state = 'pending' AND destination = ? AND seq <= ? ORDER BY seq LIMIT ?"
_SYMBOL = """(
    SELECT json_extract(metadata, '$.trading_symbol') FROM observations WHERE id = scores.observation_id) AS symbol"""
_OLDEST_WAITING = """
SELECT destination, rows, (SELECT {1} FROM {2} WHERE seq = first) AS oldest_ns FROM (
    SELECT destination, count(*) AS rows, min(seq) AS first FROM {0} WHERE state = 'pending' GROUP BY destination)"""
_WAITING = "SELECT destination, sum(rows) AS rows, min(oldest_ns) AS oldest_ns FROM ({}) GROUP BY destination".format(
    " UNION ALL ".join(
        _OLDEST_WAITING.format(*names)
        for names in (
            ("observations INDEXED BY observations_waiting", "start_ns", "observations"),
            ("scores INDEXED BY scores_waiting", "timestamp_ns", "scores"),
            ("further_deliveries", "start_ns", "observations"),
        )
    )
)
_PENDING_FURTHER = """
SELECT {} FROM further_deliveries AS f JOIN observations AS o USING (seq)
WHERE f.state = 'pending' AND f.destination = ? AND f.seq <= ? ORDER BY f.seq LIMIT ?"""
_MARK = "UPDATE {} SET state = ?1, reason = ?2 WHERE seq = ?3 AND id = ?4 AND (?5 IS NULL OR destination = ?5)"
_MARK_FURTHER = """
UPDATE further_deliveries SET state = ?1, reason = ?2
WHERE seq = ?3 AND destination = ?5 AND EXISTS (SELECT 1 FROM observations WHERE seq = ?3 AND id = ?4)"""
_RECEIVED_BY = """
SELECT destination FROM observations WHERE trace_id = ?1 AND state = 'shipped'
UNION SELECT destination FROM scores WHERE trace_id = ?1 AND state = 'shipped'
UNION SELECT f.destination FROM further_deliveries AS f JOIN observations AS o USING (seq)
WHERE o.trace_id = ?1 AND f.state = 'shipped'"""
_NEWEST = "SELECT ifnull(max(seq), 0) FROM observations"
_ADDRESS = """
INSERT OR REPLACE INTO further_deliveries SELECT seq, otlp_destination, 'pending', NULL FROM observations
WHERE seq > ? AND otlp_destination IS NOT NULL AND state <> 'open'"""
_UNDELIVERED = """
SELECT count(*) FROM further_deliveries WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))"""
_DELETE = "DELETE FROM observations WHERE seq IN (SELECT value FROM json_each(?)) RETURNING trace_id, start_ns"
_ALONE = "NOT EXISTS (SELECT 1 FROM observations WHERE observations.trace_id = {0}.trace_id)"
_DELETE_TAGS = f"DELETE FROM trace_tags WHERE trace_id = ?1 AND {_ALONE.format('trace_tags')}"
_DELETE_SCORES = f"""
DELETE FROM scores WHERE trace_id = ?1 AND (state <> 'pending' OR ?2 = 'pending') AND {_ALONE.format("scores")}"""
# Deletes the scores of traces without observations, once the scores are no longer pending. When the last observation of
# their trace was deleted, these scores were still pending and therefore kept.
_DELETE_LEFT_SCORES = f"""
DELETE FROM scores WHERE state <> 'pending' AND timestamp_ns <= ?1 AND {_ALONE.format("scores")}
    AND seq IN (SELECT seq FROM scores ORDER BY seq LIMIT ?2)"""


def _dicts(cursor: sqlite3.Cursor) -> Iterator[Row]:
    """Yield the rows as dictionaries; `dict(row)` with a `sqlite3.Row` would take five times as long."""
    names = [name for name, *_ in cursor.description]
    for values in cursor:
        yield dict(zip(names, values, strict=True))


def _are_new(db: sqlite3.Connection, rows: Sequence[Row]) -> Callable[[Row], bool]:
    """Return a function that tells whether a row's id is new: neither in the journal nor in an earlier row of `rows`.

    The function must be called once for each row, in order.
    """
    seen = {row["id"] for row in db.execute(_EXISTING, (json.dumps([row["id"] for row in rows]),))}

    def is_new(row: Row) -> bool:
        before = len(seen)
        seen.add(row["id"])
        return len(seen) > before

    return is_new


def _insert_new(db: sqlite3.Connection, rows: list[Row]) -> None:
    try:
        db.executemany(_INSERT_OBSERVATION, map(_values_of, rows))
    except _REFUSED:
        # SQLite rejected a row after inserting the rows before it. Now each row is inserted by itself: inserted rows
        # are skipped, and the rejected row is replaced by a placeholder.
        for row in rows:
            _insert_row(db, _INSERT_NAMED, row)


def _complete_open(db: sqlite3.Connection, rows: list[Row]) -> None:
    for row in rows:
        db.execute(_REOPEN_INTERRUPTED, (row["id"], INTERRUPTED))
        _insert_row(db, _REPLACE_OPEN, row)


def _insert_row(db: sqlite3.Connection, statement: str, row: Row) -> None:
    """Insert a row. If SQLite rejects the row, insert a placeholder instead."""
    try:
        db.execute(statement, row)
    except _REFUSED as error:
        why = f"SQLite rejected a row ({type(error).__name__}: {error}); a placeholder is stored in its place"
        failures.note("refused row", why)
        db.execute(statement, _placeholder(row, error))


def _placeholder(row: Row, error: Exception) -> Row:
    """Return a rejected row with the reason in place of its contents; its identity and its times are kept."""
    why = f"[NOT RECORDED: {type(error).__name__}]"
    reasons = {"name": why, "trace_name": why, "level": "WARNING", "status_message": why}
    reasons |= {"data_type": "CATEGORICAL", "value": why}  # columns of a score
    return {name: value if COLUMNS[name].is_identity else reasons.get(name) for name, value in row.items()}


def _insert(verb: str, table: str, columns: Sequence[str], where: str = "true") -> str:
    values = ", ".join(f":{column}" for column in columns)
    return f"{verb} INTO {table} ({', '.join(columns)}) SELECT {values} WHERE {where}"


# An ended row replaces the row with the same id that is open, or that was closed as interrupted although the call still
# ran. Such an interrupted row is set to open first, so that a trigger subtracts it from the hourly sums.
_REOPEN_INTERRUPTED = "UPDATE observations SET state = 'open' WHERE id = ? AND status_message = ? AND state <> 'open'"
_REPLACE_OPEN = _insert(
    "INSERT OR REPLACE", "observations", OBSERVATION_COLUMNS,
    where="EXISTS (SELECT 1 FROM observations WHERE id = :id AND state = 'open')",
)  # fmt: skip
# An ended row is written once. A second write changes nothing; it happens if a successful write seemed to fail.
# Rows are inserted rather than updated, so that `seq` is the order of completion, in which a root follows its children.
_INSERT_NAMED = _insert("INSERT", "observations", OBSERVATION_COLUMNS) + " ON CONFLICT (id) DO NOTHING"
_values_of = itemgetter(*OBSERVATION_COLUMNS)
_INSERT_OBSERVATION = (  # values are bound by position, since binding by name takes a third longer
    f"INSERT INTO observations ({', '.join(OBSERVATION_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(OBSERVATION_COLUMNS))}) ON CONFLICT (id) DO NOTHING"
)
_USED_BYTES = """
SELECT (page_count - freelist_count) * page_size
FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"""
_EXISTING = "SELECT id FROM observations WHERE id IN (SELECT value FROM json_each(?))"
_REPLACE_SCORE = _insert("INSERT OR REPLACE", "scores", SCORE_COLUMNS)
_DECODED = columns_of(Kind.JSON)


def _decoded(row: Row) -> Row:
    return {name: json.loads(v) if name in _DECODED and v is not None else v for name, v in row.items()}
