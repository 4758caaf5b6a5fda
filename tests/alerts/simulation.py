"""Simulated agents, which yield events like those that the command `watch` reads from the journal.

Agents without a fault still pause at night and at weekends (local time, with a change of clocks), restart, and meet
failing providers for minutes. Latencies and costs are heavy-tailed, with slow hours and drifting prices. Confidences
depend on the previous confidence and prefer round numbers, and agents often repeat their last decision for a symbol.

"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from src.observability.alerts.events import Call, DecisionEvent, Event, TraceEnd
from src.observability.alerts.monitor import Incident, Monitor
from tests.alerts.agents import DAY_NS, HOUR_NS, MINUTE_NS, T0

CADENCES = (5, 15, 15, 15, 30, 30, 60, 240)  # minutes between cycles
SCHEDULES = ("always", "always", "always", "days", "weekdays", "sessions")
_CLOCKS_CHANGE = 23  # on this day of the simulation, local time goes back by an hour


@dataclass
class Agent:
    """A simulated agent; a test plants a fault by changing its fields."""

    seed: int
    name: str = "Agent"
    fail: float = 0.0
    refuse: float = 0.0
    invalid: float = 0.0
    stuck: bool = False  # always the same answer
    turn: float = 0.0  # additional chance that a BUY or SELL is reversed
    shift: float = 0.0  # percentage points added to each confidence
    slower: float = 1.0
    dearer: float = 1.0
    faster: int = 1  # the agent runs this many times as often
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = chance = random.Random(self.seed)
        self.minutes = CADENCES[self.seed % len(CADENCES)]
        self.schedule = SCHEDULES[self.seed // len(CADENCES) % len(SCHEDULES)]
        self.calls = chance.choice((1, 1, 1, 2, 5))  # number of calls per cycle
        self.base_fail = chance.choice((0.001, 0.005, 0.01, 0.02))
        self.base_invalid = chance.choice((0.0, 0.01, 0.03, 0.1))
        self.one_word = chance.random() < 0.25  # answers with the action alone
        self.median, self.spread = chance.uniform(0.8, 9.0), chance.uniform(0.3, 0.7)
        self.usd = 10 ** chance.uniform(-4, -1.5)
        self.mean, self.deviation = chance.uniform(55, 80), chance.uniform(4, 12)
        self.round_to = chance.choice((1, 5, 5))
        self.symbols = ["BTC", "ETH", "SOL", "DOGE"][: chance.choice((1, 1, 2, 4))]
        self.actions = dict.fromkeys(self.symbols, "NOTHING")
        self.confidence, self.slow_hour, self.price, self.bad_until = self.mean, 0.0, 1.0, 0
        self.hour = self.number = 0

    def is_on(self, at_ns: int) -> bool:
        """Return whether the agent's schedule lets it run at this time."""
        day = (at_ns - T0) // DAY_NS
        local = at_ns - (0 if day >= _CLOCKS_CHANGE else -HOUR_NS)
        hour, weekday = local // HOUR_NS % 24, (local // DAY_NS + 3) % 7  # Monday is 0
        if self.schedule == "days":
            return 7 <= hour < 23
        if self.schedule == "weekdays":
            return weekday < 5
        return self.schedule == "always" or (weekday < 5 and 13 <= hour < 21)

    def run(self, from_ns: int, until_ns: int) -> Iterator[list[Event]]:
        """Yield the events of each cycle."""
        at = from_ns + int(self.chance.random() * self.minutes * MINUTE_NS)
        while at < until_ns:
            if self.is_on(at):
                self._drift(at)
                events = self._cycle(at)
                yield events
                at = events[-1].at_ns
            if self.chance.random() < 1 / 12 / (1440 / self.minutes):  # a restart, about every 12 days
                at += int(self.chance.uniform(2, 40) * MINUTE_NS)
            at += int(self.minutes * MINUTE_NS / self.faster * self.chance.uniform(0.98, 1.05))

    def _drift(self, at: int) -> None:
        chance = self.chance
        hours, self.hour = at // HOUR_NS - self.hour, at // HOUR_NS
        if hours:
            self.slow_hour = 0.8 * self.slow_hour + chance.gauss(0, 0.12)
            self.price *= 2 ** chance.gauss(0, 0.003 * min(hours, 24) ** 0.5)
            if chance.random() < 1 / (7 * 24):  # about once a week, a provider fails for minutes
                self.bad_until = at + int(chance.uniform(1, 6) * MINUTE_NS)

    def _cycle(self, at: int) -> list[Event]:
        self.number += 1
        self._decide()
        trace = f"{self.seed:08x}{self.number:024x}"
        events: list[Event] = []
        for _ in range(self.calls):
            events.append(self._call(at, trace))
            at = events[-1].at_ns
        last = events[-1]
        assert isinstance(last, Call)
        valid = not (last.failed or last.refused) and self.chance.random() >= self.base_invalid + self.invalid
        if not last.failed:
            events.append(self._decision(at, trace, valid))
        answered = any(isinstance(event, Call) and not event.failed for event in events)
        return [*events, TraceEnd(at, trace, valid if answered else None)]

    def _call(self, at: int, trace: str) -> Call:
        chance = self.chance
        seconds = self.median * 2.718 ** (chance.gauss(0, self.spread) + self.slow_hour) * self.slower
        if chance.random() < 0.01:
            seconds *= chance.paretovariate(1.5)
        at += int(min(seconds, 600) * 1e9)
        if chance.random() < self.base_fail + self.fail + (0.5 if at < self.bad_until else 0):
            return Call(at, trace, failed=True)
        usd = self.usd * self.price * self.dearer * chance.lognormvariate(0, 0.4)
        usd *= chance.uniform(3, 8) if chance.random() < 0.005 else 1
        unique = self.actions[self.symbols[0]] if self.one_word else str(chance.getrandbits(64))
        answer = "stuck" if self.stuck else unique
        return Call(at, trace, False, chance.random() < 0.002 + self.refuse, seconds, usd, answer)

    def _decide(self) -> None:
        chance, symbol = self.chance, self.chance.choice(self.symbols)
        self.symbols = [symbol, *(other for other in self.symbols if other != symbol)]
        before = self.actions[symbol]
        if before in ("BUY", "SELL") and chance.random() < self.turn:
            self.actions[symbol] = "SELL" if before == "BUY" else "BUY"
        elif chance.random() < 0.3:
            self.actions[symbol] = chance.choice(("BUY", "SELL", "NOTHING", "NOTHING"))

    def _decision(self, at: int, trace: str, valid: bool) -> DecisionEvent:
        noise = self.chance.gauss(0, self.deviation)
        self.confidence = self.mean + self.shift + 0.3 * (self.confidence - self.mean - self.shift) + 0.95 * noise
        percent = min(max(round(self.confidence / self.round_to) * self.round_to, 0), 100)
        symbol = self.symbols[0]
        return DecisionEvent(at, trace, self.actions[symbol], float(percent), symbol, valid)


def watched(monitor: Monitor, agent: Agent, from_ns: int, until_ns: int) -> Iterator[tuple[int, Incident]]:
    """Feed an agent's events to its monitor. For each incident that begins, yield the number of calls so far and the
    incident. Silence is checked just before each cycle, when it is longest.
    """
    calls = 0
    for events in agent.run(from_ns, until_ns):
        news = [*monitor.check(events[0].at_ns - 1)]
        for event in events:
            news += monitor.feed(event)
        calls += sum(isinstance(event, Call) for event in events)
        yield from ((calls, incident) for incident in news if incident.closed_ns is None)
    yield from ((calls, incident) for incident in monitor.check(until_ns) if incident.closed_ns is None)
