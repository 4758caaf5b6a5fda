"""The alerts' own SQLite file beside the journal: learned state, incidents, and pending messages.

The file is separate because the journal's rows are deleted by age and size, because a damaged journal is replaced as a
whole, and because its write lock belongs to the agents. Each pass of the watch is one transaction: after a
kill, the next pass reads the same rows again, and records each incident only once.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..journal import JournalError
from .monitor import Incident, Monitor
from .past import DAYS, Day

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agents (agent TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (agent TEXT, number INTEGER, counts TEXT NOT NULL, PRIMARY KEY (agent, number))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS incidents (
    id INTEGER PRIMARY KEY,
    agent TEXT NOT NULL, rule TEXT NOT NULL, text TEXT NOT NULL,
    since_ns INTEGER NOT NULL, opened_ns INTEGER NOT NULL, last_good TEXT NOT NULL, first_bad TEXT NOT NULL,
    closed_ns INTEGER, closing TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS incidents_open ON incidents (agent, rule) WHERE closed_ns IS NULL;
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL REFERENCES incidents (id),
    kind TEXT NOT NULL,               -- opened, closed
    channel TEXT NOT NULL,
    state TEXT NOT NULL,              -- waiting, sending, sent, merged, given up
    due_ns INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS messages_waiting ON messages (channel, id) WHERE state IN ('waiting', 'sending');
CREATE TABLE IF NOT EXISTS channels (
    channel TEXT PRIMARY KEY, label TEXT NOT NULL, failures INTEGER NOT NULL, failing_since_ns INTEGER, error TEXT
) WITHOUT ROWID;
"""
_INCIDENT = ("agent", "rule", "text", "since_ns", "opened_ns", "last_good", "first_bad", "closed_ns", "closing")
_OPEN = "SELECT id FROM incidents WHERE agent = ? AND rule = ? AND closed_ns IS NULL"
_INCIDENTS = "SELECT * FROM incidents {} ORDER BY closed_ns IS NOT NULL, opened_ns DESC, id DESC LIMIT ?"
_PAST_INCIDENTS = 2000  # number of ended incidents to keep
_BUSY_SECONDS = 10.0


def path_beside(journal: Path) -> Path:
    """The path of the alerts' file that belongs to a journal."""
    return journal.with_name(f"{journal.stem}.alerts.db")


class AlertStore:
    """Reads and writes the alerts' file, in one thread.

    Only the process that holds the lock of `watcher.only_watch` writes the learned state.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            JournalError: the file cannot be used; the message names it.
        """
        self.path = path
        with self._named():
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
            self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            try:
                self._db.executescript(_SCHEMA)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            cure = "if it is damaged, delete it: the watch then learns again from the journal"
            raise JournalError(f"{self.path} cannot be used ({error}): {cure}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a write transaction: commit it at the end of the block, or roll it back on an error."""
        with self._named():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def select(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        with self._named():
            return [dict(row) for row in self._db.execute(query, values)]

    def fact(self, name: str) -> Any:
        """The value saved under a name; None if no value is saved."""
        rows = self.select("SELECT value FROM facts WHERE name = ?", name)
        return rows[0]["value"] if rows else None

    # Learned state

    def monitors(self) -> dict[str, Monitor]:
        """Load the saved monitors of all agents, by agent."""
        days: dict[str, list[Day]] = {}
        for row in self.select("SELECT agent, counts FROM days ORDER BY number"):
            days.setdefault(row["agent"], []).append(Day.of(json.loads(row["counts"])))
        states = self.select("SELECT agent, state FROM agents")
        return {row["agent"]: Monitor.of(row["agent"], json.loads(row["state"]), days.get(row["agent"], []))
                for row in states}  # fmt: skip

    def save(
        self,
        facts: dict[str, Any],
        monitors: Iterable[Monitor],
        changes: Iterable[Incident],
        due: dict[str, int],
        gone: Iterable[str] = (),
    ) -> None:
        """Save the results of a pass of the watch in one transaction.

        Args:
            facts: values to save, by name.
            monitors: the agents whose state has changed.
            changes: incidents that began or ended. An incident that began and ended in this pass is not announced.
            due: channel -> earliest time to send it a message (Unix nanoseconds).
            gone: the agents to delete.
        """
        with self.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
            for monitor in monitors:
                _save_monitor(db, monitor)
            for table in ("agents", "days"):
                db.executemany(f"DELETE FROM {table} WHERE agent = ?", [(agent,) for agent in gone])  # noqa: S608
            for incident in changes:
                _save_incident(db, incident, due)
            db.execute(
                "DELETE FROM incidents WHERE closed_ns IS NOT NULL AND id <= (SELECT max(id) FROM incidents) - ?"
                " AND id NOT IN (SELECT incident FROM messages WHERE state IN ('waiting', 'sending'))",
                (_PAST_INCIDENTS,),
            )
            db.execute("DELETE FROM messages WHERE incident NOT IN (SELECT id FROM incidents)")

    # Incidents

    def incidents(self, limit: int = -1, *, only_open: bool = False) -> list[dict[str, Any]]:
        """The open incidents, then the ended ones, newest first."""
        return self.select(_INCIDENTS.format("WHERE closed_ns IS NULL" if only_open else ""), limit)


def _save_monitor(db: sqlite3.Connection, monitor: Monitor) -> None:
    state = json.dumps(monitor.as_json(), separators=(",", ":"))
    db.execute("INSERT OR REPLACE INTO agents VALUES (?, ?)", (monitor.agent, state))
    if monitor.past.rewritten:
        db.execute("DELETE FROM days WHERE agent = ?", (monitor.agent,))
        monitor.past.rewritten = False
    saved = {row["number"] for row in db.execute("SELECT number FROM days WHERE agent = ?", (monitor.agent,))}
    new = [day for day in monitor.past.days if day.number not in saved]
    rows = [(monitor.agent, day.number, json.dumps(day.as_json(), separators=(",", ":"))) for day in new]
    db.executemany("INSERT INTO days VALUES (?, ?, ?)", rows)
    oldest = monitor.past.today.number - DAYS
    db.execute("DELETE FROM days WHERE agent = ? AND number < ?", (monitor.agent, oldest))


def _save_incident(db: sqlite3.Connection, incident: Incident, due: dict[str, int]) -> None:
    existing = db.execute(_OPEN, (incident.agent, incident.rule)).fetchone()
    values = [getattr(incident, name) for name in _INCIDENT]
    if existing is None:
        marks = ", ".join("?" * len(_INCIDENT))
        cursor = db.execute(f"INSERT INTO incidents ({', '.join(_INCIDENT)}) VALUES ({marks})", values)  # noqa: S608
        if incident.closed_ns is None:
            _announce(db, cursor.lastrowid, "opened", due)
    elif incident.closed_ns is not None:
        db.execute(
            "UPDATE incidents SET closed_ns = ?, closing = ? WHERE id = ?",
            (incident.closed_ns, incident.closing, existing["id"]),
        )
        _announce(db, existing["id"], "closed", due)


def _announce(db: sqlite3.Connection, incident: Any, kind: str, due: dict[str, int]) -> None:
    db.executemany(
        "INSERT INTO messages (incident, kind, channel, state, due_ns) VALUES (?, ?, ?, 'waiting', ?)",
        [(incident, kind, channel, at_ns) for channel, at_ns in due.items()],
    )
