"""
🌙 Moon Dev's Journal Connection
Built with love by Moon Dev 🚀

One connection to the journal's file: its reads and its transactions. It is closed while the process forks, and opens
again by itself.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import forks
from .file import BUSY_SECONDS, JournalError, connected, errors_named, identity_of, set_aside

_FIRST_LOOK_SECONDS, _LAST_LOOK_SECONDS = 0.001, 0.01  # between looks at whether another process still writes

_random = random.SystemRandom()  # the global generator is the agent's


class JournalConnection:
    """A connection for one thread at a time; `create` the file, or open what is there to read."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self.lock = threading.RLock()
        with forks.opening:
            self._db: sqlite3.Connection | None
            self._db, self._identity = connected(path, create=create)
            forks.add(self)

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.disconnect()

    def disconnect(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def is_there(self) -> bool:
        """Whether the file is still the one that was opened; false once it was moved or deleted."""
        return self._identity is not None and identity_of(self.path) == self._identity

    def set_aside(self, why: Exception) -> None:
        """Rename the file, which turned out to be damaged; the next connection to its path begins a new one."""
        if self._identity is not None:
            set_aside(self.path, self._identity, why)

    @contextmanager
    def reading(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Iterator[sqlite3.Cursor]:
        """The rows of a query."""
        with self.lock, errors_named():
            cursor = self._open().execute(query, parameters)
            try:
                yield cursor
            finally:
                cursor.close()  # ends the read transaction, which would keep the WAL from being reused

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction, alone of all processes; `durable`: its end waits until the disk has it, not only the system.

        Raises:
            JournalError: nothing was written.
        """
        with errors_named():
            db = self._begin("FULL" if durable else "NORMAL")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk has SQLite roll back by itself
                    db.execute("ROLLBACK")
                raise
            finally:
                self.lock.release()

    def yield_write_lock(self) -> None:
        """Between two steps of long work: as long as those who wait take until they look again, at the most."""
        time.sleep(_LAST_LOOK_SECONDS)

    def script(self, statements: str) -> None:
        """Statements that need no transaction."""
        with self.lock, errors_named():
            self._open().executescript(statements)

    def _begin(self, synchronous: str) -> sqlite3.Connection:
        """Take the write lock, and ours; looks every millisecond. SQLite's own waiting sleeps up to 100 ms at a time,
        in which a fleet's other processes come and go: some of them would wait for seconds."""
        deadline = time.monotonic() + BUSY_SECONDS
        wait = _FIRST_LOOK_SECONDS
        while (db := self._begun(synchronous, is_late=time.monotonic() >= deadline)) is None:
            time.sleep(_random.uniform(0.5, 1.0) * wait)
            wait = min(wait * 1.5, _LAST_LOOK_SECONDS)
        return db

    def _begun(self, synchronous: str, *, is_late: bool) -> sqlite3.Connection | None:
        """The connection in a transaction, our lock held; None where another process writes."""
        self.lock.acquire()
        try:
            db = self._open()
            db.execute(f"PRAGMA synchronous = {synchronous}")
            db.execute("PRAGMA busy_timeout = 0")
            try:
                db.execute("BEGIN IMMEDIATE")
            finally:
                db.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
        except BaseException as error:
            self.lock.release()
            if is_late or not _is_busy(error):
                raise
            return None
        return db

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            with forks.opening:
                found = connected(self.path, create=False)
            if found.identity != self._identity:
                found.db.close()
                raise JournalError(f"{self.path} was moved or deleted while it was in use")
            self._db = found.db
        return self._db


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
