"""
🌙 Moon Dev's Process Liveness
Built with love by Moon Dev 🚀

Whether a process that wrote to the journal still runs: each holds an `flock` on a small file of its own, which the
system releases however the process ends. A pid would not do: it is given to another process in time.
"""

import fcntl
import os
import secrets
from pathlib import Path


class Alive:
    """This process's sign of life in `folder`; `token` names it in the journal."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.token = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._file = folder / self.token
        draft = folder / f".{self.token}"
        self._fd = os.open(draft, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        draft.rename(self._file)  # seen only once it is locked

    def end(self) -> None:
        """This process writes no more."""
        self._file.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        """Let go of an inherited file: a fork's child must not keep its parent alive."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def is_alive(folder: Path, token: str) -> bool:
    """Whether the process of this token still runs; clears away what a dead one left."""
    file = folder / token
    try:
        fd = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that ask at once do not take each other for it
    except BlockingIOError:
        return True
    else:
        file.unlink(missing_ok=True)
        return False
    finally:
        os.close(fd)


def clear_away(folder: Path) -> None:
    """Remove the files of processes that have died."""
    for file in folder.iterdir():
        if not file.name.startswith("."):  # a draft, not locked yet
            is_alive(folder, file.name)
