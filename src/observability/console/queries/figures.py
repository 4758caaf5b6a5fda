"""
🌙 Moon Dev's Figures
Built with love by Moon Dev 🚀

What the calls of one group cost and how they went.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class Figures(NamedTuple):
    """The calls of one group. Costs are USD, times milliseconds; None is unknown."""

    group: str
    calls: int
    errors: int
    input_tokens: int  # all that was asked
    cached_tokens: int  # of the input, read from a cache
    written_tokens: int  # of the input, written to one
    output_tokens: int  # all that was answered
    reasoning_tokens: int  # of the output
    cost_usd: float | None  # of the calls whose price is known; None where none is
    unpriced: int  # calls that did not fail and have no price
    decisions: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    first_token_p50_ms: float | None  # of the streamed calls

    @property
    def cost_per_decision(self) -> float | None:
        """USD; None where there was no decision, or the price of any call is unknown."""
        known = self.decisions and self.cost_usd is not None and not self.unpriced
        return self.cost_usd / self.decisions if known and self.cost_usd is not None else None

    @property
    def cache_hit_share(self) -> float | None:
        """Of the tokens asked, those that came from a cache; None where none are known."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else None

    @property
    def error_share(self) -> float:
        """Of the calls."""
        return self.errors / self.calls if self.calls else 0.0

    @property
    def unpriced_share(self) -> float:
        """Of the calls."""
        return self.unpriced / self.calls if self.calls else 0.0

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        shares = ("cost_per_decision", "cache_hit_share", "error_share", "unpriced_share")
        return {**self._asdict(), **{name: getattr(self, name) for name in shares}}


_ADDED = (
    "calls", "errors", "input_tokens", "cached_tokens", "written_tokens", "output_tokens", "reasoning_tokens",
    "unpriced", "decisions",
)  # fmt: skip


def total(found: Sequence[Figures]) -> Figures:
    """All groups together; quantiles of quantiles are none, so its times are unknown."""
    known = [each.cost_usd for each in found if each.cost_usd is not None]
    return Figures(
        group="total",
        **{name: sum(getattr(each, name) for each in found) for name in _ADDED},
        cost_usd=math.fsum(known) if known else None,
        p50_ms=None,
        p95_ms=None,
        p99_ms=None,
        first_token_p50_ms=None,
    )


def quantile(ordered: Sequence[int], share: float) -> float | None:
    """Milliseconds: the smallest of these nanoseconds that at least `share` of all do not exceed (nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)] / 1e6 if ordered else None
