"""The console's clock: the current time, the time zone of all output, and the times of `--since` and `--until`."""

import re
import time
from datetime import date, datetime, timedelta, timezone, tzinfo
from datetime import time as time_of_day

_SECOND_NS = 1_000_000_000
_MAX_NS = 9_223_000_000 * _SECOND_NS
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAYS_AGO = {"today": 0, "yesterday": 1}
FORMS = "24h, 7d, 2w, today, yesterday, 2026-11-01, 2026-11-01T08:00 or all"
_zone: tzinfo | None = None  # None: the system's time zone


def now_ns() -> int:
    """Return the current time in Unix nanoseconds."""
    return time.time_ns()


def use_utc() -> None:
    """Print and parse times in UTC from now on, for the option `--utc`."""
    global _zone
    _zone = timezone.utc


def use_local() -> None:
    """Print and parse times in the system's time zone from now on. This is the default."""
    global _zone
    _zone = None


def sqlite_zone() -> str:
    """Return the modifier with which SQLite's date functions convert to the operator's zone."""
    return "localtime" if _zone is None else "+0 hours"


def local_time(nanoseconds: int) -> datetime:
    """Convert Unix nanoseconds to a time in the operator's zone, with microseconds."""
    moment = datetime.fromtimestamp(nanoseconds // _SECOND_NS, timezone.utc)
    return moment.replace(microsecond=nanoseconds % _SECOND_NS // 1000).astimezone(_zone)


def today() -> date:
    """Return the current day in the operator's zone."""
    return local_time(now_ns()).date()


def parse_time(text: str) -> int:
    """Parse `24h`, `today`, `2026-11-01`, an ISO 8601 time (in the operator's zone by default) or `all` to Unix ns.

    Raises:
        ValueError: on anything else; the message lists the accepted forms.
    """
    value = text.strip().lower()
    if value == "all":
        return 0
    if span := re.fullmatch(r"([0-9]{1,6})([mhdw])", value):
        return _clamped(now_ns() - int(span[1]) * _UNIT_SECONDS[span[2]] * _SECOND_NS)
    try:
        moment = _midnight(value) or datetime.fromisoformat(re.sub("z$", "+00:00", value))  # Python 3.10 rejects `Z`
    except ValueError:
        raise ValueError(f"{text!r} is not a time: use {FORMS}") from None
    return _clamped(round(_aware(moment).timestamp() * 1_000_000) * 1000)


def _aware(moment: datetime) -> datetime:
    """Add the operator's zone to a time without an offset. If that fails, as in the years 1 and 9999, add UTC."""
    if moment.tzinfo is not None:
        return moment
    try:
        return moment.replace(tzinfo=_zone) if _zone else moment.astimezone()
    except (ValueError, OverflowError):
        return moment.replace(tzinfo=timezone.utc)


def _midnight(name: str) -> datetime | None:
    if name not in _DAYS_AGO:
        return None
    return datetime.combine(today() - timedelta(days=_DAYS_AGO[name]), time_of_day())


def _clamped(nanoseconds: int) -> int:
    """Limit a time to the years 1677 to 2262, so that its nanoseconds fit SQLite's integers."""
    return max(min(nanoseconds, _MAX_NS), -_MAX_NS)
