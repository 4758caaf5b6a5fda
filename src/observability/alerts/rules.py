"""The rules about shares of bad trials (a trial is one event, judged good or bad), and the evidence for incidents.

To add such a rule, add it to `RULES` and its trials to `monitor.py`. Other rules are about amounts (`levels.py`),
silence (`monitor.py`) or the machine (`fleet.py`). `RULE_NAMES` must list them too, and `FLEET_RULES` the machine's.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from .detectors import evidence_limit, log_ratio, odds_times, tests_in
from .past import FEW, Past

_MUCH_MORE = 5.0  # in an incident, the odds of a bad trial are at least this multiple of the usual odds
_MIN_BAD = 4  # an incident begins after at least this many bad trials
_MIN_SPAN_NS = 600 * 10**9  # an incident begins at the earliest this long after its first bad trial
# An incident ends when the trials fit an agent that has recovered this many times better than one that has not.
_RECOVERED = 100.0
_MIN_GOOD = 3
_FEW_PER_DAY = 100.0  # trials per day assumed for an agent without a past
_TOO_USUAL = 0.97  # the rule is skipped if the usual share of bad trials is higher: the agent can hardly get worse
_LIKELY_LEFT = 0.9  # the test for recovery assumes at most this share of bad trials if the agent has not recovered


class Rule(NamedTuple):
    """A rule that opens an incident when bad trials are more frequent than usual."""

    name: str
    suspect: float  # the lowest share of bad trials worth a message
    message: str  # template with the fields {bad} and {trials}; for `slow` also {limit} and {typical}
    floor: float = 0.02  # the usual share of bad trials is taken to be at least this
    few: float | None = None  # usual share assumed for an agent with few trials; None: the rule is skipped


RULES = (
    Rule("failing", 0.3, "{bad} of {trials} calls failed", few=0.05),
    Rule("refused", 0.3, "{bad} of {trials} answers were refusals or empty", few=0.05),
    Rule("unparsable", 0.4, "{bad} of {trials} cycles ended without a valid decision", floor=0.03),
    Rule("repeated", 0.9, "{bad} of {trials} answers were the same as the one before", floor=0.05),
    Rule("flips", 0.6, "{bad} of {trials} decisions reversed the position", floor=0.1),
    Rule("slow", 0.6, "a typical call takes {typical:.1f} s, but {bad} of {trials} took over {limit:.1f} s", floor=0.1),
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
    """The evidence that an incident has begun under one rule or, while an incident is open, that it has ended."""

    score: float = 0.0
    trials: int = 0  # number of trials since the score was last 0
    bad: int = 0
    since_ns: int = 0
    first_bad: str = ""  # trace ids
    last_good: str = ""  # the last good trace before `first_bad`
    latest_good: str = ""
    usual: float | None = None  # usual share of bad trials when the score was last 0
    tests: float = 0.0  # number of tests expected in `YEARS` years, computed when the score was last 0
    recovery: float = 0.0  # score of the test for recovery, used while an incident is open
    good: int = 0  # number of good trials since the last bad one, while an incident is open

    def add(self, rule: Rule, past: Past, bad: bool, at_ns: int, trace_id: str) -> bool:
        """Add a trial; return whether an incident begins with it."""
        # The usual share stays fixed while a score builds up, since the latest days may contain the incident.
        if self.score <= 0:
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
        """Add a trial to an open incident; return whether the agent has recovered.

        This is a sequential probability ratio test (Wald 1945).
        """
        usual = self.usual or rule.suspect / 2
        share = min(max(self.bad / max(self.trials, 1), _suspect(rule, usual)), _LIKELY_LEFT)
        self.trials += 1
        self.bad += bad
        self.good = 0 if bad else self.good + 1
        self.recovery = max(self.recovery - log_ratio(bad, usual, max(share, odds_times(usual, 1.5))), 0.0)
        return self.good >= _MIN_GOOD and self.recovery >= evidence_limit(_RECOVERED)

    def text(self, rule: Rule, past: Past) -> str:
        """Describe the incident in one line for the operator."""
        facts: dict[str, Any] = {"bad": self.bad, "trials": self.trials}
        if rule.name == "slow":
            facts |= {"limit": past.slow_seconds, "typical": past.typical_seconds}
        count = past.trials(rule.name)
        share = f"usually up to {self.usual:.0%}" if count >= FEW else f"few data: {count:,} cases before today"
        return f"{rule.message.format(**facts)} ({share})"


def _suspect(rule: Rule, usual: float) -> float:
    return max(rule.suspect, odds_times(usual, _MUCH_MORE))


def usual_share(rule: Rule, past: Past) -> tuple[float | None, float]:
    """The usual share of a rule's bad trials, and the number of tests expected in `YEARS` years.

    The share is None if the rule is to be skipped for this agent.
    """
    share: tuple[float | None, float] = past.once(f"share {rule.name}", lambda: _usual_share(rule, past))
    return share


def _usual_share(rule: Rule, past: Past) -> tuple[float | None, float]:
    if past.trials(rule.name) < FEW:
        return rule.few, tests_in(_FEW_PER_DAY)
    usual = max(past.usual(rule.name), rule.floor)
    return (usual if usual < _TOO_USUAL else None), tests_in(past.per_day(rule.name))
