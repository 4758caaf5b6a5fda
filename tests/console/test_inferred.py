"""Inferred signals are marked, count in hit rates only on request, and give way to the trace's recorded signal."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.observability import ObservabilityContext, observe_llm, runtime


@pytest.fixture(autouse=True)
def _inferring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVABILITY_INFER_SIGNALS", "true")


def decide(own: str | None = None) -> str:
    """Record a trace with an inferred SELL and, if `own` is given, a later signal `own`; return the trace's id."""
    with ObservabilityContext.agent_cycle("WhaleAgent") as cycle:
        observe_llm(lambda: "SELL\nToo far\nConfidence: 72%")()
    if own is not None:
        assert runtime.running().recorder.flush(10)
        ObservabilityContext.add_agent_metadata("whale", "WhaleAgent")
        ObservabilityContext.add_trading_signal(own, 60, "against the model")
    assert cycle.trace_id is not None
    ObservabilityContext.record_outcome(cycle.trace_id, pnl_usd=5)
    assert runtime.running().recorder.flush(10)
    return cycle.trace_id


def test_a_late_signal_of_ones_own_replaces_the_inferred_one(run: Callable[..., Any]) -> None:
    """A signal that the agent records later replaces the inferred one in the list, and gets the trace's outcome."""
    decide(own="BUY")
    (line,) = [json.loads(line) for line in run("decisions", "--json").stdout.splitlines()]
    assert (line["metadata"]["signal_action"], line["stands"], line["pnl_usd"]) == ("BUY", True, 5)


def test_an_inferred_signal_is_marked_and_counts_only_if_asked_for(run: Callable[..., Any]) -> None:
    """The list marks an inferred signal as `≈ SELL`; the evaluation counts the signal only with --inferred."""
    decide()
    assert "≈ SELL 72%" in run("decisions").stdout
    assert "Only outcomes of inferred decisions found (1): add --inferred" in run("decisions", "--report").stderr
    assert "1 BUY and SELL decision" in run("decisions", "--report", "--inferred").stdout


def test_the_page_marks_an_inferred_signal_and_says_where_it_counts(run: Callable[..., Any], tmp_path: Path) -> None:
    """The HTML report lists an inferred signal as `≈ SELL`, and names the command that evaluates inferred signals."""
    decide()
    run("report", "--html", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ">≈ SELL</span>" in page
    assert "No outcomes in this period" in page
    assert "decisions --report --inferred" in page
