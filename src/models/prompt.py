"""
🌙 Moon Dev's Prompt
Built with love by Moon Dev 🚀

What is sent of what an agent wrote: text, made unique so that no cache on the way answers in the model's place.
"""

import json
import os
import random
import time
from typing import Any, NamedTuple

from src.observability.terminal import echo

_nonces = random.Random()  # noqa: S311 - our own, so that an agent's `random.seed` neither fixes nor feels it
os.register_at_fork(after_in_child=_nonces.seed)


class PromptError(ValueError):
    """There is nothing to ask; the message names the argument to give."""


class Prompt(NamedTuple):
    """The two messages as they are sent, and what made them unique."""

    system: str | None
    user: str
    nonce: int
    sent_at: int  # Unix seconds


def unique_prompt(system_prompt: Any, user_content: Any) -> Prompt:
    """The messages to send. Raises PromptError where there is nothing to ask."""
    system, user = _text(system_prompt, "system_prompt"), _text(user_content, "user_content")
    if not user.strip():
        raise PromptError("The prompt is empty: give user_content the text that the model should answer")
    nonce, now = _nonces.randint(1, 1_000_000), int(time.time())
    return Prompt(f"{system}_{now}" if system.strip() else None, f"{user}__{nonce}_{now}", nonce, now)


def _text(value: Any, argument: str) -> str:
    """An argument as text: dicts and lists as JSON, anything else as it shows itself; what is no text is said."""
    if isinstance(value, str) or value is None:
        return value or ""
    echo(f"⚠️ {argument} is a {type(value).__name__}, not text: sent as {_how(value)}. Pass a string instead", "yellow")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str) if _how(value) == "JSON" else str(value)


def _how(value: Any) -> str:
    return "JSON" if isinstance(value, dict | list | tuple) else "its text"
