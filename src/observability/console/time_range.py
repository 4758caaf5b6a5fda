"""The current time, and the values of `--since`."""

import re
import time
from datetime import date, datetime, timezone

_SECOND_NS = 1_000_000_000
_MAX_NS = 9_223_000_000 * _SECOND_NS
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def now_ns() -> int:
    """Return the current time in Unix nanoseconds."""
    return time.time_ns()


def today() -> date:
    """Return the current day in UTC."""
    return datetime.fromtimestamp(now_ns() / 1e9, timezone.utc).date()


def parse_since(text: str) -> int:
    """Return `24h`, `7d`, `2026-11-01`, an ISO 8601 time (UTC by default) or `all` as Unix nanoseconds.

    Raises:
        ValueError: on anything else; the message lists the accepted forms.
    """
    value = text.strip().lower()
    if value == "all":
        return 0
    if span := re.fullmatch(r"([0-9]{1,6})([mhdw])", value):
        return _clamped(now_ns() - int(span[1]) * _UNIT_SECONDS[span[2]] * _SECOND_NS)
    try:
        moment = datetime.fromisoformat(re.sub("z$", "+00:00", value))  # Python 3.10 reads no Z
    except ValueError:
        raise ValueError(f"{text!r} is not a time: use 24h, 7d, 2w, 2026-11-01, 2026-11-01T08:00 or all") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return _clamped(round(aware.timestamp() * 1_000_000) * 1000)


def _clamped(nanoseconds: int) -> int:
    """Limit a time to 1677-2262: SQLite's integers hold no more."""
    return max(min(nanoseconds, _MAX_NS), -_MAX_NS)
