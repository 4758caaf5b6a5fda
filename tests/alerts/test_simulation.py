"""Counts false alerts of 48 agents without faults over 90 days, and measures how soon planted faults are found."""

import copy
from collections import Counter
from functools import cache
from typing import Any

import pytest

from src.observability.alerts.monitor import Monitor
from tests.alerts.agents import DAY_NS, HOUR_NS, MINUTE_NS, T0
from tests.alerts.simulation import Agent, watched

PLANTED_NS = T0 + 31 * DAY_NS + 14 * HOUR_NS  # on a Monday, at an hour when every agent runs
# Seeds of agents with each schedule and each cadence up to an hour, and with one, two or five calls a cycle.
# The agents in `ONE_WORD` answer with the action alone, so that most answers equal the previous answer.
SEEDS = (0, 3, 6, 9, 12, 18, 21, 24, 30, 33, 36, 45)
ONE_WORD = (9, 12)
# Rule -> the changed fields of the agent, and the number of cycles within which the rule finds the fault.
FAULTS: dict[str, tuple[dict[str, Any], int]] = {
    "failing": ({"fail": 0.5}, 30),
    "refused": ({"refuse": 0.5}, 30),
    "unparsable": ({"invalid": 0.6}, 40),
    "repeated": ({"stuck": True}, 10),
    "flips": ({"turn": 0.9}, 60),
    "confidence": ({"shift": -25.0}, 60),
    "slow": ({"slower": 5.0}, 40),
    "spend": ({"dearer": 10.0}, 40),
}
_ONE_WORD_REPEATED = 400  # cycles


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_quiet_agents_are_left_alone() -> None:
    """Over 90 days, 48 agents without faults cause at most one false alert each, and at most three in all."""
    false = Counter[str]()
    for seed in range(48):
        alerts = [incident for _, incident in watched(Monitor.new("A", T0), Agent(seed), T0, T0 + 90 * DAY_NS)]
        assert len(alerts) <= 1, (seed, alerts)
        false.update(incident.rule for incident in alerts)
    assert false.total() <= 3, false


@cache
def after_a_month(seed: int) -> tuple[Agent, Monitor]:
    """Return an agent, and the monitor's state after a month without a fault."""
    agent, monitor = Agent(seed), Monitor.new("A", T0)
    assert [*watched(monitor, agent, T0, PLANTED_NS)] == []
    return agent, monitor


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rule", FAULTS)
def test_a_planted_fault_is_found(rule: str) -> None:
    """Each kind of fault is found within its number of cycles, in every agent of SEEDS."""
    fault, limit = FAULTS[rule]
    needed = {}
    for seed in SEEDS:
        agent, monitor = copy.deepcopy(after_a_month(seed))
        for name, value in fault.items():
            setattr(agent, name, value)
        alerts = watched(monitor, agent, PLANTED_NS, PLANTED_NS + 12 * DAY_NS)
        calls, incident = next((found for found in alerts if found[1].rule == rule), (None, None))
        assert incident is not None, (rule, seed)
        assert incident.since_ns >= PLANTED_NS - 12 * HOUR_NS, (rule, seed, incident)
        assert incident.first_bad, (rule, seed)
        needed[seed] = calls / agent.calls / (_ONE_WORD_REPEATED / limit if _is_slow_to_tell(rule, seed) else 1)
    assert max(needed.values()) <= limit, (rule, needed)


def _is_slow_to_tell(rule: str, seed: int) -> bool:
    return rule == "repeated" and seed in ONE_WORD


@pytest.mark.slow
def test_a_silence_is_found() -> None:
    """Silence is found within four cycles or 90 minutes, whichever is longer; for four-hour cycles, in two days."""
    for seed in (*SEEDS, 7):
        agent, monitor = copy.deepcopy(after_a_month(seed))
        limit = max(90 * MINUTE_NS, 4 * agent.minutes * MINUTE_NS, 48 * HOUR_NS if agent.minutes > 60 else 0)
        ticks = (PLANTED_NS + at for at in range(0, 60 * HOUR_NS, MINUTE_NS))
        first = next(tick for tick in ticks if [*monitor.check(tick)])
        assert first - monitor.memory.end_ns <= limit, (seed, agent.minutes, (first - monitor.memory.end_ns) / HOUR_NS)


@pytest.mark.slow
def test_a_fault_that_stays_is_usual_in_the_end() -> None:
    """A slower model is reported once; after three days its speed counts as usual."""
    agent, monitor = copy.deepcopy(after_a_month(3))
    agent.slower = 5.0
    alerts = [incident for _, incident in watched(monitor, agent, PLANTED_NS, PLANTED_NS + 20 * DAY_NS)]
    assert [(incident.rule, incident.closing) for incident in alerts] == [("slow", "now counted as normal")]
