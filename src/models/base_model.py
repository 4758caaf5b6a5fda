"""
🌙 Moon Dev's Base Model
Built with love by Moon Dev 🚀

What every model is: `generate_response` asks, `agenerate_response` asks and waits, `stream_response` and
`astream_response` ask and listen. Each is one generation in the trace, in a subclass that overrides it too.

A provider of ours is `_request` and `_parse`, which are pure, and `_send` and its kin, which touch the SDK. As they
stand here they speak the OpenAI protocol to whatever `initialize_client` made of `self.client`.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from src import config
from src.models.errors import ModelAnswerError, NoClientError, say_empty, say_failure
from src.models.overrides import LABEL, trace_overrides
from src.models.prompt import Prompt, unique_prompt
from src.models.streaming import ChatPieces, InThread, Pieces, aclosing_if_it_can, closing_if_it_can
from src.observability import ObservabilityContext, observe_llm
from src.observability.recording import field, read_answer, split_reasoning
from src.observability.tracing import annotate

_NOT_PARAMETERS = frozenset({"model", "messages", "system", "stream", "stream_options", "extra_body"})


@dataclass
class ModelResponse:
    """A model's answer, as every agent reads it."""

    content: str
    raw_response: Any
    model_name: str
    usage: dict[str, Any] | None = None


class BaseModel(ABC):
    """A language model of one provider."""

    AVAILABLE_MODELS: ClassVar[Mapping[str, Any]] = {}  # name -> what it is good for
    api_key_name: str | None = None  # the variable that holds its key
    connection_cure: str | None = None  # what to do where nobody answers
    model_name: str

    def __init__(self, api_key: str | None, **kwargs: Any) -> None:
        self.api_key = api_key
        self.client: Any = None
        self.initialize_client(**kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Trace what the subclass overrides, and what it gets from a mixin."""
        super().__init_subclass__(**kwargs)
        trace_overrides(cls)

    @abstractmethod
    def initialize_client(self, **kwargs: Any) -> None:
        """Make `self.client`; leave it None where something is missing."""

    @abstractmethod
    def is_available(self) -> bool:
        """Whether this model can be asked."""

    @property
    @abstractmethod
    def model_type(self) -> str:
        """The provider's name in `ModelFactory`."""

    @observe_llm(name=LABEL)
    def generate_response(
        self,
        system_prompt: Any,
        user_content: Any,
        temperature: float | None = 0.7,
        max_tokens: int | None = None,
        **options: Any,
    ) -> ModelResponse | None:
        """Ask the model; None where that failed, which is printed.

        Args:
            system_prompt: who the model is; may be empty.
            user_content: the question. A dict or list is sent as JSON.
            temperature: 0 to 2; None leaves it to the provider.
            max_tokens: limit of the answer, thinking included.
            **options: more parameters of the provider's API; `grammar` (GBNF) only the local model takes.

        Raises:
            Exception: the SDK's own, where its text has a 503, for the agent's retry logic.
        """
        try:
            request = self._prepare(system_prompt, user_content, temperature, max_tokens, options)
            return self._answer(self._send(request))
        except Exception as error:
            if self._is_to_raise(error):
                raise
            return None

    @observe_llm(name=LABEL)
    async def agenerate_response(
        self,
        system_prompt: Any,
        user_content: Any,
        temperature: float | None = 0.7,
        max_tokens: int | None = None,
        **options: Any,
    ) -> ModelResponse | None:
        """Ask the model without blocking the event loop; otherwise `generate_response`."""
        try:
            request = self._prepare(system_prompt, user_content, temperature, max_tokens, options)
            return self._answer(await self._asend(request))
        except Exception as error:
            if self._is_to_raise(error):
                raise
            return None

    @observe_llm(name=LABEL)
    def stream_response(
        self,
        system_prompt: Any,
        user_content: Any,
        temperature: float | None = 0.7,
        max_tokens: int | None = None,
        **options: Any,
    ) -> Iterator[str]:
        """Ask the model and yield its answer as it comes; a failure is printed and ends it, a 503 is raised."""
        with contextlib.closing(self._listen(system_prompt, user_content, temperature, max_tokens, options)) as pieces:
            while (piece := self._next_of(pieces)) is not None:
                yield piece

    @observe_llm(name=LABEL)
    async def astream_response(
        self,
        system_prompt: Any,
        user_content: Any,
        temperature: float | None = 0.7,
        max_tokens: int | None = None,
        **options: Any,
    ) -> AsyncIterator[str]:
        """Ask the model and yield its answer as it comes, without blocking; otherwise `stream_response`."""
        async with contextlib.aclosing(
            self._alisten(system_prompt, user_content, temperature, max_tokens, options)
        ) as pieces:
            while (piece := await self._anext_of(pieces)) is not None:
                yield piece

    # Pure: what is sent, and what an answer says.

    def _request(
        self, prompt: Prompt, temperature: float | None, max_tokens: int | None, **options: Any
    ) -> dict[str, Any]:
        """The arguments of the SDK's call."""
        options.pop("grammar", None)
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        request = {
            "model": self.model_name,
            "messages": [*system, {"role": "user", "content": prompt.user}],
            "temperature": temperature,
            "max_tokens": max_tokens,
            **options,
        }
        return {name: value for name, value in request.items() if value is not None}

    def _parse(self, raw: Any) -> ModelResponse:
        """The answer in what the SDK returned. Raises ModelAnswerError where there is none."""
        choices = field(raw, "choices")
        if not isinstance(choices, list) or not choices or field(choices[0], "message") is None:
            raise ModelAnswerError(self.model_type, raw)
        content, _ = split_reasoning(field(choices[0], "message", "content") or "")
        return ModelResponse(content.strip(), raw, self.model_name, usage_as_dict(field(raw, "usage")))

    def _pieces(self) -> Pieces:
        """What puts this protocol's streams together."""
        return ChatPieces()

    # The SDK: the only lines that do I/O.

    def _send(self, request: dict[str, Any]) -> Any:
        return self.client.chat.completions.create(**request)

    async def _asend(self, request: dict[str, Any]) -> Any:
        return await asyncio.to_thread(self._send, request)

    def _open(self, request: dict[str, Any]) -> Any:
        """A stream's events; closed by the caller."""
        return self.client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})

    async def _aopen(self, request: dict[str, Any]) -> Any:
        return InThread(await asyncio.to_thread(self._open, request))

    # What all four share.

    def _prepare(
        self,
        system_prompt: Any,
        user_content: Any,
        temperature: float | None,
        max_tokens: int | None,
        options: dict[str, Any],
    ) -> dict[str, Any]:
        max_tokens = max_tokens or getattr(self, "max_tokens", None)
        ObservabilityContext.add_agent_metadata(
            agent_type="model",
            agent_name=self.model_type,
            model_name=getattr(self, "model_name", "unknown"),
            temperature=temperature,
            max_tokens=max_tokens,
        )
        if self.client is None:
            raise NoClientError(self._what_is_missing())
        prompt = unique_prompt(system_prompt, user_content)
        request = self._request(prompt, temperature, max_tokens, **options)
        said: dict[str, Any] = {"nonce": prompt.nonce, "nonce_time": prompt.sent_at}
        if temperature is not None and "temperature" not in request:
            said["temperature_not_sent"] = temperature
        annotate(metadata=said, model_parameters=_parameters_of(request))
        return request

    def _what_is_missing(self) -> str:
        if self.api_key_name:
            return f"Set {self.api_key_name} in .env to use {self.model_type}"
        return f"{self.model_type} has no client to ask with: initialize_client made none"

    def _answer(self, raw: Any) -> ModelResponse:
        response = self._parse(raw)
        if not response.content:
            say_empty(self.model_name, read_answer(response).finish_reason)
        return response

    def _is_to_raise(self, error: Exception) -> bool:
        """Note a failure, and print it unless it is a 503, which the agent's retry logic handles."""
        if "503" in str(error):
            ObservabilityContext.add_error(error, {"error_type": "rate_limit"})
            return True
        ObservabilityContext.add_error(error)
        say_failure(self, error)
        return False

    def _listen(self, *asked: Any) -> Generator[str, None, None]:
        request, pieces, shown = self._prepare(*asked), self._pieces(), []
        try:
            with closing_if_it_can(self._open(request)) as events:
                for piece in _texts(events, pieces):
                    shown.append(piece)
                    yield piece
            self._check_end(pieces, shown)
        finally:
            annotate(answer=self._streamed(pieces, shown))

    async def _alisten(self, *asked: Any) -> AsyncGenerator[str, None]:
        request, pieces, shown = self._prepare(*asked), self._pieces(), []
        try:
            async with aclosing_if_it_can(await self._aopen(request)) as events:
                async for event in events:
                    if piece := pieces.take(event):
                        shown.append(piece)
                        yield piece
            if piece := pieces.rest():
                shown.append(piece)
                yield piece
            self._check_end(pieces, shown)
        finally:
            annotate(answer=self._streamed(pieces, shown))

    def _check_end(self, pieces: Pieces, shown: list[str]) -> None:
        if not shown and pieces.finish_reason is None:
            raise ModelAnswerError(self.model_type, "a stream without an end or a beginning")
        if not shown:
            say_empty(self.model_name, pieces.finish_reason)

    def _streamed(self, pieces: Pieces, shown: list[str]) -> ModelResponse:
        raw = pieces.raw()
        return ModelResponse("".join(shown), raw, self.model_name, usage_as_dict(raw["usage"]))

    def _next_of(self, pieces: Iterator[str]) -> str | None:
        try:
            return next(pieces, None)
        except Exception as error:
            if self._is_to_raise(error):
                raise
            return None

    async def _anext_of(self, pieces: AsyncIterator[str]) -> str | None:
        try:
            return await anext(pieces, None)
        except Exception as error:
            if self._is_to_raise(error):
                raise
            return None

    def _client_settings(self, base_url: str | None) -> dict[str, Any]:
        """What both SDKs' clients take."""
        return {
            "api_key": self.api_key,
            "base_url": base_url,
            "timeout": config.AI_TIMEOUT_SECONDS,
            "max_retries": config.AI_MAX_RETRIES,
        }


def _texts(events: Any, pieces: Pieces) -> Iterator[str]:
    for event in events:
        if piece := pieces.take(event):
            yield piece
    if piece := pieces.rest():
        yield piece


def _parameters_of(request: dict[str, Any]) -> dict[str, Any]:
    sent = {name: value for name, value in request.items() if name not in _NOT_PARAMETERS}
    grammar = field(request.get("extra_body"), "grammar")
    return {**sent, "grammar": grammar} if grammar else sent


def usage_as_dict(usage: Any) -> dict[str, Any] | None:
    """A provider's usage as the dict that `ModelResponse` promises."""
    if usage is None or isinstance(usage, dict):
        return usage
    return dict(usage.model_dump(exclude_none=True)) if hasattr(usage, "model_dump") else dict(vars(usage))
