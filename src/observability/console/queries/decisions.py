"""Reads decisions, their cost and their outcome from the view `decisions` and the table `decided`."""

import json

from ...journal import Journal, Row
from .filter import DECISIONS, Filter, decisions_of, source
from .text import newest

_CALLS = "FROM observations AS c WHERE c.trace_id = d.trace_id AND c.type = 'generation'"
# A trace's cost is known if at least one call has a price, and all calls without a price are failed calls.
_NEWEST = f"""
SELECT start_ns, trace_id, agent, metadata, level, model, (SELECT count(*) {_CALLS}) AS calls,
    (SELECT CASE WHEN NOT max(c.cost_usd IS NULL AND c.level <> 'ERROR') THEN sum(c.cost_usd) END {_CALLS}) AS cost_usd,
    pnl_usd, pnl_pct, stands
FROM {{0}} WHERE {decisions_of("d")} ORDER BY start_ns DESC LIMIT :limit
"""
_WITH_OUTCOME = f"""
SELECT trace_id, agent, confidence, pnl_usd, pnl_pct, model FROM decisions WHERE {DECISIONS} AND is_trade AND stands
    AND trace_id IN (SELECT trace_id FROM scores WHERE name IN ('pnl_usd', 'pnl_pct'))
"""


# Like `_WITH_OUTCOME`, but without inferred decisions, whose `hit` is NULL in the table `decided`.
_JUDGED = f"""
SELECT trace_id, agent, confidence, pnl_usd, pnl_pct, model FROM decided
WHERE {decisions_of("decided")} AND hit IS NOT NULL
"""


def newest_decisions(journal: Journal, rows: Filter, limit: int) -> list[Row]:
    """Return the newest `limit` decisions in order of time, including NOTHING and unreadable decisions."""

    def read(rows: Filter) -> list[Row]:
        return journal.select(_NEWEST.format(source(rows, "decisions", "d")), rows.parameters(limit=limit))

    return [
        {**row, "metadata": json.loads(row["metadata"] or "{}"), "stands": bool(row["stands"])}
        for row in reversed(newest(journal, rows, limit, read))
    ]


def decisions_with_outcome(journal: Journal, rows: Filter, *, inferred: bool = False) -> list[Row]:
    """Return each BUY or SELL with a known outcome: trace_id, agent, model, confidence (0 to 100), pnl_usd, pnl_pct.

    Args:
        journal: the journal.
        rows: the filter of the decisions.
        inferred: include decisions that were inferred from the model's answer.
    """
    return journal.select(_WITH_OUTCOME, rows.parameters()) if inferred else journal.select(_JUDGED, rows.parameters())


def has_trade(journal: Journal, trace_id: str) -> bool:
    """Return whether the trace has a valid BUY or SELL, for which an outcome can be recorded."""
    return bool(journal.select("SELECT 1 FROM decisions WHERE trace_id = ? AND is_trade LIMIT 1", (trace_id,)))
