"""The quiet hours of OBSERVABILITY_ALERT_QUIET, which delay messages."""

from datetime import datetime, timedelta, timezone

from .. import settings


def end_of_quiet(now_ns: int) -> int:
    """The earliest time to send a message (Unix nanoseconds): now, or the end of the quiet hours."""
    quiet: settings.QuietHours | None = settings.setting("OBSERVABILITY_ALERT_QUIET")
    if quiet is None:
        return now_ns
    now = datetime.fromtimestamp(now_ns / 1e9, timezone.utc).astimezone(quiet.zone)
    minute = now.hour * 60 + now.minute
    length = (quiet.until - quiet.since) % (24 * 60)
    if (minute - quiet.since) % (24 * 60) >= length:
        return now_ns
    remaining = (quiet.until - minute) % (24 * 60)
    end = (now.replace(tzinfo=None, second=0, microsecond=0) + timedelta(minutes=remaining)).replace(tzinfo=now.tzinfo)
    return max(int(end.timestamp()) * 10**9, now_ns)
