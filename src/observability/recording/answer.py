"""Read a call's result by its attributes: a `ModelResponse`, an SDK's message or response, or any plain value."""

import re
from typing import Any, NamedTuple

from .usage import field, usage_buckets

_THINKING = re.compile(r"\s*<think>(.*?)(?:</think>\s*|\Z)", re.DOTALL)


class Answer(NamedTuple):
    """The parts of an answer; None for those that are unknown."""

    output: Any = None
    model: str | None = None  # the one that answered
    usage: Any = None  # as the provider counts, see `usage.usage_buckets`
    finish_reason: str | None = None
    reasoning: str | None = None
    reported_cost: float | None = None  # USD, if the provider reports it


def read_answer(result: Any) -> Answer:
    """Read the result of a model call, whatever it is. Never raises."""
    if type(result) is str:
        return Answer(result)
    content = None if isinstance(result, dict) else field(result, "content")
    raw = _raw(result)
    if content is None and raw is None:
        return Answer(result if _is_plain(result) else None)
    output, thought = split_reasoning(result if _is_plain(result) else content)
    usage = _usage(result, raw)
    return Answer(
        output=output,
        model=_first_text(raw, ("model",), ("model_version",), ("modelVersion",))
        or _first_text(result, ("model_name",), ("model",)),
        usage=usage,
        finish_reason=_finish_reason(raw),
        reasoning=thought or _reasoning(raw) or _first_text(result, ("reasoning_content",), ("reasoning",)),
        reported_cost=_cost(usage),
    )


def split_reasoning(content: Any) -> tuple[Any, str | None]:
    """Split an answer into its text and the thinking in the `<think>…</think>` at its beginning."""
    if not isinstance(content, str):
        return content, None
    thinking = _THINKING.match(content)
    if thinking is None:
        return content, None
    return content[thinking.end() :], thinking.group(1).strip() or None


def _is_plain(result: Any) -> bool:
    return isinstance(result, dict | list | str | int | float | bytes) or type(result) is tuple


def _raw(result: Any) -> Any:
    """The provider's own response: an attribute of the result, or the result itself if it looks like one."""
    raw = None if isinstance(result, dict) else field(result, "raw_response")
    if raw is not None:
        return raw
    return result if any(field(result, name) is not None for name in ("choices", "usage", "stop_reason")) else None


def _usage(result: Any, raw: Any) -> Any:
    """The usage of the result or of the raw response, whichever counts more: the former is often incomplete."""
    own = field(result, "usage")
    candidates = [field(raw, "usage"), field(raw, "usage_metadata"), field(raw, "usageMetadata"), raw, own]
    counted = [(usage, buckets) for usage in candidates if (buckets := usage_buckets(usage)) is not None]
    return max(counted, key=lambda candidate: sum(candidate[1].values()), default=(own, None))[0]


def _finish_reason(raw: Any) -> str | None:
    for holder in (_first_of(raw, "choices"), raw, _first_of(raw, "candidates")):
        for name in ("finish_reason", "stop_reason", "done_reason", "finishReason"):
            reason = field(holder, name)
            text = reason if isinstance(reason, str) else field(reason, "name") or field(reason, "_name_")
            if isinstance(text, str):
                return str(getattr(text, "value", text))
    return None


def _reasoning(raw: Any) -> str | None:
    message = field(_first_of(raw, "choices"), "message")
    text = _first_text(message, ("reasoning_content",), ("reasoning",)) or _first_text(raw, ("message", "thinking"))
    if text:
        return text
    blocks = field(raw, "content")
    thoughts = [field(block, "thinking") for block in blocks] if isinstance(blocks, list) else []
    return "\n".join(text for text in thoughts if isinstance(text, str) and text) or None


def _cost(usage: Any) -> float | None:
    cost = field(usage, "cost")
    is_price = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < float("inf")
    return float(cost) if is_price else None


def _first_of(value: Any, name: str) -> Any:
    items = field(value, name)
    return items[0] if isinstance(items, list | tuple) and items else None


def _first_text(value: Any, *paths: tuple[str, ...]) -> str | None:
    values = (field(value, *path) for path in paths)
    return next((text for text in values if isinstance(text, str) and text), None)
