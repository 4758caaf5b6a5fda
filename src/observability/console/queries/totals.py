"""Calls, errors, cost, tokens and latency by group.

Totals come from the journal's hourly sums, which are fast to read and include deleted rows. The incomplete hours at
the start and end of a period, and all totals by session or prompt, are summed from rows. Latencies, and
decisions by model, provider or prompt, cover only the existing rows.
"""

import json
import math
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...journal import COUNTED, INTERRUPTED, MODEL, PROMPT, Journal, Row
from ..time_range import local_time
from .filter import DECISIONS, HOUR_NS, NAMED, ROWS, STARTED, Filter

UNKNOWN = "unknown"  # name of the group of rows that have no agent, model or other value to group by
_PAGE_ROWS = 20_000
_DAY = "strftime('%Y-%m-%d', {0}, 'unixepoch', :zone)"  # the day, in local time, on which a row's UTC hour begins
# The possible groupings of calls: the name, the SQL expression for hourly sums, and the SQL expression for rows.
GROUPS = {
    "agent": ("agent", "agent"),
    "model": ("model", MODEL),
    "provider": ("provider", "provider"),
    "session": ("session_id", "session_id"),
    "prompt": ("prompt", PROMPT),
    "hour": ("hour", f"start_ns / {HOUR_NS}"),
    "day": (_DAY.format("hour * 3600"), _DAY.format(f"start_ns / {HOUR_NS} * 3600")),
}
TIMES = ("hour", "day")  # the keys of `GROUPS` whose groups are listed in order of time


def _label(by: str, group: Any) -> str:
    """Return a group's name. The name of an hour is its start, with the time zone's offset."""
    if by == "hour":
        return local_time(group * HOUR_NS).isoformat(" ", "minutes")
    return str(group or ("no prompt" if by == "prompt" else UNKNOWN))


class CallStats(NamedTuple):
    """The statistics of one group's calls. Costs are in USD, times in milliseconds; None means unknown."""

    group: str
    calls: int
    errors: int
    input_tokens: int  # including tokens read from and written to a cache
    cached_tokens: int  # input tokens read from a cache
    written_tokens: int  # input tokens written to a cache
    output_tokens: int  # including reasoning tokens
    reasoning_tokens: int
    cost_usd: float | None  # cost of the calls with a price; None if no call has a price
    unpriced: int  # successful calls without a price
    decisions: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    first_token_p50_ms: float | None  # median time to the first token; only of streamed calls

    @property
    def cost_per_decision(self) -> float | None:
        """Cost in USD per decision; None without decisions or priced calls, or if a successful call has no price."""
        return None if not self.decisions or self.cost_usd is None or self.unpriced else self.cost_usd / self.decisions

    @property
    def cache_hit_share(self) -> float | None:
        """Share of the input tokens that came from a cache; None if no input is known."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else None

    @property
    def error_share(self) -> float:
        """Share of the calls that failed."""
        return self.errors / self.calls if self.calls else 0.0

    @property
    def unpriced_share(self) -> float:
        """Successful calls without a price, as a share of all calls."""
        return self.unpriced / self.calls if self.calls else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the statistics and the figures derived from them as a dictionary, for JSON output."""
        shares = ("cost_per_decision", "cache_hit_share", "error_share", "unpriced_share")
        return {**self._asdict(), **{name: getattr(self, name) for name in shares}}


_ADDED = (
    "calls", "errors", "input_tokens", "cached_tokens", "written_tokens", "output_tokens", "reasoning_tokens",
    "unpriced", "decisions",
)  # fmt: skip


def total(groups: Sequence[CallStats]) -> CallStats:
    """Return the sum of all groups. Latencies are left out, because quantiles cannot be added."""
    costs = [group.cost_usd for group in groups if group.cost_usd is not None]
    added = {name: sum(getattr(group, name) for group in groups) for name in _ADDED}
    return CallStats(group="total", **added, cost_usd=math.fsum(costs) if costs else None, **_quantiles(None))


def tokens_in_and_out(usage: dict[str, int]) -> tuple[int, int]:
    """Return a call's input tokens, including cached tokens, and its output tokens, including reasoning tokens."""
    tokens_in = sum(number for bucket, number in usage.items() if bucket.startswith("input"))
    return tokens_in, sum(number for bucket, number in usage.items() if bucket.startswith("output"))


def call_stats(journal: Journal, by: str, rows: Filter, *, timed: bool = True) -> list[CallStats]:
    """Return the statistics of each group of calls, most expensive group first; hours and days in order of time.

    Args:
        journal: the journal.
        by: what to group by, a key of `GROUPS`.
        rows: the filter of the calls.
        timed: include latencies, which requires reading every call.
    """
    by_row = by in ("session", "prompt")
    totals = {_label(by, row.pop("grp")): row for row in sums(journal, {"grp": GROUPS[by][0]}, rows, by_row=by_row)}
    decisions = _decisions(journal, by, rows)
    times = _times(journal, by, rows) if timed else {}
    stats = [
        _stats(group, row, row["decisions"] if decisions is None else decisions.get(group, 0), times.get(group))
        for group, row in totals.items()
    ]
    if by in TIMES:
        return stats
    return sorted(stats, key=lambda group: (-(group.cost_usd or 0.0), -group.calls, group.group))


def calls_with_usage(
    journal: Journal, by: str, rows: Filter
) -> Iterator[tuple[str, dict[str, int], float | None]]:  # fmt: skip
    """Yield the group, the usage and the cost (USD; None: unknown) of each call whose tokens are known."""
    for row in _calls(journal, by, rows, "usage, cost_usd"):
        if row["usage"]:
            yield _label(by, row["grp"]), json.loads(row["usage"]), row["cost_usd"]


def calls_without_usage(journal: Journal, rows: Filter) -> int:
    """Return the number of ended calls without known tokens."""
    (row,) = journal.select(
        "SELECT count(*) AS calls FROM observations WHERE type = 'generation' AND end_ns IS NOT NULL"
        f" AND usage IS NULL AND {ROWS}",
        rows.parameters(),
    )
    return int(row["calls"])


_COUNTED = ", ".join(COUNTED)
_SUMMED = ", ".join(f"sum({name}) AS {name}" for name in COUNTED)
# The last two selects use min() and max() so that each has only one lower and one upper bound of `start_ns`. Given two
# lower bounds, SQLite might search the index with the less selective one.
_FROM_HOURS = f"""
    SELECT hour, agent, provider, model, {_COUNTED} FROM hourly WHERE hour >= :first_hour AND hour < :end_hour
    UNION ALL SELECT hour, agent, provider, model, {_COUNTED} FROM counted
        WHERE start_ns >= :since_ns AND start_ns < min(:until_ns, :first_hour * {HOUR_NS})
    UNION ALL SELECT hour, agent, provider, model, {_COUNTED} FROM counted
        WHERE start_ns >= max(:since_ns, max(:first_hour, :end_hour) * {HOUR_NS}) AND start_ns < :until_ns
"""
_FROM_ROWS = f"""
    SELECT hour, agent, provider, model, session_id, prompt, {_COUNTED} FROM counted WHERE {STARTED}
        AND (NOT :by_row OR seq IN (SELECT seq FROM observations WHERE {ROWS}))
"""


def sums(journal: Journal, keys: Mapping[str, str], rows: Filter, *, by_row: bool = False, **values: Any) -> list[Row]:
    """Return the sums of all `COUNTED` columns for each group of calls, in order of the keys.

    Groups without a call are left out.

    Args:
        journal: the journal.
        keys: the result's columns to group by: name -> SQL expression. It can use the columns hour, agent, provider and
            model, and with `by_row` also session_id and prompt.
        rows: the filter of the calls.
        by_row: sum the rows instead of the hourly sums; this is always done if `rows.is_of_traces`.
        values: further SQL parameters, which the keys use.
    """
    by_row = by_row or rows.is_of_traces
    columns = ", ".join(f"{key} AS {name}" for name, key in keys.items())
    query = (
        f"SELECT {columns}, {_SUMMED} FROM ({_FROM_ROWS if by_row else _FROM_HOURS}) WHERE {NAMED}"
        f" GROUP BY {', '.join(keys)} ORDER BY {', '.join(keys)}"
    )
    hours = {"first_hour": -(-rows.since_ns // HOUR_NS), "end_hour": rows.until_ns // HOUR_NS}
    parameters = rows.parameters(**hours, **values, by_row=rows.is_of_traces)
    return [row for row in journal.select(query, parameters) if row["calls"]]


def _decisions(journal: Journal, by: str, rows: Filter) -> dict[str, int] | None:
    """Return the number of decisions of each group; None if the result of `sums` already contains these numbers."""
    if by not in ("model", "provider", "prompt") and rows.model is None and not rows.is_of_traces:
        return None
    table = "decisions" if by in ("provider", "session", "prompt") else _DECIDED
    query = f"SELECT {GROUPS[by][1]} AS grp, count(*) AS decisions FROM {table} WHERE {DECISIONS} GROUP BY grp"
    return {_label(by, row["grp"]): row["decisions"] for row in journal.select(query, rows.parameters())}


# The table `decided` with the alias `decisions`, so that the SQL conditions on the view `decisions` apply to it. The
# table has no provider: it is looked up only for models in the table `model_names`, as the SQL of MODEL needs it there.
_DECIDED = """
(SELECT *, CASE WHEN model IN (SELECT requested FROM model_names) THEN (SELECT provider FROM observations AS g
    WHERE g.trace_id = decided.trace_id AND g.type = 'generation' AND g.start_ns <= decided.start_ns
    ORDER BY g.start_ns DESC LIMIT 1) END AS provider FROM decided) AS decisions
"""


class _Times(NamedTuple):
    """The durations of one group's calls in nanoseconds, unordered."""

    took: "array[int]"
    first_token: "array[int]"


def _times(journal: Journal, by: str, rows: Filter) -> dict[str, _Times]:
    groups: dict[str, _Times] = defaultdict(lambda: _Times(array("q"), array("q")))
    for row in _calls(journal, by, rows, "end_ns - start_ns AS took, first_token_ns - start_ns AS first_token"):
        times = groups[_label(by, row["grp"])]
        times.took.append(row["took"])
        if row["first_token"] is not None:
            times.first_token.append(row["first_token"])
    return groups


def _calls(journal: Journal, by: str, rows: Filter, columns: str) -> Iterator[Row]:
    """Yield every call that has ended. The rows are read in pages.

    Calls recorded after reading began are left out. So are interrupted calls, since their duration and usage are
    unknown.
    """
    query = (
        f"SELECT start_ns, seq, {GROUPS[by][1]} AS grp, {columns} FROM observations"
        f" WHERE {ROWS} AND (start_ns, seq) > (:after_ns, :after) AND seq <= :last AND type = 'generation'"
        " AND end_ns IS NOT NULL AND status_message IS NOT :interrupted"
        f" ORDER BY start_ns, seq LIMIT {_PAGE_ROWS}"
    )
    values = rows.parameters(last=journal.newest()[0], interrupted=INTERRUPTED, after_ns=-(2**63), after=0)
    while page := journal.select(query, values):
        yield from page
        values |= {"after_ns": page[-1]["start_ns"], "after": page[-1]["seq"]}


def _stats(group: str, row: Row, decisions: int, times: _Times | None) -> CallStats:
    return CallStats(
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
        **_quantiles(times),
    )


def _quantiles(times: _Times | None) -> dict[str, Any]:
    took, first_token = (sorted(times.took), sorted(times.first_token)) if times else ([], [])
    return {
        "p50_ms": quantile(took, 0.50),
        "p95_ms": quantile(took, 0.95),
        "p99_ms": quantile(took, 0.99),
        "first_token_p50_ms": quantile(first_token, 0.50),
    }


def quantile(ordered: Sequence[int], share: float) -> float | None:
    """Return the nearest-rank quantile in ms: the smallest value with at least `share` of all values at or below it."""
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)] / 1e6 if ordered else None
