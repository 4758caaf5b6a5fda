"""
🌙 Moon Dev's Verdicts
Built with love by Moon Dev 🚀

Were the decisions any good, and did they earn what the calls cost? A hit is a BUY or SELL with a profit; NOTHING has no
outcome. A confidence of 70 counts as a promise of 70 %. Every figure has its number of cases and a 95 % interval, so
that nobody believes five trades.
"""

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ..journal import Row
from .queries.figures import Figures
from .queries.totals import UNKNOWN

FEW = 30  # cases, below which a mean says little
_CLASSES = 5  # of confidence, each twenty percent wide
_RESAMPLES = 1000
_MOST_RESAMPLED = 500  # cases; of more the normal interval is as good
_Z = 1.96
# Student's t that 97.5 % are below, by degrees of freedom from 1 to 28: NIST/SEMATECH e-Handbook, 1.3.6.7.2.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
    2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
)  # fmt: skip


class Mean(NamedTuple):
    """A mean, of how many cases, and its 95 % interval: None where there are too few, or all are the same."""

    cases: int
    value: float | None
    low: float | None
    high: float | None


class Verdict(NamedTuple):
    """One group's decisions and calls. Shares are 0 to 1, money USD; None where it is unknown."""

    group: str
    cases: int  # decisions with an outcome; may be none
    hits: int
    hit_low: float
    hit_high: float
    gain_usd: Mean  # a case; one that was told in percent alone is in none
    brier: Mean  # squared difference of promise and hit: 0 is perfect, 0.25 is a coin (Brier 1950)
    pnl_usd: float | None  # of all cases of `gain_usd` together
    calls: int  # all of the group, whatever came of them
    unpriced: int  # of them, those without a known price
    calls_usd: float | None  # what they cost

    @property
    def few(self) -> bool:
        """Whether a mean of so many says little."""
        return self.cases < FEW

    @property
    def hit_share(self) -> float | None:
        """Of the cases."""
        return self.hits / self.cases if self.cases else None

    @property
    def net_usd(self) -> float | None:
        """Profit or loss less what all calls cost."""
        return None if self.pnl_usd is None or self.calls_usd is None else self.pnl_usd - self.calls_usd

    def as_json(self) -> dict[str, Any]:
        """For scripts: flat."""
        flat = {
            "usd_cases": self.gain_usd.cases, "mean_usd": self.gain_usd.value,
            "mean_low": self.gain_usd.low, "mean_high": self.gain_usd.high,
            "brier_cases": self.brier.cases, "brier": self.brier.value,
            "brier_low": self.brier.low, "brier_high": self.brier.high,
        }  # fmt: skip
        more = {"few": self.few, "hit_share": self.hit_share, "net_usd": self.net_usd}
        return {name: value for name, value in self._asdict().items() if name != "gain_usd"} | flat | more


class Class(NamedTuple):
    """Decisions of about the same confidence: its mean, 0 to 100; shares 0 to 1."""

    confidence: float
    cases: int
    hits: int
    low: float
    high: float

    @property
    def few(self) -> bool:
        """Whether a share of so many says little."""
        return self.cases < FEW


def verdicts(judged: Iterable[Row], called: Iterable[Figures], by: str) -> list[Verdict]:
    """One a group of `by` (agent or model) that decided or called, the most cases first.

    Args:
        judged: decisions with their outcomes.
        called: the figures of all calls of the same time, by the same.
        by: `agent` or `model`; a decision's is the model that was asked last before it.
    """
    groups = _grouped(judged, lambda row: row[by] or UNKNOWN)
    calls = {each.group: each for each in called}
    found = [_verdict(group, groups.get(group, []), calls.get(group)) for group in groups.keys() | calls.keys()]
    return sorted(found, key=lambda each: (-each.cases, each.group))


def calibration(judged: Iterable[Row]) -> list[Class]:
    """Promise and outcome by class of confidence, the least first; decisions without a confidence are in none."""
    sure = [row for row in judged if row["confidence"] is not None]
    classes = _grouped(sure, lambda row: str(min(int(row["confidence"] * _CLASSES // 100), _CLASSES - 1)))
    return [_class(rows) for _, rows in sorted(classes.items())]


def profit(row: Row) -> float:
    """In USD, else in percent: its sign is what counts as a hit."""
    return float(row["pnl_pct"] if row["pnl_usd"] is None else row["pnl_usd"])


def _grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _class(rows: Sequence[Row]) -> Class:
    hits = sum(profit(row) > 0 for row in rows)
    return Class(sum(row["confidence"] for row in rows) / len(rows), len(rows), hits, *wilson(hits, len(rows)))


def _verdict(group: str, rows: Sequence[Row], calls: Figures | None) -> Verdict:
    hits = sum(profit(row) > 0 for row in rows)
    gains = [row["pnl_usd"] for row in rows if row["pnl_usd"] is not None]
    misses = [(row["confidence"] / 100 - (profit(row) > 0)) ** 2 for row in rows if row["confidence"] is not None]
    return Verdict(
        group, len(rows), hits, *wilson(hits, len(rows)),
        gain_usd=_mean(gains),
        brier=_mean(misses, least=0.0, most=1.0),
        pnl_usd=math.fsum(gains) if gains else None,
        calls=calls.calls if calls else 0,
        unpriced=calls.unpriced if calls else 0,
        calls_usd=_cost(calls) if calls else 0.0,
    )  # fmt: skip


def _cost(calls: Figures) -> float | None:
    """Of all of them; one that failed adds nothing, but where all did, nobody knows."""
    return None if calls.unpriced else calls.cost_usd


def _mean(values: Sequence[float], least: float = -math.inf, most: float = math.inf) -> Mean:
    if not values:
        return Mean(0, None, None, None)
    interval = mean_interval(values)
    bounds = (None, None) if interval is None else (max(interval[0], least), min(interval[1], most))
    return Mean(len(values), statistics.fmean(values), *bounds)


def wilson(hits: int, cases: int) -> tuple[float, float]:
    """The 95 % interval of a share, 0 to 1 (Wilson 1927, JASA 22, 209-212); of no case it is anything."""
    if not cases:
        return 0.0, 1.0
    share, spread = hits / cases, _Z * _Z / cases
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / cases + spread / (4 * cases)) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean; None of one value, and where all are the same: how they spread is not known then.

    Of few values Student's (Student 1908, Biometrika 6, 1-25), for resampling five shows the same five again; of more
    by resampling (percentile bootstrap: Efron 1979, Annals of Statistics 7, 1-26), as profits have no normal
    distribution; of many the normal one. The same values have the same interval, in whatever order.
    """
    if len(set(values)) < 2:
        return None
    if len(values) < FEW:
        return _around_mean(values, _T[len(values) - 2])
    return _around_mean(values, _Z) if len(values) > _MOST_RESAMPLED else _resampled(sorted(values))


def _around_mean(values: Sequence[float], quantile: float) -> tuple[float, float]:
    mean, half = statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def _resampled(values: Sequence[float]) -> tuple[float, float]:
    chance = random.Random(len(values))  # noqa: S311 - the same figures for the same journal
    means = sorted(statistics.fmean(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return means[int(_RESAMPLES * 0.025)], means[int(_RESAMPLES * 0.975) - 1]
