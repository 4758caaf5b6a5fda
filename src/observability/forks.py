"""
🌙 Moon Dev's Forks
Built with love by Moon Dev 🚀

What must be closed while this process forks. SQLite keeps its locks of a file in the process's memory, where a child
would take its parent's for its own: it would write without any, and corrupt the journal.
"""

import threading
import time
import weakref
from typing import Protocol

_PATIENCE_SECONDS = 2.0  # for a read that takes long; a write lets go while it waits for its turn


class Closable(Protocol):
    """What can be closed by another thread, and opens again by itself when it is used next."""

    lock: threading.RLock  # held while it is used

    def disconnect(self) -> None:
        """Close it; its lock is held."""


opening = threading.RLock()  # held while one is made
_all: "weakref.WeakSet[Closable]" = weakref.WeakSet()
_held: list[threading.RLock] = []


def add(closable: Closable) -> None:
    """Have it closed at every fork from now on; `opening` is held."""
    _all.add(closable)


def before() -> None:
    """Close all, and keep them closed until `after`."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    _hold(opening, deadline)
    for closable in list(_all):
        if _hold(closable.lock, deadline):
            closable.disconnect()


def after() -> None:
    """In parent and child: they may be used again."""
    while _held:
        _held.pop().release()


def _hold(lock: threading.RLock, deadline: float) -> bool:
    held = lock.acquire(timeout=max(deadline - time.monotonic(), 0.0))
    if held:
        _held.append(lock)
    return held
