"""
🌙 Moon Dev's Figure Queries
Built with love by Moon Dev 🚀

What calls cost and how they went. Totals come from the journal's sums by the hour, so that they are quick, and whole
where retention has let go of rows; the first, broken hour and everything by session come from the rows. So do latencies
and decisions by model, which are those of the rows that are still there.
"""

import json
from array import array
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...journal import COUNTED, INTERRUPTED, Journal, Row
from .figures import Figures, quantile

_HOUR_NS = 3_600_000_000_000
_PAGE_ROWS = 20_000

# What figures are summed by: SQL over an hour's sums, and over a row.
GROUPS = {
    "agent": ("agent", "agent"),
    "model": ("model", "model"),
    "provider": ("provider", "provider"),
    "session": ("session_id", "session_id"),
    "day": (
        "strftime('%Y-%m-%d', hour * 3600, 'unixepoch')",
        "strftime('%Y-%m-%d', start_ns / 1000000000, 'unixepoch')",
    ),
}
UNKNOWN = "unknown"  # an agent, a model, ... that was not told


class Calls(NamedTuple):
    """Which calls, and what they are summed by (a key of `GROUPS`); since a time in Unix nanoseconds."""

    by: str
    since_ns: int = 0
    agent: str | None = None
    model: str | None = None


def figures(journal: Journal, calls: Calls, *, timed: bool = True) -> list[Figures]:
    """One row a group, the dearest first, days in their order; `timed` ones have latencies: a look at every call."""
    sums = {row.pop("grp") or UNKNOWN: row for row in _sums(journal, calls)}
    decisions = _decisions(journal, calls)
    times = _times(journal, calls) if timed else {}
    found = [
        _figures(group, row, row["decisions"] if decisions is None else decisions.get(group, 0), times.get(group))
        for group, row in sums.items()
    ]
    if calls.by == "day":
        return sorted(found, key=lambda each: each.group)
    return sorted(found, key=lambda each: (-(each.cost_usd or 0.0), -each.calls, each.group))


def tokens(journal: Journal, calls: Calls) -> Iterator[tuple[str, dict[str, int], float | None]]:
    """Each call whose tokens are known: its group, its usage, and what it cost (USD; None: unknown)."""
    for row in _rows(journal, calls, "usage, cost_usd"):
        if row["usage"]:
            yield row["grp"] or UNKNOWN, json.loads(row["usage"]), row["cost_usd"]


def without_tokens(journal: Journal, calls: Calls) -> int:
    """How many ended calls tell no tokens."""
    (found,) = journal.select(
        "SELECT count(*) AS calls FROM observations WHERE start_ns >= :since_ns AND type = 'generation'"
        f" AND end_ns IS NOT NULL AND usage IS NULL AND {_CHOSEN}",
        calls._asdict(),
    )
    return int(found["calls"])


_CHOSEN = "(:agent IS NULL OR agent = :agent) AND (:model IS NULL OR model = :model)"
_COUNTED = ", ".join(COUNTED)
_SUMMED = ", ".join(f"sum({name}) AS {name}" for name in COUNTED)
_FROM_HOURS = f"""
    SELECT hour, agent, provider, model, {_COUNTED} FROM hourly WHERE hour >= :whole_hour
    UNION ALL SELECT hour, agent, provider, model, {_COUNTED} FROM counted
        WHERE start_ns >= :since_ns AND start_ns < :whole_hour * {_HOUR_NS}
"""
_FROM_ROWS = f"SELECT hour, agent, model, session_id, {_COUNTED} FROM counted WHERE start_ns >= :since_ns"


def _sums(journal: Journal, calls: Calls) -> list[Row]:
    source = _FROM_ROWS if calls.by == "session" else _FROM_HOURS
    query = f"SELECT {GROUPS[calls.by][0]} AS grp, {_SUMMED} FROM ({source}) WHERE {_CHOSEN} GROUP BY grp"
    whole_hour = -(-calls.since_ns // _HOUR_NS)
    found = journal.select(query, {**calls._asdict(), "whole_hour": whole_hour})
    return [row for row in found if row["calls"]]


# A decision's model is that of the last call before it in its trace.
_DECIDED = """
SELECT o.start_ns, o.agent, o.session_id, g.provider, g.model FROM observations AS o
LEFT JOIN observations AS g ON g.seq = (SELECT seq FROM observations AS c WHERE c.trace_id = o.trace_id
    AND c.type = 'generation' AND c.start_ns <= o.start_ns ORDER BY c.start_ns DESC LIMIT 1)
WHERE o.name = 'trading_signal' AND o.type = 'event' AND o.start_ns >= :since_ns
"""


def _decisions(journal: Journal, calls: Calls) -> dict[str, int] | None:
    """Decisions of each group where the sums do not have them: an event knows no model."""
    if calls.by not in ("model", "provider") and calls.model is None:
        return None
    query = f"SELECT {GROUPS[calls.by][1]} AS grp, count(*) AS found FROM ({_DECIDED}) WHERE {_CHOSEN} GROUP BY grp"
    return {row["grp"] or UNKNOWN: row["found"] for row in journal.select(query, calls._asdict())}


class _Times(NamedTuple):
    """Nanoseconds of one group's calls, in no order."""

    took: "array[int]"
    first_token: "array[int]"


def _times(journal: Journal, calls: Calls) -> dict[str, _Times]:
    found: dict[str, _Times] = defaultdict(lambda: _Times(array("q"), array("q")))
    for row in _rows(journal, calls, "end_ns - start_ns AS took, first_token_ns - start_ns AS first_token"):
        times = found[row["grp"] or UNKNOWN]
        times.took.append(row["took"])
        if row["first_token"] is not None:
            times.first_token.append(row["first_token"])
    return found


def _rows(journal: Journal, calls: Calls, columns: str) -> Iterator[Row]:
    """Every call that had ended when this began, a page at a time: however fast others come, it ends.

    Not those that were interrupted: how long they took nobody knows, nor what they used.
    """
    query = (
        f"SELECT start_ns, seq, {GROUPS[calls.by][1]} AS grp, {columns} FROM observations"
        " WHERE start_ns >= :since_ns AND (start_ns, seq) > (:start_ns, :seq) AND seq <= :last AND type = 'generation'"
        f" AND end_ns IS NOT NULL AND status_message IS NOT :interrupted AND {_CHOSEN}"
        f" ORDER BY start_ns, seq LIMIT {_PAGE_ROWS}"
    )
    after: dict[str, Any] = {**calls._asdict(), "last": journal.newest()[0], "interrupted": INTERRUPTED}
    after |= {"start_ns": -(2**63), "seq": 0}
    while page := journal.select(query, after):
        yield from page
        after |= {"start_ns": page[-1]["start_ns"], "seq": page[-1]["seq"]}


def _figures(group: str, row: Row, decisions: int, times: _Times | None) -> Figures:
    took, first_token = (sorted(times.took), sorted(times.first_token)) if times else ([], [])
    return Figures(
        group=group,
        calls=row["calls"],
        errors=row["errors"],
        input_tokens=row["input"] + row["input_cached_tokens"] + row["input_cache_creation"],
        cached_tokens=row["input_cached_tokens"],
        written_tokens=row["input_cache_creation"],
        output_tokens=row["output"] + row["output_reasoning_tokens"],
        reasoning_tokens=row["output_reasoning_tokens"],
        cost_usd=row["cost_usd"] if row["priced"] else None,
        unpriced=row["unpriced"],
        decisions=decisions,
        p50_ms=quantile(took, 0.50),
        p95_ms=quantile(took, 0.95),
        p99_ms=quantile(took, 0.99),
        first_token_p50_ms=quantile(first_token, 0.50),
    )
