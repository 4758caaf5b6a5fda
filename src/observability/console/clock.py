"""
🌙 Moon Dev's Clock
Built with love by Moon Dev 🚀

What time it is, asked in one place by all that the console says of ages.
"""

import time
from datetime import date, datetime, timezone


def now_ns() -> int:
    """Unix nanoseconds."""
    return time.time_ns()


def today() -> date:
    """The day that it is, UTC."""
    return datetime.fromtimestamp(now_ns() / 1e9, timezone.utc).date()
