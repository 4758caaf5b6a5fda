"""
🌙 Moon Dev's Since
Built with love by Moon Dev 🚀
"""

import re
from datetime import datetime, timezone

from . import clock

_SECOND_NS = 1_000_000_000
_FARTHEST_NS = 9_223_000_000 * _SECOND_NS
_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_since(text: str) -> int:
    """`24h`, `7d`, `2026-11-01`, an ISO 8601 time (UTC unless it says otherwise) or `all` as Unix nanoseconds.

    Raises:
        ValueError: on anything else; the message says what is taken.
    """
    if text.strip().lower() == "all":
        return 0
    if span := re.fullmatch(r"([0-9]{1,6})([mhdw])", text.strip().lower()):
        return _clamped(clock.now_ns() - int(span[1]) * _UNITS[span[2]] * _SECOND_NS)
    try:
        moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text.strip()))  # Python 3.10 does not know the Z
    except ValueError:
        raise ValueError(f"{text!r} is no time: use 24h, 7d, 2w, 2026-11-01, 2026-11-01T08:00 or all") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return _clamped(round(aware.timestamp() * 1_000_000) * 1000)


def _clamped(nanoseconds: int) -> int:
    """What is before 1677 or after 2262 is as good as always or never; SQLite holds no larger numbers."""
    return max(min(nanoseconds, _FARTHEST_NS), -_FARTHEST_NS)
