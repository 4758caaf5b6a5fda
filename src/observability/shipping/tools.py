"""Converts tool calls to Langfuse's form: an assistant message with `tool_calls`, and a `tool` message per result.

Messages without a tool call or result are not changed.
"""

import json
from collections.abc import Iterator
from typing import Any

from ..journal import json_text
from .messages import as_message

# Tool calls and results contain one of the words on the right. Their common beginning, on the left, is searched first.
_MARKS = {
    "tool_": ("tool_call", "tool_use", "tool_result", "tool_name"),
    "function": ("function_", "functionCall", "functionResponse"),
}


def shown_prompt(text: str) -> str:
    """Convert the tool calls and results in a prompt, which is given and returned as JSON."""
    if not _has_tools(text):
        return text
    prompt = json.loads(text)
    if not isinstance(prompt, list):
        return text
    return json_text([shown for message in prompt for shown in _shown(message, "user")])


def shown_answer(text: str) -> str:
    """Convert the tool calls in an answer, which is given and returned as JSON."""
    if not _has_tools(text):
        return text
    answer = json.loads(text)
    shown = [*_shown(answer, "assistant")]
    return json_text(shown[0]) if len(shown) == 1 and shown[0] is not answer else text


def _has_tools(text: str) -> bool:
    return any(mark in text for beginning, marks in _MARKS.items() if beginning in text for mark in marks)


def _shown(message: Any, role: str) -> Iterator[Any]:
    parts = as_message(message, role)["parts"]
    calls = [part for part in parts if part["type"] == "tool_call"]
    results = [part for part in parts if part["type"] == "tool_call_response"]
    if not calls and not results:
        yield message
        return
    for part in results:
        yield {"role": "tool", "tool_call_id": part["id"], "content": _text(part["response"])}
    texts = [part["content"] for part in parts if part["type"] == "text"]
    if calls:
        content = "\n".join(texts) or None
        yield {"role": "assistant", "content": content, "tool_calls": [_tool_call(call) for call in calls]}
    elif texts:
        yield {"role": role, "content": "\n".join(texts)}


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    identity = {} if call["id"] is None else {"id": call["id"]}
    function = {"name": call["name"], "arguments": _text(call["arguments"] or {})}
    return {**identity, "type": "function", "function": function}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)
