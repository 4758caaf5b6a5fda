"""
🌙 Moon Dev's OpenAI-Compatible Models
Built with love by Moon Dev 🚀

The base of the providers that speak the OpenAI protocol, through the OpenAI SDK, which only this file imports.
"""

from typing import Any

from src import config
from src.models.async_clients import CLOSE_AFTER_ANSWER, PerLoop
from src.models.base_model import STREAMED, BaseModel

_ACCOUNT_HEADERS = ("OpenAI-Organization", "OpenAI-Project")


class OpenAICompatibleModel(BaseModel):
    """A provider with an OpenAI-compatible API. Subclasses set attributes, and override a method if needed."""

    base_url: str
    default_model: str

    def __init__(self, api_key: str | None = None, model_name: str | None = None, **kwargs: Any) -> None:
        self.model_name = model_name or self.default_model
        super().__init__(api_key, **kwargs)

    def initialize_client(self, **_kwargs: Any) -> None:
        """Import the SDK and build its client, unless the key is missing."""
        if self.api_key_name and not self.api_key:
            return
        import openai  # loaded lazily, because it takes most of a second

        settings = self._client_settings(self._base_url())
        settings["api_key"] = self.api_key or "none"  # the SDK requires a key, even if the provider does not
        # The SDK sends OPENAI_ORG_ID and OPENAI_PROJECT_ID to any host; only OpenAI may receive them.
        hidden: Any = {} if self.model_type == "openai" else dict.fromkeys(_ACCOUNT_HEADERS, openai.Omit())
        self.client = openai.OpenAI(**settings, default_headers=hidden)
        self._async = PerLoop(lambda: openai.AsyncOpenAI(**settings, default_headers={**hidden, **CLOSE_AFTER_ANSWER}))

    def is_available(self) -> bool:
        """Whether the client was built."""
        return self.client is not None

    def _base_url(self) -> str | None:
        return config.base_url(self.model_type, self.base_url)

    async def _asend(self, request: dict[str, Any]) -> Any:
        return await self._async.client().chat.completions.create(**request)

    async def _aopen(self, request: dict[str, Any]) -> Any:
        return await self._async.client().chat.completions.create(**request, **STREAMED)
