"""🌙 Moon Dev's Context Tests
Built with love by Moon Dev 🚀

Tests that a call, a signal or an error gets the right trace and the right agent.
"""

import asyncio
import sys
import threading
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from src.observability import ObservabilityContext, context, observe_llm, runtime
from src.observability.tracing import current, current_observation, otel
from src.observability.tracing import signal as signals
from tests.tracing.alarms import alarms, line_of_alarm

signal = ObservabilityContext.add_trading_signal


@observe_llm(name="llm_generation")
def ask(prompt: str = "What now?") -> str:
    """Answer as a model would, without calling one."""
    return "BUY"


@observe_llm(as_type="tool")
def look_up() -> None:
    """Do nothing, in place of a tool."""


def by_name(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the only row with this name."""
    (row,) = [row for row in rows if row["name"] == name]
    return row


@pytest.fixture
def agent_file(tmp_path: Path) -> Callable[[str, str], Any]:
    """Return a function that runs agent code as a module in an `agents` folder, like moon-dev-ai-agents."""

    def make(file: str, code: str) -> Any:
        folder = tmp_path / "agents"
        folder.mkdir(exist_ok=True)
        path = folder / file
        path.write_text(code)
        namespace: dict[str, Any] = {"ask": ask, "look_up": look_up, "ObservabilityContext": ObservabilityContext}
        exec(compile(code, str(path), "exec"), namespace)
        return namespace

    return make


def test_a_signal_in_a_cycle_is_its_output_an_event_tags_and_scores(journal: Any) -> None:
    """A signal in a cycle becomes the cycle's output, and a child event with metadata and tags; it also gets scores."""
    with ObservabilityContext.agent_cycle("WhaleAgent", "whale", {"oi_usd": 5}, exchange="hyperliquid") as cycle:
        signal("sell", "85%", "Whales leave", "ETH", leverage=3)
    root, event = journal.observations()
    assert root["type"] == "agent"
    assert {root["name"], root["trace_name"], root["agent"]} == {"WhaleAgent"}
    assert root["trace_id"] == cycle.trace_id
    assert (root["input"], root["metadata"]) == ({"oi_usd": 5}, {"agent_type": "whale", "exchange": "hyperliquid"})
    assert root["output"] == {"action": "SELL", "confidence": 85.0, "reasoning": "Whales leave", "symbol": "ETH"}
    assert event["parent_id"] == root["id"]
    assert event["metadata"] == {
        "signal_action": "SELL", "signal_confidence": 85.0, "signal_confidence_raw": "85%", "signal_valid": True,
        "signal_reasoning": "Whales leave", "trading_symbol": "ETH", "leverage": 3,
    }  # fmt: skip
    assert event["tags"] == ["signal:sell", "confidence:85"]
    assert [(score["name"], score["value"]) for score in journal.scores()] == [
        ("signal_action", "SELL"), ("signal_confidence", 85.0),
    ]  # fmt: skip


def test_several_decisions_of_a_cycle_are_all_kept(journal: Any) -> None:
    """If a cycle decides for several symbols, its output is a list of decisions, each of which has its own scores."""
    with ObservabilityContext.agent_cycle("Agent"):
        for symbol in ("BTC", "ETH", "SOL"):
            signal("BUY", 70, "Up", symbol)
    assert [decision["symbol"] for decision in journal.observations()[0]["output"]] == ["BTC", "ETH", "SOL"]
    assert len({score["id"] for score in journal.scores()}) == 6


@pytest.mark.parametrize(
    ("confidence", "kept"),
    [(85, 85), ("85%", 85), (" 72.5 % ", 72.5), (-3, 0), (250, 100), ("1e9", 100), (float("inf"), 100), (True, 1)],
)
def test_confidence_is_a_percentage(confidence: Any, kept: float, journal: Any) -> None:
    """A confidence is recorded as a number from 0 to 100; if it was given otherwise, the given value is kept too."""
    signal("BUY", confidence, "why")
    (event,) = journal.observations()
    assert event["metadata"]["signal_confidence"] == kept
    assert event["metadata"]["signal_valid"] is True
    assert ("signal_confidence_raw" in event["metadata"]) == (confidence != kept)
    assert "trading_symbol" not in event["metadata"]


@pytest.mark.parametrize(
    ("action", "confidence"),
    [("HODL", 50), ("", 50), (None, 50), ("BUY", "very"), ("BUY", None), ("BUY", float("nan")), ("BUY", object())],
)
def test_what_nobody_can_act_on_is_kept_and_marked_invalid(action: Any, confidence: Any, journal: Any) -> None:
    """An unknown action or confidence is kept as given; the signal is marked as invalid, and gets a tag. An unknown
    action does not become a tag."""
    signal(action, confidence, "why")
    (event,) = journal.observations()
    assert event["metadata"]["signal_action"] == str(action)
    assert event["metadata"]["signal_valid"] is False
    assert event["tags"][-1] == "signal:invalid"
    assert ("signal:buy" in event["tags"]) == (action == "BUY")
    assert len([tag for tag in event["tags"] if tag.startswith("signal:")]) == 1 + (action == "BUY")
    assert event["output"]["valid"] is False


@pytest.mark.parametrize(
    ("before", "name"),
    [("", "FundingAgent"), (" ObservabilityContext.add_agent_metadata('funding', 'Fay')\n", "Fay")],
)
def test_a_late_signal_reaches_the_trace_of_its_agents_last_generation(
    before: str, name: str, journal: Any, agent_file: Any
) -> None:
    """Outside an agent's cycle, a signal after a call belongs to the trace of its agent's last generation, even if the
    agent was renamed before that generation, or used a tool after it."""
    code = f"def run():\n{before} ask()\n look_up()\n ObservabilityContext.add_trading_signal('BUY', 60, 'x')\n"
    agent_file("funding_agent.py", code)["run"]()
    generation, tool, event = journal.observations()
    assert tool["trace_id"] != event["trace_id"] == generation["trace_id"]
    assert event["parent_id"] == generation["id"]
    assert generation["agent"] == event["agent"] == name


def test_a_signal_never_lands_on_another_agents_trace(journal: Any, agent_file: Any) -> None:
    """With two agents in one loop, the signal of the agent that made no call gets a new trace."""
    asking = agent_file("funding_agent.py", "def run():\n ask()\n")
    deciding = agent_file("chart_agent.py", "def run():\n ObservabilityContext.add_trading_signal('BUY', 60, 'x')\n")
    asking["run"]()
    deciding["run"]()
    generation, event = journal.observations()
    assert event["trace_id"] != generation["trace_id"]
    assert event["is_root"]
    assert (generation["agent"], event["agent"]) == ("FundingAgent", "ChartAgent")


def test_agents_are_distinguished_by_class_and_file(journal: Any, agent_file: Any) -> None:
    """Agents without tracing code are told apart by class and file, even in threads and pools that they start."""
    code = (
        "import threading\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "def run():\n"
        " ask()\n"
        " thread = threading.Thread(target=ask)\n thread.start()\n thread.join()\n"
        " with ThreadPoolExecutor(1) as pool:\n  pool.submit(ask).result()\n"
    )
    agent_file("copybot_agent.py", code)["run"]()
    agent_file("rbi_agent.py", code)["run"]()
    assert [row["agent"] for row in journal.observations()] == ["CopybotAgent"] * 3 + ["RbiAgent"] * 3


def test_a_cycle_names_the_agent_whoever_calls(journal: Any, agent_file: Any) -> None:
    """The agent of a call in a cycle is the cycle's agent, whichever file makes the call."""
    helper = agent_file("helper_agent.py", "def run():\n ask()\n")
    with ObservabilityContext.agent_cycle("SwarmAgent"):
        helper["run"]()
    assert by_name(journal.observations(), "llm_generation")["agent"] == "SwarmAgent"


def test_metadata_outside_a_trace_applies_to_what_follows(journal: Any) -> None:
    """Metadata that is added before a call applies to the next observations of the same context."""
    ObservabilityContext.add_agent_metadata("risk", "RiskAgent", trading_pair="BTC/USD")
    ask()
    (row,) = journal.observations()
    assert (row["agent"], row["trace_name"]) == ("RiskAgent", "RiskAgent")
    assert row["metadata"] == {"agent_type": "risk", "trading_pair": "BTC/USD"}


def test_metadata_within_a_call_is_the_calls(journal: Any) -> None:
    """Metadata added inside an observation is merged into it. With the agent type `model`,
    `agent_name` is the name of a provider, and the agent keeps its own name."""

    @observe_llm
    def asks() -> None:
        ObservabilityContext.add_agent_metadata("model", "claude", nonce=7)

    @observe_llm
    def delegates() -> None:
        ObservabilityContext.add_agent_metadata("risk", "HedgeAgent", nonce=8)

    with ObservabilityContext.agent_cycle("RiskAgent"):
        asks()
        delegates()
    rows = journal.observations()
    other = by_name(rows, "delegates")
    assert (other["agent"], other["metadata"]) == ("HedgeAgent", {"agent_type": "risk", "nonce": 8})
    row = by_name(rows, "asks")
    assert row["metadata"] == {"model_type": "claude", "nonce": 7}
    assert row["agent"] == "RiskAgent"


def test_an_error_is_on_the_observation_that_runs(journal: Any) -> None:
    """`add_error` gives the running observation the level ERROR, even if the agent swallows the exception."""
    with ObservabilityContext.agent_cycle("Agent"):
        ObservabilityContext.add_error(ValueError("no candles"), {"symbol": "BTC"})
    (row,) = journal.observations()
    assert (row["level"], row["status_message"]) == ("ERROR", "ValueError: no candles")
    assert row["metadata"]["error_context"] == {"symbol": "BTC"}


def test_an_error_after_the_call_is_an_event_on_its_trace(journal: Any, agent_file: Any) -> None:
    """An error after a call is an event on the trace of the call; without an earlier call, it has a new trace."""
    ObservabilityContext.add_error(ValueError("alone"))
    code = "def run():\n ask()\n ObservabilityContext.add_error(ValueError('after'))\n"
    agent_file("risk_agent.py", code)["run"]()
    alone, generation, after = journal.observations()
    assert alone["is_root"]
    assert (after["type"], after["parent_id"], after["level"]) == ("event", generation["id"], "ERROR")
    assert generation["level"] == "DEFAULT"


def test_an_exception_ends_its_cycle(journal: Any) -> None:
    """An exception in a cycle is raised unchanged, and the cycle records it."""
    with pytest.raises(ZeroDivisionError), ObservabilityContext.agent_cycle("Agent"):
        1 / 0  # noqa: B018
    (root,) = journal.observations()
    assert (root["level"], root["status_message"]) == ("ERROR", "ZeroDivisionError: division by zero")
    assert (root["input"], root["output"]) == (None, None)


@pytest.mark.parametrize(("answers", "level"), [(("BUY", None), "ERROR"), ((None, "BUY"), "DEFAULT")])
def test_a_cycle_fails_with_its_last_call(answers: tuple[str | None, ...], level: str, journal: Any) -> None:
    """A cycle without a result gets the level ERROR if its last call failed, even if the agent caught the exception."""

    @observe_llm
    def asks(answer: str | None) -> str:
        if answer is None:
            raise ConnectionError("no route")
        return answer

    with ObservabilityContext.agent_cycle("Agent"):
        for answer in answers:
            with suppress(ConnectionError):
                asks(answer)
    assert by_name(journal.observations(), "Agent")["level"] == level


def test_an_interrupted_cycle_is_no_fault(journal: Any) -> None:
    """Ctrl-C in a cycle gives the cycle the level WARNING, not ERROR."""
    with pytest.raises(KeyboardInterrupt), ObservabilityContext.agent_cycle("Agent"):
        raise KeyboardInterrupt
    assert journal.observations()[0]["level"] == "WARNING"


def test_a_thread_that_outlives_its_cycle_opens_traces_of_its_own(journal: Any) -> None:
    """If a thread outlives its cycle, its later calls are new traces in the same session, not children of the cycle."""
    go, done = threading.Event(), threading.Event()

    def listener() -> None:
        ask("inside")
        done.set()
        go.wait(5)
        ask("after")

    with ObservabilityContext.agent_cycle("Agent"):
        thread = threading.Thread(target=listener)
        thread.start()
        done.wait(5)
    go.set()
    thread.join()
    root, inside, after = journal.observations()
    assert inside["parent_id"] == root["id"]
    assert after["is_root"]
    assert after["trace_id"] != root["trace_id"]
    assert after["session_id"] == root["session_id"]
    assert after["agent"] == "Agent"


def test_a_pools_old_worker_takes_each_tasks_own_cycle(journal: Any) -> None:
    """In a pool that outlives a cycle, a task belongs to the cycle that submitted it, not to the pool's first cycle."""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            with ObservabilityContext.agent_cycle("Agent"):
                pool.submit(ask).result()
        pool.submit(ask).result()
    rows = journal.observations()
    assert [row["name"] for row in rows] == ["Agent", "llm_generation"] * 3 + ["llm_generation"]
    assert [row["parent_id"] for row in rows] == [None, rows[0]["id"], None, rows[2]["id"], None, rows[4]["id"], None]


def test_a_signal_from_a_thread_belongs_to_the_open_cycle(journal: Any) -> None:
    """A signal inside `asyncio.to_thread` belongs to the open cycle, not to the generation before it."""

    async def decide() -> None:
        with ObservabilityContext.agent_cycle("Agent"):
            await asyncio.to_thread(ask)
            await asyncio.to_thread(signal, "BUY", 50, "why")

    asyncio.run(decide())
    root, generation, event = journal.observations()
    assert generation["parent_id"] == event["parent_id"] == root["id"]
    assert root["output"]["action"] == "BUY"


def test_the_trace_id_is_known_while_and_after_asking(journal: Any, agent_file: Any) -> None:
    """`current_trace_id()` returns the id during and after a call, so that an agent can write it into its trade log."""
    code = "def run():\n ask()\n return ObservabilityContext.current_trace_id()\n"
    assert ObservabilityContext.current_trace_id() is None
    trace_id = agent_file("log_agent.py", code)["run"]()
    assert trace_id == journal.observations()[0]["trace_id"]
    assert len(trace_id) == 32


def test_off_means_nothing_at_all(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tracing off, every method can be called and has no effect, not even on calls after tracing is on again."""
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    ObservabilityContext.add_agent_metadata("risk", "RiskAgent")
    with ObservabilityContext.agent_cycle("Agent", input=1) as cycle:
        cycle.set_input(2)
        cycle.set_output(3)
        signal("BUY", 1, "why")
        ObservabilityContext.add_error(ValueError("x"))
        ObservabilityContext.use_prompt("whale-check", 7)
        ObservabilityContext.record_outcome("a" * 32, pnl_usd=1)
        assert ObservabilityContext.current_trace_id() is cycle.trace_id is None
    assert (journal.observations(), journal.scores()) == ([], [])
    monkeypatch.delenv("ENABLE_LANGFUSE")
    ask()
    (row,) = journal.observations()
    assert (row["prompt_name"], row["metadata"]) == (None, {})


class _ContextKeptElsewhere:
    """A stand-in for the module `opentelemetry.context` that has only its public functions."""

    def __init__(self, context: Any) -> None:
        self.attach, self.get_current, self.detach = context.attach, context.get_current, context.detach


@pytest.mark.parametrize("kept", ["as in OpenTelemetry today", "elsewhere"])
def test_spans_of_other_libraries_nest_under_ours_and_ours_under_theirs(
    kept: str, journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an application uses OpenTelemetry, its spans and ours form one tree."""
    import opentelemetry.context
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    monkeypatch.setattr(otel, "active", otel._find_active)
    if kept == "elsewhere":
        runtime_context = _ContextKeptElsewhere(opentelemetry.context._RUNTIME_CONTEXT)
        monkeypatch.setattr(opentelemetry.context, "_RUNTIME_CONTEXT", runtime_context)
    tracer = TracerProvider().get_tracer("other")
    seen = []

    @observe_llm
    def asks() -> None:
        with tracer.start_as_current_span("theirs, inside") as span:
            seen.append(span)

    before = trace._TRACER_PROVIDER
    trace._TRACER_PROVIDER = TracerProvider()  # as if the application had set it; reset below
    try:
        with tracer.start_as_current_span("theirs, around") as around:
            asks()
    finally:
        trace._TRACER_PROVIDER = before
    (row,) = journal.observations()
    assert row["trace_id"] == f"{around.get_span_context().trace_id:032x}"
    assert row["parent_id"] == f"{around.get_span_context().span_id:016x}"
    assert f"{seen[0].parent.span_id:016x}" == row["id"]


def test_a_call_while_opentelemetry_is_being_imported(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call succeeds while another thread imports OpenTelemetry, whose modules exist but are still empty."""
    monkeypatch.setattr(otel, "active", otel._find_active)
    for name in ("opentelemetry.trace", "opentelemetry.context"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        ask()
    assert [row["parent_id"] for row in journal.observations()] == [None, None]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="3.14 can inherit context by itself")
def test_a_subclass_of_thread_with_its_own_run_is_carried_too(journal: Any) -> None:
    """A thread whose class overrides `run`, as the agents' listeners do, belongs to the cycle that starts it."""

    class Listener(threading.Thread):
        def run(self) -> None:
            ask()

    with ObservabilityContext.agent_cycle("Agent"):
        listener = Listener()
        listener.start()
        listener.join()
    root, generation = journal.observations()
    assert generation["parent_id"] == root["id"]


FILES = frozenset((context.__file__, current.__file__, signals.__file__))


def _decide() -> None:
    with ObservabilityContext.agent_cycle("Agent", situation="longs"):
        ObservabilityContext.add_trading_signal("BUY", 80, "longs were liquidated", "BTC")


def _fail() -> None:
    with suppress(ConnectionError), ObservabilityContext.agent_cycle("Agent"):
        raise ConnectionError


@pytest.mark.parametrize("cycle", [_decide, _fail])
def test_an_alarm_at_any_line_leaves_no_cycle_open(cycle: Callable[[], None], journal: Any) -> None:
    """If an agent's SIGALRM handler raises at any line of the tracing code, no cycle stays open."""
    cycle()
    number, left = 0, []
    with alarms():
        while (line := line_of_alarm(number := number + 1, cycle, FILES)) is not None:
            if current_observation() is not None or runtime.running().recorder._running:
                left.append(line)
                runtime.running().recorder._running.clear()
                current._current.set(None)
    assert number > 20
    assert left == []
