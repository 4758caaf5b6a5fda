"""
🌙 Moon Dev's Journal
Built with love by Moon Dev 🚀

The audit trail: one SQLite file, shared by all processes of the fleet. Rows are appended by recorders, read by the
console, and taken, marked and pruned for the shipper.

A row's state is one of `open` (begun, not ended), `local` (recorded without keys), `pending`, `shipped`, `rejected`.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_BUSY_SECONDS = 10.0
_SCHEMA_VERSION = 1

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

_SCHEMA = """
CREATE TABLE observations (
    seq INTEGER PRIMARY KEY,          -- order of arrival: children before their root
    id TEXT NOT NULL UNIQUE,          -- 16 hex digits
    trace_id TEXT NOT NULL,           -- 32 hex digits
    parent_id TEXT,
    is_root INTEGER NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    trace_name TEXT NOT NULL,
    agent TEXT,
    start_ns INTEGER NOT NULL,        -- Unix nanoseconds
    first_token_ns INTEGER,
    end_ns INTEGER,
    session_id TEXT,
    user_id TEXT,
    environment TEXT,
    release TEXT,
    provider TEXT,
    model TEXT,                       -- that answered, else asked for
    model_requested TEXT,
    model_parameters TEXT,            -- JSON, like input, output, metadata, tags, usage and cost
    input TEXT,
    output TEXT,
    metadata TEXT,
    tags TEXT,
    level TEXT NOT NULL,
    status_message TEXT,
    usage TEXT,
    cost TEXT,
    cost_usd REAL,                    -- NULL: price unknown; 0: free
    cost_source TEXT,
    destination TEXT,                 -- host|public key; NULL: local
    state TEXT NOT NULL,
    reason TEXT,                      -- why it was rejected, in the server's words
    process TEXT NOT NULL             -- who recorded it
);
CREATE INDEX observations_trace ON observations (trace_id);
CREATE INDEX observations_start ON observations (start_ns);
CREATE INDEX observations_waiting ON observations (destination, seq) WHERE state = 'pending';
CREATE TABLE scores (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,          -- fixed: a repeat replaces
    trace_id TEXT NOT NULL,
    observation_id TEXT,
    name TEXT NOT NULL,
    data_type TEXT NOT NULL,
    value NOT NULL,
    comment TEXT,
    environment TEXT,
    session_id TEXT,
    timestamp_ns INTEGER NOT NULL,
    destination TEXT,
    state TEXT NOT NULL,
    reason TEXT
);
CREATE INDEX scores_trace ON scores (trace_id);
CREATE INDEX scores_waiting ON scores (destination, seq) WHERE state = 'pending';
CREATE TABLE trace_tags (
    trace_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (trace_id, tag)
) WITHOUT ROWID;
"""


class Journal:
    """One connection to the journal, for one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table: later it has no effect
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._migrate()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def append(self, observations: Sequence[Row], scores: Sequence[Row]) -> None:
        """Write rows in one transaction; an open row of the same id is completed, a score of the same id replaced."""
        with self._transaction():
            self._db.executemany(_UPSERT_OBSERVATION, observations)
            self._db.executemany(_UPSERT_SCORE, scores)
            self._db.executemany(
                "INSERT OR IGNORE INTO trace_tags VALUES (?, ?)",
                [(row["trace_id"], tag) for row in observations if row["tags"] for tag in json.loads(row["tags"])],
            )

    def pending_observations(self, destination: str, limit: int, max_bytes: int) -> list[Row]:
        """The oldest pending observations of a destination, `limit` rows and about `max_bytes` of text at the most.

        Each row has the whole set of its trace's tags as known now.
        """
        taken: list[Row] = []
        size = 0
        query = "SELECT * FROM observations WHERE state = 'pending' AND destination = ? ORDER BY seq LIMIT ?"
        for found in self._db.execute(query, (destination, limit)):
            row = dict(found)
            size += sum(len(value) for value in row.values() if isinstance(value, str))
            if taken and size > max_bytes:
                break
            taken.append(row)
        tags = self._tags({row["trace_id"] for row in taken})
        return [{**row, "tags": tags.get(row["trace_id"], [])} for row in taken]

    def pending_scores(self, destination: str, limit: int) -> list[Row]:
        """The oldest pending scores of a destination."""
        query = "SELECT * FROM scores WHERE state = 'pending' AND destination = ? ORDER BY seq LIMIT ?"
        return [dict(row) for row in self._db.execute(query, (destination, limit))]

    def mark(self, table: str, ids: Iterable[str], state: str, reason: str | None = None) -> None:
        """Set the state of rows, by id, in `observations` or `scores`."""
        with self._transaction():
            self._db.executemany(_MARK[table], [(state, reason, row_id) for row_id in ids])

    def counts(self) -> dict[str, int]:
        """How many rows there are in each state, observations and scores together."""
        query = (
            "SELECT state, count(*) FROM (SELECT state FROM observations UNION ALL SELECT state FROM scores)"
            " GROUP BY state"
        )
        return dict(self._db.execute(query).fetchall())

    def oldest_pending_ns(self) -> int | None:
        """When the oldest pending observation began (Unix nanoseconds); None where nothing waits."""
        query = "SELECT min(start_ns) FROM observations WHERE state = 'pending'"
        found: int | None = self._db.execute(query).fetchone()[0]
        return found

    def observations(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Row]:
        """Observations in order of their start, JSON columns decoded."""
        query = f"SELECT * FROM observations WHERE {where} ORDER BY start_ns, seq"  # noqa: S608 - our own text
        return [_decoded(row) for row in self._db.execute(query, parameters)]

    def scores(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Row]:
        """Scores in order of arrival."""
        query = f"SELECT * FROM scores WHERE {where} ORDER BY seq"  # noqa: S608 - our own text
        return [dict(row) for row in self._db.execute(query, parameters)]

    def _tags(self, trace_ids: set[str]) -> dict[str, list[str]]:
        tags: dict[str, list[str]] = {}
        for trace_id in trace_ids:
            found = self._db.execute("SELECT tag FROM trace_tags WHERE trace_id = ? ORDER BY tag", (trace_id,))
            tags[trace_id] = [tag for (tag,) in found]
        return tags

    @contextmanager
    def _transaction(self) -> Any:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _migrate(self) -> None:
        if self._version() < _SCHEMA_VERSION:
            with self._transaction():
                if self._version() < _SCHEMA_VERSION:  # another process may have been first
                    for statement in _SCHEMA.split(";\n"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])


def _upsert(table: str, columns: Sequence[str]) -> str:
    values = ", ".join(f":{column}" for column in columns)
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"  # noqa: S608 - our own names
        f" ON CONFLICT (id) DO UPDATE SET {changes}"
    )


_UPSERT_OBSERVATION = _upsert("observations", _OBSERVATION_COLUMNS)
_UPSERT_SCORE = _upsert("scores", _SCORE_COLUMNS)
_MARK = {
    "observations": "UPDATE observations SET state = ?, reason = ? WHERE id = ?",
    "scores": "UPDATE scores SET state = ?, reason = ? WHERE id = ?",
}
_DECODED = ("model_parameters", "input", "output", "metadata", "tags", "usage", "cost")


def _decoded(row: sqlite3.Row) -> Row:
    values = dict(row)
    return {name: json.loads(v) if name in _DECODED and v is not None else v for name, v in values.items()}
