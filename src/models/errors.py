"""
🌙 Moon Dev's Model Failures
Built with love by Moon Dev 🚀

What the operator reads when a model call fails: one red line with what happened, one yellow line with the cure where
we know it. Both are redacted, since providers quote keys.

    ValueError
    ├── PromptError       (prompt.py) nothing was asked, nothing is sent
    └── ModelAnswerError  the provider answered something that is no answer
    RuntimeError
    └── NoClientError     the model was built without what it needs
    everything else is the SDK's own, and passes through with its type and text
"""

import re
from typing import TYPE_CHECKING, Any

from src.observability.recording import field
from src.observability.terminal import echo

if TYPE_CHECKING:
    from src.models.base_model import BaseModel

_EXCERPT = 200


class ModelAnswerError(ValueError):
    """The provider answered, but not with an answer."""

    def __init__(self, model_type: str, raw: Any) -> None:
        from src.observability.redaction import redact_line  # only a call that failed needs it

        said = redact_line(str(raw))[:_EXCERPT]  # in this order: half a secret has no shape
        super().__init__(f"{model_type} sent something that is no answer: {said!r}")


class NoClientError(RuntimeError):
    """The model has no client to ask with; the message says what it lacks."""


def say_failure(model: "BaseModel", error: Exception) -> None:
    """Print what went wrong, and the cure where we know it."""
    echo(f"❌ Model error: {error}", "red")
    cure = _cure(model, error)
    if cure:
        echo(f"⚠️ {cure}", "yellow")


def _cure(model: "BaseModel", error: Exception) -> str | None:
    status = field(error, "status_code")
    name = getattr(model, "model_name", "unknown")
    if status in (401, 403) and model.api_key_name:
        return f"Check {model.api_key_name} in .env"
    if status in (400, 404) and name not in model.AVAILABLE_MODELS and re.search("model", str(error), re.IGNORECASE):
        known = ", ".join(model.AVAILABLE_MODELS)
        return f"{model.model_type} may not know the model {name!r}. It has, among others: {known}"
    if status in (400, 413) and re.search("context|too long|too large", str(error), re.IGNORECASE):
        return "Shorten the prompt, or use a model with a longer context"
    if type(error).__name__ == "APITimeoutError":
        return "Raise AI_TIMEOUT_SECONDS in .env if this model needs longer"
    return model.connection_cure if type(error).__name__ == "APIConnectionError" else None


def say_empty(model_name: str, finish_reason: str | None) -> None:
    """Print that a model answered with nothing, and why."""
    cure = ". Raise max_tokens: thinking counts too" if finish_reason in ("length", "max_tokens") else ""
    echo(f"⚠️ {model_name} gave an empty answer (finish reason: {finish_reason or 'none'}){cure}", "yellow")
