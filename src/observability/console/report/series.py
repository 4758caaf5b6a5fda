"""The report's charts: picks the rows of each, folds small series into one, and notes the omitted rows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from ...journal import Row
from ..queries import report
from ..queries.totals import UNKNOWN
from ..render.format import how_many, money, plain
from ..time_range import today
from . import charts

_MAX_SERIES = 5  # the sixth colour is for all others
_OTHERS = "all others"
_MAX_DAYS = 366

Part = tuple[Any, str, float]  # part of a bar: its position, its series, its size


class Chart(NamedTuple):
    """A chart as SVG (empty: nothing to draw), with its texts above and below."""

    title: str
    subtitle: str
    svg: str
    note: str = ""


def spends(days: Sequence[Row], calendar: Sequence[str]) -> list[Chart]:
    """Return the spend by agent and by model; a note if there is nothing to draw, nothing if all calls were free."""
    if any(row["cost_usd"] for row in days):
        return [spend(days, by, calendar) for by in ("agent", "model")]
    unpriced = sum(row["unpriced"] for row in days)
    free = "; all others were free" if any(row["cost_usd"] == 0 for row in days) else ""
    note = f"No chart: {how_many(unpriced, 'call')} of unknown price{free}."
    return [Chart("Spend", "", "", note)] if unpriced else []


def spend(days: Sequence[Row], by: str, calendar: Sequence[str]) -> Chart:
    """Return the bars of the most expensive series; the others and unpriced calls are in the note."""
    parts = [(row["day"], _name(row[by]), row["cost_usd"]) for row in days if row["cost_usd"] is not None]
    totals = _totals(parts)
    drawn = _largest(totals, _MAX_SERIES + 1)
    others = [usd for series, usd in totals.items() if series not in drawn]
    selection = f"the {len(drawn)} most expensive; " if others else ""
    svg = _spend_svg([part for part in parts if part[1] in drawn], by, drawn, calendar)
    return Chart(f"Spend by {by}", f"USD per day; {selection}days are UTC", svg, _spend_note(others, days))


def _spend_svg(parts: Sequence[Part], by: str, drawn: Sequence[str], calendar: Sequence[str]) -> str:
    rows = [
        {"day": day, by: series, "USD": usd, "order": drawn.index(series), "label": f"{day}, {series}: ${usd:.6f}"}
        for (day, series), usd in _summed(parts).items()
    ]
    return charts.stacked(
        rows, "day", "USD", by, colours=_colours(drawn), order=calendar, form="$~g", label=f"Spend by {by}, USD per day"
    )


def _spend_note(others: Sequence[float], days: Sequence[Row]) -> str:
    unpriced = sum(row["unpriced"] for row in days)
    notes = [f"{how_many(len(others), 'other')} together: {money(sum(others))}."] if others else []
    return " ".join([*notes, f"Not included: {how_many(unpriced, 'call')} of unknown price."] if unpriced else notes)


def latency(classes: Sequence[Row]) -> Chart:
    """Return the calls by duration and model; rarely used models are one series."""
    parts = [(row["class"], _name(row["model"]), row["calls"]) for row in classes]
    totals = _totals(parts)
    drawn = _largest(totals, _MAX_SERIES if len(totals) > _MAX_SERIES + 1 else _MAX_SERIES + 1)
    folded = [(number, model if model in drawn else _OTHERS, calls) for number, model, calls in parts]
    series = drawn if len(drawn) == len(totals) else [*drawn, _OTHERS]
    return Chart("Latency", "calls by duration and model", _latency_svg(folded, series) if folded else "")


def _latency_svg(parts: Sequence[Part], series: Sequence[str]) -> str:
    names = [name for _, name in report.LATENCY_CLASSES]
    rows = [
        {"took": names[number], "calls": calls, "model": model, "order": series.index(model),
         "label": f"{names[number]}, {model}: {how_many(calls, 'call')}"}
        for (number, model), calls in _summed(parts).items()
    ]  # fmt: skip
    return charts.stacked(
        rows, "took", "calls", "model", colours=_colours(series), order=names,
        label="Latency: calls by duration and model",
    )  # fmt: skip


def errors(days: Sequence[Row], calendar: Sequence[str]) -> Chart:
    """Return the share of failed calls per day; the line is interrupted on days without calls."""
    calls, failed = (_totals((None, row["day"], row[name]) for row in days) for name in ("calls", "errors"))
    rows = [
        {"day": day, "errors": failed[day] / calls[day],
         "label": f"{day}: {failed[day]} of {how_many(calls[day], 'call')} failed"}
        if day in calls else {"day": day, "errors": None, "label": f"{day}: no calls"}
        for day in calendar
    ]  # fmt: skip
    label = "Errors: share of the calls of a day"
    svg = charts.shares(rows, "day", "errors", label=label) if rows else ""
    return Chart("Errors", "share of the calls of a day", svg)


def decisions(days: Sequence[Row], calendar: Sequence[str]) -> Chart:
    """Return the decisions per day by action; an invalid action is unreadable."""
    order = list(charts.ACTIONS)
    rows = [
        {"day": row["day"], "action": action, "decisions": row["decisions"], "order": order.index(action),
         "label": f"{row['day']}, {action}: {how_many(row['decisions'], 'decision')}"}
        for row in days
        for action in [row["action"] if row["action"] in order else "unreadable"]
    ]  # fmt: skip
    actions = {row["action"] for row in rows}
    colours = {name: colour for name, colour in charts.ACTIONS.items() if name in actions}
    svg = charts.stacked(
        rows, "day", "decisions", "action", colours=colours, order=calendar,
        label="Decisions per day, by action",
    ) if rows else ""  # fmt: skip
    return Chart("Decisions", "per day, by action", svg)


def calendar(days: Iterable[str]) -> list[str]:
    """Return every day from the first to today, days without calls included; at most the last year."""
    dates = sorted(map(date.fromisoformat, set(days)))
    if not dates:
        return []
    last = max(dates[-1], today()) if (today() - dates[0]).days < _MAX_DAYS else dates[-1]
    first = max(dates[0], last - timedelta(days=_MAX_DAYS - 1))
    return [f"{first + timedelta(days=number)}" for number in range((last - first).days + 1)]


def _totals(parts: Iterable[Part]) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(int)
    for _, series, value in parts:
        totals[series] += value
    return totals


def _summed(parts: Iterable[Part]) -> dict[tuple[Any, str], float]:
    """Add the parts at the same position of the same series."""
    sums: dict[tuple[Any, str], float] = defaultdict(int)
    for position, series, value in parts:
        sums[position, series] += value
    return sums


def _largest(totals: dict[str, float], count: int) -> list[str]:
    return sorted(totals, key=lambda series: -totals[series])[:count]


def _colours(series: Sequence[str]) -> dict[str, str]:
    return dict(zip(series, charts.SERIES, strict=False))


def _name(text: str) -> str:
    return plain(text) or UNKNOWN
