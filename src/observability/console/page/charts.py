"""Computes the geometry of charts, which the templates draw as SVG, for the live page and the report.

A plot is stretched to fit its box, which would distort text. Axes and legends are therefore HTML beside the plot.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..render.format import count, how_many, money, plain
from ..time_range import local_time
from .view import Range

WIDTH, HEIGHT = 100, 28  # size of a small line chart in SVG units
# The width of a bar, and the distance from one bar's left edge to the next, in SVG units. A plot is 100 units high.
BAR, STEP = 8, 10
_MARGIN = 2
# If a chart has more than six series, the five largest have a colour of their own, and the others share a sixth colour.
_MAX_SERIES = 5
_TOPS = (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10)
OTHERS = "s6"

Part = tuple[int, str, float]  # a part of a bar: number of its bucket, name of its series, size


class Line(NamedTuple):
    """A small line chart of values over time, of size `WIDTH` by `HEIGHT`. It has gaps where values are unknown."""

    paths: list[str]  # SVG paths
    last: tuple[float, float] | None  # the newest point


class Rect(NamedTuple):
    """A part of a bar; `kind` is its CSS class."""

    y: float
    height: float
    kind: str


class Bar(NamedTuple):
    """A bar. Its label gives its figures in words, for the tooltip and for screen readers."""

    x: float
    rects: list[Rect]
    label: str


class Series(NamedTuple):
    """An entry of the legend."""

    name: str
    kind: str
    total: str


class Chart(NamedTuple):
    """Stacked bars over time."""

    title: str
    bars: list[Bar]
    ticks: list[str]  # labels of the vertical axis, from the top down to zero
    dates: list[str]  # labels of the first, the middle and the last bucket
    legend: list[Series]
    note: str


def line(values: Sequence[float | None]) -> Line:
    """Return the line through the values, on a scale that includes zero."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return Line([], None)
    low, high = min(*numbers, 0), max(*numbers, 0)
    step = WIDTH / max(len(values) - 1, 1)
    height = HEIGHT - 2 * _MARGIN

    def point(number: int, value: float) -> tuple[float, float]:
        share = (value - low) / (high - low) if high > low else 0
        return round(number * step, 1), round(HEIGHT - _MARGIN - height * share, 1)

    points = [None if value is None else point(number, value) for number, value in enumerate(values)]
    return Line(_paths(points), next((last for last in reversed(points) if last), None))


def _paths(points: Sequence[tuple[float, float] | None]) -> list[str]:
    """Return an SVG path for each run of points without a gap (None). A single point is drawn as a short dash."""
    runs: list[list[tuple[float, float]]] = [[]]
    for item in points:
        if item is None:
            runs.append([])
        else:
            runs[-1].append(item)
    dashed = ([(run[0][0] - 1, run[0][1]), (run[0][0] + 1, run[0][1])] if len(run) == 1 else run for run in runs)
    return ["M" + "L".join(f"{x} {y}" for x, y in run) for run in dashed if run]


def chart(
    title: str, parts: Iterable[Part], time: Range, form: Callable[[float], str], *,
    kinds: dict[str, str] | None = None, note: str = "",
) -> Chart | None:  # fmt: skip
    """Return a chart of stacked bars; None if all parts are zero.

    Args:
        title: the heading.
        parts: the parts of the bars, in any order.
        time: the period, divided into buckets. Each bucket is one bar.
        form: formats a size as text.
        kinds: series -> CSS class, in the order of drawing. By default, the largest series come first, and then the sum
            of all others.
        note: text below the chart.
    """
    sizes: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    totals: dict[str, float] = defaultdict(float)
    for bucket, series, size in parts:
        sizes[bucket][series] += size
        totals[series] += size
    if not any(totals.values()):
        return None
    kinds = kinds or _kinds(totals)
    others = [series for series in totals if series not in kinds]
    folded = {bucket: _folded(row, kinds, len(others)) for bucket, row in sizes.items()}
    top = top_of(max(sum(row.values()) for row in folded.values()))
    bars = [_bar(folded.get(bucket, {}), top, time, bucket, form, kinds) for bucket in range(time.size)]
    legend = [
        Series(name, kinds.get(name, OTHERS), form(total))
        for name, total in _folded(totals, kinds, len(others)).items()
    ]
    return Chart(title, bars, [form(top), form(top / 2), form(0)], _dates(time), legend, note)


def _kinds(totals: dict[str, float]) -> dict[str, str]:
    """Return the series' CSS classes, largest first. Of more than six series, only the five largest have a class."""
    largest = sorted(totals, key=lambda series: -totals[series])
    drawn = largest if len(largest) <= _MAX_SERIES + 1 else largest[:_MAX_SERIES]
    return {series: f"s{number}" for number, series in enumerate(drawn, 1)}


def _folded(row: dict[str, float], kinds: dict[str, str], others: int) -> dict[str, float]:
    """Return the sizes of the series in `kinds`, in the order of `kinds`, then the sum of all other series."""
    drawn = {series: row[series] for series in kinds if row.get(series)}
    rest = math.fsum(size for series, size in row.items() if series not in kinds)
    return {**drawn, how_many(others, "other"): rest} if rest else drawn


def _bar(
    row: dict[str, float], top: float, time: Range, bucket: int, form: Callable[[float], str], kinds: dict[str, str]
) -> Bar:
    rects, level = [], 0.0
    for series, size in row.items():
        height = 100 * size / top
        level += height
        rects.append(Rect(round(100 - level, 2), round(height, 2), kinds.get(series, OTHERS)))
    figures = [f"{series} {form(size)}" for series, size in row.items()]
    whole = [form(math.fsum(row.values()))] if len(row) != 1 else []
    return Bar(
        bucket * STEP + (STEP - BAR) / 2, rects, f"{date(time.start_ns(bucket), time)}: {'; '.join([*whole, *figures])}"
    )


def top_of(highest: float) -> float:
    """Return the value at the top of an axis for values up to `highest`: a round number whose half is round too."""
    power = 10.0 ** math.floor(math.log10(highest)) if highest > 0 else 1.0
    return next(top * power for top in _TOPS if top * power >= highest * (1 - 1e-9))


def _dates(time: Range) -> list[str]:
    return [date(time.start_ns(bucket), time) for bucket in sorted({0, (time.size - 1) // 2, time.size - 1})]


def date(nanoseconds: int, time: Range) -> str:
    """Return the start of a bucket as text, such as `28 Nov 14:00`, or `28 Nov` if the buckets are whole days."""
    return f"{local_time(nanoseconds):{'%d %b' if time.width % 24 == 0 else '%d %b %H:%M'}}"


def dollars(usd: float) -> str:
    """Return a cost as text for an axis or a tooltip."""
    return "$0" if not usd else money(usd).removesuffix(".00")


def whole(number: float) -> str:
    """Return a count as text for an axis or a tooltip. For a fraction, the text is empty."""
    return count(int(number)) if float(number).is_integer() else ""


def named(name: str | None) -> str:
    """Return the name of a series as text; `unknown` if it has none."""
    return plain(name) or "unknown"
