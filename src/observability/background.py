"""
🌙 Moon Dev's Politeness
Built with love by Moon Dev 🚀

Our threads and the agents' share one interpreter. A thread that runs Python for long is made to let go only after 5 ms,
which an agent's call would wait out: so ours let go by themselves.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_HOLD_SECONDS = 0.00025  # what an agent may have to wait for the interpreter; letting go costs 17 µs

OWN_THREADS = "moondev-observability"  # prefix of the names of our threads
PAUSE_SECONDS = 2.0  # what a fork waits for a batch, or an import, at most

_Item = TypeVar("_Item")


def yielding(items: Iterable[_Item]) -> Iterator[_Item]:
    """The items, one by one; between two of them the interpreter is let go of, every quarter of a millisecond."""
    since = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - since > _HOLD_SECONDS:
            time.sleep(0)
            since = time.perf_counter()
