"""How much one process may spend before it reads the budgets again, and the estimates of what a call will cost."""

from typing import Any

import pytest

from src.observability.budgets import parse_budgets
from src.observability.budgets.estimates import Estimates, Usual
from src.observability.budgets.gate import Gate, Pace, View
from src.observability.tracing import Observation
from tests.cases import cases

FOREVER = float("inf")
RUNNING, ENDED = Observation("x", "generation"), Observation("x", "generation")
ENDED.ended = ENDED.started

# Name -> (the budget's limit, the call's amount, fields that the test sets in the view, whether the call is admitted).
CALLS: dict[str, tuple[float, float, dict[str, Any], bool]] = {
    "all of the room": (10, 2, {"room": 2.0}, True),
    "the rest of the room": (10, 1, {"room": 2.0, "used": 1.0}, True),
    "nothing is left": (0, 1, {}, False),
    "all that is left": (1, 1, {}, True),
    "more than is left": (1, 1.1, {}, False),
    "more than is left beyond the room": (2, 1, {"used": 1.1}, False),
    "the period is over": (0, 1, {"ends": 0.0}, True),
    "a small share of what is left": (256, 1, {"used": 0.9, "beyond": [ENDED]}, True),
    "more than that share": (256, 1, {"used": 1.1, "beyond": [ENDED]}, False),
    "more than that share while the first still runs": (256, 1, {"used": 1.1, "beyond": [RUNNING]}, True),
    "more than that share after one of two": (256, 1, {"used": 1.1, "beyond": [RUNNING, ENDED]}, False),
    "nobody else spends": (10, 1, {"used": 7.9, "beyond": [ENDED], "pace": Pace(0.0, 2, 0.0)}, True),
    "each process makes one call": (10, 1, {"used": 7.9, "beyond": [ENDED], "pace": Pace(0.0, 3, 0.0)}, False),
    "others spend at a known pace": (10, 1, {"used": 3.5, "beyond": [ENDED], "pace": Pace(1.0, 2, 1.0)}, True),
    "others may spend four times as fast": (10, 1, {"used": 4.5, "beyond": [ENDED], "pace": Pace(1.0, 2, 1.0)}, False),
    "no refresh for 5 s": (10, 1, {"used": 1.0, "beyond": [ENDED], "age": 5.0}, False),
    "no refresh for 55 s": (10, 1, {"used": 5.0, "beyond": [ENDED], "age": 55.0}, True),
    "half of what is left after 55 s": (10, 1, {"used": 5.1, "beyond": [ENDED], "age": 55.0}, False),
    "never a refresh for 505 s": (10, 1, {"used": 5.0, "beyond": [ENDED], "age": 505.0, "is_read": False}, True),
    "never a refresh for 405 s": (10, 1, {"used": 5.0, "beyond": [ENDED], "age": 405.0, "is_read": False}, False),
}


@cases("case", CALLS)
def test_a_view_admits_a_call(case: str) -> None:
    """A call is admitted if `room`, the amount reserved for its process, covers it. Beyond `room`, a call is admitted
    if the rest of the budget covers it and, in addition, either covers all processes' estimated spending as well, or
    no earlier call beyond `room` has ended."""
    limit, amount, changes, answer = CALLS[case]
    fields = {"room": 0.0, "ends": FOREVER, "pace": None, "used": 0.0, "beyond": [], "age": 0.0, "is_read": True}
    room, ends, pace, used, beyond, age, is_read = {**fields, **changes}.values()
    view = View(limit, 0.0, 0.0, room=room, ends=ends, pace=pace)
    view.used, view.beyond, view.refreshed, view.is_read = used, [*beyond], view.refreshed - age, is_read
    assert view.takes(amount, RUNNING) is answer
    is_beyond = answer and not room and ends == FOREVER
    assert view.beyond == [*beyond, *([RUNNING] if is_beyond else [])]


def test_a_forked_child_knows_what_its_parent_knew() -> None:
    """A child process begins with its parent's state of the budgets, except `room`, which is reserved for the parent.
    If the child's budgets differ, or the parent has not read its journal, the child assumes that nothing is spent."""
    budgets, others = parse_budgets("fleet 9 USD/day"), parse_budgets("fleet 9 calls/day")
    parent, *children = (Gate(it, (), Estimates()) for it in (budgets, budgets, budgets, others))
    children[0].inherit(parent)
    parent.views = [View(9, 7, 1, room=0.5, ends=FOREVER)]
    for child in children[1:]:
        child.inherit(parent)
    states = [(view.left, view.spent, view.room, view.is_read) for child in children for view in child.views]
    assert states == [(9, 0, 0, False), (1, 7, 0, True), (9, 0, 0, False)]


def test_a_call_of_which_nothing_is_known_is_a_guess() -> None:
    """Until a call is estimated, 0.01 USD or 1,500 tokens are assumed, but at most 1 % of the budget."""
    budgets = parse_budgets("a 9 USD/day; b 0.5 USD/day; c 999999 tokens/day; d 5000 tokens/day; e 9 calls/day")
    assert [Usual().or_guess(budget) for budget in budgets] == [0.01, 0.005, 1500, 50, 1]
    assert [Usual(2, 3, is_known=True).or_guess(budget) for budget in budgets] == [2, 2, 3, 3, 1]


def test_an_estimate_becomes_the_agents_own_mean() -> None:
    """An agent's first three calls are estimated at its prompt's price or the earlier calls' cost, whichever is higher;
    later calls at its calls' mean cost plus their mean deviation. In both means the newest call weighs a tenth."""
    estimates = Estimates()
    assert estimates.of("Luna", "m") == Usual()
    estimates.set_first_estimate("Luna", "m", 4000, 1.5)
    assert estimates.of("Luna", "m") == Usual(1.5, 1500, is_known=True)
    estimates.learn("Dez", "m", 1.0, 2000)
    assert estimates.of("Luna", "m") == Usual(1.5, 2000, is_known=True)
    assert estimates.of("Whale", "m") == Usual(1.0, 2000, is_known=True)
    estimates.learn("Luna", "m", 1.0, 20)
    assert estimates.of("Luna", "m") == Usual(1.5, 1500, is_known=True)
    estimates.learn("Luna", "m", 3.0, 20)
    assert estimates.of("Luna", "m") == Usual(3.0, 1500, is_known=True)
    estimates.learn("Luna", "m", 2.0, 20)
    assert estimates.of("Luna", "m") == Usual(pytest.approx(2 + 2 / 3), 20, is_known=True)
    for usd in [1.0] * 200 + [11.0]:
        estimates.learn("Luna", "m", usd, 20)
    assert estimates.of("Luna", "m").usd == pytest.approx(3)


def test_a_first_call_without_a_price_is_not_free() -> None:
    """A first call without a price is estimated at the mean price per token of other calls, or at 5e-6 USD a token."""
    estimates = Estimates()
    estimates.set_first_estimate(None, "house-model-1", 4000, None)
    assert estimates.of(None, "house-model-1").usd == pytest.approx(1500 * 5e-6)
    estimates.note_price(1.0, 1000)
    estimates.note_price(3.0, 1000)
    estimates.set_first_estimate(None, "house-model-1", 4000, None)
    assert estimates.of(None, "house-model-1").usd == pytest.approx(1500 * 0.002)


def test_calls_without_a_models_name_say_nothing_of_each_other() -> None:
    """What one agent pays for calls of unknown models is not an estimate for another agent."""
    estimates = Estimates()
    estimates.learn("Luna", None, 9.0, 9000)
    assert estimates.of("Dez", None) == Usual()
