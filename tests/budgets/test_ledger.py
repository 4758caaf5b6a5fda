"""The amounts that the ledger counts for the rows of a journal, without a running recorder."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from src.observability.budgets import Keeper, Ledger, Status, ledger, parse_budgets
from src.observability.internal_errors import failures
from src.observability.journal import JournalSession
from src.observability.journal.store import Journal
from tests.budgets.calls import INPUT, OUTPUT, USD
from tests.cases import cases
from tests.million import observation_row

TEXT = "fleet 9 USD/day UTC; fleet 99999 tokens/day UTC; fleet 99 calls/day UTC"
NOW = 1_800_000_000
USAGE = json.dumps({"input": INPUT, "output": OUTPUT})
PRICED = {"usage": USAGE, "cost_usd": USD}
LONG = "x" * 4000  # a prompt of about 1,000 tokens
PROMPT_USD = 1000 * 2.5e-6  # its price
_numbers: Iterator[int] = iter(range(10**9))


def add(journal: Journal, **columns: Any) -> None:
    """Append the row of a call of gpt-4o."""
    name = f"{next(_numbers):016x}"
    call = {"type": "generation", "provider": "openai", "model": "gpt-4o", "model_requested": "gpt-4o"}
    times = {"start_ns": NOW * 10**9, "end_ns": NOW * 10**9 + 1}
    journal.append(
        [
            observation_row(
                id=name, trace_id=name * 2, name="llm_generation", trace_name="Luna", **{**call, **times, **columns}
            )
        ],
        [],
    )


def settled(journal: Journal, counting: Ledger) -> list[Status]:
    """Count all rows, and return the state of the budgets."""
    with journal.transaction() as db:
        while not counting.settle(db, NOW):
            pass
        return counting.statuses(db, NOW)


FAILED, ANSWERED = {"level": "ERROR", "input": LONG}, {"input": LONG}
HOUSE = {"model": "house-model-1", "model_requested": "house-model-1"}
# Name -> (columns of the row, expected USD, tokens and calls, and whether the amounts are an estimate).
CHARGES: dict[str, tuple[dict[str, Any], tuple[float, float, int, bool]]] = {
    "priced": (PRICED, (USD, INPUT + OUTPUT, 1, False)),
    "an embedding": ({"type": "embedding", **PRICED}, (USD, INPUT + OUTPUT, 1, False)),
    "a span": ({"type": "span", **PRICED}, (0, 0, 0, False)),
    "still running": ({"state": "open", **PRICED}, (0, 0, 0, False)),
    "a cost without tokens": ({"cost_usd": 0.02}, (0.02, 0, 1, True)),
    "tokens without a cost": ({"usage": USAGE}, ((INPUT + OUTPUT) * 5e-6, INPUT + OUTPUT, 1, True)),
    "refused by a budget": ({**FAILED, "status_message": "BudgetExceeded: the budget"}, (0, 0, 0, False)),
    "failed": ({**FAILED, "status_message": "HTTP 503"}, (0, 0, 1, False)),
    "failed without a message": (FAILED, (0, 0, 1, False)),
    "a timeout": ({**FAILED, "status_message": "ReadTimeout: 30 s"}, (PROMPT_USD, 1000, 1, True)),
    "timed out": ({**FAILED, "status_message": "Request timed out."}, (PROMPT_USD, 1000, 1, True)),
    "interrupted": ({"level": "WARNING", "input": LONG}, (PROMPT_USD, 1000, 1, True)),
    "answered without tokens": (ANSWERED, (PROMPT_USD + 500 * 10e-6, 1500, 1, True)),
    "answered without a price": ({**ANSWERED, **HOUSE}, (1500 * 5e-6, 1500, 1, True)),
    "interrupted without an input": ({"level": "WARNING", **HOUSE}, (0, 0, 1, True)),
}


@cases("case", CHARGES)
def test_a_recorded_call_is_charged(case: str, made: Journal) -> None:
    """Each kind of row adds the expected amounts: a failed call is free, but it is a call."""
    columns, (usd, tokens, calls, is_estimated) = CHARGES[case]
    before = settled(made, Ledger(parse_budgets(TEXT)))
    add(made, **columns)
    after = settled(made, Ledger(parse_budgets(TEXT)))
    amounts = [now.spent - then.spent for now, then in zip(after, before, strict=True)]
    assert amounts == pytest.approx([usd, tokens, calls])
    estimated = [now.unpriced - then.unpriced for now, then in zip(after, before, strict=True)]
    assert estimated == [is_estimated, is_estimated, 0]


def test_an_answer_without_tokens_costs_as_usual(made: Journal) -> None:
    """A new process learns from recent calls what a call costs; an answer without token counts is charged this cost."""
    for _ in range(3):
        add(made, agent="Luna", **PRICED)
        add(made, agent="Luna", **HOUSE, usage=USAGE)
    counting = Ledger(parse_budgets(TEXT))
    before = settled(made, counting)
    with made.transaction() as db:
        counting.learn_recent(db)
    for model in ({}, HOUSE):
        add(made, agent="Luna", **ANSWERED, **model)
    amounts = [now.spent - then.spent for now, then in zip(settled(made, counting), before, strict=True)]
    assert amounts == pytest.approx([USD + (INPUT + OUTPUT) * 5e-6, 2 * (INPUT + OUTPUT), 2])


def test_no_row_is_counted_twice_and_none_is_left_out(made: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call counts once, although rows are counted in steps of two, a budget is added, and rows are deleted."""
    monkeypatch.setattr(ledger, "_STEP", 2)
    old, new = parse_budgets("fleet 9 calls/day UTC; fleet 99999 tokens/day UTC")
    settled(made, Ledger([old]))
    for _ in range(4):
        add(made, usage=USAGE)
    statuses = settled(made, Ledger([old, new]))
    assert [status.spent for status in statuses] == [4, 4 * (INPUT + OUTPUT)]
    assert statuses[1].unpriced == 4
    with made.transaction() as db:
        db.execute("DELETE FROM observations WHERE seq > 1")
    settled(made, Ledger([old, new]))
    add(made, **PRICED)
    assert [status.spent for status in settled(made, Ledger([old, new]))] == [5, 5 * (INPUT + OUTPUT)]


def test_a_new_budget_counts_its_period_only(made: Journal) -> None:
    """A new budget counts the earlier calls of its period, here those since midnight. If such a call has no price, the
    cost of 1,000 tokens is assumed."""
    midnight = NOW // 86_400 * 86_400
    for seconds, cost in ((-3600, None), (-1, USD), (0, USD), (3600, None)):
        add(made, usage=USAGE, cost_usd=cost, start_ns=(midnight + seconds) * 10**9)
    statuses = settled(made, Ledger(parse_budgets(TEXT)))
    assert [status.spent for status in statuses] == pytest.approx([USD + 1000 * 5e-6, 3500, 2])
    assert [status.unpriced for status in statuses] == [1, 1, 0]


def test_a_raise_counts_from_its_beginning_to_its_end(made: Journal) -> None:
    """A raise of a budget by the operator counts until the raise ends; raises that overlap add up."""
    (budget,) = parse_budgets("fleet 9 calls/day UTC")
    counting = Ledger([budget])
    with made.transaction() as db:
        ledger.raise_budget(db, budget, 2, NOW, NOW + 60)
        ledger.raise_budget(db, budget, 3, NOW, NOW + 120)
        limits = [counting.statuses(db, NOW + seconds)[0].limit for seconds in (-1, 0, 59, 60, 120)]
    assert limits == [9, 14, 14, 12, 9]


def test_a_budget_is_low_below_15_percent() -> None:
    """A budget of which less than 15 % is left, after what is spent and reserved, is shown as low."""
    (budget,) = parse_budgets("fleet 20 calls/day")
    assert [Status(budget, 20, spent, 1, 0, 0, 0).is_low for spent in (15, 16, 17)] == [False, False, True]


@pytest.mark.failures_expected
@pytest.mark.usefixtures("_copied_journal")
def test_a_keeper_knows_the_usual_cost_and_says_that_it_cannot_count() -> None:
    """A new process learns a call's cost from recent calls. A failure to count spending is reported, not raised."""
    session = JournalSession()
    journal = session.open()
    for _ in range(3):
        add(journal, agent="Luna", **PRICED)
    keeper = Keeper(parse_budgets(TEXT), ())
    keeper.refresh(journal, session)
    amounts = keeper.gate.plan_of("Luna", "gpt-4o").amounts
    assert amounts == ((0, pytest.approx(USD)), (1, INPUT + OUTPUT), (2, 1))
    views = keeper.gate.views
    keeper.read(journal.path)
    assert keeper.gate.views is views  # `read` does not replace the state that `refresh` has set
    journal.script("DROP TABLE budget_slices")
    Keeper(parse_budgets(TEXT), ()).refresh(journal, session)
    assert "spending cannot be counted against the budgets" in (failures.last or "")
    session.close()
