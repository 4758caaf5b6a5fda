"""Tests that rows sent to other OTLP backends than Langfuse have the attributes of the GenAI convention."""

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pytest_httpserver import HTTPServer

from src.models.model_factory import ModelFactory
from src.observability import LangFuseTracker, ObservabilityContext, observe_llm
from src.observability.shipping.messages import input_messages, output_message
from src.observability.shipping.protobuf import response_of
from tests.cases import cases
from tests.langfuse_server import ReceivedSpan
from tests.million import observation_row
from tests.otlp_server import OtlpServer
from tests.providers.wire import ANSWER, PROVIDERS, Provider

WELL_KNOWN = {"claude": "anthropic", "gemini": "gcp.gemini", "xai": "x_ai"}
USAGE = "gen_ai.usage."


def arrived(otlp: OtlpServer) -> dict[str, ReceivedSpan]:
    """Return the received spans, by the type of their row."""
    assert LangFuseTracker().flush(10)
    types = {"chat": "generation", "invoke_agent": "agent", "execute_tool": "tool", "embeddings": "embedding"}
    return {types.get(span.attributes.get("gen_ai.operation.name"), span.name): span for span in otlp.spans}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_call_of_each_provider(
    name: str, otlp: OtlpServer, journal: Any, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each provider, models, tokens, messages and finish reason have the GenAI convention's names and types."""
    provider = Provider(name)
    provider.play(httpserver, "answer")
    provider.configure(monkeypatch, httpserver.url_for(""))
    model = ModelFactory.create_model(name)
    model.generate_response("You are a liquidation analyst", "Longs +80 %", temperature=0.3, max_tokens=200)
    span = arrived(otlp)["generation"]
    (row,) = journal.observations()
    has = span.attributes
    assert span.name == f"chat {row['model_requested']}"
    assert has["gen_ai.provider.name"] == WELL_KNOWN.get(name, name)
    assert (has["gen_ai.request.model"], has["gen_ai.response.model"]) == (row["model_requested"], row["model"])
    sent = row["model_parameters"]  # newer models take no temperature, or name the token limit differently
    assert has.get("gen_ai.request.temperature") == sent.get("temperature")
    assert has["gen_ai.request.max_tokens"] == sent.get("max_tokens", sent.get("max_completion_tokens")) == 200
    assert has["gen_ai.response.finish_reasons"] == [row["metadata"]["finish_reason"]]
    assert "error.type" not in has
    usage = row["usage"]
    prompt = sum(count for bucket, count in usage.items() if bucket.startswith("input"))
    answer = sum(count for bucket, count in usage.items() if bucket.startswith("output"))
    assert (has[f"{USAGE}input_tokens"], has[f"{USAGE}output_tokens"]) == (prompt, answer)
    assert has.get(f"{USAGE}cache_read.input_tokens") == usage.get("input_cached_tokens")
    assert has.get(f"{USAGE}reasoning.output_tokens") == usage.get("output_reasoning_tokens")
    assert has["moon_dev.cost_usd"] == pytest.approx(row["cost_usd"])
    assert json.loads(has["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "You are a liquidation analyst"}]},
        {"role": "user", "parts": [{"type": "text", "content": "Longs +80 %"}]},
    ]
    (message,) = json.loads(has["gen_ai.output.messages"])
    assert message["parts"][-1] == {"type": "text", "content": ANSWER}
    assert [part["type"] for part in message["parts"]] == ["reasoning", "text"][-len(message["parts"]) :]
    assert (len(message["parts"]) == 2) == ("reasoning" in row["metadata"])


def test_a_cycle_and_its_failure(otlp: OtlpServer, journal: Any) -> None:
    """A cycle, a tool, a signal and a failed call are sent with span kinds, `error.type`, tags and the host's name."""

    @observe_llm(name="price_feed", as_type="tool")
    def price(symbol: str) -> dict[str, float]:
        return {symbol: 97_000.5}

    @observe_llm(name="llm_generation")
    def fail(prompt: str) -> str:
        raise TimeoutError("no answer within 30 s")

    with ObservabilityContext.agent_cycle("WhaleAgent", input={"oi": 5}):
        price("BTC")
        with pytest.raises(TimeoutError):
            fail("What now? " * 30)
        ObservabilityContext.add_trading_signal("BUY", 85, "Longs flushed out", "BTC")
    spans = arrived(otlp)
    agent, tool, call, signal = (spans[name] for name in ("agent", "tool", "generation", "trading_signal"))
    assert (agent.name, agent.attributes["gen_ai.agent.name"]) == ("invoke_agent WhaleAgent", "WhaleAgent")
    assert json.loads(agent.attributes["gen_ai.input.messages"])[0]["parts"] == [
        {"type": "text", "content": '{"oi": 5}'}
    ]
    assert (tool.name, json.loads(tool.attributes["gen_ai.tool.call.result"])) == (
        "execute_tool price_feed",
        {"BTC": 97_000.5},
    )
    assert (call.status, call.attributes["error.type"]) == (2, "TimeoutError")
    assert not any(name.startswith(USAGE) or name == "gen_ai.response.model" for name in call.attributes)
    assert signal.attributes["moon_dev.signal_action"] == "BUY"
    assert signal.attributes["moon_dev.signal_confidence"] == 85.0
    assert {span.parent_id for span in (tool, call, signal)} == {agent.id}
    assert set(agent.attributes["moon_dev.tags"]) == {"signal:buy", "confidence:85"}
    (resource,) = {item.resource.SerializeToString() for batch in otlp.batches for item in batch.resource_spans}
    assert b"host.name" in resource
    kinds = {span.name: span.kind for batch in otlp.batches for item in batch.resource_spans
             for scope in item.scope_spans for span in scope.spans}  # fmt: skip
    assert (kinds["invoke_agent WhaleAgent"], kinds[call.name]) == (Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT)
    assert otlp.batches[0].resource_spans[0].schema_url == "https://opentelemetry.io/schemas/1.41.0"


CALL = {"type": "tool_call", "id": "c1", "name": "price", "arguments": {"symbol": "BTC", "size": 0.5}}
RESULT = {"type": "tool_call_response", "id": "c1", "response": "97000"}
PRICE = {"name": "price", "arguments": '{"symbol": "BTC", "size": 0.5}'}


@cases(
    ("message", "role", "parts"),
    [
        ({"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": PRICE}]},
         "assistant", [CALL]),
        ({"role": "assistant", "content": "", "function_call": PRICE}, "assistant", [CALL | {"id": None}]),
        ({"role": "assistant", "tool_calls": ["odd"]}, "assistant", [{"type": "text", "content": "odd"}]),
        ({"type": "function_call", "id": "fc", "call_id": "c1", **PRICE}, "assistant", [CALL]),
        ({"type": "function_call", "call_id": "c1", "name": "price", "arguments": "{"}, "assistant",
         [CALL | {"arguments": "{"}]),
        ({"type": "function_call_output", "call_id": "c1", "output": "97000"}, "tool", [RESULT]),
        ([{"type": "message", "content": [{"type": "output_text", "text": "so"}]},
          {"type": "function_call", "call_id": "c1", **PRICE}], "user", [{"type": "text", "content": "so"}, CALL]),
        ({"role": "tool", "tool_call_id": "c1", "content": "97000"}, "tool", [RESULT]),
        ({"role": "tool", "tool_name": "price", "content": "97000"}, "tool", [RESULT | {"id": "price"}]),
        ({"role": "function", "name": "price", "content": "97000"}, "tool", [{"type": "text", "content": "97000"}]),
        ({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "t1", "name": "price", "input": {}}]},
         "assistant", [{"type": "reasoning", "content": "hm"}, CALL | {"id": "t1", "arguments": {}}]),
        ({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "97000"}]},
         "user", [RESULT]),
        ({"role": "model", "parts": [{"text": "so"}, {"function_call": {"name": "price", "args": {}}}]},
         "assistant", [{"type": "text", "content": "so"}, CALL | {"id": None, "arguments": {}}]),
        ({"role": "user", "parts": [{"functionResponse": {"name": "price", "response": "97000"}}]},
         "user", [RESULT | {"id": "price"}]),
        ({"role": "user", "parts": [{"functionResponse": "odd"}]}, "user", [{"type": "text", "content": "odd"}]),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "[image/png, 9 bytes]"}}]},
         "user", [{"type": "text", "content": '{"type": "image_url", "image_url": {"url": "[image/png, 9 bytes]"}}'}]),
        ({"role": "developer", "content": ["a", {"type": "input_text", "text": "b"}, {"type": "text", "text": 5}]},
         "system", [{"type": "text", "content": text} for text in ("a", "b", '{"type": "text", "text": 5}')]),
        ({"content": "no role"}, "user", [{"type": "text", "content": "no role"}]),
        ("just text", "user", [{"type": "text", "content": "just text"}]),
        ({"symbol": "BTC"}, "user", [{"type": "text", "content": '{"symbol": "BTC"}'}]),
        (["BTC", 5], "user", [{"type": "text", "content": '["BTC", 5]'}]),
    ],
)  # fmt: skip
def test_messages_of_each_form(message: Any, role: str, parts: list[dict[str, Any]]) -> None:
    """Tool calls and results of OpenAI, Anthropic, Gemini and Ollama are converted; any other message becomes text."""
    assert input_messages([message]) == [{"role": role, "parts": parts}]
    assert isinstance(message, list) or input_messages(message) == input_messages([message])


def test_an_answer_without_text() -> None:
    """An answer with only reasoning, or without any content, is converted to an assistant's message too."""
    assert output_message(None, "hm", None)["parts"] == [{"type": "reasoning", "content": "hm"}]
    assert output_message(None, None, "length") == {"role": "assistant", "parts": [], "finish_reason": "length"}


def test_a_message_of_extremes(otlp: OtlpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative, large, unusual and empty values of every protobuf type arrive unchanged."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from src.observability.shipping.genai import message_of

    metadata = {
        "negative": -3,
        "large": 2**62,
        "half": 0.5,
        "yes": True,
        "text": "Ω\u0000",
        "list": [1, "x"],
        "no": None,
    }
    row = observation_row(id="a" * 16, trace_id="b" * 32, type="event", name="n" * 5000, trace_name="t",
                          start_ns=2**62, end_ns=2**62, metadata=json.dumps(metadata), cost_usd=0.0)  # fmt: skip
    message = ExportTraceServiceRequest.FromString(b"".join(message_of([row, row])))
    first, second = message.resource_spans[0].scope_spans[0].spans
    assert first == second
    has = ReceivedSpan(first).attributes
    assert {name: has.get(f"moon_dev.{name}") for name in metadata} == {**metadata, "list": '[1, "x"]'}
    assert (first.start_time_unix_nano, first.name) == (2**62, "n" * 5000)
    assert has["moon_dev.cost_usd"] == 0.0
    assert ExportTraceServiceRequest.FromString(b"".join(message_of([]))).resource_spans[0].scope_spans[0].scope.name


def test_a_partial_success_in_protobuf(otlp: OtlpServer, journal: Any) -> None:
    """If an answer reports a partial success, the row it refuses is `rejected`; malformed protobuf is not a success."""
    otlp.response.partial_success.rejected_spans = 1
    otlp.response.partial_success.error_message = "too old"
    with ObservabilityContext.agent_cycle("WhaleAgent"):
        pass
    LangFuseTracker().flush(10)
    assert LangFuseTracker().health()["destinations"][otlp.url]["rejected"] == 1
    assert response_of(ExportTraceServiceResponse().SerializeToString())["partialSuccess"]["rejectedSpans"] == 0
    assert response_of(b"\x12\x02\x08\x01")["partialSuccess"]["rejectedSpans"] == 0  # its only field is unknown
    for nonsense in (b"\x0a\xff", b"\x0a\x05\x08\x01", b"\xff" * 20, b"\x0d1234"):
        with pytest.raises(ValueError, match=r"truncated|unexpected wire type"):
            response_of(nonsense)


def test_the_convention_s_version_stands_in_one_file() -> None:
    """Only `genai.py` names the version of the GenAI convention's schema."""
    folder = Path(__file__).parents[2] / "src"
    files = [file.name for file in folder.rglob("*.py") if "opentelemetry.io/schemas" in file.read_text("utf-8")]
    assert files == ["genai.py"]
