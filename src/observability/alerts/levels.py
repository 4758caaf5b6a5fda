"""The rules about amounts: an unusual spend per hour, and a shift of the decisions' confidences."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import fmean

from .detectors import distance, distance_limit, drift_limit, tests_in
from .events import Call, DecisionEvent
from .past import Past

_HOUR_NS = 3_600_000_000_000
_ALLOWANCE = 1.0  # a spend up to this many standard deviations above the usual is normal
_MOST = 4.0  # limit of one hour's score, so that a single expensive hour opens no incident
_LEAST_USD = 0.10  # an incident needs at least this many USD more than usual
_QUIET_HOURS = 2  # an incident ends after this many hours of usual spend
# A test compares the last 60 decisions with the past. The next test follows after 10 more decisions.
_WINDOW, _STEP = 60, 10
_LEAST_MOVE = 5.0  # smallest shift of the mean confidence that is an incident, in percentage points


@dataclass
class Spend:
    """Sums how far the spend of each hour is above the usual spend (a cumulative sum test)."""

    hour: int = 0  # the current hour, in hours since 1970
    usd: float = 0.0  # spend of the current hour
    score: float = 0.0  # cumulative sum of the previous hours' scores
    excess: float = 0.0  # USD spent beyond the usual since `since_ns`
    since_ns: int = 0
    first_bad: str = ""
    last_good: str = ""
    latest: str = ""
    hours: int = 0  # number of hours since `since_ns`
    quiet: int = 0  # for how many complete hours, up to now, the spend has been usual

    def add(self, past: Past, call: Call) -> bool:
        """Add a call's cost. Return whether the spend is high enough for an incident."""
        self.pass_hours(past, call.at_ns)
        if self.score <= 0 and not self.usd:
            self.since_ns, self.first_bad, self.last_good, self.excess, self.hours = (
                call.at_ns, call.trace_id, self.latest, 0.0, 0,
            )  # fmt: skip
        self.usd += call.cost_usd or 0.0
        self.latest = call.trace_id
        # The current hour can be judged before it ends, because its spend can only grow.
        score = self.score + self._weight(past)
        return score >= drift_limit(tests_in(past.active_hours), _ALLOWANCE) and self._excess(past) >= _LEAST_USD

    def pass_hours(self, past: Past, now_ns: int) -> None:
        """Add the hours that have ended to the score, and begin the current hour."""
        hour = now_ns // _HOUR_NS
        if hour <= self.hour:
            return
        is_usual = past.spend_score(self.hour, self.usd) < _ALLOWANCE
        self.quiet = (self.quiet + 1 if is_usual else 0) + min(hour - self.hour - 1, _QUIET_HOURS)
        self.excess, self.hours = self._excess(past), self.hours + 1
        self.score = max(self.score + self._weight(past) - _ALLOWANCE * (hour - self.hour - 1), 0.0)
        self.hour, self.usd = hour, 0.0

    def has_recovered(self) -> bool:
        """Whether the spend was usual in each of the last `_QUIET_HOURS` hours."""
        return self.quiet >= _QUIET_HOURS

    def text(self, past: Past) -> str:
        """Describe the incident in one line for the operator."""
        hours = f"the last {self.hours + 1} hours" if self.hours else "this hour"
        usual = f"usually {past.usual_spend(self.hour):.2g} USD an hour"
        return f"{self._excess(past):.2g} USD more than usual were spent in {hours} ({usual})"

    def _weight(self, past: Past) -> float:
        return min(past.spend_score(self.hour, self.usd), _MOST) - _ALLOWANCE

    def _excess(self, past: Past) -> float:
        return max(self.excess + self.usd - past.usual_spend(self.hour), 0.0) if self.usd else self.excess


@dataclass
class Confidence:
    """Compares the confidences of the last decisions with those of the past (a two-sample test)."""

    values: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    new: int = 0  # number of decisions since the last test

    def add(self, past: Past, decision: DecisionEvent) -> bool:
        """Add a decision. If a test is now due, return whether it finds that the confidences have shifted."""
        for items, item in ((self.values, round(decision.confidence or 0.0)), (self.times, decision.at_ns)):
            items.append(item)
            del items[:-_WINDOW]
        self.traces = [*self.traces, decision.trace_id][-_WINDOW:]
        self.new += 1
        before = self._before(past)
        if self.new < _STEP or len(self.values) < _WINDOW or not before:
            return False
        self.new = 0
        return self._is_beyond(past, before, 1.0)

    def has_recovered(self, past: Past) -> bool:
        """Whether a test was just made, and one of its two measures is below 60 % of its limit for a new incident."""
        before = self._before(past)
        return self.new == 0 and bool(before) and not self._is_beyond(past, before, 0.6)

    def beginning(self, past: Past) -> int:
        """The index of the first shifted value: the turning point of the sum of deviations (Page 1954)."""
        mean = _mean(self._before(past))
        half = (fmean(self.values[-_WINDOW // 3 :]) - mean) / 2
        sums = [0.0]
        for value in self.values:
            sums.append(sums[-1] + (value - mean - half) * (1 if half > 0 else -1))
        return min(range(len(self.values)), key=sums.__getitem__)

    def text(self, past: Past) -> str:
        """Describe the incident in one line for the operator."""
        before = self._before(past)
        recent = self.values[self.beginning(past) :]
        return (
            f"the last {len(recent)} decisions had a mean confidence of {fmean(recent):.0f} %,"
            f" the {before.total():,} decisions of earlier days {_mean(before):.0f} %"
        )

    def _before(self, past: Past) -> Counter[int]:
        """Count decisions by confidence, on all days before the day of the oldest decision in `values`."""
        return past.confidences(self.times[0])

    def _is_beyond(self, past: Past, before: Counter[int], share: float) -> bool:
        tests = tests_in(past.per_day("confidence") / _STEP)
        sizes = past.effective_confidences(_WINDOW), past.effective_confidences(before.total())
        moved = abs(fmean(self.values) - _mean(before)) >= _LEAST_MOVE * share
        return moved and distance(Counter(self.values), before) > distance_limit(*sizes, tests) * share


def _mean(counts: Counter[int]) -> float:
    return sum(value * number for value, number in counts.items()) / max(counts.total(), 1)
