"""Prompts and answers as the messages of OpenTelemetry's GenAI conventions: a role, and parts with a type each.

Schemas: gen-ai-input-messages.json and gen-ai-output-messages.json of the version in `genai.py`.
"""

import json
from collections.abc import Iterator
from typing import Any

_ROLES = {"model": "assistant", "developer": "system", "function": "tool"}
_TEXTS = ("text", "input_text", "output_text")
Part = dict[str, Any]


def input_messages(prompt: Any) -> list[dict[str, Any]]:
    """The messages of a prompt: a list of them in any provider's form, or one text."""
    messages = prompt if isinstance(prompt, list) else [prompt]
    return [_message(message, "user") for message in messages]


def output_message(answer: Any, reasoning: str | None, finish_reason: str | None) -> dict[str, Any]:
    """The answer as the message of the assistant."""
    message = _message(answer, "assistant") if answer is not None else {"role": "assistant", "parts": []}
    thoughts = [{"type": "reasoning", "content": reasoning}] if reasoning else []
    return {**message, "parts": [*thoughts, *message["parts"]], "finish_reason": finish_reason or "stop"}


def _message(message: Any, role: str) -> dict[str, Any]:
    if not _is_message(message):
        return {"role": role, "parts": [_text(message)]}
    role = str(message.get("role", role))
    return {"role": _ROLES.get(role, role), "parts": [*_parts(message)]}


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and not {"content", "parts", "tool_calls"}.isdisjoint(message)


def _parts(message: dict[str, Any]) -> Iterator[Part]:
    content = message.get("content", message.get("parts"))
    if "tool_call_id" in message:
        yield {"type": "tool_call_response", "id": message["tool_call_id"], "response": content}
    elif content not in (None, ""):
        yield from map(_part, content if isinstance(content, list) else [content])
    yield from map(_tool_call, message.get("tool_calls") or ())


def _part(part: Any) -> Part:
    if not isinstance(part, dict):
        return _text(part)
    kind = part.get("type")
    if isinstance(part.get("text"), str) and kind in (None, *_TEXTS):
        return _text(part["text"])
    if kind == "tool_use" or "function_call" in part:  # Anthropic's, Gemini's
        return _tool_call(part.get("function_call") or part)
    if kind == "tool_result" or "function_response" in part:
        return _tool_response(part.get("function_response") or part)
    if kind == "thinking":
        return {"type": "reasoning", "content": str(part.get("thinking", ""))}
    return _text(part)


def _tool_call(call: Any) -> Part:
    """A tool call in the form of OpenAI (`function`), Anthropic (`input`) or Gemini (`args`)."""
    if not isinstance(call, dict):
        return _text(call)
    inner = call.get("function")
    function = inner if isinstance(inner, dict) else call
    arguments = next((function[name] for name in ("arguments", "input", "args") if name in function), None)
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": str(function.get("name", "")),
        "arguments": _decoded(arguments),
    }


def _tool_response(result: dict[str, Any]) -> Part:
    response = result.get("content", result.get("response"))
    return {"type": "tool_call_response", "id": result.get("tool_use_id", result.get("id")), "response": response}


def _text(value: Any) -> Part:
    return {"type": "text", "content": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}


def _decoded(arguments: Any) -> Any:
    """Arguments as an object: OpenAI's are JSON text."""
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments
