"""Many processes share one budget: they use at least 95 % of it, and exceed it at most by the calls in flight."""

from typing import Any

import pytest

from tests.budgets.calls import USD
from tests.budgets.fleet import fleet

PROCESSES, CALLS = 48, 200


@pytest.mark.slow
def test_48_processes_share_a_budget(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """A budget allows a quarter of 48 processes' calls: at least 95 % of it is used, and at most 48 calls exceed it."""
    limit = PROCESSES * CALLS // 4
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", f"fleet {limit * USD:.4f} USD/week")
    monkeypatch.setenv("OBSERVABILITY_EXIT_SECONDS", "60")
    done = fleet(PROCESSES, CALLS, seconds=0.3)
    capfd.readouterr()
    answered = sum(worker.answered for worker in done)
    with capfd.disabled():
        print(f"\n{answered} of {limit} calls were made, {answered - limit} beyond; in flight: at most {PROCESSES}")
    assert 0.95 * limit <= answered <= limit + PROCESSES


@pytest.mark.slow
def test_exits_are_never_refused(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """10,000 calls inside `exit_decision` are made, although the budget is used up by the first call."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 0.01 USD/week; fleet 1 calls/hour stop")
    monkeypatch.setenv("OBSERVABILITY_EXIT_SECONDS", "60")
    done = fleet(10, 1000, seconds=0.0, exiting=True)
    capfd.readouterr()
    assert sum(worker.answered for worker in done) == 10_000
