"""Open the journal's file: create a missing one, migrate an old one, set aside a damaged or foreign one.

OSError
└── JournalError           the journal cannot be used now; the message says why
    └── DamagedJournalError    the file can never be used: it is renamed, and a new one is created
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from ..internal_errors import failures
from .migration import format_of, is_migrated, migrate
from .schema import APPLICATION_ID, FORMAT

BUSY_SECONDS = 10.0
_WAL_BYTES = 8 * 1024 * 1024  # size to which SQLite truncates the write-ahead log after many writes
_KEEP_WAL_SMALL = f"PRAGMA journal_size_limit = {_WAL_BYTES}"


class JournalError(OSError):
    """The journal cannot be used; the message says why. Meanwhile, new rows stay in the recorder's queue."""


class DamagedJournalError(JournalError):
    """The file is damaged, or not a journal of this program."""


class Connected(NamedTuple):
    """A connection to a journal, with the device and inode of its file.

    These identify the file even if another file later has the same name.
    """

    db: sqlite3.Connection
    identity: tuple[int, int] | None


def connected(path: Path, *, create: bool) -> Connected:
    """Connect to the journal at `path`.

    Args:
        path: the journal's file.
        create: create a missing journal, and replace a damaged one.

    Raises:
        JournalError: the journal cannot be created, or does not exist.
    """
    if not create and not path.is_file():
        raise JournalError(f"No journal at {path} yet: run an agent first")
    try:
        if (existing := _up_to_date(path)) is not None:  # without the lock, so that many starting agents do not queue
            return existing
    except JournalError:  # the file is checked again below, by one process at a time
        if not create:
            raise
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _hide_from_git(path)
    with _only_one_process(path):
        try:
            db = _usable(path)
        except DamagedJournalError as error:
            _rename(path, error)
            db = _usable(path)
        return Connected(db, identity_of(path))


def set_aside(path: Path, identity: tuple[int, int], why: Exception) -> None:
    """Rename a damaged journal, unless another process already did; the next connection to `path` creates a new one."""
    with _only_one_process(path):
        if identity_of(path) == identity:
            _rename(path, why)


def identity_of(path: Path) -> tuple[int, int] | None:
    """The device and inode of a file; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def errors_named() -> Iterator[None]:
    """Raise SQLite's errors as JournalError, except errors about a single row, which pass unchanged."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise JournalError(str(error)) from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError)):
            raise
        raise DamagedJournalError(str(error)) from error


def _up_to_date(path: Path) -> Connected | None:
    """Return a connection to the journal at `path`; None if it is missing, only partly created, or not yet migrated."""
    identity = identity_of(path)
    if identity is None:
        return None
    db = _connect(path)
    try:
        with errors_named():
            _check(db, path)
            is_wal = db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            db.execute(_KEEP_WAL_SMALL)
            if is_wal and is_migrated(db) and identity_of(path) == identity:
                return Connected(db, identity)
    except BaseException:
        db.close()
        raise
    db.close()
    return None


def _hide_from_git(path: Path) -> None:
    """Write a `.gitignore` of `*` into the journal's folder, so that Git never commits a recorded prompt.

    A folder that also has other files is left alone.
    """
    ignore, ours = path.parent / ".gitignore", (path.name.partition(".")[0], "processes")
    with suppress(OSError):  # the journal must work even if no `.gitignore` can be written
        if not ignore.exists() and all(file.name.startswith(ours) for file in path.parent.iterdir()):
            ignore.write_text("*\n", encoding="utf-8")


def _usable(path: Path) -> sqlite3.Connection:
    if path.is_dir():
        if any(path.iterdir()):  # a DamagedJournalError would set the operator's own folder aside, under another name
            raise JournalError(f"{path} is a folder: set OBSERVABILITY_JOURNAL to a file in it")
        raise DamagedJournalError(f"{path} is an empty folder")
    path.touch(mode=0o600)
    db = _connect(path)
    try:
        with errors_named():
            _check(db, path)  # checked before any change to the file, which may belong to another program
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # has no effect once the file has a table
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")  # safe with a WAL; migrations need not wait for the disk
            db.execute(_KEEP_WAL_SMALL)
            migrate(db, path)
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
    is_ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if tables and not is_ours:
        raise DamagedJournalError(f"{path} is a database of another program")
    if format_of(db) > FORMAT:
        raise JournalError(f"{path} was written by a newer version of this repo: update it (git pull)")


def _rename(path: Path, why: Exception) -> None:
    aside = path.with_name(f"{path.name}.set-aside-{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S-%f}")
    for suffix in ("-wal", "-shm", ""):
        if (part := Path(f"{path}{suffix}")).exists():
            part.rename(f"{aside}{suffix}")
    failures.note(
        "set aside",
        f"{path} is damaged, or not a journal of this program ({why})",
        cure=f"Renamed to {aside}; a new journal is created.",
    )


@contextmanager
def _only_one_process(path: Path) -> Iterator[None]:
    """Hold the lock file, so that only one of several processes renames a damaged journal."""
    lock = Path(f"{path}.lock")
    lock.touch(mode=0o600)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing the file is not enough: a child forked in the meantime has inherited the lock.
            fcntl.flock(file, fcntl.LOCK_UN)
