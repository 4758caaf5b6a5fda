"""A call of any observed SDK method makes one row; a local server plays the providers' recorded answers.

`run.py` runs this file in one environment for each combination of versions; a method that a version lacks is skipped.
Each situation is written once, for the sync and the async client.
"""

import asyncio
import base64
import gc
import importlib
import inspect
import json
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from src.observability.instrumentation import observed

HERE = Path(__file__).parent
ANSWER = "BUY\nLong liquidations rose by 80 % within fifteen minutes\nConfidence: 72%"
KEY = "test-key-0123456789abcdef"
Rows = Callable[[], list[dict[str, Any]]]


@dataclass(frozen=True)
class Api:
    """One API of an SDK."""

    sdk: str
    name: str  # the observation's name without the SDK's prefix
    body: Path
    base: str  # path at the end of the client's base URL
    given: dict[str, Any]
    streams: bool = True

    @property
    def recorded(self) -> dict[str, Any]:
        """Return the provider's recorded answers and the values expected in the row."""
        recorded: dict[str, Any] = json.loads(self.body.read_text(encoding="utf-8"))
        return recorded

    def resource(self, client: Any) -> Any:
        """Return the client's object for this API (such as `client.chat.completions`), or skip the test if missing."""
        for name in self.name.split("."):
            if not hasattr(client, name):
                pytest.skip(f"{self.sdk} {version_of(self.sdk)} has no {self.name}")
            client = getattr(client, name)
        return client


MESSAGES = [{"role": "user", "content": "Longs +80 %"}]
PROVIDERS = HERE.parent / "providers"
APIS = {
    api.sdk + "." + api.name: api
    for api in (
        Api(
            "openai", "chat.completions", PROVIDERS / "openai.json", "/v1",
            {"model": "gpt-5-mini", "messages": MESSAGES},
        ),
        Api(
            "openai", "responses", HERE / "responses.json", "/v1",
            {"model": "gpt-5-mini", "input": "Longs +80 %", "instructions": "You are an analyst"},
        ),
        Api(
            "openai", "embeddings", HERE / "embeddings.json", "/v1",
            {"model": "text-embedding-3-small", "input": ["a", "b"]}, streams=False,
        ),
        Api(
            "anthropic", "messages", PROVIDERS / "claude.json", "",
            {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 200, "system": "You are an analyst"},
        ),
        Api(
            "groq", "chat.completions", PROVIDERS / "groq.json", "",
            {"model": "llama-3.3-70b-versatile", "messages": MESSAGES},
        ),
    )
}  # fmt: skip
CLIENTS = {"openai": "OpenAI", "anthropic": "Anthropic", "groq": "Groq"}
WAYS = ("sync", "async")


def version_of(sdk: str) -> str:
    """Return the installed version of an SDK."""
    return str(importlib.import_module(sdk).__version__)


def sdk_of(api: Api) -> Any:
    """Return the SDK's module; skip the test if it is not installed."""
    return pytest.importorskip(api.sdk)


async def settled(value: Any) -> Any:
    """Return the result of a sync method, or await the coroutine of an async method."""
    return await value if inspect.isawaitable(value) else value


async def first(stream: Any, count: int | None = None) -> list[Any]:
    """Return the first `count` items of a stream, or all items."""
    items: list[Any] = []
    if hasattr(stream, "__anext__"):
        while count is None or len(items) < count:
            try:
                items.append(await stream.__anext__())
            except StopAsyncIteration:
                break
    else:
        while count is None or len(items) < count:
            try:
                items.append(next(stream))
            except StopIteration:
                break
    return items


async def entered(manager: Any) -> Any:
    """Enter a sync or async context manager, and return its value."""
    return await manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()


async def left(manager: Any) -> None:
    """Leave a sync or async context manager."""
    if hasattr(manager, "__aexit__"):
        await manager.__aexit__(None, None, None)
    else:
        manager.__exit__(None, None, None)


def with_usage(api: Api) -> dict[str, Any]:
    """Return the additional arguments that a call needs so that its stream reports the token usage."""
    return {"stream_options": {"include_usage": True}} if api.sdk == "openai" and "chat" in api.name else {}


Situation = Callable[[Api, Any], Awaitable[None]]


async def success(api: Api, resource: Any) -> None:
    """Make a plain call."""
    answer = await settled(resource.create(**api.given))
    assert type(answer).__module__.startswith(f"{api.sdk}.types.")


async def raw(api: Api, resource: Any) -> None:
    """Call by `with_raw_response`."""
    answer = await settled(resource.with_raw_response.create(**api.given))
    assert answer.http_response.status_code == 200
    await settled(answer.parse())


async def streaming_response(api: Api, resource: Any) -> None:
    """Call by `with_streaming_response`, and parse the response inside its context."""
    manager = resource.with_streaming_response.create(**api.given)
    response = await entered(manager)
    await settled(response.parse())
    await left(manager)


async def stream(api: Api, resource: Any) -> None:
    """Read a stream item by item; the stream has the SDK's own type."""
    events = await settled(resource.create(**api.given, stream=True, **with_usage(api)))
    assert type(events) in (sdk_of(api).Stream, sdk_of(api).AsyncStream)
    assert await first(events)


async def stream_in_loop(api: Api, resource: Any) -> None:
    """Read a stream by `for`."""
    events = await settled(resource.create(**api.given, stream=True, **with_usage(api)))
    if hasattr(events, "__aiter__"):
        assert [event async for event in events]
    else:
        assert list(events)


async def raw_stream(api: Api, resource: Any) -> None:
    """Read a stream from a raw response."""
    answer = await settled(resource.with_raw_response.create(**api.given, stream=True, **with_usage(api)))
    events = await settled(answer.parse())
    assert await first(events)


async def early_close(api: Api, resource: Any) -> None:
    """Read one item of a stream, then close the stream."""
    events = await settled(resource.create(**api.given, stream=True, **with_usage(api)))
    assert await first(events, 1)
    await settled(events.close())


async def dropped(api: Api, resource: Any) -> None:
    """Drop a stream without reading it."""
    await settled(resource.create(**api.given, stream=True, **with_usage(api)))


async def error(api: Api, resource: Any) -> None:
    """Make a call whose key the provider refuses."""
    with pytest.raises(sdk_of(api).AuthenticationError):
        await settled(resource.create(**api.given))


ANSWERED = (success, raw, streaming_response)
STREAMED = (stream, stream_in_loop, raw_stream)


def encoded(answer: dict[str, Any]) -> dict[str, Any]:
    """Return embeddings in base64, which the SDK requests where numpy is installed."""
    data = [{**item, "embedding": base64.b64encode(array("f", item["embedding"]))} for item in answer["data"]]
    return {**answer, "data": [{**item, "embedding": item["embedding"].decode()} for item in data]}


def play(server: HTTPServer, api: Api, *, fails: bool) -> None:
    """Make the server answer as recorded, or with the recorded 401 if `fails`."""
    recorded = api.recorded

    def respond(request: Request) -> Response:
        asked = json.loads(request.get_data())
        if fails:
            return Response(json.dumps(recorded["errors"]["401"]), 401, content_type="application/json")
        if not asked.get("stream"):
            answer = encoded(recorded["answer"]) if asked.get("encoding_format") == "base64" else recorded["answer"]
            return Response(json.dumps(answer), 200, content_type="application/json")
        named = recorded["format"] in ("anthropic", "responses")
        events = [("", event) if not named else (f"event: {event['type']}\n", event) for event in recorded["stream"]]
        lines = [f"{name}data: {json.dumps(event)}\n\n" for name, event in events]
        return Response("".join(lines) + ("" if named else "data: [DONE]\n\n"), 200, content_type="text/event-stream")

    server.expect_request(recorded["path"], method="POST").respond_with_handler(respond)


def drive(api: Api, way: str, situation: Situation, server: HTTPServer, *, fails: bool = False) -> None:
    """Run a situation with the SDK's sync or async client."""
    sdk = sdk_of(api)
    play(server, api, fails=fails)
    client_class = getattr(sdk, ("Async" if way == "async" else "") + CLIENTS[api.sdk])

    async def run() -> None:
        client = client_class(api_key=KEY, base_url=server.url_for(api.base).rstrip("/"), max_retries=0)
        try:
            await situation(api, api.resource(client))
        finally:
            await settled(client.close())

    asyncio.run(run())
    if situation is dropped:
        gc.collect()  # frees the stream: it is in a reference cycle


def assert_recorded(api: Api, rows: list[dict[str, Any]]) -> None:
    """Check that there is one row, with request and answer."""
    (row,) = rows
    expected = api.recorded["expected"]
    assert (row["type"], row["name"]) == ("generation" if api.streams else "embedding", f"{api.sdk}.{api.name}")
    assert (row["provider"], row["model_requested"], row["model"]) == (api.sdk, api.given["model"], expected["model"])
    assert row["usage"] == expected["usage"]
    assert row["output"] == (ANSWER if api.streams else {"vectors": 2, "dimensions": 4})
    assert (row["level"], row["parent_id"]) == ("DEFAULT", None)
    assert "Longs +80 %" in json.dumps(row["input"]) or not api.streams


@pytest.mark.parametrize("situation", ANSWERED, ids=lambda situation: situation.__name__)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", APIS)
def test_an_answer_is_one_row(name: str, way: str, situation: Situation, httpserver: HTTPServer, rows: Rows) -> None:
    """Every kind of call makes one row."""
    drive(APIS[name], way, situation, httpserver)
    assert_recorded(APIS[name], rows())


@pytest.mark.parametrize("situation", STREAMED, ids=lambda situation: situation.__name__)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [name for name, api in APIS.items() if api.streams])
def test_a_stream_is_one_row(name: str, way: str, situation: Situation, httpserver: HTTPServer, rows: Rows) -> None:
    """The row has the whole answer, and the time of its first token."""
    drive(APIS[name], way, situation, httpserver)
    recorded = rows()
    assert_recorded(APIS[name], recorded)
    assert recorded[0]["start_ns"] < recorded[0]["first_token_ns"] < recorded[0]["end_ns"]


@pytest.mark.slow
@pytest.mark.parametrize("situation", [early_close, dropped], ids=lambda situation: situation.__name__)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [name for name, api in APIS.items() if api.streams])
def test_a_stream_that_is_left_is_one_row(
    name: str, way: str, situation: Situation, httpserver: HTTPServer, rows: Rows
) -> None:
    """A stream closed early, or never read, makes one row."""
    drive(APIS[name], way, situation, httpserver)
    (row,) = rows()
    assert (row["level"], row["metadata"]["stream"]) == ("DEFAULT", "closed early")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", APIS)
def test_a_failure_is_one_row(name: str, way: str, httpserver: HTTPServer, rows: Rows) -> None:
    """The row has the text of the SDK's error."""
    drive(APIS[name], way, error, httpserver, fails=True)
    (row,) = rows()
    assert (row["level"], row["usage"], row["output"]) == ("ERROR", None, None)
    assert row["status_message"].startswith("AuthenticationError: ")


# The SDKs' helpers: `stream` yields the SDK's own events, and `parse` parses an answer. Each call is one request.


def _helper_of(api: Api, resource: Any, method: str) -> Any:
    """Return the method, or skip the test if this version lacks it; before openai 1.92 the method was in `beta`."""
    if hasattr(resource, method):
        return getattr(resource, method)
    client = resource._client
    beta = getattr(getattr(getattr(client, "beta", None), "chat", None), "completions", None)
    if api.name == "chat.completions" and hasattr(beta, method):
        return getattr(beta, method)
    return pytest.skip(f"{api.sdk} {version_of(api.sdk)} has no {api.name}.{method}")


async def helper_stream(api: Api, resource: Any) -> None:
    """Read all events of the helper `stream`."""
    manager = _helper_of(api, resource, "stream")(**api.given, **with_usage(api))
    events = await entered(manager)
    assert await first(events)
    await left(manager)


async def helper_stream_left(api: Api, resource: Any) -> None:
    """Read one event of the helper `stream`, then leave its `with`."""
    manager = _helper_of(api, resource, "stream")(**api.given, **with_usage(api))
    assert await first(await entered(manager), 1)
    await left(manager)


async def helper_never_entered(api: Api, resource: Any) -> None:
    """Make the context manager of the helper `stream` without entering it."""
    manager = _helper_of(api, resource, "stream")(**api.given, **with_usage(api))
    for made in vars(manager).values():
        if inspect.iscoroutine(made):
            made.close()


async def parse(api: Api, resource: Any) -> None:
    """Make a call whose answer the SDK parses."""
    await settled(_helper_of(api, resource, "parse")(**api.given))


HELPED = [name for name, api in APIS.items() if api.streams]


@pytest.mark.parametrize("situation", [helper_stream, parse], ids=lambda situation: situation.__name__)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", HELPED)
def test_a_helper_makes_one_request(
    name: str, way: str, situation: Situation, httpserver: HTTPServer, rows: Rows
) -> None:
    """`stream` and `parse` make one row, whatever they call inside."""
    drive(APIS[name], way, situation, httpserver)
    assert_recorded(APIS[name], rows())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", HELPED)
def test_a_helper_that_is_left_is_one_row(name: str, way: str, httpserver: HTTPServer, rows: Rows) -> None:
    """Leaving the helper's context manager early closes the stream, and the row says so."""
    drive(APIS[name], way, helper_stream_left, httpserver)
    (row,) = rows()
    assert (row["level"], row["metadata"]["stream"]) == ("DEFAULT", "closed early")


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", HELPED)
def test_a_helper_that_is_not_entered_makes_no_request(name: str, way: str, httpserver: HTTPServer, rows: Rows) -> None:
    """If the context manager of the helper `stream` is never entered, no row is made."""
    drive(APIS[name], way, helper_never_entered, httpserver)
    from src.observability import runtime

    assert runtime.active is None or runtime.active.recorder.journalled == 0


@pytest.mark.parametrize("sdk", CLIENTS)
def test_doctor_can_list_what_is_observed(sdk: str) -> None:
    """`doctor` lists the observed methods of an installed SDK."""
    pytest.importorskip(sdk)
    methods = observed(importing=True)[sdk]
    assert ("messages.create" if sdk == "anthropic" else "chat.completions.create") in methods
