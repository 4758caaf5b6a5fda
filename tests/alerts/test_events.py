"""The alerts' events, read from journals that real calls of agents have filled."""

from contextlib import closing, nullcontext
from operator import itemgetter
from typing import Any

import pytest

from src.observability import ObservabilityContext, observe_llm, runtime, settings
from src.observability.alerts.events import Call, DecisionEvent, Event, TraceEnd, new_events, newest
from src.observability.journal.store import Journal
from tests.alerts.agents import T0, append, cycle


@observe_llm(name="llm_generation")
def ask(answer: Any) -> Any:
    """Stand for a traced model call: return `answer`, or raise `answer` if it is an exception."""
    if isinstance(answer, Exception):
        raise answer
    return answer


def events_of(journal: Any) -> list[tuple[str, Event]]:
    """Return all events of the test's journal."""
    journal.observations()  # waits until queued rows are in the journal
    opened = Journal(settings.journal_path())
    try:
        return [*new_events(opened, 0, newest(opened))]
    finally:
        opened.close()


def test_a_cycle_is_a_call_a_decision_and_an_end(journal: Any) -> None:
    """A cycle gives the events call, decision and end of the trace, in this order, with the agent's name."""
    with ObservabilityContext.agent_cycle("WhaleAgent"):
        ask("BUY\nwhales")
        ObservabilityContext.add_trading_signal("BUY", 70, "whales", symbol="BTC")
    (first, call), (second, decision), (third, end) = events_of(journal)
    assert (first, second, third) == ("WhaleAgent",) * 3
    assert isinstance(call, Call)
    assert isinstance(decision, DecisionEvent)
    assert isinstance(end, TraceEnd)
    assert (call.failed, call.refused, decision[2:], end.decided) == (
        False, False, ("BUY", 70.0, "BTC", True), True,
    )  # fmt: skip
    assert call.trace_id == decision.trace_id == end.trace_id
    assert call.seconds is not None
    assert call.answer is not None


@pytest.mark.parametrize(
    ("answer", "failed", "refused"),
    [
        (ConnectionError("HTTP 503"), True, False),
        ("I'm sorry, but I can't help with financial advice.", False, True),
        ("I cannot provide trading signals.", False, True),
        ("", False, True),
        (None, False, True),
        ("SELL\nI cannot see a reason to hold.", False, False),
        ("Sorry state of the order book: SELL", False, False),
    ],
)
def test_a_call_alone(answer: Any, failed: bool, refused: bool, journal: Any) -> None:
    """A call without a cycle is the root of its trace, which has no valid decision."""
    with pytest.raises(ConnectionError) if failed else nullcontext():
        ask(answer)
    (_, call), (_, end) = events_of(journal)
    assert isinstance(call, Call)
    assert (call.failed, call.refused) == (failed, refused)
    assert end == TraceEnd(end.at_ns, call.trace_id, None if failed else False)


def test_an_inferred_decision_counts(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If signals are inferred and the agent records none, the answer's first line counts as the agent's decision."""
    monkeypatch.setenv("OBSERVABILITY_INFER_SIGNALS", "true")
    ask("SELL\nfunding\nConfidence: 65%")
    ask("no idea")
    kinds = [event for _, event in events_of(journal) if not isinstance(event, Call)]
    assert [event.decided for event in kinds if isinstance(event, TraceEnd)] == [True, False]
    assert [event[2:4] for event in kinds if isinstance(event, DecisionEvent)] == [("SELL", 65.0)]


def test_an_interrupted_call_is_no_event(journal: Any) -> None:
    """Calls and cycles of a process that died give no events, since they tell nothing about the model's answers."""
    with ObservabilityContext.agent_cycle("Dying"):
        ask("BUY")
    rows = journal.observations()
    runtime.close()
    with closing(Journal(journal.path)) as kept:
        kept.change("UPDATE observations SET state = 'open', process = '1-dead'")
        assert kept.interrupt("1-dead") == len(rows) == 2
        assert [row["is_root"] for row in sorted(kept.observations(), key=itemgetter("seq"))] == [0, 1]
        assert list(new_events(kept, 0, newest(kept))) == []


def test_pages_join_without_a_seam(made: Journal) -> None:
    """When the journal is read in several pages, no row is missed or repeated; unfinished observations are left out."""
    append(made, [cycle(T0 + number) for number in range(1500)])
    append(made, [cycle(T0 + 9999, state="open")])
    events = [event for _, event in new_events(made, 0, newest(made))]
    assert len(events) == 4500
    assert [event.at_ns for event in events if isinstance(event, TraceEnd)] == [*range(T0, T0 + 1500)]
