"""Closes SQLite connections while this process forks. `runtime.py` registers the hooks that call these functions.

SQLite keeps its file locks in the memory of the process. A forked child would treat its parent's locks as its own,
write without any lock, and corrupt the journal. A fork waits briefly for a connection in use. If the connection is
still in use then, the child writes a separate journal (`journal.path_of_process`).
"""

import threading
import time
import weakref
from typing import Protocol

# How long a fork waits for connections in use. A write that waits for another process does not hold its connection's
# lock meanwhile, so it does not delay a fork.
_WAIT_SECONDS = 0.05


class Closable(Protocol):
    """A connection that another thread can close, and that reopens on its next use."""

    lock: threading.RLock  # held while the connection is in use

    def disconnect(self) -> None:
        """Close the connection. The caller holds its lock."""


opening = threading.RLock()  # held while a connection is opened
is_unsafe = False  # True in a child forked while its parent used a connection
_all: "weakref.WeakSet[Closable]" = weakref.WeakSet()
_held: list[threading.RLock] = []
_is_closed = True  # whether the last fork closed every connection


def add(closable: Closable) -> None:
    """Close this connection at every fork from now on. The caller holds `opening`."""
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
    """Release the locks, so that the parent can use its connections again."""
    while _held:
        _held.pop().release()


def after_in_child() -> None:
    """Release the locks. If a connection was in use at the fork, the child must not open the parent's file."""
    global opening, is_unsafe
    after_in_parent()
    if not _is_closed:
        is_unsafe, opening = True, threading.RLock()  # the old lock may be held by a thread of the parent


def _hold(lock: threading.RLock, deadline: float) -> bool:
    held = lock.acquire(timeout=max(deadline - time.monotonic(), 0.0))
    if held:
        _held.append(lock)
    return held
