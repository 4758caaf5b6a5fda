"""
🌙 Moon Dev's Report Series
Built with love by Moon Dev 🚀

What the report's charts are of: each a picture, what it shows, and beneath it what it does not.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from ...journal import Row
from .. import clock
from ..queries import report
from ..queries.totals import UNKNOWN
from ..render.format import how_many, money_briefly, plain
from . import charts

_MOST_SERIES = 5  # a sixth colour is that of all others
_OTHERS = "all others"
_MOST_DAYS = 366


Part = tuple[Any, str, float]  # of a bar: where it stands, its series, its size


class Chart(NamedTuple):
    """A picture as SVG (empty: there is nothing to draw)."""

    title: str
    says: str
    svg: str
    beneath: str = ""


def spends(days: Sequence[Row], calendar: Sequence[str]) -> list[Chart]:
    """By agent and by model; a sentence where there is no bar to draw, nothing where all was free."""
    if any(row["cost_usd"] for row in days):
        return [spend(days, by, calendar) for by in ("agent", "model")]
    unpriced = sum(row["unpriced"] for row in days)
    free = "; all others were free" if any(row["cost_usd"] == 0 for row in days) else ""
    said = f"Not drawn: {how_many(unpriced, 'call')} of unknown price{free}."
    return [Chart("Spend", "", "", said)] if unpriced else []


def spend(days: Sequence[Row], by: str, calendar: Sequence[str]) -> Chart:
    """Bars of the dearest series; what all others cost, and what has no price, is text: neither dwarfs a bar."""
    known = [(row["day"], _name(row[by]), row["cost_usd"]) for row in days if row["cost_usd"] is not None]
    totals = _totals(known)
    kept = _largest(totals, _MOST_SERIES + 1)
    others = [usd for series, usd in totals.items() if series not in kept]
    which = f"the {len(kept)} dearest; " if others else ""
    svg = _spend([part for part in known if part[1] in kept], by, kept, calendar)
    return Chart(f"Spend by {by}", f"USD a day; {which}days are UTC", svg, _beneath(others, days))


def _spend(known: Sequence[Part], by: str, kept: Sequence[str], calendar: Sequence[str]) -> str:
    rows = [
        {"day": day, by: series, "USD": usd, "order": kept.index(series), "says": f"{day}, {series}: ${usd:.6f}"}
        for (day, series), usd in _summed(known).items()
    ]
    return charts.stacked(
        rows,
        "day",
        "USD",
        by,
        colours=_colours(kept),
        order=calendar,
        form="$~g",
        label=f"Spend by {by}, USD a day",
    )


def _beneath(others: Sequence[float], days: Sequence[Row]) -> str:
    unpriced = sum(row["unpriced"] for row in days)
    said = [f"{how_many(len(others), 'other')} together: {money_briefly(sum(others))}."] if others else []
    return " ".join([*said, f"Not in it: {how_many(unpriced, 'call')} of unknown price."] if unpriced else said)


def latency(found: Sequence[Row]) -> Chart:
    """Calls by how long they took; models beyond the most used are one series."""
    known = [(row["class"], _name(row["model"]), row["calls"]) for row in found]
    totals = _totals(known)
    kept = _largest(totals, _MOST_SERIES if len(totals) > _MOST_SERIES + 1 else _MOST_SERIES + 1)
    folded = [(at, model if model in kept else _OTHERS, calls) for at, model, calls in known]
    series = kept if len(kept) == len(totals) else [*kept, _OTHERS]
    return Chart("Latency", "calls by how long they took, and model", _latency(folded, series) if folded else "")


def _latency(known: Sequence[Part], series: Sequence[str]) -> str:
    names = [name for _, name in report.LATENCY_CLASSES]
    rows = [
        {"took": names[at], "calls": calls, "model": model, "order": series.index(model),
         "says": f"{names[at]}, {model}: {how_many(calls, 'call')}"}
        for (at, model), calls in _summed(known).items()
    ]  # fmt: skip
    return charts.stacked(
        rows, "took", "calls", "model", colours=_colours(series), order=names,
        label="Latency: calls by how long they took, and model",
    )  # fmt: skip


def errors(days: Sequence[Row], calendar: Sequence[str]) -> Chart:
    """Share of a day's calls; the line is broken where there was none."""
    calls, failed = (_totals((None, row["day"], row[name]) for row in days) for name in ("calls", "errors"))
    rows = [
        {"day": day, "errors": failed[day] / calls[day],
         "says": f"{day}: {failed[day]} of {how_many(calls[day], 'call')} failed"}
        if day in calls else {"day": day, "errors": None, "says": f"{day}: no call"}
        for day in calendar
    ]  # fmt: skip
    label = "Errors: share of the calls of a day"
    svg = charts.shares(rows, "day", "errors", label=label) if rows else ""
    return Chart("Errors", "share of the calls of a day", svg)


def decisions(found: Sequence[Row], calendar: Sequence[str]) -> Chart:
    """By action; one that nobody could act on is unreadable."""
    order = list(charts.ACTIONS)
    rows = [
        {"day": row["day"], "action": action, "decisions": row["found"], "order": order.index(action),
         "says": f"{row['day']}, {action}: {how_many(row['found'], 'decision')}"}
        for row in found
        for action in [row["action"] if row["action"] in order else "unreadable"]
    ]  # fmt: skip
    there = {row["action"] for row in rows}
    colours = {name: colour for name, colour in charts.ACTIONS.items() if name in there}
    svg = charts.stacked(
        rows, "day", "decisions", "action", colours=colours, order=calendar,
        label="Decisions of a day, by action",
    ) if rows else ""  # fmt: skip
    return Chart("Decisions", "of a day, by action", svg)


def calendar(days: Iterable[str]) -> list[str]:
    """Every day from the first to today, those without a call too; of more than a year only the last."""
    known = sorted(map(date.fromisoformat, set(days)))
    if not known:
        return []
    today = clock.today()
    last = max(known[-1], today) if (today - known[0]).days < _MOST_DAYS else known[-1]
    first = max(known[0], last - timedelta(days=_MOST_DAYS - 1))
    return [f"{first + timedelta(days=number)}" for number in range((last - first).days + 1)]


def _totals(parts: Iterable[Part]) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(int)
    for _, series, value in parts:
        totals[series] += value
    return totals


def _summed(parts: Iterable[Part]) -> dict[tuple[Any, str], float]:
    """What is of one place and one series."""
    sums: dict[tuple[Any, str], float] = defaultdict(int)
    for place, series, value in parts:
        sums[place, series] += value
    return sums


def _largest(totals: dict[str, float], most: int) -> list[str]:
    return sorted(totals, key=lambda each: -totals[each])[:most]


def _colours(series: Sequence[str]) -> dict[str, str]:
    return dict(zip(series, charts.SERIES, strict=False))


def _name(text: str) -> str:
    return plain(text) or UNKNOWN
