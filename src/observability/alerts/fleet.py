"""The rules about the whole machine: rows that are not delivered to Langfuse. They need no past."""

from collections.abc import Callable, Iterator

from .. import settings
from ..journal import Journal
from .monitor import Incident

FLEET = "fleet"  # the agent of these incidents
_LATE_NS, _ON_TIME_NS = 30 * 60 * 10**9, 10 * 60 * 10**9  # age of the oldest pending row: an incident, and its end
_OLDEST = "SELECT start_ns, trace_id FROM observations WHERE state = 'pending' AND destination = ? ORDER BY seq LIMIT 1"
_REJECTED = (
    "SELECT count(*) AS rows, min(trace_id) AS trace_id, min(start_ns) AS since_ns, min(reason) AS reason"
    " FROM observations WHERE state = 'rejected' AND destination = ? AND start_ns > ?"
)
_RECENT_NS = 3600 * 10**9


def fleet_incidents(journal: Journal, now_ns: int, is_open: Callable[[str], bool]) -> Iterator[Incident]:
    """Yield the incidents that hold now. `is_open(rule)`: the rule's incident is open, so a lower limit counts."""
    destination = settings.destination()
    if destination is None:
        return
    yield from _unshipped(journal, destination.label, now_ns, _ON_TIME_NS if is_open("unshipped") else _LATE_NS)
    yield from _rejected(journal, destination.label, now_ns)


def _unshipped(journal: Journal, destination: str, now_ns: int, limit_ns: int) -> Iterator[Incident]:
    for row in journal.select(_OLDEST, (destination,)):
        if now_ns - row["start_ns"] > limit_ns:
            rows, minutes = journal.pending(destination), (now_ns - row["start_ns"]) / 60e9
            text = f"{rows:,} rows are not delivered to Langfuse, the oldest for {minutes:,.0f} minutes"
            yield Incident(FLEET, "unshipped", text, row["start_ns"], now_ns, first_bad=row["trace_id"])


def _rejected(journal: Journal, destination: str, now_ns: int) -> Iterator[Incident]:
    for row in journal.select(_REJECTED, (destination, now_ns - _RECENT_NS)):
        if row["rows"]:
            text = f"Langfuse rejected {row['rows']:,} rows of the last hour: {row['reason'] or 'no reason given'}"
            yield Incident(FLEET, "rejected", text, row["since_ns"], now_ns, first_bad=row["trace_id"])
