"""Requests inside and outside an observed call, and the rows that are recorded for them."""

import base64
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pytest_httpserver import HTTPServer

from src.observability import ObservabilityContext, observe_llm
from src.observability.instrumentation import streams
from src.observability.instrumentation.calls import begin
from src.observability.instrumentation.providers import provider_of
from src.observability.instrumentation.reading import Shape
from src.observability.settings import recording
from src.observability.tracing import Observation, begin_request, finish_request
from tests.cases import cases
from tests.conftest import JournalReader
from tests.instrumentation.conftest import ASKED, MESSAGES
from tests.providers.wire import ANSWER, Provider

USAGE = Provider("openai").expected["usage"]


def columns(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return these columns of each row."""
    return [tuple(row[name] for name in names) for row in rows]


def test_a_request_alone_is_a_generation(client: openai.OpenAI, journal: JournalReader) -> None:
    """A request outside any observed call is a generation with its messages, model, parameters, usage and cost."""
    client.chat.completions.create(**ASKED)
    (row,) = journal.observations()
    assert (row["type"], row["name"], row["parent_id"]) == ("generation", "openai.chat.completions", None)
    assert (row["provider"], row["model"], row["model_requested"]) == ("openai", "gpt-5-mini-2025-08-07", "gpt-5-mini")
    assert (row["input"], row["output"], row["model_parameters"]) == (MESSAGES, ANSWER, {"temperature": 0.3})
    assert (row["usage"], row["metadata"]) == (USAGE, {"finish_reason": "stop"})
    assert row["cost_usd"] > 0


def test_one_request_is_the_row_of_the_call_around_it(client: openai.OpenAI, journal: JournalReader) -> None:
    """The only request of a call is merged into the call's row, which keeps the input and output of the call."""

    @observe_llm
    def decide(question: str) -> str:
        client.chat.completions.create(**ASKED)
        return "BUY"

    decide("Now?")
    (row,) = journal.observations()
    assert (row["type"], row["name"]) == ("generation", "decide")
    assert (row["provider"], row["model"], row["model_requested"]) == ("openai", "gpt-5-mini-2025-08-07", "gpt-5-mini")
    assert (row["input"], row["output"], row["model_parameters"]) == ({"question": "Now?"}, "BUY", {"temperature": 0.3})
    assert (row["usage"], row["metadata"]) == (USAGE, {"finish_reason": "stop"})
    assert row["cost_usd"] > 0


def test_several_requests_are_generations_below_a_span(client: openai.OpenAI, journal: JournalReader) -> None:
    """A call with two requests is a span above two generations. Only these have usage, so no token counts twice."""

    @observe_llm
    def decide() -> Any:
        client.chat.completions.create(**ASKED)
        return client.chat.completions.create(**ASKED)

    decide()
    around, *requests = journal.observations()
    assert (around["type"], around["name"], around["usage"], around["model"]) == ("span", "decide", None, None)
    assert columns(requests, "type", "parent_id", "usage") == [("generation", around["id"], USAGE)] * 2


def test_a_generation_around_generations_is_a_span(client: openai.OpenAI, journal: JournalReader) -> None:
    """The outer call returns the inner call's answer. Only the inner call's row has the usage of that answer."""

    @observe_llm
    def inner() -> Any:
        return client.chat.completions.create(**ASKED)

    @observe_llm
    def outer() -> Any:
        return inner()

    outer()
    rows = journal.observations()
    assert columns(rows, "name", "type", "usage") == [("outer", "span", None), ("inner", "generation", USAGE)]


def test_a_stream_that_outlives_its_caller_is_below_a_span(client: openai.OpenAI, journal: JournalReader) -> None:
    """A call that returns an unread stream is a span; the stream's request ends when the stream has been read."""

    @observe_llm
    def open_stream() -> Any:
        return client.chat.completions.create(**ASKED, stream=True)

    stream = open_stream()
    assert [row["state"] for row in journal.observations()] == ["local", "open"]  # the open row would outlive a crash
    for _ in stream:
        pass
    around, request = journal.observations()
    assert (around["type"], request["type"], request["parent_id"]) == ("span", "generation", around["id"])
    assert request["output"] == ANSWER


def test_a_request_in_a_cycle_is_the_agents(client: openai.OpenAI, journal: JournalReader) -> None:
    """A request in a cycle has the cycle's agent; a signal after the request is in the same trace."""
    with ObservabilityContext.agent_cycle("RiskAgent"):
        client.chat.completions.create(**ASKED)
        ObservabilityContext.add_trading_signal("BUY", 80, "why")
    cycle, request, signal = journal.observations()
    assert (request["parent_id"], request["agent"]) == (cycle["id"], "RiskAgent")
    assert signal["trace_id"] == cycle["trace_id"]


def test_a_failed_request_is_an_error(client: openai.OpenAI, play: Any, journal: JournalReader) -> None:
    """A failed request raises the SDK's exception. If a call swallows the exception, the call's row has it too."""
    play("openai", "401")
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(**ASKED)

    @observe_llm
    def swallow() -> str:
        try:
            client.chat.completions.create(**ASKED)
        except openai.AuthenticationError:
            return "NOTHING"
        return "BUY"

    swallow()
    rows = journal.observations()
    assert columns(rows, "name", "level", "usage") == [
        ("openai.chat.completions", "ERROR", None),
        ("swallow", "ERROR", None),
    ]
    assert all(row["status_message"].startswith("AuthenticationError: ") for row in rows)


def test_a_stream_that_breaks_off_is_an_error(httpserver: HTTPServer, settings_of: Any, journal: JournalReader) -> None:
    """If a stream fails after its first part, the caller gets the SDK's exception. Part and error are in the row."""
    part = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-mini",
            "choices": [{"index": 0, "delta": {"content": "BUY"}, "finish_reason": None}]}  # fmt: skip
    events = [part, {"error": {"message": "overloaded"}}]
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    httpserver.expect_request("/v1/chat/completions").respond_with_data(text, content_type="text/event-stream")
    with pytest.raises(openai.APIError, match="overloaded"):
        list(openai.OpenAI(**settings_of("/v1")).chat.completions.create(**ASKED, stream=True))
    (row,) = journal.observations()
    assert (row["level"], row["status_message"], row["output"]) == ("ERROR", "APIError: overloaded", "BUY")


def test_with_tracing_off_nothing_is_recorded(
    client: openai.OpenAI, journal: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENABLE_LANGFUSE is read at each call: once it is false, nothing is recorded."""
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    assert not recording().on
    client.chat.completions.create(**ASKED)
    with client.chat.completions.create(**ASKED, stream=True) as stream:
        assert list(stream)
    assert journal.observations() == []


@pytest.mark.parametrize("name", ["LANGFUSE_CAPTURE_INPUT", "LANGFUSE_CAPTURE_OUTPUT"])
def test_prompts_and_answers_can_be_left_out(
    name: str, client: openai.OpenAI, journal: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If prompts or answers are switched off, a row still has its model, parameters and usage."""
    monkeypatch.setenv(name, "false")
    client.chat.completions.create(**ASKED)
    (row,) = journal.observations()
    assert (row["input"] is None, row["output"] is None) == (name.endswith("INPUT"), name.endswith("OUTPUT"))
    assert (row["model_requested"], row["model_parameters"], row["usage"]) == (
        "gpt-5-mini",
        {"temperature": 0.3},
        USAGE,
    )


def test_an_image_is_recorded_by_its_size(client: openai.OpenAI, journal: JournalReader) -> None:
    """Images, in the formats of OpenAI and Anthropic, and sounds are recorded as their size. Text is unchanged, even if
    it looks like base64 or is in a field named `data`."""
    data = base64.b64encode(bytes(3000)).decode()
    texts = [
        {"type": "text", "text": "/9j/ is how a JPEG begins"},
        {"type": "text", "text": "BTC" * 100},
        {"type": "table", "format": "csv", "data": "symbol,usd\nBTC,9000"},
    ]
    parts = [
        *texts,
        {"type": "text", "text": "The chart"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": data}},
        {"type": "image_url", "image_url": {"url": "https://example.com/chart.png"}},
    ]
    client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": parts}])  # type: ignore
    (row,) = journal.observations()
    assert row["input"][0]["content"] == [
        *texts,
        {"type": "text", "text": "The chart"},
        {"type": "image_url", "image_url": {"url": "[image/png, 3000 bytes]"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "[3000 bytes]"}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": "[3000 bytes]"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/chart.png"}},
    ]


def test_a_very_long_stream_keeps_its_usage(
    client: openai.OpenAI, journal: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a very long stream only the usage is recorded: if its text were cut, half a secret could pass unmasked."""
    monkeypatch.setattr(streams, "_MAX_EVENTS", 3)
    monkeypatch.setattr(streams, "_LAST_EVENTS", 2)
    events = list(client.chat.completions.create(**ASKED, stream=True))
    (row,) = journal.observations()
    assert (row["output"], row["usage"]) == (f"[NOT RECORDED: a stream of {len(events)} events]", USAGE)


def test_a_response_that_is_read_as_bytes_says_so(client: openai.OpenAI, journal: JournalReader) -> None:
    """A response that the caller reads as bytes is not parsed: its row has no answer, and no warning."""
    with client.chat.completions.with_streaming_response.create(**ASKED, stream=True) as response:
        assert list(response.iter_lines())
    (row,) = journal.observations()
    assert (row["output"], row["level"], row["metadata"]) == (None, "DEFAULT", {"response": "read as bytes"})


@cases(
    ("base_url", "provider"),
    [
        ("https://api.deepseek.com", "deepseek"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.x.ai/v1", "xai"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://desk.openai.azure.com/openai", "azure"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gemini"),
        ("http://localhost:11434/v1", "ollama"),
        ("https://notapi.deepseek.com.example", "openai"),
        ("http://127.0.0.1:8000/v1", "openai"),
    ],
)
def test_the_provider_is_that_of_the_address(base_url: str, provider: str) -> None:
    """The provider is found by the client's address; at an unknown address, the provider is the SDK's own."""
    client = openai.OpenAI(api_key="k", base_url=base_url, http_client=openai.DefaultHttpxClient(verify=False))
    assert provider_of(client, "openai") == provider


@cases(
    ("address", "provider"),
    [
        ("https://api.deepseek.com", "deepseek"),
        ("http://box:11434/v1", "ollama"),
        ("https://desk.example:8443", "openai"),
    ],
)
def test_the_provider_of_a_post_is_that_of_its_address(address: str, provider: str, journal: JournalReader) -> None:
    """The provider of a POST by httpx is known by its host or port or, if these are unknown, by the path of its URL."""
    answer = httpx.Response(200, json={"model": "m", "choices": [{"message": {"content": "BUY"}}]})
    with httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as web:
        web.post(f"{address}/chat/completions", json=ASKED)
    row = journal.observations()[-1]
    assert (row["provider"], row["model_requested"], row["output"]) == (provider, "gpt-5-mini", "BUY")


def test_a_signal_after_a_request_stands_in_its_trace(client: openai.OpenAI, journal: JournalReader) -> None:
    """A signal after a request belongs to the request's trace, also without a cycle."""
    client.chat.completions.create(**ASKED)
    ObservabilityContext.add_trading_signal("SELL", 60, "why")
    request, signal = journal.observations()
    assert signal["trace_id"] == request["trace_id"]


def test_embeddings_are_no_generation_of_the_call_around_them(
    client: openai.OpenAI, httpserver: HTTPServer, journal: JournalReader
) -> None:
    """In an observed call, embeddings get a row below the call's row; a chat request is merged into the call's row."""
    vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    body = {"object": "list", "data": [vector], "model": "text-embedding-3-small", "usage": usage}
    httpserver.expect_request("/v1/embeddings").respond_with_json(body)

    @observe_llm
    def decide() -> Any:
        client.embeddings.create(model="text-embedding-3-small", input="x", encoding_format="float")
        return client.chat.completions.create(**ASKED)

    decide()
    call, embedding = journal.observations()
    assert (call["type"], call["usage"]) == ("generation", USAGE)
    assert (embedding["type"], embedding["parent_id"]) == ("embedding", call["id"])
    assert (embedding["output"], embedding["usage"]) == ({"vectors": 1, "dimensions": 2}, {"input": 8, "output": 0})
    assert embedding["cost_usd"] > 0


def test_requests_that_end_with_their_caller_are_recorded_once(journal: JournalReader) -> None:
    """Each of four requests is recorded once, whether it ends before, after or together with the call that began it."""

    def request(begun: Barrier) -> None:
        observation = begin_request("openai.chat.completions", "generation", recording())
        assert observation is not None
        begun.wait()
        finish_request(observation)

    @observe_llm
    def swarm(pool: ThreadPoolExecutor) -> None:
        begun = Barrier(5)
        for _ in range(4):
            pool.submit(request, begun)
        begun.wait()

    with ThreadPoolExecutor(4) as pool:
        for _ in range(100):
            swarm(pool)
    rows = journal.observations()
    names = Counter((row["name"], row["type"], row["state"]) for row in rows)
    assert names == {("openai.chat.completions", "generation", "local"): 400, ("swarm", "span", "local"): 100}


def test_an_open_request_is_evidence_should_the_process_die(journal: JournalReader) -> None:
    """A running request is in the journal as `open`, so that it is known even after a crash."""
    begun = begin_request("openai.chat.completions", "generation", recording())
    assert begun is not None
    (row,) = journal.observations()
    assert (row["state"], row["end_ns"]) == ("open", None)
    finish_request(begun)


def test_a_body_in_bytes_is_weighed() -> None:
    """The size of a request, which counts towards the queue's limit, includes a body that is given as bytes."""
    text = "x" * 1_000
    given = {"model": text, "messages": [{"role": "user", "content": text}], "config": {"system": text}}
    for arguments in (given, {"body": str(given).encode()}):
        request = begin(Shape("requests", "post", (), str, dict), (), arguments)
        assert request is not None
        assert 3_000 < request.size < 3_300
        finish_request(request)


def test_spans_of_other_libraries_nest_below_a_request(
    client: openai.OpenAI, journal: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a request is being sent, the id of the current OpenTelemetry span is that of the row that records it."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider())
    seen: list[Any] = []
    client = client.with_options()
    send = client._client.send

    def observed_send(*args: Any, **kwargs: Any) -> Any:
        seen.append(trace.get_current_span().get_span_context())
        return send(*args, **kwargs)

    client._client.send = observed_send  # type: ignore[method-assign]

    @observe_llm
    def decide() -> None:
        client.chat.completions.create(**ASKED)

    client.chat.completions.create(**ASKED)
    decide()
    rows = journal.observations()
    assert [f"{context.span_id:016x}" for context in seen] == [row["id"] for row in rows]
    assert not trace.get_current_span().get_span_context().is_valid


def test_an_sdks_answer_is_weighed_with_all_it_holds() -> None:
    """An observation's size includes the answer of its request, also if the request was merged into a generation."""
    request = Observation("openai.chat.completions", "generation")
    request.complete = lambda _: None
    request.output = SimpleNamespace(choices=[{"logprobs": "x" * 500_000}])
    holder = Observation("llm_generation", "generation")
    holder.request = request
    assert request.size < 1_000
    assert request.response_size() > 500_000
    assert holder.response_size() > 500_000
