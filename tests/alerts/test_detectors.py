"""The alerts' thresholds keep their promised rate of false alerts, measured on random data of known distributions."""

import math
import random
from collections import Counter
from collections.abc import Callable
from statistics import fmean

import pytest

from src.observability.alerts.detectors import (
    distance,
    distance_limit,
    drift_limit,
    effective_sample_size,
    evidence_limit,
    gap_factor,
    log_ratio,
    odds_times,
    upper_share,
)


def mean_time(limit: float, step: Callable[[], float], runs: int) -> float:
    """Add steps to a score, kept at 0 or above, until it reaches the limit; return the mean number of steps."""
    times = []
    for _ in range(runs):
        score, steps = 0.0, 0
        while score < limit:
            score, steps = max(score + step(), 0.0), steps + 1
        times.append(steps)
    return fmean(times)


@pytest.mark.parametrize(("usual", "suspect"), [(0.02, 0.3), (0.1, 0.6), (0.3, 0.7)])
def test_a_share_that_is_as_usual_is_no_evidence(usual: float, suspect: float) -> None:
    """At the usual failure rate, a false alert comes after at least `tests` calls on average (Lorden's bound)."""
    chance = random.Random(1)
    tests = 200.0
    time = mean_time(evidence_limit(tests), lambda: log_ratio(chance.random() < usual, usual, suspect), runs=150)
    assert time >= tests * 0.8  # 0.8 allows for three standard errors of the mean of 150 runs


def test_an_hour_as_usual_is_no_drift() -> None:
    """The mean time to a false alert is 0.7 to 1.5 times the time that Siegmund's approximation promises."""
    chance = random.Random(2)
    tests = 400.0
    time = mean_time(drift_limit(tests, 1.0), lambda: chance.gauss(0, 1) - 1.0, runs=200)
    assert tests * 0.7 <= time <= tests * 1.5


@pytest.mark.parametrize("values", [(50, 60, 70), tuple(range(101)), (0, 100)])
def test_samples_of_one_distribution_are_near(values: tuple[int, ...]) -> None:
    """If two samples have the same distribution, at most one test in twenty exceeds the limit, also with ties."""
    chance = random.Random(3)
    past = Counter(chance.choices(values, k=400))
    limit = distance_limit(60, 400, tests=20)
    beyond = sum(distance(Counter(chance.choices(values, k=60)), past) > limit for _ in range(300))
    assert beyond / 300 <= 1 / 20


def test_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    """The distribution functions of the samples 1, 1, 2 and 1, 2, 2, 3 differ most at 1: by 2/3 - 1/4."""
    assert distance({1: 2, 2: 1}, {1: 1, 2: 2, 3: 1}) == pytest.approx(2 / 3 - 1 / 4)
    assert distance({1: 5}, {2: 5}) == 1.0


def test_a_gap_beyond_the_factor_is_rare() -> None:
    """Of 1,000 random gaps between calls, on average at most 3 exceed `gap_factor` times the third-longest past gap."""
    chance = random.Random(4)
    number, tests = 500, 1000.0
    factor = gap_factor(number, 3, tests)
    shares = []
    for _ in range(200):
        longest = sorted(chance.expovariate(1) for _ in range(number))[-3]
        shares.append(math.exp(-factor * longest))
    assert fmean(shares) <= 3 / tests
    assert gap_factor(2, 3, tests) == math.inf  # too few gaps for a factor


def test_an_upper_limit_of_a_share_covers_it() -> None:
    """In at least 98 of 100 samples the upper limit is above the true share, also for a rare event."""
    chance = random.Random(5)
    for share in (0.002, 0.05, 0.5):
        limits = (upper_share(sum(chance.random() < share for _ in range(300)), 300) for _ in range(400))
        assert sum(limit < share for limit in limits) / 400 <= 0.02, share
    assert upper_share(0, 0) == 1.0


def test_dependent_values_count_less() -> None:
    """Values that resemble their predecessors count as fewer values; alternating values do not count as more."""
    assert effective_sample_size(60, 0.5) == pytest.approx(20)
    assert effective_sample_size(60, 0.0) == effective_sample_size(60, -0.5) == 60


def test_odds() -> None:
    """Five times the odds of 1:9 are 5:9."""
    assert odds_times(0.1, 5) == pytest.approx(5 / 14)
