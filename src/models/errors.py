"""
🌙 Moon Dev's Model Errors
Built with love by Moon Dev 🚀

The models' exceptions, and the lines printed for a failed call: a red one with the error, a yellow one with advice.
Both lines are redacted, since a provider's error may quote the key.

    ValueError
    ├── PromptError       (prompt.py) the prompt is empty, nothing is sent
    └── ModelAnswerError  the provider returned an unexpected response
    RuntimeError
    └── NoClientError     the model was built without its key or its server
    every other exception is the SDK's own
"""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, Protocol

from src.models.fields import field
from src.observability import ObservabilityContext
from src.observability.terminal import echo, redacted

_EXCERPT = 200  # how many characters of an unexpected response are shown


class ModelAnswerError(ValueError):
    """The provider returned something other than an answer."""

    def __init__(self, model_type: str, raw: Any) -> None:
        excerpt = redacted(str(raw))[:_EXCERPT]  # redacted first, since half a secret would match no rule
        super().__init__(f"{model_type} returned an unexpected response: {excerpt!r}")


class NoClientError(RuntimeError):
    """The model has no client; the message says what to set."""


class Model(Protocol):
    """The attributes of a model that decide which advice is printed after an error."""

    AVAILABLE_MODELS: ClassVar[Mapping[str, Any]]
    api_key_name: str | None
    connection_cure: str | None

    @property
    def model_type(self) -> str:
        """The provider's name."""


class ErrorPolicy:
    """A context manager that records, prints and swallows errors. A 503 is raised again for the agent's retry logic."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        # A refusal by a budget is not an HTTP 503, even if an amount in its message contains the digits 503.
        unavailable = "503" in str(error) and not hasattr(error, "is_refusal")
        ObservabilityContext.add_error(error, {"error_type": "rate_limit"} if unavailable else None)
        if not unavailable:
            print_error(self._model, error)
        return not unavailable


def print_error(model: Model, error: Exception) -> None:
    """Print an error, and what to do about it if that is known."""
    echo(f"❌ Model error: {error}", "red")
    cure = _cure(model, error)
    if cure:
        echo(f"⚠️ {cure}", "yellow")


def _cure(model: Model, error: Exception) -> str | None:
    status, kind, text = field(error, "status_code"), type(error).__name__, str(error).lower()
    name = getattr(model, "model_name", "unknown")
    if status in (401, 403) and model.api_key_name:
        return f"Check {model.api_key_name} in .env"
    if status in (400, 404) and name not in model.AVAILABLE_MODELS and "model" in text:
        return f"{model.model_type} may not have a model {name!r}. Known models: {', '.join(model.AVAILABLE_MODELS)}"
    if status in (400, 413) and re.search("context|too long|too large", text):
        return "Shorten the prompt, or use a model with a longer context"
    if kind == "APITimeoutError":
        return "Raise AI_TIMEOUT_SECONDS in .env if this model needs longer"
    return model.connection_cure if kind == "APIConnectionError" else None


def print_empty_answer(model_name: str, finish_reason: str | None) -> None:
    """Print that an answer is empty, why, and what to do about it."""
    cure = ". Raise the agent's max_tokens: thinking counts too" if finish_reason in ("length", "max_tokens") else ""
    echo(f"⚠️ {model_name} gave an empty answer (finish reason: {finish_reason or 'none'}){cure}", "yellow")
