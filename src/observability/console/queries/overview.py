"""The page's data: decisions and failures page by page, sums per hour, and comparisons."""

import json
from collections.abc import Sequence

from ...journal import Journal, Row
from .filter import HOUR_NS, NAMED, STARTED, Filter

_DECIDED = f"{STARTED} AND {NAMED} AND (:action IS NULL OR action = :action) AND (:symbol IS NULL OR symbol = :symbol)"
_BEFORE = "(:before_ns IS NULL OR (start_ns, seq) < (:before_ns, :before_seq))"
_CALLS = "FROM observations AS c WHERE c.trace_id = d.trace_id AND c.type = 'generation'"
_COST = f"(SELECT CASE WHEN NOT max(c.cost_usd IS NULL AND c.level <> 'ERROR') THEN sum(c.cost_usd) END {_CALLS})"
_WITH_COST = f"SELECT d.*, {_COST} AS cost_usd, (SELECT count(*) {_CALLS}) AS calls FROM ({{0}}) AS d"
_NEWEST = _WITH_COST.format(
    "SELECT seq, start_ns, trace_id, agent, model, level, metadata, pnl_usd, pnl_pct, stands FROM decisions"
    f" WHERE {_DECIDED} AND {_BEFORE} ORDER BY start_ns DESC, seq DESC LIMIT :limit"
)
_SINCE_SEQ = _WITH_COST.format(
    "SELECT seq, start_ns, trace_id, agent, model, level, metadata, pnl_usd, pnl_pct, stands FROM decisions"
    f" WHERE seq > :after AND {_DECIDED} ORDER BY seq DESC LIMIT :limit"
)
_FAILED = f"""
SELECT seq, start_ns, trace_id, agent, model, provider, status_message, cost_usd FROM observations
WHERE level = 'ERROR' AND type = 'generation' AND {STARTED} AND {NAMED} AND {{0}}
ORDER BY start_ns DESC, seq DESC LIMIT :limit
"""


def newest_decisions(journal: Journal, rows: Filter, limit: int, before: str | None = None) -> list[Row]:
    """Return the newest decisions, newest first, with cost and outcome of their traces.

    Args:
        journal: the journal.
        rows: the decisions.
        limit: at most so many.
        before: only older ones than this row, given as `start_ns-seq`.
    """
    return _decoded(journal.select(_NEWEST, rows.parameters(limit=limit, **_cursor(before))))


def decisions_after(journal: Journal, rows: Filter, after: int, limit: int) -> list[Row]:
    """Return the decisions that arrived after the row `after` (a `seq`), newest first."""
    return _decoded(journal.select(_SINCE_SEQ, rows.parameters(limit=limit, after=after)))


def newest_failures(journal: Journal, rows: Filter, limit: int, before: str | None = None) -> list[Row]:
    """Return the newest failed calls, newest first."""
    return journal.select(_FAILED.format(_BEFORE), rows.parameters(limit=limit, **_cursor(before)))


def failures_after(journal: Journal, rows: Filter, after: int, limit: int) -> list[Row]:
    """Return the failed calls that arrived after the row `after` (a `seq`), newest first."""
    return journal.select(_FAILED.format("seq > :after"), rows.parameters(limit=limit, after=after))


def _cursor(before: str | None) -> dict[str, int | None]:
    start, _, seq = (before or "").partition("-")
    return {"before_ns": int(start) if start else None, "before_seq": int(seq) if seq else None}


def _decoded(rows: Sequence[Row]) -> list[Row]:
    return [{**row, "metadata": json.loads(row["metadata"] or "{}"), "stands": bool(row["stands"])} for row in rows]


_SUMMED = ("calls", "errors", "priced", "unpriced", "cost_usd")
_SUMS = ", ".join(_SUMMED)
# Whole hours from the hourly sums; the first hour, where it is incomplete, from its rows.
_FROM_HOURS = f"""
    SELECT hour, agent, model, {_SUMS} FROM hourly WHERE hour >= :first_hour AND hour < :end_hour
    UNION ALL SELECT hour, agent, model, {_SUMS} FROM counted
        WHERE start_ns >= :since_ns AND start_ns < min(:until_ns, :first_hour * {HOUR_NS})
"""


def calls_by_hour(journal: Journal, rows: Filter, by: str) -> list[Row]:
    """Return calls, errors, priced and unpriced calls and spend (USD) per hour and agent or model (`by`) as `name`.

    `until_ns` must be a whole hour, or the end of time.
    """
    sums = ", ".join(f"sum({name}) AS {name}" for name in _SUMMED)
    return journal.select(
        f"SELECT hour, {by} AS name, {sums} FROM ({_FROM_HOURS}) WHERE {NAMED} GROUP BY hour, {by} HAVING sum(calls)",
        rows.parameters(first_hour=-(-rows.since_ns // HOUR_NS), end_hour=rows.until_ns // HOUR_NS),
    )


_JUDGED = "is_trade AND stands AND NOT inferred AND (pnl_usd IS NOT NULL OR pnl_pct IS NOT NULL)"
_OUTCOMES = (
    "count(*) AS cases, sum(ifnull(pnl_usd, pnl_pct) > 0) AS hits, count(pnl_usd) AS usd_cases, total(pnl_usd) AS usd"
)


def outcomes_by_hour(journal: Journal, rows: Filter) -> list[Row]:
    """Return the BUY and SELL decisions with an outcome per hour: cases, hits, cases in USD, and their USD."""
    return journal.select(
        f"SELECT start_ns / {HOUR_NS} AS hour, {_OUTCOMES} FROM decisions WHERE {_DECIDED} AND {_JUDGED} GROUP BY hour",
        rows.parameters(),
    )


def symbols(journal: Journal, rows: Filter, limit: int = 200) -> list[str]:
    """Return the symbols that were decided on, in alphabetical order."""
    query = f"SELECT DISTINCT symbol FROM decisions WHERE {STARTED} AND typeof(symbol) = 'text' ORDER BY 1 LIMIT :limit"
    return [row["symbol"] for row in journal.select(query, rows.parameters(limit=limit)) if row["symbol"]]
