"""Reads answers in the OpenAI protocol, which many providers use: chat completions and embeddings."""

from typing import Any

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")  # text fields of a delta, joined over all chunks


def text_of_chat(answer: dict[str, Any]) -> Any:
    """Return the message's text, or the message itself if it calls tools. For several choices, return a list."""
    messages = [choice.get("message") for choice in answer.get("choices") or () if isinstance(choice, dict)]
    outputs = [_output(message) for message in messages if isinstance(message, dict)]
    return outputs[0] if len(outputs) == 1 else outputs or None


def _output(message: dict[str, Any]) -> Any:
    if message.get("tool_calls") or message.get("function_call"):
        return {name: value for name, value in message.items() if value is not None and name != "parsed"}
    return message.get("content") or message.get("refusal")


def fold_chat(chunks: list[Any]) -> dict[str, Any]:
    """Combine a stream's chunks into one completion. The chunk that reports the usage has no choices."""
    answer: dict[str, Any] = {"model": None, "usage": None}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        if not isinstance(chunk, dict):
            continue
        answer["model"] = chunk.get("model") or answer["model"]
        answer["usage"] = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or answer["usage"]
        for choice in chunk.get("choices") or ():
            _add(choices.setdefault(choice.get("index") or 0, {"finish_reason": None, "message": {}}), choice)
    return {**answer, "choices": [choices[index] for index in sorted(choices)]}


def _add(whole: dict[str, Any], choice: dict[str, Any]) -> None:
    whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
    message, delta = whole["message"], choice.get("delta") or {}
    message["role"] = delta.get("role") or message.get("role")
    for name in _TEXTS:
        if isinstance(piece := delta.get(name), str):
            message[name] = message.get(name, "") + piece
    for call in delta.get("tool_calls") or ():
        _add_call(message.setdefault("tool_calls", []), call)


def _add_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    index = piece.get("index") or 0
    while len(calls) <= index:
        calls.append({"function": {"name": "", "arguments": ""}})
    call, function = calls[index], piece.get("function") or {}
    call["id"] = piece.get("id") or call.get("id")
    for name in ("name", "arguments"):
        call["function"][name] += function.get(name) or ""


def text_of_embeddings(answer: dict[str, Any]) -> dict[str, int]:
    """Return the number of embedding vectors and their length. The values are left out."""
    vectors = answer.pop("data", None) or []
    first = vectors[0].get("embedding") if vectors and isinstance(vectors[0], dict) else None
    if isinstance(first, str):  # base64 with 4 bytes per number, as the SDK requests
        first = [None] * (len(first) * 3 // 16)
    if isinstance(usage := answer.get("usage"), dict):
        usage.setdefault("completion_tokens", 0)  # vectors are not charged as output
    return {"vectors": len(vectors), **({"dimensions": len(first)} if isinstance(first, list) else {})}
