# ruff: noqa: D102 - the subclasses are written as third parties write them
"""Subclasses of BaseModel, written as in the repo moon-dev-ai-agents or more strangely. Each call is recorded once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from src.models.base_model import BaseModel, ModelResponse

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


class FakeClient:
    """Stands in for the part of an SDK's client that `BaseModel.generate_response` calls."""

    def __init__(self, usage: Any = None, error: Exception | None = None) -> None:
        self.chat = SimpleNamespace(completions=self)
        self.usage, self.error = usage, error
        self.requests: list[dict[str, Any]] = []

    def create(self, **request: Any) -> Any:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        message = SimpleNamespace(content="BUY", role="assistant")
        choice = SimpleNamespace(message=message, finish_reason="stop")
        if request.get("stream"):
            delta = SimpleNamespace(content="BUY")
            return iter(
                [
                    SimpleNamespace(choices=[SimpleNamespace(delta=delta, finish_reason="stop")], model="custom-1"),
                    SimpleNamespace(choices=[], usage=self.usage),
                ]
            )
        return SimpleNamespace(choices=[choice], model="custom-1", usage=self.usage)


class Custom(BaseModel):
    """A subclass as in moon-dev-ai-agents, which sets `model_name` before it calls `super().__init__`."""

    AVAILABLE_MODELS = {"custom-1": "the only one"}  # noqa: RUF012 - as moon-dev-ai-agents writes it
    usage: Any = USAGE
    error: Exception | None = None

    def __init__(self, api_key: str | None = "key", model_name: str = "custom-1", **kwargs: Any) -> None:
        self.model_name = model_name
        super().__init__(api_key, **kwargs)

    def initialize_client(self, **kwargs: Any) -> None:
        self.client = FakeClient(self.usage, self.error)

    def is_available(self) -> bool:
        return self.client is not None

    @property
    def model_type(self) -> str:
        return "custom"


class Inheriting(Custom):
    """Overrides nothing."""


class Overriding(Custom):
    """Overrides `generate_response`, as all eight models of moon-dev-ai-agents do."""

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None):
        response = self.client.chat.completions.create(messages=[system_prompt, user_content])
        return ModelResponse(response.choices[0].message.content, response, self.model_name, response.usage)


class WithOptions(Custom):
    """Overrides `generate_response` with `**kwargs` and a default for `max_tokens`."""

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=1024, **kwargs):
        response = self.client.chat.completions.create(messages=[system_prompt, user_content])
        return ModelResponse(response.choices[0].message.content, response, self.model_name, response.usage)


class CallingSuper(Custom):
    """Calls `super().generate_response` and changes the answer."""

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None):
        response = super().generate_response(system_prompt, f"{user_content}!", temperature, max_tokens)
        return ModelResponse(response.content.lower().upper(), response.raw_response, "custom-1", response.usage)


class OverridingTheOverride(Overriding):
    """Overrides a method that overrides `generate_response`."""

    def generate_response(self, *args, **kwargs):
        return super().generate_response(*args, **kwargs)


class SdkUsage(Overriding):
    """Returns a ModelResponse whose usage is the SDK's object, not a dict."""

    usage = SimpleNamespace(**USAGE)


class SdkMessage(Custom):
    """Returns the SDK's message instead of a ModelResponse."""

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None):
        return self.client.chat.completions.create(messages=[]).choices[0].message


class Asking:
    """A mixin that knows nothing of BaseModel."""

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None):
        response = self.client.chat.completions.create(messages=[system_prompt, user_content])
        return ModelResponse(response.choices[0].message.content, response, self.model_name, response.usage)


class MixedIn(Asking, Custom):
    """Gets `generate_response` from the mixin."""


class Retrying:
    """A mixin whose `generate_response` calls `super()`."""

    def generate_response(self, *args, **kwargs):
        return super().generate_response(*args, **kwargs)


class MixedInAndCallingOn(Retrying, Overriding):
    """The mixin's method calls an override: both together are recorded as one model call."""


MODELS = (
    Inheriting,
    Overriding,
    WithOptions,
    CallingSuper,
    OverridingTheOverride,
    SdkUsage,
    MixedIn,
    MixedInAndCallingOn,
)


@pytest.mark.parametrize("model_class", MODELS)
def test_a_call_is_exactly_one_generation(model_class: type[BaseModel], journal: Any) -> None:
    """However a subclass is written, its call is one generation, whose tokens are counted once."""
    response = model_class("key").generate_response(system_prompt="You trade", user_content="Longs +80 %")
    assert response is not None
    assert response.content == "BUY"
    assert response.usage in (USAGE, SdkUsage.usage)
    (row,) = journal.observations()
    assert (row["name"], row["type"], row["level"]) == ("llm_generation", "generation", "DEFAULT")
    assert (row["provider"], row["model"], row["output"]) == ("custom", "custom-1", "BUY")
    assert row["usage"] == {"input": 100, "output": 20}
    assert row["cost_usd"] is None
    assert [message["content"] for message in row["input"]] == ["You trade", "Longs +80 %"]


def test_a_message_is_an_answer_without_tokens(journal: Any) -> None:
    """If a subclass returns an SDK's message, the row has the message's content; its usage and cost are None."""
    assert SdkMessage().generate_response("You trade", "Longs +80 %").content == "BUY"
    (row,) = journal.observations()
    assert (row["output"], row["usage"], row["cost_usd"]) == ("BUY", None, None)


@pytest.mark.parametrize("model_class", [Inheriting, Overriding, CallingSuper, MixedIn])
def test_the_other_ways_of_asking_follow_an_override(model_class: type[BaseModel], journal: Any) -> None:
    """Asynchronous and streamed calls run the subclass's `generate_response`; each is recorded as one generation."""
    model = model_class("key")
    assert asyncio.run(model.agenerate_response("You trade", "Longs +80 %")).content == "BUY"
    assert list(model.stream_response("You trade", "Longs +80 %")) == ["BUY"]
    assert asyncio.run(listened(model)) == ["BUY"]
    requests = {(*request, "!" in str(request)) for request in model.client.requests}
    assert len(requests) == (2 if model_class is Inheriting else 1)  # only Inheriting also requests streams
    rows = journal.observations()
    assert [row["output"] for row in rows] == ["BUY"] * 3
    assert [row["usage"] for row in rows] == [{"input": 100, "output": 20}] * 3


async def listened(model: BaseModel) -> list[str]:
    """Return the pieces of an asynchronous stream."""
    return [piece async for piece in model.astream_response("You trade", "Longs +80 %")]


def test_every_way_of_asking_has_the_same_default_temperature() -> None:
    """If an agent gives no temperature, all four ways to call a model send 0.7."""
    model = Inheriting()
    model.generate_response("You trade", "Longs +80 %")
    asyncio.run(model.agenerate_response("You trade", "Longs +80 %"))
    list(model.stream_response("You trade", "Longs +80 %"))
    asyncio.run(listened(model))
    assert [request["temperature"] for request in model.client.requests] == [0.7] * 4


class Silent(Custom):
    """Returns None, as an override does after a failed call."""

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None):
        return None


def test_an_override_without_an_answer_streams_nothing(journal: Any) -> None:
    """If the override returns None, a streamed call ends without a text and without an exception."""
    assert list(Silent().stream_response("You trade", "Longs +80 %")) == []
    assert asyncio.run(listened(Silent())) == []
    assert len(journal.observations()) == 2


class Asynchronous(Custom):
    """Overrides the asynchronous and the streaming method."""

    async def agenerate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None):
        await asyncio.sleep(0)
        return ModelResponse("BUY", None, self.model_name, USAGE)

    def stream_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None) -> Iterator[str]:
        yield "B"
        yield "UY"

    async def astream_response(self, system_prompt, user_content, **kwargs: Any) -> AsyncIterator[str]:
        yield "BUY"


def test_asynchronous_and_streaming_overrides_are_one_generation_each(journal: Any) -> None:
    """Asynchronous and streaming overrides are traced as the synchronous override is."""
    model = Asynchronous()
    assert asyncio.run(model.agenerate_response("You trade", "Longs +80 %")).content == "BUY"
    assert list(model.stream_response("You trade", "Longs +80 %")) == ["B", "UY"]
    assert asyncio.run(listened(model)) == ["BUY"]
    rows = journal.observations()
    assert [(row["type"], row["output"]) for row in rows] == [("generation", "BUY")] * 3


class FallingBack(Custom):
    """Answers by a call of another model."""

    def generate_response(self, system_prompt, user_content, temperature=0.7, max_tokens=None):
        return Overriding().generate_response(system_prompt, user_content)


def test_a_fallback_model_is_a_generation_of_its_own(journal: Any) -> None:
    """If a model falls back to another, the trace has a generation for each of the two."""
    assert FallingBack().generate_response("You trade", "Longs +80 %").content == "BUY"
    assert len(journal.observations()) == 2


class Failing(Custom):
    """A model whose provider refuses every request."""

    error = RuntimeError("quota exceeded")


class Clientless(Custom):
    """Forgets to set `self.client`."""

    def initialize_client(self, **kwargs: Any) -> None:
        pass


class Unavailable(Custom):
    """A model whose provider is overloaded."""

    error = RuntimeError("Error code: 503 - overloaded")


def test_a_failure_is_printed_and_none(journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """If a call fails, it prints the error and returns None, as in moon-dev-ai-agents; unknown errors get no advice."""
    assert Failing().generate_response("You trade", "Longs +80 %") is None
    printed = capsys.readouterr().out
    assert "❌ Model error: quota exceeded" in printed
    assert "⚠️" not in printed
    (row,) = journal.observations()
    assert (row["level"], row["status_message"]) == ("ERROR", "RuntimeError: quota exceeded")


def test_a_model_without_a_client_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """If a model's class sets no client, a call of the model prints what the class must do."""
    assert Clientless().generate_response("You trade", "Longs +80 %") is None
    assert "custom has no client: its initialize_client must set self.client" in capsys.readouterr().out


def test_a_503_is_raised_unchanged(journal: Any) -> None:
    """If a provider answers 503, the SDK's exception reaches the agent unchanged, for the agent's retry logic."""
    with pytest.raises(RuntimeError) as caught:
        Unavailable().generate_response("You trade", "Longs +80 %")
    assert caught.value is Unavailable.error
    assert journal.observations()[0]["level"] == "ERROR"


def test_what_a_caller_throws_into_a_stream_is_the_callers(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception that the caller throws into a stream is raised again, and not printed as a model error."""
    stream = Inheriting().stream_response("You trade", "Longs +80 %")
    assert next(stream) == "BUY"
    with pytest.raises(ValueError, match="mine"):
        stream.throw(ValueError("mine"))  # type: ignore[attr-defined]
    assert "❌" not in capsys.readouterr().out


def test_an_agents_random_numbers_are_its_own() -> None:
    """The nonce comes from a random generator of its own, so that the seeded numbers of an agent stay the same."""
    import random

    model = Inheriting()
    random.seed(42)
    expected = random.random()
    random.seed(42)
    model.generate_response("You trade", "Longs +80 %")
    model.generate_response("You trade", "Longs +80 %")
    assert random.random() == expected
    assert model.client.requests[0]["messages"] != model.client.requests[1]["messages"]


BAD_PROMPTS: dict[str, tuple[Any, str, str | None]] = {
    "empty": ("", "❌ Model error: The prompt is empty: give user_content the text that the model should answer", None),
    "blank": (" \n", "❌ Model error: The prompt is empty: give user_content the text", None),
    "missing": (None, "❌ Model error: The prompt is empty: give user_content the text", None),
    "a dict": (
        {"symbol": "BTC", "change": 80},
        "⚠️ user_content has type dict: sent as JSON. Pass a string instead",
        '{"symbol": "BTC", "change": 80}',
    ),
    "a number": (80, "⚠️ user_content has type int: sent as plain text. Pass a string instead", "80"),
    "bytes": (b"Longs", "⚠️ user_content has type bytes: sent as plain text. Pass a string instead", "Longs"),
}


@pytest.mark.parametrize("case", BAD_PROMPTS)
def test_a_bad_prompt_is_reported_with_its_cure(case: str, journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A prompt that is not a string is sent as text; an empty prompt is not sent. Both are reported and recorded."""
    prompt, message, sent = BAD_PROMPTS[case]
    model = Inheriting()
    response = model.generate_response("You trade", prompt)
    assert message in capsys.readouterr().out
    assert (response is None) == (sent is None)
    assert [request["messages"][-1]["content"].split("__")[0] for request in model.client.requests] == [sent] * bool(
        sent
    )
    (row,) = journal.observations()
    assert row["level"] == ("ERROR" if sent is None else "DEFAULT")


class Empty(Custom):
    """A model that spends all its tokens on thinking."""

    def _parse(self, raw: Any) -> ModelResponse:
        raw.choices[0].finish_reason = "length"
        return ModelResponse("", raw, self.model_name)


def test_an_empty_answer_is_reported_with_its_cure(capsys: pytest.CaptureFixture[str]) -> None:
    """If thinking uses up the token limit, the answer is empty, and the printed line advises to raise the limit."""
    assert Empty().generate_response("You trade", "Longs +80 %").content == ""
    assert (
        "⚠️ custom-1 gave an empty answer (finish reason: length). Raise the agent's max_tokens: thinking counts too"
        in capsys.readouterr().out
    )
