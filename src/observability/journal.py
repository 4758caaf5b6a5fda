"""
🌙 Moon Dev's Journal
Built with love by Moon Dev 🚀

The audit trail: one SQLite file, shared by all processes of the fleet. Rows are appended by recorders, read by the
console, and taken and marked by the shipper.

A row's state is one of `open` (begun, not ended), `local` (recorded without keys), `pending`, `shipped`, `rejected`.
"""

import fcntl
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from src.observability.guard import failures
from src.observability.journal_schema import APPLICATION_ID, MIGRATIONS

Row = dict[str, Any]

_BUSY_SECONDS = 10.0
_LEASE_NS = 30_000_000_000
_FAR_FUTURE_NS = 2**63 - 1

_OBSERVATION_COLUMNS = (
    "id", "trace_id", "parent_id", "is_root", "type", "name", "trace_name", "agent",
    "start_ns", "first_token_ns", "end_ns", "session_id", "user_id", "environment", "release",
    "provider", "model", "model_requested", "model_parameters", "input", "output", "metadata", "tags",
    "level", "status_message", "usage", "cost", "cost_usd", "cost_source",
    "destination", "state", "process",
)  # fmt: skip
_SCORE_COLUMNS = (
    "id", "trace_id", "observation_id", "name", "data_type", "value", "comment", "environment", "session_id",
    "timestamp_ns", "destination", "state",
)  # fmt: skip


class JournalError(Exception):
    """The journal cannot be used; the message names the cure. Nothing is lost by it but what the queue cannot hold."""


class DamagedJournalError(JournalError):
    """The file is damaged, or is none of ours: the next `Journal` of that path sets it aside."""


class Journal:
    """One connection to the journal, for one thread; `create` it, or open what is there to read."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        if create:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _only_one_process(path):
                self._db = _usable(path) or _begun_anew(path)
        elif not path.is_file():
            raise JournalError(f"There is no journal at {path} yet: run an agent first")
        else:
            self._db = _connected(path)
            _check(self._db, path)
        self._inode = path.stat().st_ino

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def is_there(self) -> bool:
        """Whether the file is still the one that was opened; false once it was moved or deleted."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def append(self, observations: Sequence[Row], scores: Sequence[Row], *, durable: bool = False) -> None:
        """Write rows in one transaction: an open row of the same id is completed, a score of the same id replaced.

        Args:
            observations: rows with the columns of `journal_schema.py`.
            scores: likewise.
            durable: wait until the disk has them, not only the system.
        """
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        with self._transaction():
            self._db.executemany(_REPLACE_OBSERVATION, observations)
            self._db.executemany(_REPLACE_SCORE, scores)
            self._db.executemany(
                "INSERT OR IGNORE INTO trace_tags VALUES (?, ?)",
                [(row["trace_id"], tag) for row in observations if row["tags"] for tag in json.loads(row["tags"])],
            )

    def interrupt(self, process: str) -> int:
        """Close what a dead process had begun: level WARNING, with its input; returns how many there were.

        They end when the process last wrote: later is unknown.
        """
        last = "(SELECT max(max(start_ns), ifnull(max(end_ns), 0)) FROM observations WHERE process = :process)"
        with self._transaction():
            found = self._db.execute(
                "UPDATE observations SET level = 'WARNING', status_message = 'interrupted: the process ended during"
                " this call', end_ns = max(start_ns, " + last + "),"
                " state = CASE WHEN destination IS NULL THEN 'local' ELSE 'pending' END"
                " WHERE state = 'open' AND process = :process",
                {"process": process},
            )
        return found.rowcount

    def processes_with_open_rows(self) -> list[str]:
        """Tokens of the processes that have begun something and not ended it."""
        return [
            token for (token,) in self._db.execute("SELECT DISTINCT process FROM observations WHERE state = 'open'")
        ]

    def pending_observations(self, destination: str, limit: int, max_bytes: int) -> list[Row]:
        """The oldest pending observations of a destination, `limit` rows and about `max_bytes` of text at the most.

        Each row has the whole set of its trace's tags as known now.
        """
        taken: list[Row] = []
        size = 0
        query = "SELECT * FROM observations WHERE state = 'pending' AND destination = ? ORDER BY seq LIMIT ?"
        with self._reading(query, (destination, limit)) as found:
            for each in found:
                row = dict(each)
                size += sum(len(value) for value in row.values() if isinstance(value, str))
                if taken and size > max_bytes:
                    break
                taken.append(row)
        tags = self._tags({row["trace_id"] for row in taken})
        return [{**row, "tags": tags.get(row["trace_id"], [])} for row in taken]

    def pending_scores(self, destination: str, limit: int) -> list[Row]:
        """The oldest pending scores of a destination."""
        query = "SELECT * FROM scores WHERE state = 'pending' AND destination = ? ORDER BY seq LIMIT ?"
        return [dict(row) for row in self._db.execute(query, (destination, limit)).fetchall()]

    def mark(self, table: str, ids: Iterable[str], state: str, reason: str | None = None) -> None:
        """Set the state of rows, by id, in `observations` or `scores`."""
        with self._transaction():
            self._db.executemany(_MARK[table], [(state, reason, row_id) for row_id in ids])

    def take_lease(self, name: str, owner: str, alive: Any) -> bool:
        """Take or keep the lease `name` for 30 s; false where another process that is alive (`alive(token)`) has it."""
        now = time.time_ns()
        with self._transaction():
            held = self._db.execute("SELECT owner, expires_ns FROM leases WHERE name = ?", (name,)).fetchone()
            if held and held["owner"] != owner and held["expires_ns"] > now and alive(held["owner"]):
                return False
            self._db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (name, owner, now + _LEASE_NS))
            return True

    def give_up_leases(self, owner: str) -> None:
        """End every lease of a process."""
        with self._transaction():
            self._db.execute("DELETE FROM leases WHERE owner = ?", (owner,))

    def delete_done(self, limit: int, before_ns: int | None = None) -> int:
        """Delete the oldest rows that wait for nothing, those begun before a time (Unix ns) if given; how many."""
        return self._delete("state IN ('shipped', 'local', 'rejected') AND start_ns < ?", limit, before_ns)

    def delete_pending(self, limit: int) -> int:
        """Delete the oldest rows that Langfuse does not have yet; how many."""
        return self._delete("state = 'pending' AND start_ns < ?", limit, None)

    def _delete(self, where: str, limit: int, before_ns: int | None) -> int:
        """Observations, and with the last of a trace its scores and tags."""
        found = f"SELECT seq, trace_id FROM observations WHERE {where} ORDER BY start_ns LIMIT ?"
        rows = self._db.execute(found, (_FAR_FUTURE_NS if before_ns is None else before_ns, limit)).fetchall()
        with self._transaction():
            self._db.executemany("DELETE FROM observations WHERE seq = ?", [(row["seq"],) for row in rows])
            traces = [(trace_id, trace_id) for trace_id in {row["trace_id"] for row in rows}]
            for table in ("scores", "trace_tags"):
                self._db.executemany(
                    f"DELETE FROM {table} WHERE trace_id = ?"
                    " AND NOT EXISTS (SELECT 1 FROM observations WHERE trace_id = ?)",
                    traces,
                )
        return len(rows)

    def used_bytes(self) -> int:
        """What the rows take up: the file without the pages that are free."""
        pages, free, size = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def give_back_space(self) -> None:
        """Return free pages to the file system."""
        self._db.executescript("PRAGMA incremental_vacuum")  # `execute` would free one page and stop

    def counts(self) -> dict[str, int]:
        """How many rows there are in each state, observations and scores together."""
        query = (
            "SELECT state, count(*) FROM (SELECT state FROM observations UNION ALL SELECT state FROM scores)"
            " GROUP BY state"
        )
        return dict(self._db.execute(query).fetchall())

    def pending(self, destination: str | None = None) -> int:
        """How many observations and scores wait, for one destination or all."""
        where = "state = 'pending'" + (" AND destination = :destination" if destination else "")
        query = (
            f"SELECT (SELECT count(*) FROM observations WHERE {where}) + (SELECT count(*) FROM scores WHERE {where})"
        )
        found: int = self._db.execute(query, {"destination": destination}).fetchone()[0]
        return found

    def oldest_pending_ns(self) -> int | None:
        """When the oldest pending observation began (Unix nanoseconds); None where nothing waits."""
        query = "SELECT min(start_ns) FROM observations WHERE state = 'pending'"
        found: int | None = self._db.execute(query).fetchone()[0]
        return found

    def observations(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Row]:
        """Observations in order of their start, JSON columns decoded."""
        query = f"SELECT * FROM observations WHERE {where} ORDER BY start_ns, seq"
        return [_decoded(row) for row in self._db.execute(query, parameters)]

    def scores(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Row]:
        """Scores in order of arrival."""
        query = f"SELECT * FROM scores WHERE {where} ORDER BY seq"
        return [dict(row) for row in self._db.execute(query, parameters)]

    def select(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Rows of a query of the console's."""
        return [dict(row) for row in self._db.execute(query, parameters).fetchall()]

    def _tags(self, trace_ids: set[str]) -> dict[str, list[str]]:
        tags: dict[str, list[str]] = {}
        for trace_id in trace_ids:
            found = self._db.execute("SELECT tag FROM trace_tags WHERE trace_id = ? ORDER BY tag", (trace_id,))
            tags[trace_id] = [tag for (tag,) in found]
        return tags

    @contextmanager
    def _reading(self, query: str, parameters: Sequence[Any]) -> Iterator[sqlite3.Cursor]:
        cursor = self._db.execute(query, parameters)
        try:
            yield cursor
        finally:
            cursor.close()  # ends the read transaction, which would keep the WAL from being reused

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _damage_said():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _usable(path: Path) -> sqlite3.Connection | None:
    """A connection to a journal of ours, made or migrated where need be; None where the file is none, and set aside."""
    try:
        path.touch(mode=0o600)
        db = _connected(path)
        with _damage_said():
            _check(db, path)  # before anything is changed: it may be another program's
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table: later it has no effect
            db.execute("PRAGMA journal_mode = WAL")
            _migrate(db)
    except (DamagedJournalError, IsADirectoryError) as error:
        aside = path.with_name(f"{path.name}.set-aside-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}")
        for suffix in ("", "-wal", "-shm"):
            if (part := Path(f"{path}{suffix}")).exists():
                part.rename(f"{aside}{suffix}")
        failures.note("set aside", f"{path} is no journal of ours or is damaged ({error})", cure=f"Kept as {aside}.")
        return None
    return db


def _begun_anew(path: Path) -> sqlite3.Connection:
    db = _usable(path)
    if db is None:
        raise JournalError(f"No journal can be made at {path}: set OBSERVABILITY_JOURNAL to another place")
    return db


def _connected(path: Path) -> sqlite3.Connection:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory")
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    db.row_factory = sqlite3.Row
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    with _damage_said():
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        version = _version(db)
    if tables and not ours:
        raise DamagedJournalError(f"{path} is a database of another program")
    if version > len(MIGRATIONS):
        raise JournalError(f"{path} was written by a newer version of this repo: update it (git pull)")


def _migrate(db: sqlite3.Connection) -> None:
    if _version(db) == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    for migration in MIGRATIONS[_version(db) :]:
        for statement in migration.split(";\n"):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    db.execute("COMMIT")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def _damage_said() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise
        raise DamagedJournalError(str(error)) from error


@contextmanager
def _only_one_process(path: Path) -> Iterator[None]:
    """So that of several processes that find a damaged file one sets it aside, and none the new one."""
    with Path(f"{path}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(table: str, columns: Sequence[str]) -> str:
    """A row of the same id gives way, so that the order of arrival is that of completion: a root after its children."""
    values = ", ".join(f":{column}" for column in columns)
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({values})"


_REPLACE_OBSERVATION = _replace("observations", _OBSERVATION_COLUMNS)
_REPLACE_SCORE = _replace("scores", _SCORE_COLUMNS)
_MARK = {
    "observations": "UPDATE observations SET state = ?, reason = ? WHERE id = ?",
    "scores": "UPDATE scores SET state = ?, reason = ? WHERE id = ?",
}
_DECODED = ("model_parameters", "input", "output", "metadata", "tags", "usage", "cost")


def _decoded(row: sqlite3.Row) -> Row:
    values = dict(row)
    return {name: json.loads(v) if name in _DECODED and v is not None else v for name, v in values.items()}
