"""Evaluates decisions: were they right, and did they earn more than the calls cost?

A hit is a BUY or SELL with a profit; the decision NOTHING has no outcome. A confidence of 70 forecasts 70 % hits.
Every mean and share has its number of cases and a 95 % interval, so that nobody trusts a result from five trades.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ..journal import Row
from .queries.totals import UNKNOWN, CallStats
from .render.format import profit_of
from .signal import finite

FEW = 30  # number of cases needed for a reliable mean
CLASSES = 5  # number of classes of confidence, each 20 percentage points wide
_Z = 1.96
# 97.5 % quantiles of Student's t for 1 to 28 degrees of freedom: NIST/SEMATECH e-Handbook, 1.3.6.7.2.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
    2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
)  # fmt: skip


class Estimate(NamedTuple):
    """A mean, its number of cases, and its 95 % confidence interval; no interval if all values are equal."""

    cases: int
    value: float | None
    low: float | None
    high: float | None


class Evaluation(NamedTuple):
    """The statistics of one group of decisions and calls. Shares are from 0 to 1, money in USD; None means unknown."""

    group: str
    cases: int  # decisions with an outcome; may be zero
    hits: int
    hit_low: float
    hit_high: float
    gain_usd: Estimate  # mean profit or loss in USD, of the cases whose outcome is given in USD
    brier: Estimate  # mean squared error of the forecasts: 0 is perfect, 0.25 is a coin toss (Brier 1950)
    pnl_usd: float | None  # total profit or loss in USD, of the cases whose outcome is given in USD
    calls: int  # all calls of the group, with or without a decision
    unpriced: int  # successful calls without a known price
    calls_usd: float | None  # cost of the priced calls

    @property
    def few(self) -> bool:
        """True if there are too few cases for a reliable mean."""
        return self.cases < FEW

    @property
    def hit_share(self) -> float | None:
        """Share of the cases that were profitable (hits); None without cases."""
        return self.hits / self.cases if self.cases else None

    @property
    def net_usd(self) -> float | None:
        """Profit or loss minus the cost of all calls; None if either of these amounts is unknown."""
        return None if self.pnl_usd is None or self.calls_usd is None else self.pnl_usd - self.calls_usd

    def as_json(self) -> dict[str, Any]:
        """Return the evaluation as a dictionary without nesting, for JSON output."""
        flat = {
            "usd_cases": self.gain_usd.cases, "mean_usd": self.gain_usd.value,
            "mean_low": self.gain_usd.low, "mean_high": self.gain_usd.high,
            "brier_cases": self.brier.cases, "brier": self.brier.value,
            "brier_low": self.brier.low, "brier_high": self.brier.high,
        }  # fmt: skip
        more = {"few": self.few, "hit_share": self.hit_share, "net_usd": self.net_usd}
        return {name: value for name, value in self._asdict().items() if name != "gain_usd"} | flat | more


class ConfidenceClass(NamedTuple):
    """A group of decisions with similar confidence.

    `confidence` is their mean confidence, 0 to 100. `low` to `high` is the 95 % interval of the hit share, 0 to 1.
    """

    confidence: float
    cases: int
    hits: int
    low: float
    high: float

    @property
    def few(self) -> bool:
        """True if there are too few cases for a reliable share."""
        return self.cases < FEW


def evaluations(decisions: Iterable[Row], stats: Iterable[CallStats], by: str) -> list[Evaluation]:
    """Return one evaluation for each agent or model that has a decision or a call, most cases first.

    Args:
        decisions: decisions with their outcomes.
        stats: the statistics of all calls of the same period, grouped by `by`.
        by: `agent` or `model`. A decision's model is the model of the last call before the decision.
    """
    groups = _grouped(decisions, lambda row: row[by] or UNKNOWN)
    calls = {group.group: group for group in stats}
    names = groups.keys() | calls.keys()
    rows = [_evaluation(name, groups.get(name, []), calls.get(name)) for name in names]
    return sorted(rows, key=lambda group: (-group.cases, group.group))


def calibration(decisions: Iterable[Row]) -> list[ConfidenceClass]:
    """Group decisions by confidence, and return the numbers of cases and hits in each class, lowest class first.

    Decisions of unknown confidence are left out.
    """
    forecasts = [row for row in _with_finite_confidence(decisions) if row["confidence"] is not None]
    classes = _grouped(forecasts, lambda row: str(min(int(row["confidence"] * CLASSES // 100), CLASSES - 1)))
    return [_class(rows) for _, rows in sorted(classes.items())]


def _with_finite_confidence(decisions: Iterable[Row]) -> list[Row]:
    return [{**row, "confidence": finite(row["confidence"])} for row in decisions]


def _is_hit(row: Row) -> bool:
    return (profit_of(row) or 0.0) > 0


def _grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _class(rows: Sequence[Row]) -> ConfidenceClass:
    hits = sum(map(_is_hit, rows))
    confidence = sum(row["confidence"] for row in rows) / len(rows)
    return confidence_class(confidence, len(rows), hits)


def confidence_class(confidence: float, cases: int, hits: int) -> ConfidenceClass:
    """Return a class with its mean confidence (0 to 100), cases and hits, and the 95 % interval of its hit share."""
    return ConfidenceClass(confidence, cases, hits, *wilson(hits, cases))


def _evaluation(group: str, decisions: Sequence[Row], calls: CallStats | None) -> Evaluation:
    rows = _with_finite_confidence(decisions)
    hits = sum(map(_is_hit, rows))
    gains = [row["pnl_usd"] for row in rows if row["pnl_usd"] is not None]
    errors = [(row["confidence"] / 100 - _is_hit(row)) ** 2 for row in rows if row["confidence"] is not None]
    return Evaluation(
        group, len(rows), hits, *wilson(hits, len(rows)),
        gain_usd=_estimate(gains),
        brier=_estimate(errors, minimum=0.0, maximum=1.0),
        pnl_usd=math.fsum(gains) if gains else None,
        calls=calls.calls if calls else 0,
        unpriced=calls.unpriced if calls else 0,
        calls_usd=_cost(calls) if calls else 0.0,
    )  # fmt: skip


def _cost(calls: CallStats) -> float | None:
    """Return the cost of all calls in USD; None if any successful call has no price, or if all calls have none."""
    return None if calls.unpriced else calls.cost_usd


def _estimate(values: Sequence[float], minimum: float = -math.inf, maximum: float = math.inf) -> Estimate:
    if not values:
        return Estimate(0, None, None, None)
    interval = mean_interval(values)
    bounds = (None, None) if interval is None else (max(interval[0], minimum), min(interval[1], maximum))
    return Estimate(len(values), statistics.fmean(values), *bounds)


def wilson(hits: int, cases: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of the share of hits (Wilson 1927, JASA 22, 209-212).

    Without cases, the interval is (0, 1).
    """
    if not cases:
        return 0.0, 1.0
    share, spread = hits / cases, _Z * _Z / cases
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / cases + spread / (4 * cases)) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of the mean of some values (Student 1908, Biometrika 6, 1-25).

    The result is None if there are no two different values.
    """
    if len(set(values)) < 2:
        return None
    half = _t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half


def _t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t for some degrees of freedom.

    Beyond the table, it is computed from the first terms of a series expansion (Abramowitz 26.7.5).
    """
    if freedom <= len(_T):
        return _T[freedom - 1]
    return _Z + (_Z**3 + _Z) / (4 * freedom) + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * freedom**2)
