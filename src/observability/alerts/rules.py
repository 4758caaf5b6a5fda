"""The rules about shares of trials, as a table, and the evidence that one of them collects.

Rules about amounts are in `levels.py`, those about the machine in `fleet.py`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from .detectors import evidence_limit, log_ratio, odds_times, tests_in
from .past import FEW, Past

_MUCH_MORE = 5.0  # times the usual odds: a change that is worth a message
_MIN_BAD = 4  # bad trials of an incident
_MIN_SPAN_NS = 600 * 10**9  # from the first bad trial to the message
_RECOVERED = 100.0  # times likelier that all is as before than that it is not
_MIN_GOOD = 3
_FEW_PER_DAY = 100.0  # trials assumed of an agent without a past
_TOO_USUAL = 0.97  # an agent that is nearly always so cannot get worse
_LIKELY_LEFT = 0.9  # the largest share of bad trials that is assumed in an incident


class Rule(NamedTuple):
    """A rule: bad trials are more frequent than usual."""

    name: str
    suspect: float  # the lowest share of bad trials worth a message
    message: str  # with {bad}, {trials}, {usual}
    floor: float = 0.02  # the usual share is taken as at least this
    few: float | None = None  # the usual share assumed of an agent with few trials; None: the rule waits


RULES = (
    Rule("failing", 0.3, "{bad} of {trials} calls failed", few=0.05),
    Rule("refused", 0.3, "{bad} of {trials} answers were refusals or empty", few=0.05),
    Rule("unparsable", 0.4, "{bad} of {trials} cycles ended without a valid decision", floor=0.03),
    Rule("repeated", 0.9, "{bad} of {trials} answers were the same as the one before", floor=0.05),
    Rule("flips", 0.6, "{bad} of {trials} decisions turned the position", floor=0.1),
    Rule("slow", 0.6, "{bad} of {trials} calls took longer than {limit:.1f} s, usual are {typical:.1f} s", floor=0.1),
)
RULE_NAMES = (
    *(rule.name for rule in RULES),
    "silent",
    "spend",
    "confidence",
    "unshipped",
    "rejected",
    "budget",
    "budget_full",
)
BY_NAME = {rule.name: rule for rule in RULES}


@dataclass
class Evidence:
    """What speaks for an incident under one rule, and later for its end."""

    score: float = 0.0
    trials: int = 0  # since the score was last 0
    bad: int = 0
    since_ns: int = 0
    first_bad: str = ""  # traces
    last_good: str = ""
    latest_good: str = ""
    usual: float | None = None  # the usual share, and the number of tests in `YEARS`, when the score was last 0
    tests: float = 0.0
    recovery: float = 0.0  # while the incident is open
    good: int = 0  # in a row

    def add(self, rule: Rule, past: Past, bad: bool, at_ns: int, trace_id: str) -> bool:
        """Add a trial; True if an incident begins."""
        if self.score <= 0:  # later days may hold the incident itself
            self.usual, self.tests = usual_share(rule, past)
        if self.usual is None:
            return False
        if bad and self.score <= 0:
            self.trials = self.bad = 0
            self.since_ns, self.first_bad, self.last_good = at_ns, trace_id, self.latest_good
        if not bad:
            self.latest_good = trace_id
        self.trials += 1
        self.bad += bad
        self.score = max(self.score + log_ratio(bad, self.usual, _suspect(rule, self.usual)), 0.0)
        enough = self.bad >= _MIN_BAD and at_ns - self.since_ns >= _MIN_SPAN_NS
        return enough and bad and self.score >= evidence_limit(self.tests)

    def has_recovered(self, rule: Rule, bad: bool) -> bool:
        """Add a trial of an open incident; True once trials are as usual again (Wald 1945, sequential ratio test)."""
        usual = self.usual or rule.suspect / 2
        share = min(max(self.bad / max(self.trials, 1), _suspect(rule, usual)), _LIKELY_LEFT)
        self.trials += 1
        self.bad += bad
        self.good = 0 if bad else self.good + 1
        self.recovery = max(self.recovery - log_ratio(bad, usual, max(share, odds_times(usual, 1.5))), 0.0)
        return self.good >= _MIN_GOOD and self.recovery >= evidence_limit(_RECOVERED)

    def text(self, rule: Rule, past: Past) -> str:
        """The incident in words."""
        facts: dict[str, Any] = {"bad": self.bad, "trials": self.trials}
        if rule.name == "slow":
            facts |= {"limit": past.slow_seconds, "typical": past.typical_seconds}
        known = past.trials(rule.name)
        share = f"usual is up to {self.usual:.0%}" if known >= FEW else f"few data: {known:,} before today"
        return f"{rule.message.format(**facts)} ({share})"


def _suspect(rule: Rule, usual: float) -> float:
    return max(rule.suspect, odds_times(usual, _MUCH_MORE))


def usual_share(rule: Rule, past: Past) -> tuple[float | None, float]:
    """The share of bad trials that is usual, None while too few are known; and the number of tests in `YEARS`."""
    share: tuple[float | None, float] = past.once(f"share {rule.name}", lambda: _usual_share(rule, past))
    return share


def _usual_share(rule: Rule, past: Past) -> tuple[float | None, float]:
    if past.trials(rule.name) < FEW:
        return rule.few, tests_in(_FEW_PER_DAY)
    usual = max(past.usual(rule.name), rule.floor)
    return (usual if usual < _TOO_USUAL else None), tests_in(past.per_day(rule.name))
