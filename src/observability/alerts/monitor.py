"""Applies all rules to one agent: incidents begin or end because of an event, or because time has passed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from .events import Call, DecisionEvent, Event, TraceEnd
from .levels import Confidence, Spend
from .past import Day, Past, bin_of
from .rules import BY_NAME, Evidence

_HOUR_NS, _DAY_NS = 3_600_000_000_000, 86_400_000_000_000
_MOST_SYMBOLS = 50
# An incident open for longer than _ADOPTED_NS is closed, and the agent's behaviour counts as usual from then on.
# This does not apply to the rules in _NEVER_USUAL.
_ADOPTED_NS = 3 * _DAY_NS
_NEVER_USUAL = ("failing", "refused", "silent")
_SHORTEST_SILENCE_NS = _HOUR_NS  # a shorter silence is not an incident: the agent may be restarting
_RETIRED_NS = 14 * _DAY_NS  # an agent that is silent for longer is assumed retired


@dataclass
class Incident:
    """An episode in which an agent deviates from its past behaviour, as found by one rule."""

    agent: str
    rule: str
    text: str
    since_ns: int
    opened_ns: int
    last_good: str = ""  # trace id
    first_bad: str = ""  # trace id
    closed_ns: int | None = None
    closing: str = ""


class Trial(NamedTuple):
    """The result of testing one event against one rule: good or bad."""

    rule: str
    bad: bool


@dataclass
class Memory:
    """Facts about the latest events, with which the next event is compared."""

    answer: str = ""
    actions: dict[str, str] = field(default_factory=dict)  # symbol -> action of its last decision, BUY or SELL
    seen_ns: int = 0  # time of the last event
    end_ns: int = 0  # end of the last trace
    end_trace: str = ""  # id of the last trace


class Monitor:
    """Watches one agent: holds its learned past, the evidence for new incidents, and its open incidents."""

    def __init__(self, agent: str, past: Past) -> None:
        self.agent, self.past, self.memory = agent, past, Memory()
        self.evidence: dict[str, Evidence] = {name: Evidence() for name in BY_NAME}
        self.spend, self.confidence = Spend(), Confidence()
        self.open: dict[str, Incident] = {}

    @classmethod
    def new(cls, agent: str, at_ns: int) -> "Monitor":
        """The monitor of a new agent, first seen at `at_ns`."""
        number = at_ns // _DAY_NS
        return cls(agent, Past(number, [], Day(number)))

    def feed(self, event: Event) -> Iterator[Incident]:
        """Add an event to the past and the evidence; yield the incidents that begin or end because of it."""
        day = self.past.at(event.at_ns)
        yield from self._end_silence(event)
        for trial in self._trials(event):
            if trial.rule not in self.open:
                day.count(trial.rule, trial.bad)
            yield from self._judge(trial, event)
        if isinstance(event, Call) and event.cost_usd is not None:
            yield from self._judge_spend(event, day)
        if isinstance(event, DecisionEvent) and event.valid and event.confidence is not None:
            yield from self._judge_confidence(event, day)
        self._remember(event, day)

    def check(self, now_ns: int, awake_ns: int = 0) -> Iterator[Incident]:
        """Yield the incidents that begin or end because time has passed, without a new event.

        Args:
            now_ns: the time now (Unix nanoseconds).
            awake_ns: time at which the machine last woke up; no agent could run while it slept.
        """
        self.past.at(now_ns)
        if "silent" not in self.open and self._is_silent(now_ns, awake_ns):
            yield self._begin(
                Incident(self.agent, "silent", self._silence(now_ns), self.memory.end_ns, now_ns, self.memory.end_trace)
            )
        self.spend.pass_hours(self.past, now_ns)
        if "spend" in self.open and self.spend.has_recovered():
            yield self._end("spend", now_ns, "recovered")
        yield from self._close_old(now_ns)

    def _close_old(self, now_ns: int) -> Iterator[Incident]:
        for rule, incident in [*self.open.items()]:
            age = now_ns - incident.opened_ns
            if rule == "silent" and age > _RETIRED_NS:
                self.memory.end_ns = 0  # prevents a new `silent` incident until the agent runs again
                yield self._end(rule, now_ns, "assumed retired")
            elif rule not in _NEVER_USUAL and age > _ADOPTED_NS:
                self.past.forget(rule)
                yield self._end(rule, now_ns, "now counted as normal")

    # Rules about the share of bad trials

    def _trials(self, event: Event) -> Iterator[Trial]:
        if isinstance(event, Call):
            yield from self._trials_of_call(event)
        elif isinstance(event, DecisionEvent):
            yield from self._trials_of_decision(event)
        elif event.decided is not None:
            yield Trial("unparsable", not event.decided)

    def _trials_of_call(self, call: Call) -> Iterator[Trial]:
        yield Trial("failing", call.failed)
        if call.failed:
            return
        yield Trial("refused", call.refused)
        if call.answer is not None and self.memory.answer:
            yield Trial("repeated", call.answer == self.memory.answer)
        if call.seconds is not None and self.past.days:
            yield Trial("slow", self.past.is_slow(call.seconds))

    def _trials_of_decision(self, decision: DecisionEvent) -> Iterator[Trial]:
        before = self.memory.actions.get(decision.symbol)
        if before and decision.valid and decision.action in ("BUY", "SELL"):
            yield Trial("flips", decision.action != before)

    def _judge(self, trial: Trial, event: Event) -> Iterator[Incident]:
        rule, evidence = BY_NAME[trial.rule], self.evidence[trial.rule]
        if trial.rule in self.open:
            if evidence.has_recovered(rule, trial.bad):
                yield self._end(trial.rule, event.at_ns, "recovered")
        elif evidence.add(rule, self.past, trial.bad, event.at_ns, event.trace_id):
            text = evidence.text(rule, self.past)
            yield self._begin(
                Incident(
                    self.agent, rule.name, text, evidence.since_ns, event.at_ns, evidence.last_good, evidence.first_bad
                )
            )

    # Rules about amounts: spend and confidence

    def _judge_spend(self, call: Call, day: Day) -> Iterator[Incident]:
        spend = self.spend
        begins = spend.add(self.past, call)
        if "spend" in self.open:
            if spend.has_recovered():
                yield self._end("spend", call.at_ns, "recovered")
            return
        day.spend[call.at_ns // _HOUR_NS % 24] += call.cost_usd or 0.0
        if begins:
            text = spend.text(self.past)
            yield self._begin(
                Incident(self.agent, "spend", text, spend.since_ns, call.at_ns, spend.last_good, spend.first_bad)
            )

    def _judge_confidence(self, decision: DecisionEvent, day: Day) -> Iterator[Incident]:
        recent, past = self.confidence, self.past
        before = recent.values[-1] if recent.values else None
        begins = recent.add(past, decision)
        if "confidence" in self.open:
            if recent.has_recovered(past):
                yield self._end("confidence", decision.at_ns, "recovered")
            return
        day.count_confidence(recent.values[-1], before)
        if begins:
            first = recent.beginning(past)
            good = recent.traces[first - 1] if first else ""
            yield self._begin(
                Incident(
                    self.agent, "confidence", recent.text(past), recent.times[first], decision.at_ns, good,
                    recent.traces[first],
                )
            )  # fmt: skip

    def _remember(self, event: Event, day: Day) -> None:
        memory = self.memory
        memory.seen_ns = max(memory.seen_ns, event.at_ns)
        if isinstance(event, Call):
            self._remember_call(event, day)
        elif isinstance(event, DecisionEvent):
            if event.valid and event.action in ("BUY", "SELL"):
                memory.actions.pop(event.symbol, None)
                memory.actions[event.symbol] = event.action
                if len(memory.actions) > _MOST_SYMBOLS:
                    del memory.actions[next(iter(memory.actions))]
        else:
            self._remember_end(event, day)

    def _remember_call(self, call: Call, day: Day) -> None:
        if call.answer is not None:
            self.memory.answer = call.answer
        if call.seconds is not None and "slow" not in self.open:
            key = bin_of(call.seconds)
            day.latencies[key] = day.latencies.get(key, 0) + 1

    def _remember_end(self, end: TraceEnd, day: Day) -> None:
        memory = self.memory
        day.ends[end.at_ns // _HOUR_NS % 24] += 1
        if end.at_ns <= memory.end_ns:
            return
        if memory.end_ns:
            day.add_gap((end.at_ns - memory.end_ns) / _HOUR_NS, self.past.due(memory.end_ns, end.at_ns))
        memory.end_ns, memory.end_trace = end.at_ns, end.trace_id

    # Silence

    def _is_silent(self, now_ns: int, awake_ns: int) -> bool:
        memory = self.memory
        if not memory.end_ns or not self.past.days:
            return False
        since = max(memory.seen_ns, memory.end_ns, awake_ns)
        if now_ns - since < _SHORTEST_SILENCE_NS:
            return False
        hours, due = self.past.silence_limits()
        return (now_ns - since) / _HOUR_NS > hours or self.past.due(since, now_ns) > due

    def _silence(self, now_ns: int) -> str:
        hours = (now_ns - self.memory.end_ns) / _HOUR_NS
        due = self.past.due(self.memory.end_ns, now_ns)
        usual = (
            f"usually {due:,.0f} or more traces end in that time"
            if due >= 1
            else f"few data: the agent was first seen {self.past.known_days} days ago"
        )
        return f"no trace ended for {hours:,.1f} hours ({usual})"

    def _end_silence(self, event: Event) -> Iterator[Incident]:
        if "silent" in self.open and event.at_ns > self.memory.seen_ns:
            yield self._end("silent", event.at_ns, "active again")

    def _begin(self, incident: Incident) -> Incident:
        self.open[incident.rule] = incident
        return incident

    def _end(self, rule: str, at_ns: int, why: str) -> Incident:
        incident = self.open.pop(rule)
        incident.closed_ns, incident.closing = at_ns, why
        if rule == "spend":
            self.spend = Spend(hour=self.spend.hour, latest=self.spend.latest)
        if rule in self.evidence:
            self.evidence[rule] = Evidence(latest_good=self.evidence[rule].latest_good)
        return incident

    # Saving and loading

    def as_json(self) -> dict[str, Any]:
        """The monitor's state as JSON, without the complete days, which are saved separately."""
        return {
            "first_day": self.past.first_day,
            "today": self.past.today.as_json(),
            "memory": asdict(self.memory),
            "evidence": {name: asdict(evidence) for name, evidence in self.evidence.items()},
            "spend": asdict(self.spend),
            "confidence": asdict(self.confidence),
            "open": {name: asdict(incident) for name, incident in self.open.items()},
        }

    @classmethod
    def of(cls, agent: str, state: dict[str, Any], days: list[Day]) -> "Monitor":
        """Restore an agent's monitor from its saved state and its complete days."""
        monitor = cls(agent, Past(state["first_day"], days, Day.of(state["today"])))
        monitor.memory = Memory(**state["memory"])
        monitor.evidence |= {name: Evidence(**item) for name, item in state["evidence"].items() if name in BY_NAME}
        monitor.spend, monitor.confidence = Spend(**state["spend"]), Confidence(**state["confidence"])
        monitor.open = {name: Incident(**item) for name, item in state["open"].items()}
        return monitor
