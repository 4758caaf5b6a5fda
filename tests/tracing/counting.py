"""
🌙 Moon Dev's Count of Calls
Built with love by Moon Dev 🚀

What is called while something runs: a count is the same on a busy machine, where milliseconds are not.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """What this thread calls meanwhile, by module and name."""
    calls: Counter[str] = Counter()

    def note(frame: Any, event: str, called: Any) -> None:
        if event == "call":
            name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)  # Python 3.10 has the last part alone
            calls[f"{frame.f_globals.get('__name__')}.{name}"] += 1
        elif event == "c_call":
            calls[f"{getattr(called, '__module__', None)}.{called.__qualname__}"] += 1

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
