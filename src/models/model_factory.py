"""
🌙 Moon Dev's Model Factory
Built with love by Moon Dev 🚀

Builds models on demand, one per provider and name. Importing this module loads no SDK and opens no connection.
"""

import os
import threading
from typing import Any, ClassVar, NamedTuple

from src import config
from src.models.base_model import BaseModel
from src.models.claude_model import ClaudeModel
from src.models.deepseek_model import DeepSeekModel
from src.models.gemini_model import GeminiModel
from src.models.groq_model import GroqModel
from src.models.local_model import LocalModel
from src.models.ollama_model import OllamaModel
from src.models.openai_model import OpenAIModel
from src.models.openrouter_model import OpenRouterModel
from src.models.xai_model import XAIModel
from src.observability import LangFuseTracker
from src.observability.terminal import echo

_langfuse_tracker = LangFuseTracker()  # prints at start-up whether traces go to Langfuse

_ALIASES = {"anthropic": "claude", "google": "gemini", "grok": "xai"}


class _Built(NamedTuple):
    """A model and the settings it was built from. If these settings change, a new model is built."""

    model: BaseModel
    settings: tuple[Any, ...]


class ModelFactory:
    """Builds a model of any provider. If it cannot be built, `create_model` prints what to do and returns None.

    A new provider is a subclass of `OpenAICompatibleModel` (or `BaseModel`) in a file of its own, and a line in
    `MODEL_IMPLEMENTATIONS`; the tests read its wire format from `tests/providers/NAME.json`. If the price table
    has another name for the provider, set that name in `observability/recording/cost.py`.
    """

    MODEL_IMPLEMENTATIONS: ClassVar[dict[str, Any]] = {
        "claude": ClaudeModel,
        "groq": GroqModel,
        "openai": OpenAIModel,
        "gemini": GeminiModel,
        "deepseek": DeepSeekModel,
        "ollama": OllamaModel,
        "xai": XAIModel,
        "openrouter": OpenRouterModel,
        "local": LocalModel,
    }
    DEFAULT_MODELS: ClassVar[dict[str, str]] = {
        model_type: implementation.default_model for model_type, implementation in MODEL_IMPLEMENTATIONS.items()
    }

    _built: ClassVar[dict[tuple[str, str], _Built]] = {}
    _building: ClassVar[Any] = threading.RLock()

    @classmethod
    def create_model(cls, model_type: str | None = None, model_name: str | None = None) -> BaseModel | None:
        """Return this provider's model of this name. If it cannot be built, print what to do and return None.

        Args:
            model_type: claude (or anthropic), openai, deepseek, groq, gemini (google), xai (grok), ollama, openrouter
                or local. Default: AI_MODEL_TYPE, else the first provider with a key, else local.
            model_name: the provider's name for the model. Default: that of `DEFAULT_MODELS`.
        """
        if model_type is None:
            model_type, model_name = cls._choose(model_name)
        provider = cls._provider(model_type)
        if provider is None:
            return None
        if cure := cls._missing(provider):
            echo(f"⚠️ {cure}", "yellow")
            return None
        return cls._get(provider, model_name or cls.DEFAULT_MODELS.get(provider))

    @classmethod
    def get_model(cls, model_type: str, model_name: str | None = None) -> BaseModel | None:
        """The same as `create_model`, under the name that most agents use."""
        return cls.create_model(model_type, model_name)

    @classmethod
    def is_model_available(cls, model_type: str) -> bool:
        """Whether the provider exists and has its key and packages. Does not check whether its server runs."""
        provider = _canonical(model_type)
        return provider in cls.MODEL_IMPLEMENTATIONS and cls._missing(provider) is None

    @property
    def available_models(self) -> dict[str, Any]:
        """The models to choose from: for each available provider, its name and its `AVAILABLE_MODELS`."""
        return {
            model_type: implementation.AVAILABLE_MODELS
            for model_type, implementation in self.MODEL_IMPLEMENTATIONS.items()
            if self.is_model_available(model_type)
        }

    @classmethod
    def clear(cls) -> None:
        """Forget all models built so far."""
        cls._built.clear()

    @classmethod
    def _provider(cls, model_type: Any) -> str | None:
        provider = _canonical(model_type)
        if provider in cls.MODEL_IMPLEMENTATIONS:
            return provider
        echo(f"❌ Unknown model type {model_type!r}. Use one of: {', '.join(cls.MODEL_IMPLEMENTATIONS)}", "red")
        return None

    @classmethod
    def _missing(cls, model_type: str) -> str | None:
        """What to do about a missing key or package of this provider; None if nothing is missing."""
        implementation = cls.MODEL_IMPLEMENTATIONS[model_type]
        if hasattr(implementation, "is_installed") and not implementation.is_installed():
            return str(implementation.install_cure)
        key_name = getattr(implementation, "api_key_name", None)
        return f"Set {key_name} in .env to use {model_type}" if key_name and not config.env(key_name) else None

    @classmethod
    def _choose(cls, model_name: str | None) -> tuple[str, str | None]:
        """Choose provider and model if the caller named no provider. A fallback provider uses its default model."""
        provider = cls._provider(config.AI_MODEL_TYPE)
        problem = cls._missing(provider) if provider else f"Change the unknown AI_MODEL_TYPE {config.AI_MODEL_TYPE!r}"
        if provider and not problem:
            return provider, model_name
        fallback = next((name for name in cls.MODEL_IMPLEMENTATIONS if cls._has_key(name)), "local")
        echo(f"🤖 {problem}. Until then agents use {fallback} ({cls.DEFAULT_MODELS.get(fallback)})", "cyan")
        return fallback, None

    @classmethod
    def _has_key(cls, model_type: str) -> bool:
        key_name = getattr(cls.MODEL_IMPLEMENTATIONS[model_type], "api_key_name", None)
        return bool(key_name and config.env(key_name))

    @classmethod
    def _get(cls, model_type: str, model_name: str | None) -> BaseModel | None:
        implementation = cls.MODEL_IMPLEMENTATIONS[model_type]
        settings = _settings_of(implementation, model_type)
        with cls._building:
            built = cls._built.get((model_type, str(model_name)))
            if built is None or built.settings != settings:
                model = _build(implementation, settings[1], model_name)
                if model is None:
                    return None
                built = cls._built[model_type, str(model_name)] = _Built(model, settings)
            return built.model


def _canonical(model_type: Any) -> str:
    name = str(model_type).strip().lower()
    return _ALIASES.get(name, name)


def _settings_of(implementation: Any, model_type: str) -> tuple[Any, ...]:
    key_name = getattr(implementation, "api_key_name", None)
    endpoint = config.base_url("anthropic" if model_type == "claude" else model_type, None)
    key = config.env(key_name) if key_name else None
    return implementation, key, endpoint, config.AI_TIMEOUT_SECONDS, config.AI_MAX_RETRIES


def _build(implementation: Any, api_key: str | None, model_name: str | None) -> BaseModel | None:
    named = {} if model_name is None else {"model_name": model_name}
    try:
        model: BaseModel = implementation(api_key, **named)
    except Exception as error:  # noqa: BLE001 - an SDK's checks or a third party's class may raise anything
        cure = ". Run `pip install -r requirements.txt`" if isinstance(error, ImportError) else ""
        echo(f"❌ {implementation.__name__} cannot be built: {error}{cure}", "red")
        return None
    return model if model.is_available() else None


model_factory = ModelFactory()


def _after_fork_in_child() -> None:
    """Drop the parent's sockets and locks, which a forked child must not use."""
    ModelFactory._building = threading.RLock()
    ModelFactory.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
