"""An agent's last four weeks as counts by day, and the usual values computed from them. Days and hours are UTC."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from .detectors import effective_sample_size, gap_factor, tests_in, upper_share

DAYS = 28  # number of past days whose counts are kept
WEEK = 8  # the usual number of traces by hour of the week is used only for agents known for this many days
_TWO_WEEKS = 14  # an agent must be known for this many days before its limit in due traces (`silence_limits`) applies
FEW = 50  # a rule needs this many past trials before its usual share of bad trials is learned
_FEW_HOURS, _FEW_CONFIDENCES, _FEW_CONFIDENCE_DAYS = 48, 100, 3
_HOUR_NS, _DAY_NS = 3_600_000_000_000, 86_400_000_000_000
_BIN = math.log(1.1)  # width of a latency bin on the logarithmic scale: each bin is 10 % above the one before
_RANK = 3  # the limit in due traces (`silence_limits`) uses the third longest gap: the two longest may be outliers
_SLOW_TIMES = 1.5  # a call is slow if it takes longer than this multiple of the 95 % quantile of latency
_BUSY_DAY = 20  # only days with at least this many trials enter the quantile of the daily shares of bad trials
_STARTS_SUSPECT_HOURS = 72.0  # in an agent's first week, shorter silences are not incidents: a weekend takes 60 hours
# A silence is an incident only if more than this number of traces usually end in its hours of the week. If it is
# measured by its length alone, the agent's mean rate (at least one trace a day) must give twice this number in it.
_MIN_EXPECTED = 3.0
_FEWEST_DUE = 0.5  # an hour's spend is divided by the number of traces usual in it, but at least by this number
_LEAST_SPREAD = 0.25  # lowest standard deviation assumed for the logarithm of an hour's spend


@dataclass
class Day:
    """The counts of one agent on one day."""

    number: int  # days since 1970-01-01
    trials: dict[str, list[int]] = field(default_factory=dict)  # rule -> [number of bad trials, number of all trials]
    ends: list[int] = field(default_factory=lambda: [0] * 24)  # number of ended traces by hour
    spend: list[float] = field(default_factory=lambda: [0.0] * 24)  # USD by hour
    latencies: dict[int, int] = field(default_factory=dict)  # latency bin (see `bin_of`) -> number of calls
    confidences: dict[int, int] = field(default_factory=dict)  # confidence in percent -> number of decisions
    # Number of pairs of successive decisions, and three sums over the pairs: d, d * d, and d * the next decision's d.
    # Here d is a decision's confidence in percent, minus 50.
    pairs: list[float] = field(default_factory=lambda: [0.0] * 4)
    gaps: list[float] = field(default_factory=list)  # the longest gaps between the ends of traces, in hours
    due_gaps: list[float] = field(default_factory=list)  # the largest numbers of traces that usually end in one gap

    @classmethod
    def of(cls, data: dict[str, Any]) -> "Day":
        """Restore a day from its parsed JSON."""
        by_number = {name: {int(key): count for key, count in data[name].items()} for name in _BY_NUMBER}
        return cls(**{**data, **by_number})

    def as_json(self) -> dict[str, Any]:
        """The day as JSON."""
        return asdict(self)

    def count(self, rule: str, bad: bool) -> None:
        """Count one good or bad trial of a rule."""
        trials = self.trials.setdefault(rule, [0, 0])
        trials[0] += bad
        trials[1] += 1

    def count_confidence(self, percent: int, before: int | None) -> None:
        """Count a decision's confidence. If another decision came before, add the pair of confidences to `pairs`."""
        self.confidences[percent] = self.confidences.get(percent, 0) + 1
        if before is not None:
            first, second = before - 50, percent - 50
            self.pairs = [a + b for a, b in zip(self.pairs, (1, first, first * first, first * second), strict=True)]

    def forget(self, rule: str) -> None:
        """Delete the counts of a rule."""
        fields = {"slow": ("latencies",), "confidence": ("confidences", "pairs"), "spend": ("spend",)}.get(rule, ())
        empty = Day(self.number)
        for name in fields:
            setattr(self, name, getattr(empty, name))
        self.trials.pop(rule, None)

    def add_gap(self, hours: float, due: float) -> None:
        """Keep a gap if it is one of the day's longest, in hours or in traces that usually end in that time (`due`)."""
        self.gaps = sorted([*self.gaps, hours])[-_RANK:]
        self.due_gaps = sorted([*self.due_gaps, due])[-_RANK:]


_BY_NUMBER = ("latencies", "confidences")


def bin_of(seconds: float) -> int:
    """The number of the latency bin that contains `seconds`."""
    return math.floor(math.log(max(seconds, 0.001)) / _BIN)


class Past:
    """The counts of an agent's complete days, and of today.

    Values derived from the complete days are computed once a day.
    """

    def __init__(self, first_day: int, days: list[Day], today: Day) -> None:
        self.first_day, self.days, self.today = first_day, days, today
        self._computed: dict[str, Any] = {}
        self.rewritten = False  # whether counts of complete days were deleted since the last save

    def at(self, at_ns: int) -> Day:
        """Return the day to which a time belongs; start a new day if needed. A time before today counts for today."""
        number = at_ns // _DAY_NS
        if number > self.today.number:
            self.days = [day for day in (*self.days, self.today) if day.number >= number - DAYS]
            self.today = Day(number)
            self._computed = {}
        return self.today

    @property
    def known_days(self) -> int:
        """The number of days since the agent was first seen."""
        return self.today.number - self.first_day

    def forget(self, rule: str) -> None:
        """Delete all counts of a rule, so that the agent's new behaviour becomes its usual one."""
        for day in (*self.days, self.today):
            day.forget(rule)
        self._computed = {}
        self.rewritten = True

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return a value derived from the complete days, computed once a day."""
        if name not in self._computed:
            self._computed[name] = compute()
        return self._computed[name]

    # Shares

    def trials(self, rule: str) -> int:
        """The number of trials of a rule on the complete days."""
        return sum(trials for _, trials in self._shares(rule))

    def per_day(self, rule: str) -> float:
        """The mean number of trials of a rule per complete day."""
        return self.trials(rule) / max(len(self.days), 1)

    def usual(self, rule: str) -> float:
        """The usual share of bad trials of a rule.

        It is the upper confidence limit of the share over all days, or the 90 % quantile of the daily shares, whichever
        is higher.
        """
        share: float = self.once(f"usual {rule}", lambda: _upper(self._shares(rule)))
        return share

    def _shares(self, rule: str) -> list[tuple[int, int]]:
        if rule == "confidence":
            return [(0, sum(day.confidences.values())) for day in self.days if day.confidences]
        if rule == "slow":
            return self.once("slow shares", self._slow_shares)  # type: ignore[no-any-return]
        return [(bad, trials) for day in self.days for bad, trials in [day.trials.get(rule, (0, 0))] if trials]

    # Latency

    @property
    def slow_seconds(self) -> float:
        """The latency (in seconds) above which a call is slow for this agent."""
        return math.exp((self._slow_bin() + 1) * _BIN)

    def is_slow(self, seconds: float) -> bool:
        """Whether a call is slow for this agent."""
        return bin_of(seconds) > self._slow_bin()

    @property
    def typical_seconds(self) -> float:
        """The median latency of the agent's calls, in seconds."""
        return math.exp((self._latency(0.5) + 0.5) * _BIN)

    def _slow_bin(self) -> int:
        return self._latency(0.95) + round(math.log(_SLOW_TIMES) / _BIN)

    def _latency(self, share: float) -> int:
        return self.once(f"latency {share}", lambda: _quantile(_pooled(day.latencies for day in self.days), share))  # type: ignore[no-any-return]

    def _slow_shares(self) -> list[tuple[int, int]]:
        limit = self._slow_bin()
        days = (day.latencies for day in self.days if day.latencies)
        return [(sum(count for key, count in day.items() if key > limit), sum(day.values())) for day in days]

    # Confidence

    def confidences(self, before_ns: int) -> Counter[int]:
        """Count the decisions by confidence on the complete days before a time. Empty if there are too few."""
        return self.once(f"confidences {before_ns // _DAY_NS}", lambda: self._confidences(before_ns // _DAY_NS))  # type: ignore[no-any-return]

    def _confidences(self, before: int) -> Counter[int]:
        days = [day.confidences for day in self.days if day.confidences and day.number < before]
        pooled = _pooled(iter(days))
        return pooled if pooled.total() >= _FEW_CONFIDENCES and len(days) >= _FEW_CONFIDENCE_DAYS else Counter()

    def effective_confidences(self, size: int) -> float:
        """The number of independent decisions that carry as much information as `size` successive ones."""
        return effective_sample_size(size, self.once("correlation", self._correlation))

    def _correlation(self) -> float:
        """The correlation of the confidences of successive decisions.

        Each day is compared with its own mean, so that a shift of the mean between days does not count as correlation.
        """
        covariance = variance = 0.0
        for pairs, total, squares, products in (day.pairs for day in self.days if day.pairs[0]):
            covariance += products - total * total / pairs
            variance += squares - total * total / pairs
        return covariance / variance if variance > 0 else 0.0

    # Cadence

    def due(self, since_ns: int, until_ns: int) -> float:
        """The number of traces that usually end between two times; 0 if the agent is known for less than `WEEK` days.

        The rate of each hour is the lowest of its own and its two neighbours' rates. Without this, traces that end an
        hour later after a change of clocks would look like a silence.
        """
        if self.known_days < WEEK:
            return 0.0
        total, at = 0.0, since_ns
        rates = self.once("least rates", lambda: _with_neighbours(self._rates(), min))
        while at < until_ns and total < 10_000:
            hour = at // _HOUR_NS
            end = min((hour + 1) * _HOUR_NS, until_ns)
            total += rates[hour % 168] * (end - at) / _HOUR_NS
            at = end
        return total

    def _rates(self) -> list[float]:
        """The mean number of ended traces by hour of the week. Like Unix time, the list starts on Thursday 00:00."""
        return self.once("rates", self._hourly_ends)  # type: ignore[no-any-return]

    def _hourly_ends(self) -> list[float]:
        sums, first = [0.0] * 168, max(self.first_day, self.today.number - DAYS)
        for day in self.days:
            for hour, ends in enumerate(day.ends):
                sums[day.number % 7 * 24 + hour] += ends
        days = Counter(number % 7 for number in range(first, self.today.number))
        return [total / max(days[hour // 24], 1) for hour, total in enumerate(sums)]

    def silence_limits(self) -> tuple[float, float]:
        """The longest usual silence, in hours and in due traces.

        Due traces are the traces that usually end during the silence: none at night if the agent pauses at night. The
        limit in due traces finds a silence sooner, but needs two weeks of data. The limit in hours serves agents with
        few traces.
        """
        return self.once("silence", self._silence_limits)  # type: ignore[no-any-return]

    def _silence_limits(self) -> tuple[float, float]:
        gaps = sum(sum(day.ends) for day in self.days)
        per_day = gaps / max(len(self.days), 1)
        tests = tests_in(per_day)
        hours = _ranked((day.gaps for day in self.days), 1) * gap_factor(gaps, 1, tests)
        hours = max(hours, 2 * _MIN_EXPECTED * 24 / max(per_day, 1))
        due = _ranked((day.due_gaps for day in self.days), _RANK) * gap_factor(gaps, _RANK, tests)
        return (
            hours if self.known_days >= WEEK else max(hours, _STARTS_SUSPECT_HOURS),
            max(due, _MIN_EXPECTED) if self.known_days >= _TWO_WEEKS else math.inf,
        )

    # Spend

    def spend_score(self, hour: int, usd: float) -> float:
        """How many standard deviations the spend in an hour is above the usual; 0 if no usual spend is known.

        `hour` is the number of hours since 1970.
        """
        mean, spread = self._spend()
        return (self._spend_log(hour, usd) - mean) / spread if spread and usd > 0 else 0.0

    def usual_spend(self, hour: int) -> float:
        """The typical spend (USD) in an hour; `hour` is the number of hours since 1970."""
        return math.exp(self._spend()[0]) * self._due_most(hour)

    @property
    def active_hours(self) -> float:
        """The mean number of hours per day in which the agent spent anything."""
        hours: int = self.once("active", lambda: sum(usd > 0 for day in self.days for usd in day.spend))
        return hours / max(len(self.days), 1)

    def _spend(self) -> tuple[float, float]:
        return self.once("spend", self._spend_moments)  # type: ignore[no-any-return]

    def _spend_moments(self) -> tuple[float, float]:
        hours = [(day.number * 24 + hour, usd) for day in self.days for hour, usd in enumerate(day.spend) if usd > 0]
        if self.known_days < WEEK or len(hours) < _FEW_HOURS:
            return 0.0, 0.0
        logs = [self._spend_log(hour, usd) for hour, usd in hours]
        return statistics.fmean(logs), max(statistics.pstdev(logs), _LEAST_SPREAD)

    def _spend_log(self, hour: int, usd: float) -> float:
        return math.log(usd / self._due_most(hour))

    def _due_most(self, hour: int) -> float:
        """The number of traces that usually end in an hour, or in the hour before or after it if that is higher.

        The neighbours are included because local time shifts by an hour twice a year.
        """
        rates: list[float] = self.once("most rates", lambda: _with_neighbours(self._rates(), max))
        return max(rates[hour % 168], _FEWEST_DUE)


def _with_neighbours(rates: list[float], choose: Callable[[float, float, float], float]) -> list[float]:
    """Replace each hour's rate by the min or max (`choose`) of the hour before, the hour and the hour after."""
    return [choose(rates[hour - 1], rates[hour], rates[(hour + 1) % 168]) for hour in range(168)]


def _upper(shares: list[tuple[int, int]]) -> float:
    bad, trials = sum(bad for bad, _ in shares), sum(trials for _, trials in shares)
    days = sorted(bad / trials for bad, trials in shares if trials >= _BUSY_DAY)
    return max(upper_share(bad, trials), days[math.ceil(len(days) * 0.9) - 1] if days else 0.0)


def _pooled(counts: Iterator[dict[int, int]]) -> Counter[int]:
    pooled: Counter[int] = Counter()
    for item in counts:
        pooled.update(item)
    return pooled


def _quantile(counts: Counter[int], share: float) -> int:
    remaining = counts.total() * share
    for value in sorted(counts):
        remaining -= counts[value]
        if remaining <= 0:
            return value
    return 0


def _ranked(gaps: Iterator[list[float]], rank: int) -> float:
    longest = sorted((gap for day in gaps for gap in day), reverse=True)
    return longest[rank - 1] if len(longest) >= rank else math.inf
