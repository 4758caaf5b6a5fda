"""
🌙 Moon Dev's Figures
Built with love by Moon Dev 🚀

What calls cost and how they went, summed over any grouping of them.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from src.observability.journal import Row


class Figures(NamedTuple):
    """The calls of one group. Costs are USD, times milliseconds; None is unknown."""

    group: str
    calls: int
    errors: int
    input_tokens: int
    cached_tokens: int  # of the input
    output_tokens: int
    cost_usd: float | None  # of the calls whose price is known; None where none is
    unpriced: int  # calls that have tokens, or should, and no price
    decisions: int
    p50_ms: float | None
    p95_ms: float | None

    @property
    def cost_per_decision(self) -> float | None:
        """USD; None where there was no decision, or a price is unknown."""
        return self.cost_usd / self.decisions if self.decisions and self.cost_usd is not None else None


def figures(generations: Iterable[Row], decisions: dict[str, int]) -> list[Figures]:
    """One row a group, the dearest first. `generations` have a `grp`; `decisions` counts signals by group."""
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in generations:
        grouped[row["grp"] or "unknown"].append(row)
    found = [_of(group, rows, decisions.get(group, 0)) for group, rows in grouped.items()]
    return sorted(found, key=lambda each: (-(each.cost_usd or 0.0), -each.calls, each.group))


def _of(group: str, rows: Sequence[Row], decisions: int) -> Figures:
    usages = [json.loads(row["usage"]) for row in rows if row["usage"]]
    costs = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
    took = sorted((row["end_ns"] - row["start_ns"]) / 1e6 for row in rows if row["end_ns"] is not None)
    return Figures(
        group,
        len(rows),
        sum(row["level"] == "ERROR" for row in rows),
        sum(count for usage in usages for bucket, count in usage.items() if bucket.startswith("input")),
        sum(usage.get("input_cached_tokens", 0) for usage in usages),
        sum(count for usage in usages for bucket, count in usage.items() if bucket.startswith("output")),
        sum(costs) if costs else None,
        sum(row["cost_usd"] is None and row["level"] != "ERROR" for row in rows),
        decisions,
        _quantile(took, 0.50),
        _quantile(took, 0.95),
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of all do not exceed (nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)] if ordered else None
