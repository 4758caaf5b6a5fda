"""A thread's connection to the journal, and the lock that shows other processes that this process is alive.

Each process that writes to the journal holds an `flock` on a small file of its own. The operating system releases the
lock even if the process is killed. A pid is not enough, since pids are reused.
"""

import fcntl
import os
import re
import secrets
from pathlib import Path

from .. import sqlite_forks
from ..internal_errors import failures
from .forked import path_of_process
from .store import Journal

_TOKEN = re.compile(r"\d+-[0-9a-f]{8}")  # a process's token: pid and random digits; also the name of its lock file
_CONTENT = b"process lock of the Moon Dev observability journal\n"  # content of a lock file; empty in older versions


class JournalSession:
    """One thread's access to the journal; call `open` first."""

    def __init__(self) -> None:
        self._journal: Journal | None = None
        self._lock: ProcessLock | None = None

    def open(self) -> Journal:
        """Return the journal that the current settings name; reopen it if its path has changed or the file is gone.

        Raises:
            OSError: the journal cannot be opened.
        """
        path = path_of_process()
        if self._journal is not None and (self._journal.path != path or not self._journal.is_there()):
            self.close()
        if self._journal is None:
            self._journal, self._lock = self._begin(path)
        return self._journal

    def _begin(self, path: Path) -> "tuple[Journal, ProcessLock]":
        if sqlite_forks.is_unsafe:
            why = f"this process was forked while its parent wrote to the journal, and records into its own file {path}"
            cure = 'Nothing is lost. To avoid this, start worker processes before the first model call or by "spawn".'
            failures.note("fork", why, cure=cure)
        # Forks wait until `opening` is released: a child forked before `_lock` is set could not close the lock file.
        with sqlite_forks.opening:
            journal = Journal(path)
            try:
                folder = _processes_of(path)
                lock = ProcessLock(folder)
                delete_stale_locks(folder)
            except BaseException:
                journal.close()
                raise
            return journal, lock

    @property
    def process(self) -> str:
        """The token that names this process in the journal."""
        assert self._lock is not None, "call open() first"  # noqa: S101
        return self._lock.token

    def is_alive(self, process: str) -> bool:
        """Whether the process with this token is still running."""
        assert self._journal is not None, "call open() first"  # noqa: S101
        return is_alive(_processes_of(self._journal.path), process)

    def has_ended(self, pid: int) -> bool:
        """Whether no running process with this pid writes to the journal."""
        assert self._journal is not None, "call open() first"  # noqa: S101
        folder = _processes_of(self._journal.path)
        return not any(is_alive(folder, file.name) for file in folder.glob(f"{pid}-*"))

    def close(self) -> None:
        """Close the journal and release the lock."""
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.release()
        self._journal = self._lock = None

    def abandon(self) -> None:
        """In a forked child, close the parent's lock file. The parent goes on using its journal."""
        if self._lock is not None:
            self._lock.abandon()


class ProcessLock:
    """The lock file of this process in `folder`, locked while the process writes to the journal.

    `token`, the file's name, identifies the process in the journal.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.token = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._file = folder / self.token
        draft = folder / f".{self.token}"
        self._fd = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        os.write(self._fd, _CONTENT)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        draft.rename(self._file)  # renamed after locking, so that no other process finds the file unlocked

    def release(self) -> None:
        """Delete the lock file; call it when this process stops writing."""
        self._file.unlink(missing_ok=True)
        self.abandon()

    def abandon(self) -> None:
        """Close the lock file. Left open in a forked child, it would keep the parent's lock after the parent ends."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def is_alive(folder: Path, token: str) -> bool:
    """Whether the process with this token is alive, that is, holds its lock. Delete the lock file of a dead process."""
    if not _TOKEN.fullmatch(token):
        return False
    file = folder / token
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        # A shared lock, so that two processes can check at once without taking each other for the owner.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        if _is_ours(fd):
            file.unlink(missing_ok=True)
        return False
    finally:
        os.close(fd)


def delete_stale_locks(folder: Path) -> None:
    """Delete the lock files of dead processes; keep files with other names or content."""
    for file in folder.iterdir():
        if _TOKEN.fullmatch(file.name) and file.is_file() and not file.is_symlink():
            is_alive(folder, file.name)


def _is_ours(fd: int) -> bool:
    try:
        return os.read(fd, len(_CONTENT) + 1) in (_CONTENT, b"")
    except IsADirectoryError:
        return False


def _processes_of(journal: Path) -> Path:
    return journal.parent / "processes"
