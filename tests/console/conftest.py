"""Fixtures of the console tests."""

import functools
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from src.observability import settings
from src.observability.console.app import app
from src.observability.journal.store import Journal, Row
from src.observability.recording.outcome import rows_of_outcome, scores_of_outcome
from tests.console.fleet import ask_others, judge
from tests.million import fill, observation_row


@pytest.fixture
def run(journal: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a command on the test's journal; as in a pipe, the output has no colours."""

    def command(*arguments: str, columns: int = 80) -> Result:
        journal.observations()
        monkeypatch.setenv("COLUMNS", str(columns))
        return CliRunner().invoke(app, [*arguments])

    return command


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test's time zone is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    @functools.cache
    def filled(traces: int, days: float, until_ns: int | None, judged: int) -> Path:
        journal = Journal(tmp_path_factory.mktemp("template") / "journal.db")
        fill(journal, traces, days=days, until_ns=until_ns)
        judge(journal, judged)
        journal.close()
        return journal.path

    return filled


@pytest.fixture
def journal_of(_template: Callable[..., Path]) -> Iterator[Callable[..., Journal]]:
    """Return a function that opens the test's copy of a journal with as many traces and outcomes as requested."""
    opened: list[Journal] = []

    def copy(traces: int, days: float = 14.0, until_ns: int | None = None, judged: int = 0) -> Journal:
        settings.journal_path().parent.mkdir(exist_ok=True)
        shutil.copy(_template(traces, days, until_ns, judged), settings.journal_path())
        opened.append(Journal(settings.journal_path()))
        return opened[-1]

    yield copy
    for journal in opened:
        journal.close()


@pytest.fixture
def filled(request: pytest.FixtureRequest, journal_of: Callable[..., Journal]) -> Journal:
    """The test's journal, filled with the arguments of the test's mark, such as `@pytest.mark.filled(100, days=10)`;
    without a mark, with 300 traces spread over two days."""
    mark = request.node.get_closest_marker("filled")
    return journal_of(*mark.args, **mark.kwargs) if mark else journal_of(300, days=2.0)


@pytest.fixture
def decide(made: Journal) -> Callable[..., str]:
    """Return a function that records a trace and returns its id. `calls` are pairs of a model and its cost: a number of
    USD, None for an unknown price, or "failed"."""
    ids = count(1)

    def trace(
        decisions: Sequence[tuple[str, float | None]] = (("BUY", 70),), agent: str = "WhaleAgent",
        calls: Sequence[tuple[str, Any]] = (), **outcome: float,
    ) -> str:  # fmt: skip
        trace_id = f"{next(ids):032x}"

        def row(**columns: Any) -> Row:
            shared = {"trace_id": trace_id, "trace_name": agent, "agent": agent}
            return observation_row(**shared, id=f"{(at := next(ids)):016x}", start_ns=at, end_ns=at, **columns)

        rows = [
            row(type="generation", name="llm_generation", model=model, provider="p",
                level="ERROR" if usd == "failed" else "DEFAULT", cost_usd=None if usd == "failed" else usd)
            for model, usd in calls
        ]  # fmt: skip
        for action, confidence in decisions:
            data = {"signal_action": action, "signal_confidence": confidence, "signal_valid": confidence is not None}
            rows.append(row(type="event", name="trading_signal", metadata=json.dumps(data)))
        made.append(rows, [])
        if outcome:
            made.append([], rows_of_outcome(made, trace_id, scores_of_outcome(trace_id, **outcome), None))
        return trace_id

    return trace


@pytest.fixture
def varied(made: Journal, decide: Callable[..., str]) -> Journal:
    """300 traces of many agents, and five unusual ones. Some have two calls, half have outcomes, some corrected."""
    fill(made, 300, days=2)
    ask_others(made, 100)
    judge(made, 150)
    trades = [("BUY", 70.0), ("SELL", 20.5), ("SELL", None), ("NOTHING", 50.0)]
    decide(trades, calls=[("dear", 5.0), ("cheap", 0.5)], pnl_usd=-1)
    decide(calls=[("cheap", 0.5), ("cheap", None)], pnl_pct=3.125)
    decide(calls=[("deaf", "failed"), ("deaf", "failed")], pnl_usd=2)
    decide([("NOTHING", 60.0), ("HODL", None)], agent="RuleAgent")
    decide(agent="RuleAgent", pnl_usd=0.5)
    return made
