"""A journal as commit 89c35a9 made it, and the statements that the code of that commit executes on a journal."""

import sqlite3
from pathlib import Path

from src.observability.journal.schema import APPLICATION_ID, MIGRATIONS

OLD_MIGRATIONS = 2
OLD_COLUMNS = (
    "id", "trace_id", "parent_id", "is_root", "type", "name", "trace_name", "agent",
    "start_ns", "first_token_ns", "end_ns", "session_id", "user_id", "environment", "release",
    "provider", "model", "model_requested", "model_parameters", "input", "output", "metadata", "tags",
    "level", "status_message", "usage", "cost", "cost_usd", "cost_source", "destination", "state", "process",
)  # fmt: skip
OLD_INSERT = (
    f"INSERT INTO observations ({', '.join(OLD_COLUMNS)}) SELECT {', '.join(f':{name}' for name in OLD_COLUMNS)}"
    " WHERE true ON CONFLICT (id) DO NOTHING"
)
OLD_REPLACE = OLD_INSERT.replace("INSERT INTO", "INSERT OR REPLACE INTO").removesuffix(" ON CONFLICT (id) DO NOTHING")
OLD_SCORE = (
    "INSERT OR REPLACE INTO scores (id, trace_id, observation_id, name, data_type, value, comment, environment,"
    " session_id, timestamp_ns, destination, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def of_before(path: Path) -> sqlite3.Connection:
    """Create a journal as commit 89c35a9 did."""
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL")
    for released in MIGRATIONS[:OLD_MIGRATIONS]:
        db.executescript(released.script)
    db.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {OLD_MIGRATIONS}")
    return db
