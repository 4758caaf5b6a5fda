"""Lines of the benchmark's tables: a figure with its spread, and its target."""

import statistics
import sys
from collections.abc import Sequence

HEAD = "| measured | ours | beside | ratio | target |\n|---|---|---|---|---|"


def spread(values: Sequence[float], unit: str = "", digits: int = 1) -> str:
    """Return a text with the median of the repeats and, in brackets, the smallest and the largest."""
    low, median, high = (f"{of(values):.{digits}f}" for of in (min, statistics.median, max))
    return f"{median} ({low}–{high}){f' {unit}' if unit else ''}"


def ratios(ours: Sequence[float], beside: Sequence[float]) -> str:
    """Return a text with the spread of the ratios of our figures to the others', taken repeat by repeat."""
    return spread([one / other for one, other in zip(ours, beside, strict=True)], digits=2)


def progress(title: str) -> None:
    """Print on stderr what is being measured: some lines take a minute."""
    print(f"… {title}", file=sys.stderr, flush=True)


def line(title: str, ours: str, beside: str = "", ratio: str = "", target: str = "") -> None:
    """Print one line of the table, as soon as its figures are measured."""
    print(f"| {title} | {ours} | {beside} | {ratio} | {target} |", flush=True)
