"""
🌙 Moon Dev's Prompt
Built with love by Moon Dev 🚀

Turns an agent's prompt into the messages to send: text, made unique so that no cache answers in the model's place.
"""

import json
import os
import random
import time
from typing import Any, NamedTuple

from src.observability.terminal import echo

_nonces = random.Random()  # noqa: S311 - a separate generator, since agents may seed `random`
os.register_at_fork(after_in_child=_nonces.seed)


class PromptError(ValueError):
    """The prompt is empty; the message names the argument to give."""


class Prompt(NamedTuple):
    """The system and user messages as they are sent, and the nonce and timestamp in them."""

    system: str | None
    user: str
    nonce: int
    sent_at: int  # Unix seconds


def unique_prompt(system_prompt: Any, user_content: Any) -> Prompt:
    """The messages to send, made unique by a nonce and a timestamp. Raises PromptError for an empty prompt."""
    system, user = _text(system_prompt, "system_prompt"), _text(user_content, "user_content")
    if not user.strip():
        raise PromptError("The prompt is empty: give user_content the text that the model should answer")
    nonce, now = _nonces.randint(1, 1_000_000), int(time.time())
    return Prompt(f"{system}_{now}" if system.strip() else None, f"{user}__{nonce}_{now}", nonce, now)


def _text(value: Any, argument: str) -> str:
    """An argument as text: JSON for a dict, list or tuple. Prints a warning unless it is a string or None."""
    if isinstance(value, str) or value is None:
        return value or ""
    as_json = isinstance(value, dict | list | tuple)
    form = "JSON" if as_json else "plain text"
    echo(f"⚠️ {argument} has type {type(value).__name__}: sent as {form}. Pass a string instead", "yellow")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str) if as_json else str(value)
