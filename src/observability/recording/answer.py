"""Reads a call's result: a `ModelResponse`, an SDK's message or response, or any plain value."""

import re
from typing import Any, NamedTuple

from .usage import Buckets, Get, field, getter, usage_buckets

# The `type` of a tool call: the first is Anthropic's, the others are OpenAI's.
_TOOL_CALLS = frozenset({"tool_use", "function_call", "custom_tool_call"})
_PLAIN = (dict, list, str, int, float, bytes)
_THINKING = re.compile(r"\s*<think>(.*?)(?:</think>\s*|\Z)", re.DOTALL)


class Answer(NamedTuple):
    """The parts of a model's answer; an unknown part is None."""

    output: Any = None
    model: str | None = None  # name of the model that answered
    usage: Any = None  # the provider's token counts, in the provider's form
    buckets: Buckets | None = None  # the token counts of `usage` as disjoint buckets (`usage.usage_buckets`)
    finish_reason: str | None = None
    reasoning: str | None = None
    reported_cost: float | None = None  # cost in USD; None unless the provider reports it


def read_answer(result: Any) -> Answer:
    """Read the result of a model call, of any type. Never raises."""
    if type(result) is str:
        return Answer(result)
    get = getter(result)
    content, raw = (None, None) if isinstance(result, dict) else (get("content"), get("raw_response"))
    if raw is None and _looks_raw(get):
        raw = result
    if content is None and raw is None:
        return Answer(result if _is_plain(result) else None)
    output, thought = split_reasoning(result if _is_plain(result) else content)
    get_raw = get if raw is result else getter(raw)
    usage, buckets = _usage(get, raw, get_raw)
    get_choice = getter(_first_of(get_raw("choices")))
    return Answer(
        output=output,
        model=_first_text(get_raw, "model", "model_version", "modelVersion") or _first_text(get, "model_name", "model"),
        usage=usage,
        buckets=buckets,
        finish_reason=_finish_reason(get_raw, get_choice),
        reasoning=thought or _reasoning(get_raw, get_choice) or _first_text(get, "reasoning_content", "reasoning"),
        reported_cost=_cost(usage),
    )


def split_reasoning(content: Any) -> tuple[Any, str | None]:
    """Split an answer into its text and its reasoning, the content of a `<think>…</think>` at its beginning.

    The reasoning is None if the answer has no `<think>` block.
    """
    if not isinstance(content, str):
        return content, None
    thinking = _THINKING.match(content)
    if thinking is None:
        return content, None
    return content[thinking.end() :], thinking.group(1).strip() or None


def calls_tools(content: Any) -> bool:
    """Whether an answer's content, in any provider's form, asks the agent to call a tool."""
    if isinstance(content, dict):
        return bool(content.get("tool_calls") or content.get("function_call") or content.get("functionCall"))
    if not isinstance(content, list):
        return False
    return any(isinstance(part, dict) and (part.get("type") in _TOOL_CALLS or calls_tools(part)) for part in content)


def text_in(content: Any) -> str | None:
    """The text of an answer's content, in any provider's form; None if it has no text."""
    if isinstance(content, dict):
        content = content.get("content", content.get("text"))
    if isinstance(content, list):
        content = "".join(filter(None, map(text_in, content)))
    return content if isinstance(content, str) and content else None


def _is_plain(result: Any) -> bool:
    return isinstance(result, _PLAIN) or type(result) is tuple


def _looks_raw(get: Get) -> bool:
    """Whether a result that has no `raw_response` is itself the provider's response."""
    return any(get(name) is not None for name in ("choices", "usage", "stop_reason"))


def _usage(get: Get, raw: Any, get_raw: Get) -> tuple[Any, Buckets | None]:
    """Return the larger of the result's and the raw response's token counts: the result's are often incomplete.

    The counts are returned in the provider's form and as buckets.
    """
    own = get("usage")
    candidates = (get_raw("usage"), get_raw("usage_metadata"), get_raw("usageMetadata"), raw, own)
    counted = [(usage, buckets) for usage in candidates if usage is not None and (buckets := usage_buckets(usage))]
    return max(counted, key=lambda candidate: sum(candidate[1].values()), default=(own, None))


def _finish_reason(get_raw: Get, get_choice: Get) -> str | None:
    for get in (get_choice, get_raw, getter(_first_of(get_raw("candidates")))):
        for name in ("finish_reason", "stop_reason", "done_reason", "finishReason"):
            reason = get(name)
            if reason is None:
                continue
            if type(reason) is str:
                return reason
            text = reason if isinstance(reason, str) else _first_text(getter(reason), "name", "_name_")
            if isinstance(text, str):
                return str(getattr(text, "value", text))
    return None


def _reasoning(get_raw: Get, get_choice: Get) -> str | None:
    text = _first_text(getter(get_choice("message")), "reasoning_content", "reasoning")
    text = text or _first_text(getter(get_raw("message")), "thinking")
    if text:
        return text
    blocks = get_raw("content")
    thoughts = [field(block, "thinking") for block in blocks] if isinstance(blocks, list) else []
    return "\n".join(text for text in thoughts if isinstance(text, str) and text) or None


def _cost(usage: Any) -> float | None:
    cost = field(usage, "cost")
    is_price = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < float("inf")
    return float(cost) if is_price else None


def _first_of(items: Any) -> Any:
    return items[0] if isinstance(items, list | tuple) and items else None


def _first_text(get: Get, *names: str) -> str | None:
    for name in names:
        text = get(name)
        if isinstance(text, str) and text:
            return text
    return None
