"""Carries the open observation into new threads and into tasks of `ThreadPoolExecutor`.

By default, Python starts both with an empty context. `carry_into_threads` runs once, at the first observation.
"""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as _pool
from typing import Any

from ..background import OWN_THREADS
from ..settings import tracing_on
from . import current

_installed = False


def carry_into_threads() -> None:
    """Wrap `Thread.start` and `ThreadPoolExecutor.submit`, once per process."""
    global _installed
    if _installed:
        return
    _installed = True
    threading.Thread.start = _carrying_start(threading.Thread.start)  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = _carrying_submit(ThreadPoolExecutor.submit)  # type: ignore[method-assign]


def _carrying_start(start: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(start)
    def carrying_start(self: threading.Thread) -> None:
        if tracing_on() and not _outlives_its_starter(self):
            carried = current.carried()
            if not carried.empty:
                self.run = functools.partial(current.run_carried, carried, self.run)  # type: ignore[method-assign]
        start(self)

    return carrying_start


def _outlives_its_starter(thread: threading.Thread) -> bool:
    """Whether the thread may outlive the code that starts it. This is true of this package's own threads, and of a
    pool's workers, whose tasks carry their own contexts."""
    return getattr(thread, "_target", None) is _pool._worker or thread.name.startswith(OWN_THREADS)


def _carrying_submit(submit: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(submit)
    def carrying_submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if not tracing_on():
            return submit(self, fn, *args, **kwargs)
        return submit(self, current.run_carried, current.carried(), fn, *args, **kwargs)

    return carrying_submit
