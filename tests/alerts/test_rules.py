"""One agent's events become incidents: with few data, over a long time, and in unusual orders."""

import json
import random
import re
from collections.abc import Iterator

import pytest

from src.observability.alerts.events import Call, DecisionEvent, TraceEnd
from src.observability.alerts.monitor import Incident, Monitor
from src.observability.alerts.past import Day
from tests.alerts.agents import DAY_NS, HOUR_NS, MINUTE_NS, T0


def calls(
    monitor: Monitor, bad: str, first_ns: int, step_ns: int = 15 * MINUTE_NS, usd: float = 0.01
) -> Iterator[Incident]:
    """Feed the monitor one call per character (x: failed) with its trace's end; yield incidents that begin or end."""
    for number, kind in enumerate(bad):
        at = first_ns + number * step_ns
        yield from monitor.feed(Call(at, f"trace{number}", kind == "x", seconds=2.0, cost_usd=usd))
        yield from monitor.feed(TraceEnd(at, f"trace{number}", None if kind == "x" else True))


def begun(incidents: Iterator[Incident]) -> list[tuple[str, str]]:
    """Return rule and text of the incidents that begin."""
    return [(incident.rule, incident.text) for incident in incidents if incident.closed_ns is None]


def test_a_new_agent_that_fails_is_reported_with_few_data() -> None:
    """For a new agent, a typical share of failures is assumed, and the message contains `few data`."""
    monitor = Monitor.new("A", T0)
    assert begun(calls(monitor, "x" * 12, T0)) == [("failing", "9 of 9 calls failed (few data: 0 cases before today)")]


def test_a_burst_of_failures_within_minutes_is_no_incident() -> None:
    """Twelve failures within six minutes are not an incident: they are over before anybody could read a message."""
    monitor = Monitor.new("A", T0)
    assert begun(calls(monitor, "." * 200 + "x" * 12 + "." * 200, T0, step_ns=30 * 10**9)) == []


def test_traces_of_before_and_after() -> None:
    """An incident names its first bad trace, and as last good trace the trace before that."""
    monitor = Monitor.new("A", T0)
    (incident,) = [item for item in calls(monitor, "...xx.xxxxxxxxx", T0) if item.rule == "failing"]
    assert (incident.last_good, incident.first_bad, incident.since_ns) == ("trace2", "trace3", T0 + 45 * MINUTE_NS)


def test_an_incident_ends_once_trials_are_as_usual_again() -> None:
    """If a provider is unstable, the incident does not end with the first good call, only after several."""
    monitor = Monitor.new("A", T0)
    list(calls(monitor, "x" * 12, T0))
    assert [*calls(monitor, ".x.x.x.x", T0 + DAY_NS)] == []
    (ended,) = calls(monitor, "." * 12, T0 + DAY_NS + 2 * HOUR_NS)
    assert (ended.rule, ended.closing) == ("failing", "recovered")


def test_a_shift_of_confidence_names_its_first_decision() -> None:
    """If the confidences of an agent's decisions shift, the incident begins with the first decision of the shift, and
    ends once the confidences are as before."""
    monitor, chance = Monitor.new("A", T0), random.Random(1)

    def decide(mean: float, count: int, first_ns: int) -> Iterator[Incident]:
        for number in range(count):
            confidence = chance.gauss(mean, 5)
            at = first_ns + number * 15 * MINUTE_NS
            yield from monitor.feed(DecisionEvent(at, f"{mean} {number}", "BUY", confidence, "BTC", True))

    assert [*decide(70, 96 * 5, T0)] == []
    (shift,) = decide(45, 60, T0 + 5 * DAY_NS)
    assert (shift.rule, shift.since_ns, shift.last_good, shift.first_bad) == (
        "confidence", T0 + 5 * DAY_NS, "70 479", "45 0",
    )  # fmt: skip
    assert re.fullmatch(r"the last \d\d decisions had a mean confidence of 4[3-7] %, the 384 .* 70 %", shift.text)
    assert [*decide(70, 90, T0 + 6 * DAY_NS)] == [shift]
    assert shift.closing == "recovered"


def test_an_unusual_spend_ends_after_two_usual_hours() -> None:
    """An incident of rule `spend` ends after two hours of usual spend, whether the agent makes calls in them or not."""
    monitor = Monitor.new("A", T0)
    list(calls(monitor, "." * 96 * 10, T0))
    at = T0 + 10 * DAY_NS
    (dear,) = calls(monitor, "." * 20, at, usd=1.0)
    assert (dear.rule, dear.since_ns, dear.closed_ns) == ("spend", at, None)
    assert "USD more than usual were spent in" in dear.text
    at += 5 * HOUR_NS
    assert [*calls(monitor, "." * 20, at)] == [dear]
    assert (dear.closing, dear.closed_ns) == ("recovered", at + 2 * HOUR_NS)
    (dear,) = calls(monitor, "." * 20, at + 5 * HOUR_NS, usd=1.0)
    assert [item.rule for item in monitor.check(at + 12 * HOUR_NS - 1)] == ["silent"]
    assert [*monitor.check(at + 12 * HOUR_NS)] == [dear]
    assert dear.closing == "recovered"


def test_an_agent_that_is_not_run_any_more_is_retired() -> None:
    """An agent that stops causes one message, and a second one two weeks later; then none until it runs again."""
    monitor = Monitor.new("A", T0)
    list(calls(monitor, "." * 96 * 9, T0))
    at = T0 + 9 * DAY_NS
    days = [[*monitor.check(at + day * DAY_NS)] for day in range(40)]
    assert [incident.closing for day in days for incident in day] == ["assumed retired"] * 2  # the same object twice
    assert [number for number, day in enumerate(days) if day] == [1, 16]
    assert begun(iter([*calls(monitor, "." * 20, at + 40 * DAY_NS)])) == []


def test_times_may_go_back() -> None:
    """The times of events may decrease: rows of a forked child are merged later, and a clock may be set back."""
    monitor = Monitor.new("A", T0)
    list(calls(monitor, "." * 96 * 3, T0))
    assert begun(calls(monitor, "." * 96, T0 + DAY_NS)) == []
    assert [*monitor.check(T0)] == []
    assert monitor.memory.end_ns == T0 + (96 * 3 - 1) * 15 * MINUTE_NS


@pytest.mark.parametrize("symbols", [("BTC",), ("BTC", "ETH")])
def test_a_turn_is_one_of_the_same_symbol(symbols: tuple[str, ...]) -> None:
    """A BUY of one symbol after a SELL of another symbol does not count as a reversal."""
    monitor = Monitor.new("A", T0)
    for number in range(600):
        action = "BUY" if number % 2 else "SELL"
        symbol = symbols[number % len(symbols)]
        list(monitor.feed(DecisionEvent(T0 + number * 15 * MINUTE_NS, "t", action, 70.0, symbol, True)))
    trials = [day.trials["flips"] for day in monitor.past.days]
    assert len(trials) == 6
    assert all(bad == (count if symbols == ("BTC",) else 0) for bad, count in trials)


def test_state_survives_a_restart() -> None:
    """A monitor restored from its saved state continues as the original does."""
    kept = Monitor.new("A", T0)
    list(calls(kept, "." * 96 * 2 + "xxx", T0))
    days = [Day.of(json.loads(json.dumps(day.as_json()))) for day in kept.past.days]
    again = Monitor.of("A", json.loads(json.dumps(kept.as_json())), days)
    assert again.as_json() == kept.as_json()
    at = T0 + 3 * DAY_NS
    assert begun(calls(again, "x" * 12, at)) == begun(calls(kept, "x" * 12, at)) != []
