"""Charts as geometry, which the templates draw as SVG: one place for the live page and the report.

A plot is stretched to its place, so it holds no text: axes and legends are HTML beside it.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Line(NamedTuple):
    """A small line of values over time, in a box of `WIDTH` by `HEIGHT`; gaps where a value is unknown."""

    paths: list[str]  # SVG paths
    last: tuple[float, float] | None  # the newest point


WIDTH, HEIGHT = 100, 28
_MARGIN = 2


def line(values: Sequence[float | None]) -> Line:
    """Return the line through the values, from the lowest to the highest; a constant lies on the ground."""
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
    return Line(list(_paths(points)), next((last for last in reversed(points) if last), None))


def _paths(points: Sequence[tuple[float, float] | None]) -> list[str]:
    """Return a path per unbroken run of points; a lone point is a short dash."""
    runs: list[list[tuple[float, float]]] = [[]]
    for item in points:
        if item is None:
            runs.append([])
        else:
            runs[-1].append(item)
    return ["M" + "L".join(f"{x} {y}" for x, y in (run if len(run) > 1 else [*run, (run[0][0] + 0.1, run[0][1])]))
            for run in runs if run]  # fmt: skip
