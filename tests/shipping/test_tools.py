"""Tests of tool calls and results: the journal keeps the provider's form, Langfuse gets a form that it can show."""

import base64
import json
from typing import Any

import anthropic
import openai
import pytest
import requests
from langfuse import LangfuseOtelSpanAttributes as Names
from pytest_httpserver import HTTPServer

from src.observability import LangFuseTracker, ObservabilityContext, observe_llm
from src.observability.shipping.tools import shown_prompt
from tests.langfuse_server import LangfuseServer, ReceivedSpan
from tests.providers.wire import EACH_PROVIDER, KEY, TOOL_CALLS

ARGUMENTS = {"symbol": "BTC", "side": "buy"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(992)


def generation(langfuse: LangfuseServer) -> ReceivedSpan:
    """Return the span of the only generation that the Langfuse server received."""
    assert LangFuseTracker().flush(10)
    (span,) = [span for span in langfuse.spans if span.attributes[Names.OBSERVATION_TYPE] == "generation"]
    return span


def assert_is_call(message: dict[str, Any], *, with_id: bool = True) -> None:
    """Check that the message is the assistant's call of `place_order`, in the form that Langfuse shows."""
    (call,) = message["tool_calls"]
    assert (message["role"], message["content"]) == ("assistant", None)
    assert (call["type"], call["function"]["name"], call.get("id")) == (
        "function", "place_order", "call_1" if with_id else None,
    )  # fmt: skip
    assert json.loads(call["function"]["arguments"]) == ARGUMENTS


@pytest.mark.parametrize("way", ["generate", "stream"])
@pytest.mark.parametrize("name", EACH_PROVIDER)
def test_a_model_s_tool_call_is_its_output(name: str, way: str, play: Any, langfuse: LangfuseServer) -> None:
    """If a model answers with a tool call and without text, the tool call is the output, for every provider."""
    _, model = play(name, "tool call")
    options = {"temperature": 0.3, "max_tokens": 200, "tools": [{"name": "place_order"}]}
    if way == "stream":
        assert "".join(model.stream_response("You are an analyst", "Longs +80 %", **options)) == ""
    else:
        assert model.generate_response("You are an analyst", "Longs +80 %", **options).content == ""
    span = generation(langfuse)
    assert_is_call(span.json("output"))
    assert span.attributes[Names.OBSERVATION_LEVEL] == "DEFAULT"
    assert span.json("input")[-1] == {"role": "user", "content": "Longs +80 %"}
    assert "place_order" in span.attributes["langfuse.observation.metadata.tools"]


def test_of_several_requests_the_last_one_decided(play: Any, langfuse: LangfuseServer) -> None:
    """If a function makes two requests and then a signal, the signal's confidence is on the second request's row."""
    play("openai", "answer")
    client = openai.OpenAI(api_key=KEY, base_url=play.url + "/v1", max_retries=0)

    @observe_llm
    def ask_twice() -> None:
        for text in ("first", "second"):
            client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": text}])
        ObservabilityContext.add_trading_signal("BUY", 72, "twice", "BTC")

    ask_twice()
    assert LangFuseTracker().flush(10)
    (second,) = [span for span in langfuse.spans if "second" in str(span.attributes.get(Names.OBSERVATION_INPUT))]
    (confidence,) = [score for score in langfuse.scores if score["name"] == "signal_confidence"]
    assert second.attributes[Names.OBSERVATION_TYPE] == "generation"
    assert confidence["observationId"] == second.id


def assert_is_conversation(messages: list[dict[str, Any]], *, call_id: str | None = "call_1") -> None:
    """Check that the messages are a question, a tool call, and the result of the call."""
    question, call, result = messages
    assert "Longs +80 %" in str(question)
    assert_is_call(call, with_id=call_id == "call_1")
    assert result == {"role": "tool", "tool_call_id": call_id, "content": "filled at 91,250"}


def test_results_of_tools_are_answers_to_their_calls(play: Any, langfuse: LangfuseServer) -> None:
    """If a prompt to OpenAI or Anthropic holds a tool's result, Langfuse gets the question, the call and the result."""
    provider, _ = play("openai", "answer")
    client = openai.OpenAI(api_key=KEY, base_url=play.url + "/v1", max_retries=0)
    client.chat.completions.create(model="gpt-5-mini", messages=TOOL_CALLS["openai"]["result"])
    assert_is_conversation(generation(langfuse).json("input"))
    langfuse.batches.clear()
    play("claude", "answer")
    claude = anthropic.Anthropic(api_key=KEY, base_url=play.url, max_retries=0)
    claude.messages.create(model="claude-haiku-4-5", max_tokens=200, messages=TOOL_CALLS["anthropic"]["result"])
    assert_is_conversation(generation(langfuse).json("input"))
    assert provider.requests


@pytest.mark.parametrize("api", ["responses", "gemini", "ollama"])
def test_other_apis_tool_calls(api: str, langfuse: LangfuseServer, httpserver: HTTPServer, journal: Any) -> None:
    """Tool calls of OpenAI's Responses API, Gemini and Ollama are converted for Langfuse; the journal keeps their own
    form."""
    recorded = TOOL_CALLS[api]
    httpserver.expect_request(recorded["path"], method="POST").respond_with_json(recorded["answer"])
    requests.post(httpserver.url_for(recorded["path"]), json=recorded["ask"], timeout=10)
    span = generation(langfuse)
    assert_is_call(span.json("output"), with_id=api != "ollama")
    assert_is_conversation(span.json("input"), call_id="place_order" if api == "ollama" else "call_1")
    (row,) = journal.observations()
    assert row["input"] in recorded["ask"].values()
    assert "place_order" in json.dumps(row["output"])


def test_text_beside_a_result_is_kept() -> None:
    """If a message holds a tool's result and text, Langfuse gets two messages: first the result, then the text."""
    parts = [{"type": "tool_result", "tool_use_id": "call_1", "content": "filled"}, {"type": "text", "text": "Longs?"}]
    assert json.loads(shown_prompt(json.dumps([{"role": "user", "content": parts}]))) == [
        {"role": "tool", "tool_call_id": "call_1", "content": "filled"},
        {"role": "user", "content": "Longs?"},
    ]


def test_arguments_that_are_not_json_are_sent_as_they_are(langfuse: LangfuseServer) -> None:
    """Arguments with NaN, or with 1e999, which Python reads as infinity, are sent as text: JSON has neither value."""
    arguments = '{"stop": NaN, "take": 1e999}'
    call = {"id": "call_1", "type": "function", "function": {"name": "place_order", "arguments": arguments}}
    ask = observe_llm(lambda prompt: {"role": "assistant", "content": None, "tool_calls": [call]})
    ask("Longs")
    (sent,) = generation(langfuse).json("output")["tool_calls"]
    assert sent["function"]["arguments"] == arguments


def test_text_beside_a_call_is_kept(
    langfuse: LangfuseServer, httpserver: HTTPServer, journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text beside a tool call is kept, and a decision at the beginning of the text is inferred as a signal."""
    monkeypatch.setenv("OBSERVABILITY_INFER_SIGNALS", "true")
    answer = json.loads(json.dumps(TOOL_CALLS["responses"]["answer"]))
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "BUY\nFlushed out"}]}
    answer["output"].insert(1, text)
    httpserver.expect_request("/v1/responses", method="POST").respond_with_json(answer)
    requests.post(httpserver.url_for("/v1/responses"), json={"model": "gpt-5-mini", "input": "Longs"}, timeout=10)
    message = generation(langfuse).json("output")
    assert (message["content"], len(message["tool_calls"])) == ("BUY\nFlushed out", 1)
    assert [row["metadata"]["signal_action"] for row in journal.observations() if row["type"] == "event"] == ["BUY"]


def test_images_are_placeholders_with_type_and_size(langfuse: LangfuseServer, journal: Any) -> None:
    """Images in any form of prompt, and in a function's answer, are replaced by placeholders with type and size."""
    encoded = base64.b64encode(PNG).decode()

    @observe_llm
    def describe(messages: list[Any]) -> str:
        return f"data:image/png;base64,{encoded}"

    describe([
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}]},
        {"role": "user", "content": [{"type": "image", "source": {"media_type": "image/png", "data": encoded}}]},
        {"role": "user", "content": "the chart", "images": [encoded, PNG]},
        {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": encoded}}]},
    ])  # fmt: skip
    span = generation(langfuse)
    url, source, ollama, gemini = span.json("input")["messages"]
    assert url["content"][0]["image_url"]["url"] == "[image/png, 1000 bytes]"
    assert source["content"][0]["source"] == {"media_type": "image/png", "data": "[image/png, 1000 bytes]"}
    assert ollama["images"] == ["[image/png, 1000 bytes]"] * 2
    assert gemini["parts"][0]["inlineData"] == {"mimeType": "image/png", "data": "[image/png, 1000 bytes]"}
    assert span.attributes[Names.OBSERVATION_OUTPUT] == "[image/png, 1000 bytes]"
    (row,) = journal.observations()
    assert encoded[:100] not in json.dumps(row["input"])
