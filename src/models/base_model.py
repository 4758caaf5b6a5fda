"""
🌙 Moon Dev's Base Model
Built with love by Moon Dev 🚀

The base of every model: `generate_response`, and its asynchronous and streaming variants `agenerate_response`,
`stream_response` and `astream_response`. Each call is one generation in the trace, even if the method is overridden.

A provider implements `_request` and `_parse`, which are pure, and `_send`, `_asend`, `_open` and `_aopen`, which call
the SDK. The implementations here speak the OpenAI protocol with the client that `initialize_client` built.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from src import config
from src.models.errors import ErrorPolicy, ModelAnswerError, NoClientError, print_empty_answer
from src.models.fields import field
from src.models.overrides import LABEL, trace_overrides
from src.models.prompt import Prompt, unique_prompt
from src.models.streaming import ChatPieces, InThread, Pieces, Transcript, aclosing_if_possible, closing_if_possible
from src.observability import ObservabilityContext, observe_llm
from src.observability.recording import read_answer, split_reasoning
from src.observability.tracing import admitted_model, annotate, budgeting

STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
_NOT_PARAMETERS = frozenset({"model", "messages", "system", "stream", "stream_options", "extra_body"})


@dataclass
class ModelResponse:
    """A model's answer, in the same form for every provider."""

    content: str
    raw_response: Any
    model_name: str
    usage: dict[str, Any] | None = None


class BaseModel(ABC):
    """A language model of one provider."""

    AVAILABLE_MODELS: ClassVar[Mapping[str, Any]] = {}  # name -> description
    api_key_name: str | None = None  # the variable that holds the provider's key
    connection_cure: str | None = None  # what to do if the server cannot be reached
    model_name: str

    def __init__(self, api_key: str | None, **kwargs: Any) -> None:
        self.api_key = api_key
        self.client: Any = None
        self.initialize_client(**kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Trace the methods that the subclass overrides or inherits from a mixin."""
        super().__init_subclass__(**kwargs)
        trace_overrides(cls)

    @abstractmethod
    def initialize_client(self, **kwargs: Any) -> None:
        """Build `self.client`; leave it None if the key is missing."""

    @abstractmethod
    def is_available(self) -> bool:
        """Whether this model has a client."""

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
        """Return the model's answer, or None after an error, which is printed.

        Args:
            system_prompt: the model's role; may be empty.
            user_content: the question. A dict or list is sent as JSON.
            temperature: 0 to 2; None leaves it to the provider.
            max_tokens: limit of the answer in tokens, thinking included.
            **options: more parameters of the provider's API. `grammar` (GBNF) is sent to the local model only.

        Raises:
            Exception: an exception of the SDK whose text contains 503 is raised, so that the agent can retry.
        """
        with ErrorPolicy(self):
            request = self._prepare(system_prompt, user_content, temperature, max_tokens, options)
            return self._answer(self._send(request))
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
        """Return the model's answer without blocking the event loop; otherwise as `generate_response`."""
        with ErrorPolicy(self):
            request = self._prepare(system_prompt, user_content, temperature, max_tokens, options)
            return self._answer(await self._asend(request))
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
        """Yield the model's answer as it arrives. An error is printed and ends the stream; a 503 is raised."""
        with contextlib.closing(self._listen(system_prompt, user_content, temperature, max_tokens, options)) as texts:
            while (text := self._next_of(texts)) is not None:
                yield text

    @observe_llm(name=LABEL)
    async def astream_response(
        self,
        system_prompt: Any,
        user_content: Any,
        temperature: float | None = 0.7,
        max_tokens: int | None = None,
        **options: Any,
    ) -> AsyncIterator[str]:
        """Yield the model's answer without blocking the event loop; otherwise as `stream_response`."""
        async with contextlib.aclosing(
            self._alisten(system_prompt, user_content, temperature, max_tokens, options)
        ) as texts:
            while (text := await self._anext_of(texts)) is not None:
                yield text

    # Pure functions, which build the request to send and read the answer in a response.

    def _request(
        self, prompt: Prompt, temperature: float | None, max_tokens: int | None, **options: Any
    ) -> dict[str, Any]:
        """The arguments for the SDK's method that sends the request."""
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
        """The answer in the SDK's response. Raises ModelAnswerError if there is none."""
        choices = field(raw, "choices")
        if not isinstance(choices, list) or not choices or field(choices[0], "message") is None:
            raise ModelAnswerError(self.model_type, raw)
        content, _ = split_reasoning(field(choices[0], "message", "content") or "")
        return ModelResponse(content.strip(), raw, self.model_name, usage_as_dict(field(raw, "usage")))

    def _pieces(self) -> Pieces:
        """A new collector for the events of one stream."""
        return ChatPieces()

    # The only methods that call the SDK.

    def _send(self, request: dict[str, Any]) -> Any:
        return self.client.chat.completions.create(**request)

    async def _asend(self, request: dict[str, Any]) -> Any:
        return await asyncio.to_thread(self._send, request)

    def _open(self, request: dict[str, Any]) -> Any:
        """Open a stream of events. The caller must close it."""
        return self.client.chat.completions.create(**request, **STREAMED)

    async def _aopen(self, request: dict[str, Any]) -> Any:
        return InThread(await asyncio.to_thread(self._open, request))

    # Shared by `generate_response` and its three variants.

    def _prepare(
        self,
        system_prompt: Any,
        user_content: Any,
        temperature: float | None,
        max_tokens: int | None,
        options: dict[str, Any],
    ) -> dict[str, Any]:
        """Build the request to send, and record the model and the parameters in the trace."""
        max_tokens = max_tokens or getattr(self, "max_tokens", None)
        ObservabilityContext.add_agent_metadata(
            agent_type="model",
            agent_name=self.model_type,
            model_name=getattr(self, "model_name", "unknown"),
            temperature=temperature,
            max_tokens=max_tokens,
        )
        if self.client is None:
            raise NoClientError(self._no_client_message())
        prompt = unique_prompt(system_prompt, user_content)
        request = self._request(prompt, temperature, max_tokens, **options)
        if budgeting.gate is not None:
            asked = request.get("model", self.model_name)
            if (model := admitted_model(asked, self.AVAILABLE_MODELS)) != asked:
                request["model"] = model
        annotate(metadata=_metadata_of(prompt, temperature, request), model_parameters=_parameters_of(request))
        return request

    def _no_client_message(self) -> str:
        if self.api_key_name:
            return f"Set {self.api_key_name} in .env to use {self.model_type}"
        return f"{self.model_type} has no client: its initialize_client must set self.client"

    def _answer(self, raw: Any) -> ModelResponse:
        response = self._parse(raw)
        if not response.content:
            print_empty_answer(self.model_name, read_answer(response).finish_reason)
        return response

    @contextlib.contextmanager
    def _transcript(self) -> Iterator[Transcript]:
        """A transcript of one stream. It is recorded in the trace even if the stream fails or is abandoned."""
        transcript = Transcript(self._pieces())
        try:
            yield transcript
            self._check(transcript)
        finally:
            raw = transcript.raw()
            annotate(answer=ModelResponse(transcript.text, raw, self.model_name, usage_as_dict(raw["usage"])))

    def _check(self, transcript: Transcript) -> None:
        if not transcript.text and transcript.finish_reason is None:
            raise ModelAnswerError(self.model_type, "a stream without text and without a finish reason")
        if not transcript.text:
            print_empty_answer(self.model_name, transcript.finish_reason)

    def _listen(self, *arguments: Any) -> Generator[str, None, None]:
        request = self._prepare(*arguments)
        with self._transcript() as transcript:
            with closing_if_possible(self._open(request)) as events:
                for event in events:
                    yield from transcript.texts_of(event)
            yield from transcript.rest()

    async def _alisten(self, *arguments: Any) -> AsyncGenerator[str, None]:
        request = self._prepare(*arguments)
        with self._transcript() as transcript:
            async with aclosing_if_possible(await self._aopen(request)) as events:
                async for event in events:
                    for text in transcript.texts_of(event):
                        yield text
            for text in transcript.rest():
                yield text

    # `ErrorPolicy` handles only errors in fetching the next text, not exceptions that the caller throws at a `yield`.

    def _next_of(self, texts: Iterator[str]) -> str | None:
        with ErrorPolicy(self):
            return next(texts, None)
        return None

    async def _anext_of(self, texts: AsyncIterator[str]) -> str | None:
        with ErrorPolicy(self):
            return await anext(texts, None)
        return None

    def _client_settings(self, base_url: str | None) -> dict[str, Any]:
        return {
            "api_key": self.api_key,
            "base_url": base_url,
            "timeout": config.AI_TIMEOUT_SECONDS,
            "max_retries": config.AI_MAX_RETRIES,
        }


def _metadata_of(prompt: Prompt, temperature: float | None, request: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"nonce": prompt.nonce, "nonce_time": prompt.sent_at}
    if temperature is not None and "temperature" not in request:
        metadata["temperature_not_sent"] = temperature
    return metadata


def _parameters_of(request: dict[str, Any]) -> dict[str, Any]:
    parameters = {name: value for name, value in request.items() if name not in _NOT_PARAMETERS}
    grammar = field(request.get("extra_body"), "grammar")
    return {**parameters, "grammar": grammar} if grammar else parameters


def usage_as_dict(usage: Any) -> dict[str, Any] | None:
    """The usage that a provider reports, as a dict for `ModelResponse.usage`."""
    if usage is None or isinstance(usage, dict):
        return usage
    return dict(usage.model_dump(exclude_none=True)) if hasattr(usage, "model_dump") else dict(vars(usage))
