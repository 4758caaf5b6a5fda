"""The lower part of the page: charts, comparisons of agents, models and prompts, errors, and calibration."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...journal import Journal, Row
from ..evaluation import CLASSES, ConfidenceClass, confidence_class, wilson
from ..queries import overview as queries
from ..queries.filter import Filter
from ..queries.totals import quantile
from ..render.format import gain, how_many, milliseconds, money, plain
from .charts import Chart, chart, dollars, named, whole
from .overview import Sums, added, mood, share, sums_of
from .view import ACTIONS, Range

_TIMED = 10_000  # largest number of calls whose durations are read, newest first
_PROMPTS = 2_000  # largest number of calls whose prompts are compared, newest first
_FAILURES = 2_000  # largest number of failed calls that are grouped by error, newest first
_MAX_PROMPTS = 12
_MAX_ERRORS = 12
_MAX_TEXT = 160
UNREADABLE = "unreadable"


class Cell(NamedTuple):
    """A cell of a table: its text, and the number that it is sorted by (None: unknown)."""

    text: str
    number: float | None
    kind: str = ""


class Table(NamedTuple):
    """A table whose first column is text."""

    title: str
    note: str
    columns: Sequence[str]
    rows: list[tuple[str, list[Cell]]]


class ErrorGroup(NamedTuple):
    """Failed calls whose messages are equal, except for ids, decimals and numbers of four or more digits."""

    message: str
    calls: int
    agents: list[str]
    newest_ns: int
    trace_id: str


def charts(journal: Journal, rows: Filter, time: Range, calls: dict[str, list[Row]]) -> list[Chart]:
    """Return the charts of spend by agent, spend by model, decisions, and failed calls."""
    unpriced = sum(row["unpriced"] for row in calls["agent"])
    note = f"Not included: {how_many(unpriced, 'call')} of unknown price." if unpriced else ""
    actions = [
        (row["bucket"], row["action"] if row["action"] in ACTIONS else UNREADABLE, row["decisions"])
        for row in queries.actions_by_bucket(journal, rows, time.buckets)
    ]
    failed = [(row["bucket"], named(row["name"]), row["errors"]) for row in calls["model"]]
    kinds = {action: action for action in (*ACTIONS, UNREADABLE)}
    drawn = [
        *(chart(f"Spend by {by}", _spend(of_name), time, dollars, note=note) for by, of_name in calls.items()),
        chart("Decisions", actions, time, whole, kinds=kinds),
        chart("Failed calls", failed, time, whole),
    ]
    return [picture for picture in drawn if picture is not None]


def _spend(rows: Iterable[Row]) -> list[tuple[int, str, float]]:
    return [(row["bucket"], named(row["name"]), row["cost_usd"]) for row in rows if row["priced"]]


def tables(journal: Journal, rows: Filter, timed: Filter, calls: dict[str, list[Row]]) -> list[Table]:
    """Return tables that compare agents and models; `timed` selects the calls whose durations are read."""
    took = queries.newest_durations(journal, timed, _TIMED)
    note = f"p50 and p95 are those of the newest {_TIMED:,} calls." if len(took) == _TIMED else ""
    return [
        Table(f"{by.capitalize()}s", note, (by, *_COLUMNS), _lines(journal, rows, by, of_name, took))
        for by, of_name in calls.items()
    ]


_COLUMNS = ("calls", "failed", "spend", "decisions", "outcomes", "hit rate", "profit", "net", "p50", "p95")


def _lines(
    journal: Journal, rows: Filter, by: str, calls: Iterable[Row], took: Sequence[Row]
) -> list[tuple[str, list[Cell]]]:  # fmt: skip
    groups: dict[str, list[Sums]] = defaultdict(list)
    for row in calls:
        groups[row["name"] or ""].append(sums_of(row))
    decided = {row["name"]: row for row in queries.outcomes_by_name(journal, rows, by)}
    for name, row in decided.items():
        groups[name].append(sums_of(row))
    totals = {name: added(sums) for name, sums in groups.items()}
    order = sorted(totals, key=lambda name: (-totals[name].spend, -totals[name].calls, name))
    times = _times(took, by)
    return [(named(name), _cells(totals[name], decided.get(name), times.get(name, []))) for name in order]


def _times(took: Iterable[Row], by: str) -> dict[str, list[int]]:
    times: dict[str, list[int]] = defaultdict(list)
    for row in took:
        times[row[by] or ""].append(row["took"])
    return {name: sorted(values) for name, values in times.items()}


def _cells(sums: Sums, decided: Row | None, times: Sequence[int]) -> list[Cell]:
    decisions = decided["decisions"] if decided else 0
    return [
        _count(sums.calls), Cell(share(sums.failed_share), sums.failed_share),
        Cell(money(sums.spent) if sums.calls else "–", sums.spent), _count(decisions), _count(sums.cases), _hits(sums),
        _gain(sums.profit if sums.usd_cases else None), _net(sums),
        *(Cell(milliseconds(value), value) for value in (quantile(times, 0.5), quantile(times, 0.95))),
    ]  # fmt: skip


def _count(number: int) -> Cell:
    return Cell(f"{number:,}", number)


def _gain(usd: float | None) -> Cell:
    return Cell(gain(usd), usd, mood(usd))


def _net(sums: Sums) -> Cell:
    """Return profit minus spend as a cell.

    It is unknown if no outcome is in USD, or if there are calls but none has a price; an upper bound if some have none.
    """
    if sums.net is None or (sums.unpriced and not sums.priced):
        return Cell("–", None)
    return Cell(f"{'≤ ' if sums.unpriced else ''}{gain(sums.net)}", sums.net, mood(sums.net))


def _hits(sums: Sums) -> Cell:
    if sums.hit_share is None:
        return Cell("–", None)
    low, high = wilson(sums.hits, sums.cases)
    return Cell(f"{100 * sums.hit_share:.0f} % ({100 * low:.0f}–{100 * high:.0f})", sums.hit_share)


def prompts(journal: Journal, rows: Filter) -> Table:
    """Return a table that groups the newest calls by prompt.

    A call's prompt is the name of its Langfuse prompt, else the system message or the first line of its input.
    """
    newest = queries.newest_prompts(journal, rows, _PROMPTS)
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in newest:
        groups[plain(row["prompt"]) or _prompt(row["input"])].append(row)
    largest = sorted((prompt for prompt in groups if prompt), key=lambda prompt: -len(groups[prompt]))[:_MAX_PROMPTS]
    outcomes = defaultdict(list)
    for row in queries.outcomes_of(journal, {row["trace_id"] for prompt in largest for row in groups[prompt]}):
        outcomes[row["trace_id"]].append(row)
    note = f"Computed from the newest {how_many(len(newest), 'call')}."
    columns = ("prompt", "calls", "failed", "agents", "spend per call", "outcomes", "hit rate", "profit")
    return Table("Prompts", note, columns, [(prompt, _prompt_cells(groups[prompt], outcomes)) for prompt in largest])


def _prompt(text: str | None) -> str:
    """Return the part of a call's input that serves as its prompt.

    This is the system message. If there is none, it is the first line, with long numbers replaced by `#`.
    """
    value = json.loads(text or "null")
    messages = value.get("messages", value) if isinstance(value, dict) else value
    first = messages[0] if isinstance(messages, list) and messages else messages
    if isinstance(first, dict):
        system = first.get("role") in ("system", "developer")
        first = first.get("content", first.get("prompt"))
        if system and isinstance(first, str):
            return plain(first[:_MAX_TEXT])
    return _without_numbers(first.strip().partition("\n")[0]) if isinstance(first, str) else ""


def _prompt_cells(calls: Sequence[Row], outcomes: dict[str, list[Row]]) -> list[Cell]:
    costs = [row["cost_usd"] for row in calls if row["cost_usd"] is not None]
    failed = sum(row["level"] == "ERROR" for row in calls) / len(calls)
    judged = [row for trace in {row["trace_id"] for row in calls} for row in outcomes[trace] if row["hit"] is not None]
    profits = [row["usd"] for row in judged if row["usd"] is not None]
    mean = sum(costs) / len(costs) if costs else None
    hits = Sums(cases=len(judged), hits=sum(row["hit"] for row in judged))
    return [
        _count(len(calls)), Cell(share(failed), failed), _count(len({row["agent"] for row in calls})),
        Cell(money(mean), mean), _count(len(judged)), _hits(hits), _gain(sum(profits) if profits else None),
    ]  # fmt: skip


def errors(journal: Journal, rows: Filter) -> list[ErrorGroup]:
    """Return the newest failed calls, grouped by error message. The most frequent message comes first."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in queries.newest_failures(journal, rows, _FAILURES):
        groups[_without_numbers(row["status_message"] or "no message")].append(row)
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))[:_MAX_ERRORS]
    return [_error_group(message, calls) for message, calls in largest]


def _error_group(message: str, calls: Sequence[Row]) -> ErrorGroup:
    agents = Counter(row["agent"] for row in calls).most_common()
    newest = calls[0]
    return ErrorGroup(message, len(calls), [named(name) for name, _ in agents], newest["start_ns"], newest["trace_id"])


def _without_numbers(text: str) -> str:
    """Return a text as one line. Ids, decimals and numbers of four or more digits are replaced by `#`."""
    return plain(re.sub(r"\d+\.\d+|[0-9a-f]{12,}|\d{4,}", "#", " ".join(text[:1_000].split())))[:_MAX_TEXT]


def calibration(journal: Journal, rows: Filter) -> list[ConfidenceClass]:
    """Return the numbers of outcomes and of profits in each interval of confidence, lowest interval first."""
    found = queries.outcomes_by_confidence(journal, rows, CLASSES)
    return [confidence_class(row["confidence"], row["cases"], row["hits"]) for row in found]


class Point(NamedTuple):
    """A class of confidence as a point in the calibration chart.

    Coordinates are in percent. The label gives the figures in words.
    """

    x: float
    y: float
    low: float
    high: float
    group: ConfidenceClass
    label: str


def _point(group: ConfidenceClass) -> Point:
    hits, low, high = (round(100 * part, 1) for part in (group.hits / group.cases, group.low, group.high))
    label = (
        f"{group.confidence:.0f} % confident: {group.hits:,} of {group.cases:,} profitable; {hits:.0f} %,"
        f" within {low:.0f}–{high:.0f} %"
    )
    return Point(round(group.confidence, 1), hits, low, high, group, label)


def comparison(journal: Journal, rows: Filter, calls: Filter, time: Range) -> dict[str, Any]:
    """Return the content of the part of the page below the decisions: charts, tables, errors and calibration.

    Args:
        journal: the journal.
        rows: the filter of the decisions.
        calls: the filter of the calls. On the live page, it has no symbol or action, since the hourly sums lack them.
        time: the period, divided into buckets.
    """
    by_name = {by: queries.calls_by_bucket(journal, calls, time.buckets, by) for by in ("agent", "model")}
    return {
        "charts": charts(journal, rows, time, by_name),
        "tables": [*tables(journal, rows, calls, by_name), prompts(journal, calls)],
        "errors": errors(journal, calls),
        "calibration": [_point(group) for group in calibration(journal, rows)],
    }
