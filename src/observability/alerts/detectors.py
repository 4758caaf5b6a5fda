"""The alerts' statistics: thresholds with a known rate of false alerts, with the source of each formula.

Every rule aims at one false alert per agent in `YEARS` years, as long as the agent behaves as in its past. A fleet of
48 agents with ten rules then gets about five false alerts a year.
"""

import math
from collections.abc import Mapping

YEARS = 100.0
_DAYS = 365.25 * YEARS
_NOT_NORMAL = 2.33  # the 99 % quantile of the normal distribution


def tests_in(per_day: float) -> float:
    """The number of tests in `YEARS` years; at least 1,000, as with fewer the limits based on it would be too low."""
    return max(per_day * _DAYS, 1000.0)


def evidence_limit(tests: float) -> float:
    """The score at which a cumulative sum of log likelihood ratios gives a false alert once in `tests` trials.

    The sum is reset at 0 (Page 1954, Biometrika 41, 100-115); the mean time to a false alert is then at least the
    exponential of the limit (Lorden 1971, Annals of Mathematical Statistics 42, 1897-1908).
    """
    return math.log(tests)


def log_ratio(bad: bool, usual: float, suspect: float) -> float:
    """The log likelihood ratio of one trial: a share of bad trials of `suspect` against a share of `usual`."""
    return math.log(suspect / usual) if bad else math.log((1 - suspect) / (1 - usual))


def upper_share(bad: int, trials: int) -> float:
    """The upper 99 % confidence limit of the share of bad trials.

    It uses the square-root transform of Anscombe (1948, Biometrika 35, 246-254).
    """
    return min((math.sqrt(bad + 0.375) + _NOT_NORMAL / 2) ** 2 / trials, 1.0) if trials else 1.0


def odds_times(share: float, factor: float) -> float:
    """The share whose odds are `factor` times the odds of `share`."""
    return factor * share / (1 - share + factor * share)


def gap_factor(gaps: int, rank: int, tests: float) -> float:
    """The factor c of the limit for silences: a gap is a silence if it is over c times the `rank`-th longest past gap.

    `gaps` is the number of past gaps. By chance, at most one of `tests` gaps is that long.
    Let x be the rank-th longest of n past gaps. A gap exceeds x with probability rank/n (order statistics, for any
    distribution). Long gaps are assumed to get rarer at least exponentially: P(gap > c x) <= P(gap > x)^c.
    """
    return max(math.log(tests) / math.log(gaps / rank), 2.0) if gaps > rank else math.inf


def drift_limit(tests: float, allowance: float) -> float:
    """The limit that a cumulative sum of (z - `allowance`), z standard normal, reaches by chance once in `tests` tests.

    Siegmund's approximation (Siegmund 1985, Sequential Analysis, section 10.2): for a limit h, the allowance k and
    b = h + 1.166, the mean number of tests is (exp(2kb) - 2kb - 1) / (2k^2). Its smaller terms are left out.
    """
    return math.log(2 * allowance**2 * tests) / (2 * allowance) - 1.166


def distance(first: Mapping[int, int], second: Mapping[int, int]) -> float:
    """The largest difference between two distribution functions, given as counts by value (Kolmogorov-Smirnov)."""
    sizes = sum(first.values()), sum(second.values())
    sums, largest = [0, 0], 0.0
    for value in sorted(first.keys() | second.keys()):
        sums = [sums[0] + first.get(value, 0), sums[1] + second.get(value, 0)]
        largest = max(largest, abs(sums[0] / sizes[0] - sums[1] / sizes[1]))
    return largest


def distance_limit(size: float, past: float, tests: float) -> float:
    """The limit for `distance`: two samples of one distribution are farther apart by chance once in `tests` tests.

    The inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990, Annals of Probability 18,
    1269-1283) for two samples (Wei and Dudley 2012, Statistics and Probability Letters 82, 636-644). The two
    sizes must come from `effective_sample_size`.
    """
    return math.sqrt((math.log(2 * tests)) * (1 / size + 1 / past) / 2)


def effective_sample_size(size: int, correlation: float) -> float:
    """The number of independent values that carry as much information as `size` correlated ones.

    Bayley and Hammersley 1946, Supplement to the Journal of the Royal Statistical Society 8, 184-197.
    """
    correlation = min(max(correlation, 0.0), 0.95)
    return size * (1 - correlation) / (1 + correlation)
