"""The page's data: decisions and failures page by page, sums per hour, and comparisons.

Decisions are read from the table `decided`, sums of calls from the hourly sums. A query over a million
rows takes about a tenth of a second.
"""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...journal import INTERRUPTED, MODEL, PROMPT, Journal, Row
from .filter import HOUR_NS, NAMED, STARTED, Filter, decisions_of
from .totals import sums

_DECIDED = decisions_of("decided")
_BEFORE = "(:before_ns IS NULL OR (start_ns, seq) < (:before_ns, :before_seq))"
_CALLS = "FROM observations AS c WHERE c.trace_id = d.trace_id AND c.type = 'generation'"
_NEWEST = f"""
SELECT d.*, o.metadata, (SELECT count(*) {_CALLS}) AS calls,
    (SELECT CASE WHEN NOT max(c.cost_usd IS NULL AND c.level <> 'ERROR') THEN sum(c.cost_usd) END {_CALLS}) AS cost_usd
FROM (SELECT * FROM decided WHERE {_DECIDED} AND {{0}} ORDER BY start_ns DESC, seq DESC LIMIT :limit) AS d
JOIN observations AS o USING (seq) ORDER BY d.start_ns DESC, d.seq DESC
"""
_FAILED = f"""
SELECT seq, start_ns, trace_id, agent, {MODEL} AS model, provider, status_message, cost_usd FROM observations
WHERE level = 'ERROR' AND type = 'generation' AND {STARTED} AND {NAMED} AND {{0}}
ORDER BY start_ns DESC, seq DESC LIMIT :limit
"""


def newest_decisions(journal: Journal, rows: Filter, limit: int, before: str | None = None) -> list[Row]:
    """Return the newest decisions, newest first, with cost and outcome of their traces.

    Args:
        journal: the journal.
        rows: the filter of the decisions.
        limit: largest number of rows to return.
        before: only rows older than this row, given as `start_ns-seq`.
    """
    return _decoded(journal.select(_NEWEST.format(_BEFORE), rows.parameters(limit=limit, **_cursor(before))))


def decisions_after(journal: Journal, rows: Filter, after: int, limit: int) -> list[Row]:
    """Return the decisions that arrived after the row whose `seq` is `after`, newest first."""
    return _decoded(journal.select(_NEWEST.format("seq > :after"), rows.parameters(limit=limit, after=after)))


def newest_failures(journal: Journal, rows: Filter, limit: int, before: str | None = None) -> list[Row]:
    """Return the newest failed calls, newest first.

    `before` names a row as `start_ns-seq`; only calls older than that row are returned.
    """
    return journal.select(_FAILED.format(_BEFORE), rows.parameters(limit=limit, **_cursor(before)))


def failures_after(journal: Journal, rows: Filter, after: int, limit: int) -> list[Row]:
    """Return the failed calls that arrived after the row whose `seq` is `after`, newest first."""
    return journal.select(_FAILED.format("seq > :after"), rows.parameters(limit=limit, after=after))


def _cursor(before: str | None) -> dict[str, int | None]:
    start, _, seq = (before or "").partition("-")
    return {"before_ns": int(start) if start else None, "before_seq": int(seq) if seq else None}


def _decoded(rows: Sequence[Row]) -> list[Row]:
    return [{**row, "metadata": json.loads(row["metadata"] or "{}"), "stands": bool(row["stands"])} for row in rows]


class Buckets(NamedTuple):
    """Groups of `width` consecutive hours. `first` is the first hour of the first group, counted since 1970."""

    first: int
    width: int


_BUCKET = "max(({hour} - :first) / :width, 0)"
_BUCKET_OF_START = f"{_BUCKET.format(hour=f'start_ns / {HOUR_NS}')} AS bucket"


def calls_by_bucket(journal: Journal, rows: Filter, buckets: Buckets, by: str | None = None) -> list[Row]:
    """Return the sums of the calls in each bucket.

    With `by` (`agent` or `model`), the calls are also grouped by that name, which is in the column `name`.
    """
    keys = {"bucket": _BUCKET.format(hour="hour"), "name": by or "NULL"}
    return sums(journal, keys, rows, **buckets._asdict())


_OUTCOMES = "count(hit) AS cases, ifnull(sum(hit), 0) AS hits, count(usd) AS usd_cases, total(usd) AS usd"


def outcomes_by_bucket(journal: Journal, rows: Filter, buckets: Buckets) -> list[Row]:
    """Return the outcomes of the BUY and SELL decisions in each bucket.

    A row counts the decisions with an outcome (`cases`), with a profit (`hits`), and with an outcome in USD
    (`usd_cases`). `usd` is the sum of the outcomes in USD.
    """
    return journal.select(
        f"SELECT {_BUCKET_OF_START}, {_OUTCOMES} FROM decided WHERE {_DECIDED} AND hit IS NOT NULL GROUP BY 1",
        rows.parameters(**buckets._asdict()),
    )


def outcomes_by_name(journal: Journal, rows: Filter, by: str) -> list[Row]:
    """Return the number of decisions and their outcomes for each agent or model.

    `by` is `agent` or `model`. A row has `name`, `decisions`, and the columns that `outcomes_by_bucket` returns.
    """
    sums = ", ".join(f"sum({name}) AS {name}" for name in ("decisions", "cases", "hits", "usd_cases", "usd"))
    name = "ifnull((SELECT answered FROM model_names WHERE requested = model LIMIT 1), model)" if by == "model" else by
    return journal.select(
        f"SELECT ifnull({name}, '') AS name, {sums} FROM (SELECT {by}, count(*) AS decisions, {_OUTCOMES} FROM decided"
        f" WHERE {_DECIDED} GROUP BY {by}) GROUP BY 1",
        rows.parameters(),
    )


def actions_by_bucket(journal: Journal, rows: Filter, buckets: Buckets) -> list[Row]:
    """Return the number of decisions for each bucket and action. The action of an unreadable decision is None."""
    return journal.select(
        f"SELECT {_BUCKET_OF_START}, action, count(*) AS decisions FROM decided WHERE {_DECIDED} GROUP BY 1, 2",
        rows.parameters(**buckets._asdict()),
    )


def outcomes_by_confidence(journal: Journal, rows: Filter, classes: int) -> list[Row]:
    """Divide confidences (0 to 100) into `classes` intervals. Return mean confidence, cases and hits of each."""
    return journal.select(
        "SELECT avg(confidence) AS confidence, count(*) AS cases, sum(hit) AS hits FROM decided"
        f" WHERE {_DECIDED} AND hit IS NOT NULL AND confidence IS NOT NULL"
        f" GROUP BY min(CAST(confidence * {classes} / 100 AS INTEGER), {classes - 1}) ORDER BY 1",
        rows.parameters(),
    )


def outcomes_of(journal: Journal, trace_ids: Iterable[str]) -> list[Row]:
    """Return the decisions of some traces.

    A row has trace_id, `hit` (1: profit, 0: no profit, None: no outcome) and the profit in USD (`usd`).
    """
    return journal.select(
        "SELECT trace_id, hit, usd FROM decided WHERE trace_id IN (SELECT value FROM json_each(?))",
        (json.dumps([*trace_ids]),),
    )


_MAX_BYTES = 16 * 1024 * 1024  # one comparison reads at most this many bytes of prompts
_SAMPLE = f"""
SELECT {{0}} FROM observations WHERE type = 'generation' AND end_ns IS NOT NULL AND status_message IS NOT :interrupted
    AND {STARTED} AND {NAMED} ORDER BY start_ns DESC LIMIT :limit
"""


def newest_durations(journal: Journal, rows: Filter, limit: int) -> list[Row]:
    """Return agent, model and duration (ns) of the newest ended calls."""
    columns = f"agent, {MODEL} AS model, end_ns - start_ns AS took"
    return journal.select(_SAMPLE.format(columns), rows.parameters(limit=limit, interrupted=INTERRUPTED))


def newest_prompts(journal: Journal, rows: Filter, limit: int) -> list[Row]:
    """Return trace_id, agent, level, prompt (name in Langfuse), input (JSON) and cost of the newest ended calls."""
    columns = f"trace_id, agent, level, {PROMPT} AS prompt, input, cost_usd"
    values = rows.parameters(limit=limit, interrupted=INTERRUPTED)
    return journal.page(_SAMPLE.format(columns), values, _MAX_BYTES)


_SYMBOLS = """
WITH RECURSIVE symbols (symbol) AS (
    SELECT min(symbol) FROM decided
    UNION ALL SELECT (SELECT min(symbol) FROM decided AS d WHERE d.symbol > s.symbol) FROM symbols AS s
    WHERE s.symbol IS NOT NULL LIMIT ?
) SELECT symbol FROM symbols WHERE symbol <> ''
"""


def symbols(journal: Journal, limit: int = 200) -> list[str]:
    """Return up to `limit` symbols of decisions in alphabetical order.

    The query takes one step along the index for each symbol, and does not read every decision.
    """
    return [row["symbol"] for row in journal.select(_SYMBOLS, (limit,))]
