"""With hooks, an SDK has the same types, signatures, streams and exceptions as without hooks."""

import asyncio
import concurrent.futures
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextvars import copy_context
from typing import Any

import anthropic
import openai
import pytest
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.resources.responses import AsyncResponses, Responses
from openai.types.chat import ChatCompletion
from pydantic import BaseModel
from pytest_httpserver import HTTPServer

from src.observability import observe_llm, settings
from src.observability.instrumentation import install, observed, uninstall
from src.observability.instrumentation.calls import async_method
from src.observability.instrumentation.sdks.openai import CHAT
from tests.conftest import JournalReader
from tests.instrumentation.conftest import ASKED, CLAUDE_ASKED
from tests.providers.wire import ANSWER, KEY

METHODS = [
    (Completions, "create"), (AsyncCompletions, "create"), (Completions, "parse"), (AsyncCompletions, "parse"),
    (Responses, "create"), (AsyncResponses, "create"),
    (openai.resources.Embeddings, "create"), (openai.resources.AsyncEmbeddings, "create"),
    (anthropic.resources.Messages, "create"), (anthropic.resources.AsyncMessages, "create"),
    (anthropic.resources.Messages, "stream"), (anthropic.resources.AsyncMessages, "stream"),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "name"), METHODS, ids=lambda value: getattr(value, "__name__", value))
def test_a_method_looks_as_before(cls: type, name: str) -> None:
    """A hooked method has the same signature, name, docstring and coroutine flag as before."""

    def looks() -> tuple[Any, ...]:
        method = getattr(cls, name)
        return (
            inspect.signature(method), method.__name__, method.__qualname__, method.__doc__, method.__module__,
            inspect.iscoroutinefunction(method), asyncio.iscoroutinefunction(method), inspect.isfunction(method),
        )  # fmt: skip

    with_hooks, patched = looks(), getattr(cls, name)
    uninstall()
    assert getattr(cls, name) is not patched
    assert looks() == with_hooks


def test_an_answer_is_the_sdks(client: openai.OpenAI) -> None:
    """Plain answers, streams and parsed raw responses have the SDK's own types."""
    assert type(client.chat.completions.create(**ASKED)) is ChatCompletion
    with client.chat.completions.create(**ASKED, stream=True) as stream:  # an open stream would disturb a later test
        assert type(stream) is openai.Stream
    assert type(client.chat.completions.with_raw_response.create(**ASKED).parse()) is ChatCompletion


def test_wrong_arguments_are_the_sdks_error(client: openai.OpenAI, journal: JournalReader) -> None:
    """Wrong arguments raise an error with the SDK's text, and the error is in the trace."""
    with pytest.raises(TypeError, match="Missing required arguments"):
        client.chat.completions.create(model="gpt-5-mini")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        client.chat.completions.create(**ASKED, colour="red")  # type: ignore[call-overload]
    assert [row["level"] for row in journal.observations()] == ["ERROR", "ERROR"]


def test_an_async_call_is_checked_before_it_is_awaited(settings_of: Any) -> None:
    """Wrong arguments of an async method raise TypeError at the call, as in the SDK, and not at `await`."""
    client = openai.AsyncOpenAI(**settings_of("/v1"))
    with pytest.raises(TypeError, match="Missing required arguments"):
        client.chat.completions.create(model="gpt-5-mini")  # type: ignore[call-overload]


def test_a_copied_client_is_observed(client: openai.OpenAI, journal: JournalReader) -> None:
    """`with_options` makes a new client of the same classes, which is observed too."""
    client.with_options(timeout=5).chat.completions.create(**ASKED)
    assert len(journal.observations()) == 1


def test_a_subclass_that_overrides_is_one_request(client: openai.OpenAI, journal: JournalReader) -> None:
    """If a subclass's method calls the SDK's method by `super()`, one request is recorded."""

    class Loud(Completions):
        def create(self, **kwargs: Any) -> Any:  # type: ignore[override]
            return super().create(**kwargs)

    Loud(client).create(**ASKED)
    assert len(journal.observations()) == 1


def test_retries_of_the_sdk_are_one_request(play: Any, settings_of: Any, journal: JournalReader) -> None:
    """If a request gets a 503, and its retry by the SDK gets another 503, one failed request is recorded."""
    provider = play("openai", "503")
    client = openai.OpenAI(**{**settings_of("/v1"), "max_retries": 1})
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**ASKED)
    assert (len(provider.requests), len(journal.observations())) == (2, 1)


def test_a_stream_can_be_read_in_another_thread(client: openai.OpenAI, journal: JournalReader) -> None:
    """If another thread reads the stream, its request ends when that thread has read it."""
    stream = client.chat.completions.create(**ASKED, stream=True)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    reader.join()
    (row,) = journal.observations()
    assert row["output"] == ANSWER


def test_a_stream_can_be_read_in_another_task(play: Any, settings_of: Any, journal: JournalReader) -> None:
    """If another task, with its own context, reads the stream, the request is recorded with its answer."""
    play("openai")

    async def read(stream: Any) -> list[Any]:
        return [chunk async for chunk in stream]

    async def main() -> None:
        async with openai.AsyncOpenAI(**settings_of("/v1")) as client:
            stream = await client.chat.completions.create(**ASKED, stream=True)
            await asyncio.create_task(read(stream))

    asyncio.run(main())
    (row,) = journal.observations()
    assert row["output"] == ANSWER


def test_requests_of_a_pool_are_below_the_call_that_started_it(client: openai.OpenAI, journal: JournalReader) -> None:
    """A call that sends two requests at once from a thread pool is a span above two generations."""

    @observe_llm
    def swarm() -> None:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: client.chat.completions.create(**ASKED), range(2)))

    swarm()
    around, *requests = journal.observations()
    assert [(row["type"], row["parent_id"]) for row in requests] == [("generation", around["id"])] * 2
    assert around["type"] == "span"


def test_gathered_calls_are_siblings(play: Any, settings_of: Any, journal: JournalReader) -> None:
    """Requests of concurrent tasks are not nested in each other."""
    play("openai")

    async def main() -> None:
        async with openai.AsyncOpenAI(**settings_of("/v1")) as client:
            await asyncio.gather(*(client.chat.completions.create(**ASKED) for _ in range(3)))

    asyncio.run(main())
    rows = journal.observations()
    assert [(row["type"], row["parent_id"]) for row in rows] == [("generation", None)] * 3


def test_a_cancelled_call_is_a_warning(httpserver: HTTPServer, settings_of: Any, journal: JournalReader) -> None:
    """A request whose task is cancelled is recorded as a WARNING, and the task stays cancelled."""
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(lambda _: time.sleep(1))  # type: ignore[arg-type,return-value]

    async def main() -> None:
        async with openai.AsyncOpenAI(**settings_of("/v1")) as client:
            task = asyncio.create_task(client.chat.completions.create(**ASKED))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    (row,) = journal.observations()
    assert (row["level"], row["status_message"]) == ("WARNING", "CancelledError")


class _Suspended:
    """An awaitable that suspends its caller once."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def _hangs(**_: Any) -> None:
    await _Suspended()


def test_a_request_that_is_closed_from_another_context(journal: JournalReader) -> None:
    """If garbage collection or anyio closes a request in another context, nothing is raised, and a row is written."""
    call = async_method(CHAT)(_hangs)(**ASKED)
    copy_context().run(call.send, None)
    copy_context().run(call.close)
    (row,) = journal.observations()
    assert (row["state"], row["status_message"]) == ("local", "GeneratorExit")


# Code that starts another library's instrumentation -> the provider whose SDK the library patches.
LIBRARIES = {
    "from openinference.instrumentation.openai import OpenAIInstrumentor as library; library().instrument()": "openai",
    "import langfuse.openai": "openai",
    "from openinference.instrumentation.anthropic import AnthropicInstrumentor as library; library().instrument()": (
        "claude"
    ),
}
_ASK = """
import anthropic, openai, sys
{0}
{1}
from src.observability import runtime
key, address = sys.argv[1:]
question = {{"messages": [{{"role": "user", "content": "Longs?"}}], "max_tokens": 200}}
for stream in (False, True):
    if {2}:
        client = anthropic.Anthropic(api_key=key, base_url=address)
        answer = client.messages.create(model="m", stream=stream, **question)
    else:
        client = openai.OpenAI(api_key=key, base_url=address + "/v1")
        answer = client.chat.completions.create(model="m", stream=stream, **question)
    pieces = list(answer)
runtime.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_first", [True, False], ids=["before us", "after us"])
@pytest.mark.parametrize("library", LIBRARIES, ids=["OpenInference-openai", "langfuse.openai", "OpenInference-claude"])
def test_beside_another_instrumentation_each_request_is_recorded_once(
    library: str, is_first: bool, play: Any, httpserver: HTTPServer, journal: JournalReader
) -> None:
    """If another library instruments the SDK too, before or after our hooks, each request is recorded once."""
    sdk = LIBRARIES[library]
    play(sdk)
    hooks = "import src.observability.autoload"
    lines = (library, hooks) if is_first else (hooks, library)
    script = _ASK.format(*lines, sdk == "claude")
    address = httpserver.url_for("").rstrip("/")
    subprocess.run([sys.executable, "-c", script, KEY, address], cwd=settings.REPO_ROOT, check=True)
    rows = journal.observations()
    assert [row["type"] for row in rows] == ["generation"] * 2
    assert all(row["usage"]["output"] > 0 for row in rows)


def test_a_parsed_answer_is_the_callers_model(client: openai.OpenAI, journal: JournalReader) -> None:
    """The row names the class given to `parse`. If the answer does not fit the class, the SDK's error is raised."""

    class Decision(BaseModel):
        action: str

    with pytest.raises(ValueError, match="Invalid JSON"):  # the SDK's error: the recorded answer is not JSON
        client.chat.completions.parse(**ASKED, response_format=Decision)
    (row,) = journal.observations()
    assert row["model_parameters"]["response_format"].endswith("Decision]")
    assert (row["level"], row["status_message"].split(":")[0]) == ("ERROR", "ValidationError")


def test_messages_are_recorded_as_they_were_sent(client: openai.OpenAI, journal: JournalReader) -> None:
    """Changes that the caller makes to the messages after the call are not recorded."""
    messages = [{"role": "user", "content": "first"}]
    client.chat.completions.create(model="gpt-5-mini", messages=messages)  # type: ignore[arg-type]
    messages.append({"role": "assistant", "content": "later"})
    (row,) = journal.observations()
    assert row["input"] == [{"role": "user", "content": "first"}]


def test_headers_of_a_call_are_not_recorded(client: openai.OpenAI, journal: JournalReader) -> None:
    """The headers of a request are not recorded, since they may hold a key under any name."""
    client.chat.completions.create(**ASKED, extra_headers={"X-Desk": "orange"}, timeout=5)
    assert "orange" not in str(journal.observations())


def test_the_system_prompt_is_the_first_message(claude: anthropic.Anthropic, journal: JournalReader) -> None:
    """Anthropic's separate system prompt becomes the first message."""
    claude.messages.create(**CLAUDE_ASKED)
    (row,) = journal.observations()
    assert row["input"][0] == {"role": "system", "content": "You are an analyst"}
    assert row["model_parameters"] == {"max_tokens": 200}


def test_text_of_a_message_stream(claude: anthropic.Anthropic, journal: JournalReader) -> None:
    """Anthropic's helper for streams still gives the texts and the final message, and the answer is recorded."""
    with claude.messages.stream(**CLAUDE_ASKED) as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.get_final_message().usage.output_tokens
    (row,) = journal.observations()
    assert row["output"] == ANSWER


@pytest.mark.parametrize(
    ("chosen", "recorded"), [("anthropic", 0), ("anthropic, openai", 1), ("false", 0), ("true", 1)]
)
def test_a_list_of_sdks_narrows_it(
    chosen: str, recorded: int, client: openai.OpenAI, journal: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SDK that OBSERVABILITY_INSTRUMENT does not list is not patched."""
    monkeypatch.setenv("OBSERVABILITY_INSTRUMENT", chosen)
    install()
    client.chat.completions.create(**ASKED)
    assert len(journal.observations()) == recorded
    assert ("openai" in observed()) == bool(recorded)
