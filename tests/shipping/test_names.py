"""Tests of the names and metadata that are sent to Langfuse; the journal keeps the original names."""

from typing import Any

import pytest

from src.observability import LangFuseTracker, ObservabilityContext, observe_llm
from src.observability.instrumentation.sdks import ANTHROPIC, GOOGLE, GROQ, HTTP, OLLAMA, OPENAI
from src.observability.shipping.names import _UNNAMED
from tests.langfuse_server import LangfuseServer, ReceivedSpan
from tests.providers.wire import EACH_PROVIDER, ask

METADATA = "langfuse.observation.metadata."


def shipped(langfuse: LangfuseServer) -> dict[str, ReceivedSpan]:
    """Return the received spans by observation type."""
    assert LangFuseTracker().flush(10)
    return {span.attributes["langfuse.observation.type"]: span for span in langfuse.spans}


def metadata_of(span: ReceivedSpan) -> dict[str, Any]:
    """Return the observation's metadata."""
    return {name.removeprefix(METADATA): value for name, value in span.attributes.items() if name.startswith(METADATA)}


@pytest.mark.parametrize("name", EACH_PROVIDER)
def test_a_generation_is_named_as_its_model_and_repeats_nothing(name: str, play: Any, langfuse: LangfuseServer) -> None:
    """A generation is sent under its model's name; its metadata do not repeat what its other attributes hold."""
    provider, model = play(name, "answer")
    ask(model, "generate")
    span = shipped(langfuse)["generation"]
    metadata = metadata_of(span)
    assert span.name == model.model_name
    assert metadata["provider"] == name
    assert metadata.keys() <= {
        "provider", "nonce", "nonce_time", "finish_reason", "reasoning", "cost_source", "model_requested",
        "temperature_not_sent", "extra_body",
    }  # fmt: skip
    assert ("model_requested" in metadata) == (span.attributes["langfuse.observation.model.name"] != model.model_name)
    assert metadata["nonce"] in str(provider.requests[0])


def test_a_request_of_an_sdk_is_named_as_its_model() -> None:
    """Each default name of an SDK's request is one that is replaced by the model's name when it is sent to Langfuse."""
    shapes = [method.shape for sdk in (ANTHROPIC, GOOGLE, GROQ, HTTP, OLLAMA, OPENAI) for method in sdk.methods]
    names = {shape.name for shape in shapes if shape.type in ("generation", "embedding")}
    assert all(name.startswith(_UNNAMED) for name in names)


def test_a_trace_that_nobody_named_is_named_by_its_root(langfuse: LangfuseServer) -> None:
    """A call outside a cycle has no trace name in any of its rows: Langfuse then names the trace after its root."""

    class Model:
        model_type, model_name = "claude", "claude-haiku-4-5"

        @observe_llm(name="llm_generation")
        def generate_response(self, user_content: str) -> str:
            return "NOTHING"

    Model().generate_response("Longs +80 %")
    ObservabilityContext.add_trading_signal("BUY", 72, "late", "BTC")
    spans = shipped(langfuse)
    assert spans["generation"].name == "claude-haiku-4-5"
    assert not any("langfuse.trace.name" in span.attributes for span in spans.values())


def test_a_decorated_function_keeps_its_name(langfuse: LangfuseServer) -> None:
    """The observation of a decorated function has the function's name."""

    @observe_llm
    def judge_liquidations(prompt: str) -> str:
        return "NOTHING"

    judge_liquidations("Longs +80 %")
    assert shipped(langfuse)["generation"].name == "judge_liquidations"


@pytest.mark.parametrize(
    ("signal", "name"),
    [
        (("BUY", 72, "Flushed out", "BTC"), "BUY BTC"),
        (("NOTHING", 10, "Calm"), "NOTHING"),
        (("HODL", 72, "Flushed out", "BTC"), "HODL BTC"),
    ],
)
def test_a_signal_is_named_as_its_decision(signal: Any, name: str, journal: Any, langfuse: LangfuseServer) -> None:
    """A signal is sent with action and symbol as its name, not as metadata; the journal has the original name."""
    ObservabilityContext.add_trading_signal(*signal, exchange="Hyperliquid", confidence_of=3)
    event = shipped(langfuse)["event"]
    assert event.name == name
    assert metadata_of(event) == {"exchange": "Hyperliquid", "confidence_of": "3"}
    (row,) = journal.observations()
    assert row["name"] == "trading_signal"
    assert row["metadata"].keys() > {"signal_action", "signal_confidence", "signal_reasoning"}


def test_a_cycle_whose_call_failed_has_failed(langfuse: LangfuseServer) -> None:
    """If an agent swallows a model's error and the cycle has no result, the cycle's root has level ERROR."""

    @observe_llm
    def fails() -> None:
        raise ConnectionError("no route to host")

    cycle = ObservabilityContext.agent_cycle("LiquidationAgent", "liquidation", input={"longs_usd": 1})
    with cycle, pytest.raises(ConnectionError):
        fails()
    root = shipped(langfuse)["agent"]
    assert root.status == 2
    assert root.attributes["langfuse.observation.level"] == "ERROR"
    assert root.attributes["langfuse.observation.status_message"] == "ConnectionError: no route to host"
    assert root.attributes["langfuse.observation.output"] == "ConnectionError: no route to host"
    assert metadata_of(root) == {"agent_type": "liquidation"}


@pytest.mark.parametrize("ends", ["a second call", "a signal", "an output"])
def test_a_cycle_that_got_over_a_failed_call_is_well(ends: str, langfuse: LangfuseServer) -> None:
    """A cycle with a failed call has no error if another call then answers, or if a decision or an output follows."""

    @observe_llm
    def asks(answer: str | None) -> str:
        if answer is None:
            raise ConnectionError("no route to host")
        return answer

    with ObservabilityContext.agent_cycle("LiquidationAgent") as cycle:
        with pytest.raises(ConnectionError):
            asks(None)
        if ends == "a second call":
            asks("NOTHING")
        elif ends == "a signal":
            ObservabilityContext.add_trading_signal("NOTHING", 0, "No model")
        else:
            cycle.set_output("skipped")
    assert shipped(langfuse)["agent"].attributes["langfuse.observation.level"] == "DEFAULT"


def test_symbol_action_and_agent_can_be_grouped_by(langfuse: LangfuseServer) -> None:
    """Symbol and action are scores, and the agent is the trace's name: Langfuse's metrics API can group by these."""
    for agent, action, symbol in (("A", "BUY", "BTC"), ("A", "SELL", "ETH"), ("B", "BUY", "ETH")):
        with ObservabilityContext.agent_cycle(agent):
            ObservabilityContext.add_trading_signal(action, 50, "why", symbol)
    shipped(langfuse)
    assert langfuse.grouped("signal_action", "langfuse.trace.name") == {"A": ["BUY", "SELL"], "B": ["BUY"]}
    assert langfuse.grouped("signal_symbol", "name") == {"BUY BTC": ["BTC"], "SELL ETH": ["ETH"], "BUY ETH": ["ETH"]}
    assert langfuse.grouped("signal_symbol", "langfuse.trace.name") == {"A": ["BTC", "ETH"], "B": ["ETH"]}
