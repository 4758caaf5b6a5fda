"""
🌙 Moon Dev's Journal File
Built with love by Moon Dev 🚀

The journal as a file: made where there is none, brought up to date where it is old, set aside where it is damaged or
another program's.

    OSError
    └── JournalError           it cannot be used now: try again later, the message names the cure
        └── DamagedJournalError    it never will be: it is set aside, and a new one begun
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ..internal_errors import failures
from .schema import APPLICATION_ID, MIGRATIONS

BUSY_SECONDS = 10.0
_WAL_BYTES = 8 * 1024 * 1024  # what its write-ahead log may keep of the disk between two bursts
_KEEP_WAL_SMALL = f"PRAGMA journal_size_limit = {_WAL_BYTES}"


class JournalError(OSError):
    """The journal cannot be used; the message names the cure. Nothing is lost by it but what the queue cannot hold."""


class DamagedJournalError(JournalError):
    """The file is damaged, or is none of ours."""


class Connected(NamedTuple):
    """A connection, and what tells the file that it is of from another one of the same name."""

    db: sqlite3.Connection
    identity: tuple[int, int] | None


def connected(path: Path, *, create: bool) -> Connected:
    """A connection to the journal at `path`; with `create`, one is made, migrated or begun anew where need be.

    Raises:
        JournalError: where there can be none, or none to read.
    """
    if not create and not path.is_file():
        raise JournalError(f"There is no journal at {path} yet: run an agent first")
    try:
        if (found := _up_to_date(path)) is not None:  # a fleet that starts need not queue
            return found
    except JournalError:  # of which more is known below, where one process at a time looks
        if not create:
            raise
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _only_one_process(path):
        try:
            db = _usable(path)
        except DamagedJournalError as error:
            _rename(path, error)
            db = _usable(path)
        return Connected(db, identity_of(path))


def set_aside(path: Path, identity: tuple[int, int], why: Exception) -> None:
    """Rename a damaged journal, unless another process has done so: the next that opens `path` begins a new one."""
    with _only_one_process(path):
        if identity_of(path) == identity:
            _rename(path, why)


def identity_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def errors_named() -> Iterator[None]:
    """SQLite's errors as ours. What it says of single rows stays as it is."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise JournalError(str(error)) from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError):
            raise
        raise DamagedJournalError(str(error)) from error


def _up_to_date(path: Path) -> Connected | None:
    """A connection to a journal at which nothing is to be done; None where there is none, or something is."""
    identity = identity_of(path)
    if identity is None or not path.is_file():
        return None
    db = _connect(path)
    try:
        with errors_named():
            _check(db, path)
            is_wal = db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            db.execute(_KEEP_WAL_SMALL)
            if is_wal and _version(db) == len(MIGRATIONS) and identity_of(path) == identity:
                return Connected(db, identity)
    except BaseException:
        db.close()
        raise
    db.close()
    return None


def _usable(path: Path) -> sqlite3.Connection:
    if path.is_dir():
        if any(path.iterdir()):  # not ours to move
            raise JournalError(f"{path} is a folder: let OBSERVABILITY_JOURNAL name a file in it")
        raise DamagedJournalError(f"{path} is an empty folder")
    path.touch(mode=0o600)
    db = _connect(path)
    try:
        with errors_named():
            _check(db, path)  # before anything is changed: it may be another program's
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table: later it has no effect
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(_KEEP_WAL_SMALL)
            _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _connect(path: Path) -> sqlite3.Connection:
    with errors_named():
        db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if tables and not ours:
        raise DamagedJournalError(f"{path} is a database of another program")
    if _version(db) > len(MIGRATIONS):
        raise JournalError(f"{path} was written by a newer version of this repo: update it (git pull)")


def _migrate(db: sqlite3.Connection) -> None:
    """All that is missing or nothing; a process that was killed in it leaves the old version."""
    if _version(db) == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    for migration in MIGRATIONS[_version(db) :]:
        for statement in _statements(migration):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    db.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit before the first."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):  # a trigger has statements within
            yield statement
            statement = ""


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _rename(path: Path, why: Exception) -> None:
    aside = path.with_name(f"{path.name}.set-aside-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}")
    for suffix in ("-wal", "-shm", ""):
        if (part := Path(f"{path}{suffix}")).exists():
            part.rename(f"{aside}{suffix}")
    failures.note("set aside", f"{path} is no journal of ours or is damaged ({why})", cure=f"Kept as {aside}.")


@contextmanager
def _only_one_process(path: Path) -> Iterator[None]:
    """So that of several processes that find a damaged file one sets it aside, and none the new one."""
    lock = Path(f"{path}.lock")
    lock.touch(mode=0o600)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a child forked meanwhile has inherited the lock
