"""Calls within a budget are made and counted; calls beyond it are refused, asked elsewhere, or told."""

import time
from typing import Any

import pytest

from src.observability import runtime
from src.observability.tracing import budgeting
from tests.budgets.calls import USD, PricedModel


def ask(model: PricedModel) -> Any:
    """A call, journalled and counted."""
    answer = model.generate_response("", "Buy or sell?")
    counted()
    return answer


def counted() -> None:
    """Wait until the keeper has counted all calls so far."""
    recorder = runtime.running().recorder
    assert recorder.flush(5)
    gate: Any = budgeting.gate
    views = gate.views
    gate.is_hungry = True

    deadline = time.monotonic() + 5
    while gate.views is views:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_hard_budget_refuses_our_models(monkeypatch: pytest.MonkeyPatch, capsys: Any, journal: Any) -> None:
    """Four calls of a cent fit into 4 cents; the fifth answers as a failed one, and is recorded, but not counted."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", f"fleet {4 * USD} USD/day")
    model = PricedModel()
    answers = [ask(model) for _ in range(6)]
    assert [answer is not None for answer in answers] == [True] * 4 + [False] * 2
    assert len(model.asked) == 4
    printed = capsys.readouterr().out
    assert printed.count("❌ Model error: the budget 'fleet 0.04 USD/day' is used up") == 2
    assert "Nothing was sent." in printed
    rows = journal.observations()
    assert [row["level"] for row in rows] == ["DEFAULT"] * 4 + ["ERROR"] * 2
    assert rows[-1]["status_message"].startswith("BudgetExceeded: the budget")
    assert budgeting.gate.views[0].spent == pytest.approx(4 * USD)
