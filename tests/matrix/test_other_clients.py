"""Each POST by an HTTP library to a chat API makes one row; so does each SDK call to Gemini, Ollama or a media API.

`run.py` runs this file in its environments; tests of a library that an environment lacks are skipped.
"""

import asyncio
import base64
import functools
import gc
import importlib
import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from src.observability.instrumentation import install, observed
from tests.cases import cases

ANSWER = "BUY\nConfidence: 72%"
PIECES = ["BUY\n", "Confidence: ", "72%"]
MESSAGES = [{"role": "user", "content": "Longs +80 %"}]
KEY = "test-key-0123456789abcdef"
WAYS = ("sync", "async")
Rows = Callable[[], list[dict[str, Any]]]


_install_once = functools.cache(install)  # installing the hooks is slow, since it examines every module


@pytest.fixture(autouse=True)
def _hooks() -> None:
    _install_once()


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


def _lines(events: list[Any], *, sse: bool) -> Response:
    text = "".join(f"data: {json.dumps(event)}\r\n\r\n" if sse else json.dumps(event) + "\n" for event in events)
    return Response(text, 200, content_type="text/event-stream" if sse else "application/x-ndjson")


# Response bodies, as each API sends them.


def _openai(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 88, "completion_tokens": 30, "total_tokens": 118}
    return {"id": "1", "object": "chat.completion", "model": "gpt-5-mini", "choices": [choice], "usage": usage}


def _anthropic(text: str) -> dict[str, Any]:
    usage = {"input_tokens": 88, "output_tokens": 30}
    content = [{"type": "text", "text": text}]
    return {"type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": content,
            "stop_reason": "end_turn", "usage": usage}  # fmt: skip


def _responses(text: str) -> dict[str, Any]:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    return {"object": "response", "model": "gpt-5-mini", "output": [message],
            "usage": {"input_tokens": 88, "output_tokens": 30}}  # fmt: skip


def _gemini(text: str) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 88, "candidatesTokenCount": 30, "totalTokenCount": 118}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.0-flash"}


def _ollama(text: str, **last: Any) -> dict[str, Any]:
    counts = {"done_reason": "stop", "prompt_eval_count": 88, "eval_count": 30} if last.get("done", True) else {}
    return {"model": "llama3.2", "created_at": "2026-11-28T22:00:00Z", "done": True, **counts, **last,
            "message": {"role": "assistant", "content": text}}  # fmt: skip


def _generated(text: str) -> dict[str, Any]:
    answer = _ollama(text)
    del answer["message"]
    return {**answer, "response": text}


# Path -> request body, response body, provider, model.
POSTS = {
    "/v1/chat/completions": ({"model": "gpt-5-mini", "messages": MESSAGES}, _openai, "openai", "gpt-5-mini"),
    "/v1/messages": (
        {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 9}, _anthropic, "anthropic",
        "claude-haiku-4-5",
    ),
    "/v1/responses": ({"model": "gpt-5-mini", "input": "Longs +80 %"}, _responses, "openai", "gpt-5-mini"),
    "/v1beta/models/gemini-2.0-flash:generateContent": (
        {"contents": [{"role": "user", "parts": [{"text": "Longs +80 %"}]}], "generationConfig": {"temperature": 0.3}},
        _gemini, "gemini", "gemini-2.0-flash",
    ),
    "/api/chat": ({"model": "llama3.2", "messages": MESSAGES, "stream": False}, _ollama, "ollama", "llama3.2"),
    "/api/generate": ({"model": "llama3.2", "prompt": "Longs +80 %"}, _generated, "ollama", "llama3.2"),
}  # fmt: skip
LIBRARIES = ("requests", "httpx", "httpx2", "async httpx", "async httpx2")


def _post(library: str, url: str, body: Any) -> Any:
    module = pytest.importorskip(library.removeprefix("async "))
    headers = {"Authorization": f"Bearer {KEY}"}
    if not library.startswith("async "):
        return module.post(f"{url}?key={KEY}", json=body, headers=headers)

    async def run() -> Any:
        async with module.AsyncClient() as client:
            return await client.post(f"{url}?key={KEY}", json=body, headers=headers)

    return asyncio.run(run())


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_post_to_a_chat_api_is_one_row(library: str, path: str, httpserver: HTTPServer, rows: Rows) -> None:
    """A POST to a chat API is one row, with the bodies of request and answer, but without headers and URL query."""
    body, answer, provider, model = POSTS[path]
    httpserver.expect_request(path, method="POST").respond_with_json(answer(ANSWER))
    assert _post(library, httpserver.url_for(path), body).json() == answer(ANSWER)
    (row,) = rows()
    assert (row["type"], row["name"].partition(".")[0]) == ("generation", library.removeprefix("async "))
    assert (row["provider"], row["model_requested"], row["model"]) == (provider, model, model)
    assert (row["output"], row["usage"], row["level"]) == (ANSWER, {"input": 88, "output": 30}, "DEFAULT")
    assert "Longs +80 %" in json.dumps(row["input"])
    assert "generationConfig" not in body or row["model_parameters"] == {"temperature": 0.3}
    assert KEY not in json.dumps(row)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_refused_post_is_an_error(library: str, httpserver: HTTPServer, rows: Rows) -> None:
    """If the API refuses a POST, the caller gets the response, and the row has the provider's message."""
    error = {"error": {"message": "Incorrect API key", "type": "invalid_request_error"}}
    httpserver.expect_request("/v1/chat/completions").respond_with_json(error, 401)
    assert (
        _post(library, httpserver.url_for("/v1/chat/completions"), POSTS["/v1/chat/completions"][0]).status_code == 401
    )
    (row,) = rows()
    assert (row["level"], row["status_message"]) == ("ERROR", "HTTP 401: Incorrect API key")
    assert (row["output"], row["usage"]) == (None, None)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_post_that_fails_is_an_error(library: str, rows: Rows) -> None:
    """If the connection is refused, the caller gets the library's own exception, and the row is an error."""
    module = pytest.importorskip(library.removeprefix("async "))
    with pytest.raises(getattr(module, "ConnectionError", None) or module.ConnectError):
        _post(library, "http://127.0.0.1:9/v1/chat/completions", {})
    (row,) = rows()
    assert row["level"] == "ERROR"


@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_a_streamed_answer_is_the_callers_alone(library: str, httpserver: HTTPServer, rows: Rows) -> None:
    """A streamed answer is not recorded; the caller reads every line."""
    module = pytest.importorskip(library)
    httpserver.expect_request("/api/chat").respond_with_response(_lines([_ollama("BUY")], sse=False))
    url, body = httpserver.url_for("/api/chat"), {"model": "llama3.2", "messages": MESSAGES}
    if library == "requests":
        lines = [json.loads(line) for line in module.post(url, json=body, stream=True).iter_lines()]
    else:
        with module.stream("POST", url, json=body) as response:
            lines = [json.loads(line) for line in response.iter_lines()]
    assert lines == [_ollama("BUY")]
    (row,) = rows()
    assert (row["output"], row["usage"], row["level"], row["model"]) == (None, None, "DEFAULT", "llama3.2")
    assert row["metadata"] == {"stream": "not recorded"}


def test_a_stream_that_is_read_as_a_whole_is_recorded(httpserver: HTTPServer, rows: Rows) -> None:
    """If the library reads the whole stream itself, the row has the answer. (Ollama streams by default.)"""
    requests = pytest.importorskip("requests")
    events = [_ollama(piece, done=False) for piece in PIECES[:2]] + [_ollama(PIECES[2])]
    httpserver.expect_request("/api/chat").respond_with_response(_lines(events, sse=False))
    requests.post(httpserver.url_for("/api/chat"), json={"model": "llama3.2", "messages": MESSAGES})
    (row,) = rows()
    assert (row["output"], row["usage"]) == (ANSWER, {"input": 88, "output": 30})


@pytest.mark.parametrize("library", LIBRARIES)
def test_other_requests_are_not_recorded(library: str, httpserver: HTTPServer) -> None:
    """A POST to another path is not recorded, even if its URL query contains the path of a chat API."""
    httpserver.expect_request("/order", method="POST").respond_with_json({})
    _post(library, httpserver.url_for("/order"), {"side": "BUY"})
    _post(library, httpserver.url_for("/order?next=/v1/messages"), {"side": "BUY"})
    from src.observability import runtime

    assert runtime.active is None or runtime.active.recorder.journalled == 0


def test_prompts_of_a_post_can_be_left_out(httpserver: HTTPServer, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """If LANGFUSE_CAPTURE_INPUT is false, a body's prompts and tools are left out; its parameters are recorded."""
    requests = pytest.importorskip("requests")
    monkeypatch.setenv("LANGFUSE_CAPTURE_INPUT", "false")
    httpserver.expect_request("/v1/chat/completions").respond_with_json(_openai(ANSWER))
    body = {"model": "gpt-5-mini", "messages": MESSAGES, "temperature": 0.3, "tools": [{"secret": "plan"}]}
    requests.post(httpserver.url_for("/v1/chat/completions"), json=body)
    (row,) = rows()
    assert (row["input"], row["model_parameters"], row["output"]) == (None, {"temperature": 0.3}, ANSWER)
    assert "plan" not in json.dumps(row)


# Calls of Gemini and Ollama with their own SDKs.


def _assert_recorded(row: dict[str, Any], name: str, provider: str, model: str) -> None:
    assert (row["type"], row["name"], row["provider"]) == ("generation", name, provider)
    assert (row["model_requested"], row["model"]) == (model, model)
    assert (row["output"], row["usage"], row["level"]) == (ANSWER, {"input": 88, "output": 30}, "DEFAULT")
    assert "Longs +80 %" in json.dumps(row["input"])
    assert row["model_parameters"]["temperature"] == 0.3


def _genai(httpserver: HTTPServer) -> Any:
    genai = pytest.importorskip("google.genai")
    chunks = [_gemini(piece) for piece in PIECES]
    path = "/v1beta/models/gemini-2.0-flash"
    httpserver.expect_request(f"{path}:generateContent").respond_with_json(_gemini(ANSWER))
    httpserver.expect_request(f"{path}:streamGenerateContent").respond_with_response(_lines(chunks, sse=True))
    return genai.Client(api_key=KEY, http_options={"base_url": httpserver.url_for(""), "api_version": "v1beta"})


GENAI_ASKED = {
    "model": "gemini-2.0-flash",
    "contents": "Longs +80 %",
    "config": {"temperature": 0.3, "system_instruction": "You are an analyst"},
}


@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize("way", WAYS)
def test_genai(way: str, stream: bool, httpserver: HTTPServer, rows: Rows) -> None:
    """google.genai: an answer or a stream is one row."""
    client = _genai(httpserver)

    async def run() -> str:
        if not stream:
            return (await client.aio.models.generate_content(**GENAI_ASKED)).text
        chunks = await client.aio.models.generate_content_stream(**GENAI_ASKED)
        return "".join([chunk.text async for chunk in chunks])

    if way == "async":
        assert asyncio.run(run()) == ANSWER
    elif stream:
        assert "".join(chunk.text for chunk in client.models.generate_content_stream(**GENAI_ASKED)) == ANSWER
    else:
        assert client.models.generate_content(**GENAI_ASKED).text == ANSWER
    (row,) = rows()
    _assert_recorded(row, "google.genai.generate_content", "gemini", "gemini-2.0-flash")
    assert row["input"][0] == {"role": "system", "content": "You are an analyst"}


def test_genai_refused(httpserver: HTTPServer, rows: Rows) -> None:
    """If Gemini refuses a call, the caller gets the SDK's own exception, and the row has the exception's text."""
    genai = pytest.importorskip("google.genai")
    httpserver.expect_request("/v1beta/models/gemini-2.0-flash:generateContent").respond_with_json(
        {"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}, 400
    )
    client = genai.Client(api_key=KEY, http_options={"base_url": httpserver.url_for(""), "api_version": "v1beta"})
    with pytest.raises(genai.errors.ClientError):
        client.models.generate_content(**GENAI_ASKED)
    (row,) = rows()
    assert (row["level"], row["output"]) == ("ERROR", None)
    assert "API key not valid" in row["status_message"]


def _generativeai(httpserver: HTTPServer) -> Any:
    genai = pytest.importorskip("google.generativeai")
    path = "/v1beta/models/gemini-2.0-flash"
    httpserver.expect_request(f"{path}:generateContent").respond_with_json(_gemini(ANSWER))
    httpserver.expect_request(f"{path}:streamGenerateContent").respond_with_json([_gemini(piece) for piece in PIECES])
    address = httpserver.url_for("").rstrip("/")
    genai.configure(api_key=KEY, transport="rest", client_options={"api_endpoint": address})
    return genai.GenerativeModel(
        "gemini-2.0-flash", None, {"temperature": 0.3}, system_instruction="You are an analyst"
    )


@pytest.mark.parametrize("ask", ["answer", "stream", "chat"])
def test_generativeai(ask: str, httpserver: HTTPServer, rows: Rows) -> None:
    """google.generativeai: an answer, a stream or a chat is one row."""
    model = _generativeai(httpserver)
    if ask == "stream":
        response = model.generate_content("Longs +80 %", stream=True)
        assert "".join(chunk.text for chunk in response) == response.text == ANSWER
    elif ask == "chat":
        assert model.start_chat(history=[]).send_message("Longs +80 %").text == ANSWER
    else:
        assert model.generate_content("Longs +80 %").text == ANSWER
    (row,) = rows()
    _assert_recorded(row, "google.generativeai.generate_content", "gemini", "gemini-2.0-flash")
    assert "You are an analyst" in json.dumps(row["input"][0])


def test_generativeai_refused(httpserver: HTTPServer, rows: Rows) -> None:
    """If Gemini refuses a call, the caller gets the SDK's own exception, and the row has the exception's text."""
    model = _generativeai(httpserver)
    httpserver.clear()
    refusal = {"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}
    httpserver.expect_request("/v1beta/models/gemini-2.0-flash:generateContent").respond_with_json(refusal, 400)
    with pytest.raises(importlib.import_module("google.api_core.exceptions").BadRequest):
        model.generate_content("Longs +80 %")
    (row,) = rows()
    assert (row["level"], row["output"]) == ("ERROR", None)
    assert "API key not valid" in row["status_message"]


def test_generativeai_stream_that_is_left(httpserver: HTTPServer, rows: Rows) -> None:
    """If a stream's response object is deleted, the request ends. Its row has the piece that the SDK had read."""
    response = _generativeai(httpserver).generate_content("Longs +80 %", stream=True)
    del response
    gc.collect()
    (row,) = rows()
    assert (row["level"], row["output"], row["metadata"]["stream"]) == ("DEFAULT", PIECES[0], "closed early")


@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
def test_generativeai_async(stream: bool, rows: Rows) -> None:
    """The asynchronous client speaks only gRPC; its answer or stream is one row."""
    genai = pytest.importorskip("google.generativeai")
    from google.ai import generativelanguage_v1beta as wire
    from google.ai.generativelanguage_v1beta.services.generative_service.transports import (
        GenerativeServiceGrpcAsyncIOTransport,
    )
    from grpc import (
        aio,
        method_handlers_generic_handler,
        unary_stream_rpc_method_handler,
        unary_unary_rpc_method_handler,
    )

    def message(text: str) -> Any:
        return wire.GenerateContentResponse.from_json(json.dumps(_gemini(text)), ignore_unknown_fields=True)

    async def answer(_request: Any, _context: Any) -> Any:
        return message(ANSWER)

    async def pieces(_request: Any, _context: Any) -> Any:
        for piece in PIECES:
            yield message(piece)

    codec = {
        "request_deserializer": wire.GenerateContentRequest.deserialize,
        "response_serializer": wire.GenerateContentResponse.serialize,
    }
    handlers = {
        "GenerateContent": unary_unary_rpc_method_handler(answer, **codec),
        "StreamGenerateContent": unary_stream_rpc_method_handler(pieces, **codec),
    }

    async def run() -> str:
        server = aio.server()
        service = "google.ai.generativelanguage.v1beta.GenerativeService"
        server.add_generic_rpc_handlers((method_handlers_generic_handler(service, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        model = genai.GenerativeModel("gemini-2.0-flash", None, {"temperature": 0.3})
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            transport = GenerativeServiceGrpcAsyncIOTransport(channel=channel)
            model._async_client = wire.GenerativeServiceAsyncClient(transport=transport)
            response = await model.generate_content_async("Longs +80 %", stream=stream)
            text = "".join([piece.text async for piece in response])
        await server.stop(None)
        return text

    assert asyncio.run(run()) == ANSWER
    (row,) = rows()
    assert (row["name"], row["output"]) == ("google.generativeai.generate_content", ANSWER)
    assert (row["model_requested"], row["usage"]) == ("gemini-2.0-flash", {"input": 88, "output": 30})
    assert (row["first_token_ns"] is None) != stream


def _ollama_client(way: str, httpserver: HTTPServer) -> Any:
    ollama = pytest.importorskip("ollama")
    events = [_ollama(piece, done=False) for piece in PIECES[:2]] + [_ollama(PIECES[2])]

    def respond(request: Request) -> Response:
        return _lines(events, sse=False) if json.loads(request.get_data())["stream"] else _json(_ollama(ANSWER))

    httpserver.expect_request("/api/chat").respond_with_handler(respond)
    httpserver.expect_request("/api/generate").respond_with_json(_generated(ANSWER))
    httpserver.expect_request("/api/embed").respond_with_json(
        {"model": "nomic", "embeddings": [[0.5, 0.25]], "prompt_eval_count": 8}
    )
    return getattr(ollama, "AsyncClient" if way == "async" else "Client")(host=httpserver.url_for(""))


@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize("way", WAYS)
def test_ollama_chat(way: str, stream: bool, httpserver: HTTPServer, rows: Rows) -> None:
    """A chat is one row, whether it is answered at once or streamed."""
    client = _ollama_client(way, httpserver)
    asked = {"messages": MESSAGES, "options": {"temperature": 0.3}, "stream": stream}

    async def run() -> str:
        answer = await client.chat("llama3.2", **asked)
        return "".join([part.message.content async for part in answer]) if stream else answer.message.content

    if way == "async":
        assert asyncio.run(run()) == ANSWER
    else:
        answer = client.chat("llama3.2", **asked)
        text = "".join(part.message.content for part in answer) if stream else answer.message.content
        assert text == ANSWER
    (row,) = rows()
    _assert_recorded(row, "ollama.chat", "ollama", "llama3.2")
    assert (row["first_token_ns"] is None) != stream


def test_ollama_generate_and_embed(httpserver: HTTPServer, rows: Rows) -> None:
    """A prompt given to `generate` by position is recorded. A row of embeddings has the vectors' number and length."""
    client = _ollama_client("sync", httpserver)
    client.generate("llama3.2", "Longs +80 %", options={"temperature": 0.3})
    client.embed("nomic", "x")
    generated, embedded = rows()
    _assert_recorded(generated, "ollama.generate", "ollama", "llama3.2")
    assert (embedded["type"], embedded["output"]) == ("embedding", {"vectors": 1, "dimensions": 2})
    assert embedded["usage"] == {"input": 8, "output": 0}


def test_ollama_stream_closed_early(httpserver: HTTPServer, rows: Rows) -> None:
    """A stream closed early is one row. A call between two of its parts is not nested in it."""
    client = _ollama_client("sync", httpserver)
    parts = client.chat("llama3.2", messages=MESSAGES, stream=True)
    assert next(parts).message.content == PIECES[0]
    client.chat("llama3.2", messages=MESSAGES)
    parts.close()
    first, second = rows()
    assert (first["metadata"]["stream"], first["parent_id"]) == ("closed early", None)
    assert (second["output"], second["parent_id"]) == (ANSWER, None)


@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize("way", WAYS)
def test_ollama_refused(way: str, stream: bool, httpserver: HTTPServer, rows: Rows) -> None:
    """A refused call raises the SDK's own exception, at once or when its stream is read."""
    ollama = pytest.importorskip("ollama")
    httpserver.expect_request("/api/chat").respond_with_json({"error": "model 'llama3.2' not found"}, 404)
    client = getattr(ollama, "AsyncClient" if way == "async" else "Client")(host=httpserver.url_for(""))

    async def run() -> None:
        answer = await client.chat("llama3.2", messages=MESSAGES, stream=stream)
        async for _ in answer:
            pass

    def ask() -> None:
        if way == "async":
            asyncio.run(run())
        else:
            list(client.chat("llama3.2", messages=MESSAGES, stream=stream))

    with pytest.raises(ollama.ResponseError, match="not found"):
        ask()
    (row,) = rows()
    assert (row["level"], row["output"], row["provider"]) == ("ERROR", None, "ollama")
    assert "not found" in row["status_message"]


def test_methods_keep_what_they_are() -> None:
    """With hooks, generator functions are still generator functions, and coroutine functions coroutine functions."""
    models = pytest.importorskip("google.genai.models")
    ollama = pytest.importorskip("ollama")
    assert inspect.isgeneratorfunction(models.Models.generate_content_stream)
    assert inspect.iscoroutinefunction(models.AsyncModels.generate_content_stream)
    assert inspect.iscoroutinefunction(ollama.AsyncClient.chat)
    assert not inspect.isgeneratorfunction(ollama.Client.chat)


# Speech, transcription, images.


def _of_openai(way: str, httpserver: HTTPServer) -> Any:
    openai = pytest.importorskip("openai")
    client = getattr(openai, "AsyncOpenAI" if way == "async" else "OpenAI")
    return client(api_key=KEY, base_url=httpserver.url_for("/v1"), max_retries=0)


def _call(method: Callable[..., Any], **given: Any) -> Any:
    made = method(**given)
    if not hasattr(made, "__await__"):
        return made

    async def run() -> Any:
        return await made

    return asyncio.run(run())


@pytest.mark.parametrize("way", WAYS)
def test_openai_media(way: str, httpserver: HTTPServer, rows: Rows) -> None:
    """Rows of speech, transcription and images have texts, voice and number of bytes, but neither media nor tokens."""
    image = base64.b64encode(bytes(3000)).decode()
    httpserver.expect_request("/v1/audio/speech").respond_with_data(b"\x00" * 4000, content_type="audio/mpeg")
    httpserver.expect_request("/v1/audio/transcriptions").respond_with_json({"text": "Longs"})
    httpserver.expect_request("/v1/images/generations").respond_with_json({"created": 1, "data": [{"b64_json": image}]})
    _call(_of_openai(way, httpserver).audio.speech.create, model="tts-1", voice="alloy", input="Longs +80 %")
    heard = ("a.wav", b"\x01" * 500, "audio/wav")
    _call(_of_openai(way, httpserver).audio.transcriptions.create, model="whisper-1", file=heard)
    _call(_of_openai(way, httpserver).images.generate, model="gpt-image-1", prompt="A moon", size="1024x1024")
    speech, transcription, picture = rows()
    assert {row["type"] for row in (speech, transcription, picture)} == {"tool"}
    assert {row["provider"] for row in (speech, transcription, picture)} == {"openai"}
    assert (speech["name"], speech["model"], speech["model_parameters"]) == (
        "openai.audio.speech.create", "tts-1", {"voice": "alloy"},
    )  # fmt: skip
    assert (speech["input"], speech["output"]) == ([{"role": "user", "content": "Longs +80 %"}], {"bytes": 4000})
    assert (transcription["output"], transcription["metadata"]["file"]) == (
        {"text": "Longs"}, ["a.wav", "[500 bytes]", "audio/wav"],
    )  # fmt: skip
    assert (picture["output"], picture["model_parameters"]) == ({"images": 1, "bytes": 3000}, {"size": "1024x1024"})
    assert all(row["usage"] is None for row in (speech, transcription, picture))


@pytest.mark.parametrize("way", WAYS)
def test_elevenlabs_speech(way: str, httpserver: HTTPServer, rows: Rows) -> None:
    """A stream of sound is recorded by its size."""
    elevenlabs = pytest.importorskip("elevenlabs")
    httpserver.expect_request("/v1/text-to-speech/rachel").respond_with_data(b"\x00" * 4000, content_type="audio/mpeg")
    client = getattr(elevenlabs, "AsyncElevenLabs" if way == "async" else "ElevenLabs")
    speak = client(api_key=KEY, base_url=httpserver.url_for("").rstrip("/")).text_to_speech.convert

    async def run() -> bytes:
        return b"".join([piece async for piece in speak("rachel", text="Longs +80 %", model_id="eleven_turbo_v2")])

    if way == "async":
        assert len(asyncio.run(run())) == 4000
    else:
        assert len(b"".join(speak("rachel", text="Longs +80 %", model_id="eleven_turbo_v2"))) == 4000
    (row,) = rows()
    assert (row["type"], row["name"], row["provider"]) == ("tool", "elevenlabs.text_to_speech.convert", "elevenlabs")
    assert (row["model"], row["model_parameters"]) == ("eleven_turbo_v2", {"voice_id": "rachel"})
    assert (row["output"], row["usage"]) == ({"bytes": 4000}, None)


METHODS = {
    "google": ("google.genai", "genai.models.generate_content_stream"),
    "ollama": ("ollama", "chat"),
    "requests": ("requests", "sessions.send"),
    "httpx": ("httpx", "send"),
    "elevenlabs": ("elevenlabs", "text_to_speech.convert"),
}


@cases("name", METHODS)
def test_doctor_can_list_what_is_observed(name: str) -> None:
    """`doctor` lists the observed methods of an installed library."""
    module, method = METHODS[name]
    pytest.importorskip(module)
    assert method in observed(importing=True)[name]


def test_functions_of_ollama_that_were_bound_before_the_hooks(httpserver: HTTPServer, rows: Rows) -> None:
    """`ollama.chat` is observed, although it is bound to a client that the SDK makes when it is imported."""
    ollama = pytest.importorskip("ollama")
    client = _ollama_client("sync", httpserver)
    importlib.import_module("ollama")
    ollama.chat.__self__._client = client._client
    for _ in ollama.chat("llama3.2", messages=MESSAGES, stream=True):
        pass
    (row,) = rows()
    assert (row["name"], row["output"]) == ("ollama.chat", ANSWER)
