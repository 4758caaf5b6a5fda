"""The rules about the whole machine: undelivered rows, rejected rows and budgets. These rules use fixed limits."""

from collections.abc import Callable, Iterator

from .. import settings
from ..budgets import Ledger, Status, configured
from ..journal import Journal
from .messages import moment
from .monitor import Incident

FLEET_RULES = ("unshipped", "rejected", "budget", "budget_full")
_FLEET = "fleet"  # agent name of incidents that concern all agents
# A budget is nearly used up from 85 % spent, and used up from 95 % if running calls have reserved the rest.
_NEARLY, _NEARLY_FULL = 0.85, 0.95
# Rule `unshipped`: the age of the oldest pending row at which an incident begins, and the age at which it ends.
_LATE_NS, _ON_TIME_NS = 30 * 60 * 10**9, 10 * 60 * 10**9
_RECENT_NS = 3600 * 10**9
# However many rows are pending, this query reads only the first entry of each index of pending rows.
_OLDEST = """
SELECT start_ns, trace_id FROM (
    SELECT start_ns, trace_id FROM observations WHERE state = 'pending' AND destination = ?1 ORDER BY seq LIMIT 1)
UNION ALL SELECT start_ns, trace_id FROM (
    SELECT o.start_ns, o.trace_id FROM further_deliveries AS f JOIN observations AS o USING (seq)
    WHERE f.destination = ?1 AND f.state = 'pending' ORDER BY f.seq LIMIT 1)"""
_REJECTED = """
SELECT count(*) AS rows, min(at_ns) AS since_ns, min(reason) AS reason FROM deliveries
WHERE state = 'rejected' AND destination = ? AND at_ns > ?"""


def fleet_incidents(journal: Journal, now_ns: int, is_open: Callable[[str, str], bool]) -> Iterator[Incident]:
    """Yield the current incidents. An incident that is already open may continue below the limit at which it began."""
    limit = _ON_TIME_NS if is_open(_FLEET, "unshipped") else _LATE_NS
    for rule in (_unshipped(journal, now_ns, limit), _rejected(journal, now_ns)):
        yield from list(rule)[:1]  # one incident, even if it concerns several destinations
    for status in _statuses(journal, now_ns):
        yield from _budget(status, now_ns, is_open)


def _unshipped(journal: Journal, now_ns: int, limit_ns: int) -> Iterator[Incident]:
    for to in settings.destinations():
        for row in journal.select(_OLDEST, (to.label,)):
            age = now_ns - row["start_ns"]
            if age > limit_ns:
                text = (
                    f"journal rows for {to.host} are undelivered, the oldest for {age / 60e9:,.0f} minutes:"
                    " run `python -m src.observability doctor`"
                )
                yield Incident(_FLEET, "unshipped", text, row["start_ns"], now_ns, first_bad=row["trace_id"])


def _rejected(journal: Journal, now_ns: int) -> Iterator[Incident]:
    for to in settings.destinations():
        for row in journal.select(_REJECTED, (to.label, now_ns - _RECENT_NS)):
            if row["rows"]:
                reason = row["reason"] or "no reason given"
                text = f"{to.host} rejected {row['rows']:,} rows in the last hour: {reason}"
                yield Incident(_FLEET, "rejected", text, row["since_ns"], now_ns)


def _statuses(journal: Journal, now_ns: int) -> list[Status]:
    budgets = configured()
    if not budgets:
        return []
    with journal.transaction() as db:
        return Ledger(budgets).statuses(db, now_ns / 1e9)


def _budget(status: Status, now_ns: int, is_open: Callable[[str, str], bool]) -> Iterator[Incident]:
    """Yield an incident for a budget nearly used up, and one for a budget used up; only the latter if both are new."""
    budget, share = status.budget, status.spent / status.limit
    agent, starts_ns = f"budget {budget.key}", int(status.starts * 1e9)
    text = (
        f"{status.spent:,.4g} of {status.limit:,.4g} {budget.unit} spent ({share:.0%}),"
        f" resets at {moment(int(status.resets_at * 1e9))}"
    )
    is_full = share >= 1 or (share >= _NEARLY_FULL and status.left <= 0)
    if share >= _NEARLY and (is_open(agent, "budget") or not is_full):
        yield Incident(agent, "budget", text, starts_ns, now_ns)
    if is_full:
        yield Incident(agent, "budget_full", text, starts_ns, now_ns)
