"""The Anthropic SDK, 0.40 to 2.x: the table of its methods that make requests, and how its answers are read."""

from typing import Any

from ..reading import Shape
from ..targets import ANSWER, MANAGER, Method, Sdk, Streams

_THINKING = frozenset({"thinking", "redacted_thinking"})


def _text_of_message(answer: dict[str, Any]) -> Any:
    """Return the text of a message, or its content blocks if it calls tools."""
    blocks = [block for block in answer.get("content") or () if isinstance(block, dict)]
    visible = [block for block in blocks if block.get("type") not in _THINKING]
    if all(block.get("type") == "text" for block in visible):
        return "".join(block.get("text") or "" for block in visible) or None
    return [{name: value for name, value in block.items() if value is not None} for block in visible]


def _fold_message(events: list[Any]) -> dict[str, Any]:
    """Combine a stream's events into one message. Two events report usage; the counts in the later event are totals."""
    answer: dict[str, Any] = {"model": None, "usage": {}, "stop_reason": None}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        if not isinstance(event, dict):
            continue
        message, delta = event.get("message") or {}, event.get("delta") or {}
        answer["model"] = message.get("model") or answer["model"]
        usage = {**(message.get("usage") or {}), **(event.get("usage") or {})}
        answer["usage"] |= {name: count for name, count in usage.items() if count is not None}
        answer["stop_reason"] = delta.get("stop_reason") or answer["stop_reason"]
        if "content_block" in event and event.get("type") == "content_block_start":
            blocks[event.get("index") or 0] = dict(event["content_block"])
        elif event.get("type") == "content_block_delta":
            _add(blocks.setdefault(event.get("index") or 0, {}), delta)
    return {**answer, "usage": answer["usage"] or None, "content": [blocks[index] for index in sorted(blocks)]}


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in ("text", "thinking"):
        if isinstance(piece := delta.get(name), str):
            block.setdefault("type", name)
            block[name] = (block.get(name) or "") + piece
    if isinstance(piece := delta.get("partial_json"), str):
        so_far = block.get("input")
        block["input"] = (so_far if isinstance(so_far, str) else "") + piece


MESSAGES = Shape("anthropic", "messages", (("system", "system"), ("messages", "user")), _text_of_message, _fold_message)


def _anthropic() -> Sdk:
    homes = {
        "Messages": ("anthropic.resources.messages", "anthropic.resources.messages.messages"),
        "BetaMessages": ("anthropic.resources.beta.messages", "anthropic.resources.beta.messages.messages"),
    }
    methods = tuple(
        Method(modules, "Messages", name, MESSAGES, MANAGER if name == "stream" else ANSWER)
        for modules in homes.values()
        for name in ("create", "parse", "stream")
    )
    helpers = (
        Streams("anthropic.lib.streaming._messages", "MessageStream", close_only=True),
        Streams("anthropic.lib.streaming._beta_messages", "BetaMessageStream", close_only=True),
        Streams("anthropic._legacy_response", "LegacyAPIResponse", close_only=True),
        Streams("anthropic._response", "APIResponse", close_only=True),
    )
    return Sdk("anthropic", methods, (Streams("anthropic._streaming", "Stream"), *helpers))


ANTHROPIC = _anthropic()
