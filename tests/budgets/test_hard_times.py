"""Budgets with locked journals, clocks set back, dying processes, unpriced calls: no call waits, and none is free."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest

from src.observability import ObservabilityContext, runtime, settings
from src.observability.budgets import Ledger, parse_budgets
from src.observability.journal.store import Journal
from src.observability.tracing import Observation, budgeting
from tests.budgets.asking import ask, counted, gate
from tests.budgets.calls import INPUT, OUTPUT, USD, PricedModel
from tests.budgets.fleet import SlowModel, in_another_process

DAY = 86_400


def test_no_call_waits_for_a_locked_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program locks the journal, calls are checked against the last known remainder of the budget."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 20 USD/week")
    model = PricedModel()
    for _ in range(4):
        ask(model)
    slowest = 0.0
    blocker = sqlite3.connect(settings.journal_path(), isolation_level=None, timeout=5)
    try:
        blocker.execute("BEGIN IMMEDIATE")
        until = time.monotonic() + 1
        while time.monotonic() < until:
            began = time.thread_time()
            assert model.generate_response("", "Buy?") is not None
            slowest = max(slowest, time.thread_time() - began)
            time.sleep(0.3)
    finally:
        blocker.close()
    assert slowest < 0.05
    counted()
    assert gate().views[0].spent == pytest.approx(len(model.asked) * USD)


def test_a_clock_that_is_set_back_grants_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the clock is set back or forward, each period keeps its own spending."""
    text = "fleet 2 calls/day UTC"
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", text)
    ask(PricedModel())
    runtime.close()
    now = time.time()
    ledger = Ledger(parse_budgets(text))
    journal = Journal(settings.journal_path())
    spent = []
    with journal.transaction() as db:
        for days in (0, -1, 0, 1, 0):
            assert ledger.settle(db, now + days * DAY)
            spent.append(ledger.statuses(db, now + days * DAY)[0].spent)
        assert ledger.statuses(db, now)[0].reserved == 0  # nothing stays reserved for the ended process
    journal.close()
    assert spent == [1, 0, 1, 0, 1]


def test_a_budget_that_is_introduced_counts_what_its_period_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new budget counts earlier calls of its period, also calls of processes without budgets."""
    model = PricedModel()
    for _ in range(3):
        model.generate_response("", "Buy?")
    runtime.close()
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", f"fleet {5 * USD} USD/week; gpt-4o 9 calls/week; * 99999 tokens/week")
    ask(model)
    assert [view.spent for view in gate().views] == pytest.approx([4 * USD, 4, 4 * (INPUT + OUTPUT)])


def test_a_new_process_knows_of_a_used_up_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process that makes one call knows of a used-up budget, since it reads the budgets' state at its start."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 1 calls/week")
    assert ask(PricedModel()) is not None
    runtime.close()
    start()
    assert PricedModel().generate_response("", "Buy?") is None


def test_the_first_process_on_a_machine_knows_that_nothing_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that finds no journal creates it at its start: until then, calls after the first would be refused."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 100 calls/week")
    assert not settings.journal_path().exists()
    start()
    assert PricedModel().generate_response("", "Buy?") is not None


def start() -> None:
    """Start the budgets as a new process does, and wait until their state has been read from the journal."""
    runtime.prepare_budgets()
    deadline = time.monotonic() + 5
    while not gate().views[0].is_read:
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Unpriced(PricedModel):
    """A model that is not in the price table."""

    def __init__(self) -> None:
        super().__init__("house-model-1")


def test_a_call_without_a_price_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call without a known price costs 5 USD per million tokens, or the mean price once there are priced calls."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 9 USD/week; fleet 99999 tokens/week; fleet 99 calls/week")
    ask(Unpriced())
    tokens = INPUT + OUTPUT
    assert [view.spent for view in gate().views] == pytest.approx([tokens * 5e-6, tokens, 1])
    ask(PricedModel())
    ask(Unpriced())
    assert gate().views[0].spent == pytest.approx(tokens * 5e-6 + 2 * USD)


class Patient(PricedModel):
    """A model that takes longer than its caller waits."""

    async def _asend(self, request: dict[str, Any]) -> Any:
        await asyncio.sleep(60)


def test_a_cancelled_call_keeps_its_input_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled call is charged for its prompt of about 1,000 tokens, since the provider has read the prompt."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 9 USD/week")

    async def impatient() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Patient().agenerate_response("", "Buy? " * 800), 0.05)

    asyncio.run(impatient())
    counted()
    assert 1000 * 2.5e-6 <= gate().views[0].spent <= 1200 * 2.5e-6


def test_a_reservation_is_near_to_what_is_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few calls, the amount reserved for a call is at most a fifth too high, whatever `max_tokens` is."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 9 USD/week")
    model = PricedModel()
    for _ in range(5):
        model.generate_response("", "Buy?", max_tokens=100_000)
        counted()
    ((_, amount),) = gate().plan_of(None, "gpt-4o").amounts
    assert USD <= amount <= 1.2 * USD


def test_the_callers_thread_pays_a_few_microseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three budgets add less than 10 µs to a call, in the best of five rounds."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 9999 USD/week; gpt-* 999999 calls/week; * 999999999 tokens/week")
    ask(PricedModel())
    observations = [Observation("x", "generation") for _ in range(2000)]
    best = float("inf")
    for _ in range(5):
        began = time.thread_time()
        for observation in observations:
            budgeting.gate.admit(observation, "gpt-4o")
        best = min(best, (time.thread_time() - began) / len(observations))
        gate().outstanding.clear()
    assert best < 10e-6


def _ask_for_ever() -> None:
    model = SlowModel()
    model.seconds = 600
    model.generate_response("", "Buy?")


@pytest.mark.slow
def test_a_killed_process_gives_its_slice_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGKILL during a call, another process frees the call's reservation and counts its prompt within 30 s."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", f"fleet {2.5 * USD} USD/week")
    model = PricedModel()
    ask(model)
    process = in_another_process(_ask_for_ever)
    wait_until(lambda: gate().views[0].left < USD, 20)
    assert model.generate_response("", "Buy?") is None  # the ledger reads on to this row, past the running call's row
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    wait_until(lambda: gate().views[0].left > USD, 30)

    def is_counted() -> bool:
        with ObservabilityContext.agent_cycle("Idle"):  # writing a row also closes rows of dead processes
            time.sleep(0.1)
        return USD * 1.0001 < gate().views[0].spent < USD * 1.01

    wait_until(is_counted, 35)
    assert model.generate_response("", "Buy?") is not None


def wait_until(what: Callable[[], bool], seconds: float) -> None:
    """Poll until another thread has made a condition true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not within its time"
        time.sleep(0.05)
