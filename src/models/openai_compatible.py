"""
🌙 Moon Dev's OpenAI-Compatible Models
Built with love by Moon Dev 🚀

The OpenAI SDK, for every provider that speaks its protocol: the only file that imports it.
"""

from typing import Any

from src import config
from src.models.async_clients import CLOSE_AFTER_ANSWER, PerLoop
from src.models.base_model import BaseModel

_OPENAI_S_OWN = ("OpenAI-Organization", "OpenAI-Project")


class OpenAICompatibleModel(BaseModel):
    """A provider behind the OpenAI protocol: data until it misbehaves."""

    base_url: str
    default_model: str

    def __init__(self, api_key: str | None = None, model_name: str | None = None, **kwargs: Any) -> None:
        self.model_name = model_name or self.default_model
        super().__init__(api_key, **kwargs)

    def initialize_client(self, **_kwargs: Any) -> None:
        """Build the SDK's client, which also imports the SDK; without the key it needs there is none."""
        if self.api_key_name and not self.api_key:
            return
        # The SDK looks for `httpx` in `sys.modules` at every call, and fails a call where it finds half of it: our
        # shipper's thread may be importing it just then.
        import httpx  # noqa: F401
        import openai  # takes most of a second: not before a model is built

        settings = self._client_settings(self._base_url())
        settings["api_key"] = self.api_key or "none"  # the SDK insists on one
        # OPENAI_ORG_ID and OPENAI_PROJECT_ID of the environment are OpenAI's to know.
        hidden: Any = {} if self.model_type == "openai" else dict.fromkeys(_OPENAI_S_OWN, openai.Omit())
        self.client = openai.OpenAI(**settings, default_headers=hidden)
        self._async = PerLoop(lambda: openai.AsyncOpenAI(**settings, default_headers={**hidden, **CLOSE_AFTER_ANSWER}))

    def is_available(self) -> bool:
        """Whether there is a client to ask with."""
        return self.client is not None

    def _base_url(self) -> str | None:
        return config.base_url(self.model_type, self.base_url)

    async def _asend(self, request: dict[str, Any]) -> Any:
        return await self._async.client().chat.completions.create(**request)

    async def _aopen(self, request: dict[str, Any]) -> Any:
        return await self._async.client().chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
