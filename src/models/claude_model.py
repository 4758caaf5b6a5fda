"""
🌙 Moon Dev's Claude Model
Built with love by Moon Dev 🚀

Claude through the Anthropic SDK, which only this file imports.
"""

from typing import Any, ClassVar

from src import config
from src.models.async_clients import CLOSE_AFTER_ANSWER, PerLoop
from src.models.base_model import BaseModel, ModelResponse, usage_as_dict
from src.models.errors import ModelAnswerError
from src.models.fields import field
from src.models.prompt import Prompt


class ClaudeModel(BaseModel):
    """Anthropic's Claude. Its API refuses a temperature. An agent's temperature is only recorded, not sent."""

    model_type = "claude"
    api_key_name = "ANTHROPIC_KEY"
    base_url = "https://api.anthropic.com"
    default_model = "claude-haiku-4-5"
    AVAILABLE_MODELS: ClassVar[dict[str, str]] = {
        "claude-haiku-4-5": "fast and inexpensive",
        "claude-haiku-5-5": "fast and inexpensive, newest",
        "claude-sonnet-4-5": "balanced",
        "claude-sonnet-5-5": "balanced, newest",
        "claude-opus-4-5": "most capable",
        "claude-opus-5-5": "most capable, newest",
    }

    def __init__(self, api_key: str | None = None, model_name: str | None = None, **kwargs: Any) -> None:
        self.model_name = model_name or self.default_model
        super().__init__(api_key, **kwargs)

    def initialize_client(self, **_kwargs: Any) -> None:
        """Import the SDK and build its client, unless the key is missing."""
        if not self.api_key:
            return
        import anthropic  # loaded lazily, because it takes two seconds on a slow machine

        settings = self._client_settings(config.base_url("anthropic", self.base_url))
        self.client = anthropic.Anthropic(**settings)
        self._async = PerLoop(lambda: anthropic.AsyncAnthropic(**settings, default_headers=CLOSE_AFTER_ANSWER))

    def is_available(self) -> bool:
        """Whether the client was built."""
        return self.client is not None

    def _request(
        self,
        prompt: Prompt,
        temperature: float | None,  # noqa: ARG002 - refused by the API since version 2026-10-21
        max_tokens: int | None,
        **options: Any,
    ) -> dict[str, Any]:
        options.pop("grammar", None)
        request = {
            "model": self.model_name,
            "max_tokens": max_tokens or config.AI_MAX_TOKENS,  # the API requires a limit
            "messages": [{"role": "user", "content": prompt.user}],
            **options,
        }
        return {**request, "system": prompt.system} if prompt.system else request

    def _parse(self, raw: Any) -> ModelResponse:
        blocks = field(raw, "content")
        if not isinstance(blocks, list):
            raise ModelAnswerError(self.model_type, raw)
        text = "".join(field(block, "text") or "" for block in blocks)
        return ModelResponse(text.strip(), raw, self.model_name, usage_as_dict(field(raw, "usage")))

    def _pieces(self) -> "_MessagePieces":
        return _MessagePieces()

    def _send(self, request: dict[str, Any]) -> Any:
        return self.client.messages.create(**request)

    async def _asend(self, request: dict[str, Any]) -> Any:
        return await self._async.client().messages.create(**request)

    def _open(self, request: dict[str, Any]) -> Any:
        return self.client.messages.create(**request, stream=True)

    async def _aopen(self, request: dict[str, Any]) -> Any:
        return await self._async.client().messages.create(**request, stream=True)


class _MessagePieces:
    """Collects the events of an Anthropic stream. Two events report usage; the later one reports totals."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self._model: str | None = None
        self._usage: dict[str, Any] = {}
        self._thoughts: list[str] = []

    def take(self, event: Any) -> str:
        """This event's text, to be passed to the caller; empty if the event has none."""
        self._model = field(event, "message", "model") or self._model
        self._usage |= usage_as_dict(field(event, "message", "usage") or field(event, "usage")) or {}
        self.finish_reason = field(event, "delta", "stop_reason") or self.finish_reason
        self._thoughts.append(field(event, "delta", "thinking") or "")
        return field(event, "delta", "text") or ""

    def rest(self) -> str:
        """Always empty, because `take` holds no text back."""
        return ""

    def raw(self) -> dict[str, Any]:
        """The events in the shape of an unstreamed message, without the text."""
        thought = "".join(self._thoughts)
        content = [{"type": "thinking", "thinking": thought}] if thought else []
        return {
            "model": self._model,
            "usage": self._usage or None,
            "stop_reason": self.finish_reason,
            "content": content,
        }
