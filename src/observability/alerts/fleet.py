"""The rules about the whole machine: rows that are not delivered. They need no past."""

from collections.abc import Callable, Iterator

from .. import settings
from ..journal import Journal
from .monitor import Incident

FLEET = "fleet"  # the agent of these incidents
_LATE_NS, _ON_TIME_NS = 30 * 60 * 10**9, 10 * 60 * 10**9  # age of the oldest pending row: an incident, and its end
_RECENT_NS = 3600 * 10**9
# Along the indexes of pending rows: a backlog of a day is not read each minute.
_OLDEST = """
SELECT start_ns, trace_id FROM (
    SELECT start_ns, trace_id FROM observations WHERE state = 'pending' AND destination = ?1 ORDER BY seq LIMIT 1)
UNION ALL SELECT start_ns, trace_id FROM (
    SELECT o.start_ns, o.trace_id FROM further_deliveries AS f JOIN observations AS o USING (seq)
    WHERE f.destination = ?1 AND f.state = 'pending' ORDER BY f.seq LIMIT 1)"""
_REJECTED = """
SELECT count(*) AS rows, min(at_ns) AS since_ns, min(reason) AS reason FROM deliveries
WHERE state = 'rejected' AND destination = ? AND at_ns > ?"""


def fleet_incidents(journal: Journal, now_ns: int, is_open: Callable[[str], bool]) -> Iterator[Incident]:
    """Yield the incidents that hold now. `is_open(rule)`: the rule's incident is open, so a lower limit counts."""
    limit = _ON_TIME_NS if is_open("unshipped") else _LATE_NS
    for rule in (_unshipped(journal, now_ns, limit), _rejected(journal, now_ns)):
        yield from list(rule)[:1]  # of several destinations one is enough


def _unshipped(journal: Journal, now_ns: int, limit_ns: int) -> Iterator[Incident]:
    for to in settings.destinations():
        for row in journal.select(_OLDEST, (to.label,)):
            age = now_ns - row["start_ns"]
            if age > limit_ns:
                text = f"rows for {to.host} wait, the oldest since {age / 60e9:,.0f} minutes: see `doctor`"
                yield Incident(FLEET, "unshipped", text, row["start_ns"], now_ns, first_bad=row["trace_id"])


def _rejected(journal: Journal, now_ns: int) -> Iterator[Incident]:
    for to in settings.destinations():
        for row in journal.select(_REJECTED, (to.label, now_ns - _RECENT_NS)):
            if row["rows"]:
                reason = row["reason"] or "no reason given"
                text = f"{to.host} rejected {row['rows']:,} rows of the last hour: {reason}"
                yield Incident(FLEET, "rejected", text, row["since_ns"], now_ns)
