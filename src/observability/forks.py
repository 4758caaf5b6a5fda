"""Connections that must be closed while this process forks.

SQLite keeps its locks of a file in the process's memory, where a child would take its parent's for its own: it would
write without any, and corrupt the journal. A fork waits for a connection that is in use, but not for long: where that
is not enough, the child keeps a journal of its own (`journal.path_of_process`).
"""

import threading
import time
import weakref
from typing import Protocol

_WAIT_SECONDS = 0.05  # for a connection that is in use: a write waits for other processes without its lock


class Closable(Protocol):
    """A connection that another thread can close, and that opens again by itself on its next use."""

    lock: threading.RLock  # held while it is used

    def disconnect(self) -> None:
        """Close it; its lock is held."""


opening = threading.RLock()  # held while a connection is made
is_unsafe = False  # in a child that was forked while a connection of its parent's was in use
_all: "weakref.WeakSet[Closable]" = weakref.WeakSet()
_held: list[threading.RLock] = []
_is_closed = True  # all of them, at the last fork


def add(closable: Closable) -> None:
    """Have a connection closed at every fork from now on; `opening` is held."""
    _all.add(closable)


def before() -> None:
    """Close all connections, and keep them closed until after the fork."""
    global _is_closed
    deadline = time.monotonic() + _WAIT_SECONDS
    _is_closed = _hold(opening, deadline)
    for closable in list(_all) if _is_closed else ():
        if _hold(closable.lock, deadline):
            closable.disconnect()
        else:
            _is_closed = False


def after_in_parent() -> None:
    """They may be used again."""
    while _held:
        _held.pop().release()


def after_in_child() -> None:
    """Connections may be opened again; not to the parent's file, if one to it was in use."""
    global opening, is_unsafe
    after_in_parent()
    if not _is_closed:
        is_unsafe, opening = True, threading.RLock()  # the old one may be held by a thread that this process lacks


def _hold(lock: threading.RLock, deadline: float) -> bool:
    held = lock.acquire(timeout=max(deadline - time.monotonic(), 0.0))
    if held:
        _held.append(lock)
    return held
