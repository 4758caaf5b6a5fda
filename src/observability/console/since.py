"""
🌙 Moon Dev's Since
Built with love by Moon Dev 🚀
"""

import re
import time
from datetime import UTC, datetime

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_since(text: str) -> int:
    """`24h`, `7d`, `2026-11-01` or an ISO 8601 time (UTC unless it says otherwise) as Unix nanoseconds.

    Raises:
        ValueError: on anything else; the message says what is taken.
    """
    if span := re.fullmatch(r"(\d{1,6})([mhdw])", text.strip().lower()):
        return time.time_ns() - int(span[1]) * _UNITS[span[2]] * 1_000_000_000
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time: use 24h, 7d, 2w, 2026-11-01 or 2026-11-01T08:00") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1_000_000_000)
