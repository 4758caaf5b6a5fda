"""A connection to the journal, for queries and transactions; closed while the process forks, reopened on use."""

import random
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from .. import sqlite_forks
from .file import BUSY_SECONDS, JournalError, connected, errors_named, identity_of, set_aside

_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 0.001, 0.01  # shortest and longest pause before a retry for the write lock

_random = random.SystemRandom()  # not the global generator, which the agent may have seeded


class JournalConnection:
    """A connection to the journal, for one thread at a time.

    With `create`, a missing file is created, and a damaged file is replaced.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self.lock = threading.RLock()
        with sqlite_forks.opening:
            self._db: sqlite3.Connection | None
            self._db, self._identity = connected(path, create=create)
            sqlite_forks.add(self)

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
        """Whether `path` still leads to the opened file; False once that file was moved or deleted."""
        return self._identity is not None and identity_of(self.path) == self._identity

    def set_aside(self, why: Exception) -> None:
        """Rename the damaged file; the next connection to its path creates a new file."""
        if self._identity is not None:
            set_aside(self.path, self._identity, why)

    @contextmanager
    def reading(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Iterator[sqlite3.Cursor]:
        """Run a query and yield its cursor, which is closed at the end of the `with` block."""
        with self.lock, errors_named():
            cursor = self._open().execute(query, parameters)
            try:
                yield cursor
            finally:
                cursor.close()  # an open read transaction would make the WAL grow

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Run a write transaction. Only one process at a time can write.

        Args:
            durable: commit to the disk, not only to the operating system.

        Raises:
            JournalError: the transaction failed, and nothing was written.
        """
        with errors_named():
            db = self._begin("FULL" if durable else "NORMAL")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # false on a full disk, where SQLite has already rolled back
                    db.execute("ROLLBACK")
                raise
            finally:
                self.lock.release()

    @contextmanager
    def with_copies(self, tables: Iterable[str]) -> Iterator[sqlite3.Connection]:
        """Yield a connection that can only read this journal, but has writable copies of `tables` in memory."""
        with self.lock, errors_named(), sqlite_forks.opening:
            self._open()  # checks that the file exists and is this journal
            with closing(sqlite3.connect("file::memory:", uri=True, isolation_level=None)) as db:
                db.row_factory = sqlite3.Row
                db.execute("ATTACH ? AS journal", (f"{self.path.absolute().as_uri()}?mode=ro",))
                db.execute("BEGIN")
                for table in tables:
                    (statement,) = db.execute(
                        "SELECT sql FROM journal.sqlite_master WHERE name = ?", (table,)
                    ).fetchone()
                    db.execute(statement)
                    db.execute(f"INSERT INTO main.{table} SELECT * FROM journal.{table}")
                yield db

    def yield_write_lock(self) -> None:
        """Pause between two steps of long work, so that every process that waits for the write lock can retry."""
        time.sleep(_LAST_RETRY_SECONDS)

    def script(self, statements: str) -> None:
        """Run SQL statements outside a transaction."""
        with self.lock, errors_named():
            self._open().executescript(statements)

    def _begin(self, synchronous: str) -> sqlite3.Connection:
        """Begin a write transaction and acquire `self.lock`. Retry every few milliseconds if another process writes.

        SQLite's own retry sleeps up to 100 ms; with many busy processes, some would wait for seconds.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        wait = _FIRST_RETRY_SECONDS
        while (db := self._begun(synchronous, is_late=time.monotonic() >= deadline)) is None:
            time.sleep(_random.uniform(0.5, 1.0) * wait)
            wait = min(wait * 1.5, _LAST_RETRY_SECONDS)
        return db

    def _begun(self, synchronous: str, *, is_late: bool) -> sqlite3.Connection | None:
        """Return the connection, in a new transaction and with `self.lock` held; None if another process is writing."""
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
            with sqlite_forks.opening:
                reopened = connected(self.path, create=False)
            if reopened.identity != self._identity:
                reopened.db.close()
                raise JournalError(f"{self.path} was moved or deleted while it was in use: try again")
            self._db = reopened.db
        return self._db


def _is_busy(error: BaseException) -> bool:
    """Whether the error says that another process holds the write lock.

    The message is compared, since Python 3.10 gives no error code.
    """
    return isinstance(error, sqlite3.OperationalError) and str(error) == "database is locked"
