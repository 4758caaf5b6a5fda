"""Makes this package's threads release the interpreter lock (GIL) often, since the agents need it too.

Python makes a busy thread release the lock only after 5 ms; an agent's call would wait that long.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

# A thread of this package lets other threads run after this time. That costs 17 µs of CPU time and, on a busy machine,
# a wait of 1 ms. With half of this value, writing a burst of records took 25 % longer, and no call became faster.
_HOLD_SECONDS = 0.001

OWN_THREADS = "moondev-observability"  # prefix of the names of this package's threads

_Item = TypeVar("_Item")


def yielding(items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield the items, and let other threads run between two items if more than a millisecond has passed."""
    since = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - since > _HOLD_SECONDS:
            time.sleep(0)
            since = time.perf_counter()
