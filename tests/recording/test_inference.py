"""An answer whose first line is only an action, such as BUY, is an inferred signal, unless the trace has a signal."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from src.observability import ObservabilityContext, observe_llm
from src.observability.recording.inference import decision_in
from src.observability.tracing import cycle_method
from tests.cases import cases


@pytest.fixture(autouse=True)
def _inferring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVABILITY_INFER_SIGNALS", "true")


THREE_LINES = "SELL\nLong liquidations rose by 80 %\nConfidence: 72%"
DECISIONS: dict[str, tuple[str, tuple[str, str, float | None, str, str | None]]] = {
    "three lines": (THREE_LINES, ("SELL", "SELL", 72.0, "Long liquidations rose by 80 %", None)),
    "one word": ("buy", ("BUY", "BUY", None, "", None)),
    "in Markdown": ("**HOLD**\n\nNo edge.", ("NOTHING", "HOLD", None, "No edge.", None)),
    "two words": ("Do nothing.\nFlat.", ("NOTHING", "DO NOTHING", None, "Flat.", None)),
    "a long reason is cut": ("BUY\n" + "x" * 501, ("BUY", "BUY", None, "x" * 500, None)),
    "a symbol": ("BUY\nMomentum\nSymbol: ETH\nConfidence - 55.5", ("BUY", "BUY", 55.5, "Momentum", "ETH")),
}


@cases("case", DECISIONS)
def test_an_answer_that_begins_with_an_action_is_a_decision(case: str) -> None:
    """An action alone on the first line is a decision; lines below may give its reason, confidence and symbol."""
    answer, expected = DECISIONS[case]
    assert decision_in(answer) == expected


@cases("answer", ["", "I would buy here.", "BUY or SELL?", "Buying pressure\nBUY", "BUY BTC now", "B" * 9999])
def test_any_other_answer_is_none(answer: str) -> None:
    """An action inside a sentence, or below the first line, is not a decision."""
    assert decision_in(answer) is None


@observe_llm
def ask(answer: str) -> str:
    """Stand in for a model call that gives this answer."""
    return answer


def signals(journal: Any) -> list[dict[str, Any]]:
    """Return the rows of the recorded signals."""
    return [row for row in journal.observations() if row["name"] == "trading_signal"]


def test_an_answer_without_a_cycle_is_a_signal_of_its_own(journal: Any) -> None:
    """A signal inferred from an answer outside a cycle is a child of the answer's row, with tags but without scores."""
    ask(THREE_LINES)
    call, signal = journal.observations()
    assert (signal["parent_id"], signal["trace_id"], signal["is_root"]) == (call["id"], call["trace_id"], 0)
    assert signal["output"] == {
        "action": "SELL", "confidence": 72.0, "reasoning": "Long liquidations rose by 80 %",
    }  # fmt: skip
    assert signal["metadata"]["signal_inferred"] is True
    assert signal["tags"] == ["signal:sell", "confidence:72", "signal:inferred"]
    assert journal.scores() == []
    assert (call["cost_usd"], signal["usage"], signal["model"]) == (None, None, None)


@pytest.mark.parametrize("own", [True, False])
def test_it_gives_way_to_the_cycles_own_signal(own: bool, journal: Any) -> None:
    """The signal inferred from an answer is written at the cycle's end, unless the cycle has a signal of its own."""
    with ObservabilityContext.agent_cycle("WhaleAgent"):
        ask(THREE_LINES)
        ask("Something else")
        assert signals(journal) == []
        if own:
            ObservabilityContext.add_trading_signal("BUY", 60, "against the model")
    (signal,) = signals(journal)
    assert signal["output"]["action"] == ("BUY" if own else "SELL")
    assert signal["agent"] == "WhaleAgent"


def test_it_may_be_turned_off(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """OBSERVABILITY_INFER_SIGNALS=false turns inference off."""
    monkeypatch.setenv("OBSERVABILITY_INFER_SIGNALS", "false")
    ask(THREE_LINES)
    assert signals(journal) == []


class SwarmAgent:
    """Stands in for an agent that calls several models in a pool of threads."""

    def query(self, *answers: str) -> str:
        """Call `ask` once per answer, each call in a thread of the pool."""
        with ThreadPoolExecutor(4) as pool:
            return "\n".join(pool.map(ask, answers))


SwarmAgent.query = cycle_method(SwarmAgent.query, "SwarmAgent", collects_votes=True)  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("answers", "votes", "winner"),
    [
        (("BUY", "BUY", "SELL", "unsure"), {"BUY": 2, "SELL": 1}, "BUY"),
        (("BUY", "HOLD"), {"BUY": 1, "NOTHING": 1}, None),
    ],
)
def test_a_swarms_answers_are_votes(answers: Any, votes: Any, winner: Any, journal: Any) -> None:
    """The query's row has the votes. A majority is recorded as a signal, a tie is not. All rows are in one trace."""
    SwarmAgent().query(*answers)
    rows = journal.observations()
    (query,) = [row for row in rows if row["type"] == "agent"]
    assert (query["name"], query["metadata"]["votes"], query["metadata"]["winner"]) == ("SwarmAgent", votes, winner)
    assert [row["output"]["action"] for row in signals(journal)] == ([winner] if winner else [])
    assert {row["trace_id"] for row in rows} == {query["trace_id"]}
    assert {row["agent"] for row in rows if row["type"] == "generation"} == {"SwarmAgent"}


def test_a_query_inside_a_cycle_belongs_to_its_trace(journal: Any) -> None:
    """If a swarm is queried within a cycle, all rows are in the cycle's trace; model calls have SwarmAgent as agent."""
    with ObservabilityContext.agent_cycle("TradingAgent"):
        SwarmAgent().query("SELL", "SELL")
    rows = {(row["type"], row["name"]): row for row in journal.observations()}
    assert rows["agent", "SwarmAgent"]["parent_id"] == rows["agent", "TradingAgent"]["id"]
    assert {row["trace_name"] for row in rows.values()} == {"TradingAgent"}
    assert rows["generation", "ask"]["agent"] == "SwarmAgent"
    assert rows["event", "trading_signal"]["output"]["action"] == "SELL"


def test_an_agents_own_cycle_is_the_methods(journal: Any) -> None:
    """If a method traced as a cycle opens a cycle itself, one cycle is recorded, as an ERROR if the method raises."""

    class FundingAgent:
        def run_monitoring_cycle(self, symbol: str) -> None:
            with ObservabilityContext.agent_cycle("FundingAgent", "funding", input="rates") as cycle:
                cycle.set_output("held")
            ask("after the inner cycle")
            raise ValueError("no rates")

    FundingAgent.run_monitoring_cycle = cycle_method(  # type: ignore[method-assign]
        FundingAgent.run_monitoring_cycle, "FundingAgent"
    )
    with pytest.raises(ValueError, match="no rates"):
        FundingAgent().run_monitoring_cycle("BTC")
    row, call = journal.observations()
    assert call["parent_id"] == row["id"]
    assert (row["name"], row["agent"], row["level"]) == ("FundingAgent", "FundingAgent", "ERROR")
    assert (row["input"], row["output"], row["metadata"]["agent_type"]) == ("rates", "held", "funding")
