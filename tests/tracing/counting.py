"""
🌙 Moon Dev's Count of Calls
Built with love by Moon Dev 🚀

Counts function calls: unlike milliseconds, a count is the same on a busy machine.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Yield the number of calls that this thread makes inside the `with`, by module and name."""
    calls: Counter[str] = Counter()

    def note(frame: Any, event: str, called: Any) -> None:
        if event == "call":
            name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)  # Python 3.10 has no co_qualname
            calls[f"{frame.f_globals.get('__name__')}.{name}"] += 1
        elif event == "c_call":
            calls[f"{getattr(called, '__module__', None)}.{called.__qualname__}"] += 1

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


class _Began(threading.local):
    at = 0.0  # the thread's CPU seconds at its last profiler event


_GIVING = ("sqlite3", "zlib")  # modules whose C code releases the GIL; RE2's functions, named `PyCapsule…`, do so too


@contextmanager
def longest_call() -> Iterator[list[tuple[float, str]]]:
    """Yield a list that ends with the longest C call that held the interpreter: its CPU seconds and its name. Threads
    that start inside the `with` count too."""
    longest = [(0.0, "none")]
    began = _Began()

    def note(frame: Any, event: str, called: Any) -> None:
        now = time.thread_time()
        if event == "c_return" and not _gives_way(called) and now - began.at > longest[-1][0]:
            longest.append((now - began.at, f"{called.__qualname__} in {frame.f_code.co_filename}:{frame.f_lineno}"))
        began.at = now  # if C code calls Python, only its time after its last such call is measured

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield longest
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _gives_way(called: Any) -> bool:
    library = type(getattr(called, "__self__", None)).__module__
    return library in _GIVING or called.__qualname__.startswith("PyCapsule")
