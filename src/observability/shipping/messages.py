"""Converts prompts and answers to messages of OpenTelemetry's GenAI conventions: a role, and typed parts.

Schemas: gen-ai-input-messages.json and gen-ai-output-messages.json of the version in `genai.py`.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from ..journal import json_text

_ROLES = {"model": "assistant", "developer": "system", "function": "tool"}
_TEXTS = ("text", "input_text", "output_text")
_CONTENTS = frozenset({"content", "parts", "tool_calls", "function_call"})
# Types of the parts of Anthropic's messages, and of the items of OpenAI's responses.
_TOOL_CALLS = ("tool_use", "function_call", "custom_tool_call")
_TOOL_RESULTS = ("tool_result", "function_call_output", "custom_tool_call_output")
_ITEMS = dict.fromkeys(_TOOL_CALLS[1:], "assistant") | dict.fromkeys(_TOOL_RESULTS[1:], "tool")  # type of item -> role
Part = dict[str, Any]
Message = dict[str, Any]


def input_messages(prompt: Any) -> list[Message]:
    """Convert a prompt, which is one text or a list of messages in any provider's form."""
    messages = prompt if isinstance(prompt, list) else [prompt]
    return [as_message(message, "user") for message in messages]


def output_message(answer: Any, reasoning: str | None, finish_reason: str | None) -> Message:
    """The answer as the assistant's message."""
    message = as_message(answer, "assistant") if answer is not None else {"role": "assistant", "parts": []}
    thoughts = [{"type": "reasoning", "content": reasoning}] if reasoning else []
    return {**message, "parts": [*thoughts, *message["parts"]], "finish_reason": finish_reason or "stop"}


def as_message(message: Any, role: str) -> Message:
    """Convert a message, a list of a message's parts, or a text, in any provider's form. `role` is the default role."""
    if isinstance(message, list) and any(isinstance(part, dict) for part in message):
        return {"role": role, "parts": [*map(_part, message)]}
    if isinstance(message, dict) and message.get("type") in _ITEMS:
        return {"role": _ITEMS[message["type"]], "parts": [_part(message)]}
    if not isinstance(message, dict) or _CONTENTS.isdisjoint(message):
        return {"role": role, "parts": [_text(message)]}
    role = str(message.get("role", role))
    return {"role": _ROLES.get(role, role), "parts": [*_parts(message)]}


def _parts(message: dict[str, Any]) -> Iterator[Part]:
    content = message.get("content", message.get("parts"))
    if message.get("role") == "tool" or "tool_call_id" in message:
        yield {
            "type": "tool_call_response",
            "id": message.get("tool_call_id", message.get("tool_name")),  # Ollama sends the tool's name but no id
            "response": content,
        }
    elif content not in (None, ""):
        yield from map(_part, content if isinstance(content, list) else [content])
    yield from map(_tool_call, message.get("tool_calls") or ())
    if message.get("function_call"):  # OpenAI's older form of `tool_calls`
        yield _tool_call(message["function_call"])


def _part(part: Any) -> Part:
    if not isinstance(part, dict):
        return _text(part)
    kind = part.get("type")
    if isinstance(part.get("text"), str) and kind in (None, *_TEXTS):
        return _text(part["text"])
    if call := _first(part, "function_call", "functionCall") or (part if kind in _TOOL_CALLS else None):
        return _tool_call(call)
    if result := _first(part, "function_response", "functionResponse") or (part if kind in _TOOL_RESULTS else None):
        return _tool_response(result)
    if kind == "thinking":
        return {"type": "reasoning", "content": str(part.get("thinking", ""))}
    if kind == "message":  # in OpenAI's responses, messages and tool calls are items of one list
        return _text("".join(str(text["content"]) for text in as_message(part, "assistant")["parts"]))
    return _text(part)


def _tool_call(call: Any) -> Part:
    """Convert a tool call in the form of OpenAI (`function`), Anthropic (`input`) or Gemini (`args`)."""
    if not isinstance(call, dict):
        return _text(call)
    inner = call.get("function")
    function = inner if isinstance(inner, dict) else call
    return {
        "type": "tool_call",
        "id": _first(call, "call_id", "id"),
        "name": str(function.get("name", "")),
        "arguments": _decoded(_first(function, "arguments", "input", "args")),
    }


def _tool_response(result: Any) -> Part:
    if not isinstance(result, dict):
        return _text(result)
    return {
        "type": "tool_call_response",
        "id": _first(result, "tool_use_id", "call_id", "id", "name"),  # Gemini sends only names, no ids
        "response": _first(result, "content", "response", "output"),
    }


def _first(value: dict[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def _text(value: Any) -> Part:
    return {"type": "text", "content": value if isinstance(value, str) else json_text(value)}


def _decoded(arguments: Any) -> Any:
    """Parse arguments, which OpenAI sends as JSON text."""
    try:
        return json.loads(arguments, **_FINITE) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments


def _finite(number: str) -> float:
    parsed = float(number)
    if not math.isfinite(parsed):
        raise ValueError(number)
    return parsed


_FINITE: dict[str, Any] = {"parse_float": _finite, "parse_constant": _finite}  # NaN and infinity cannot be sent
