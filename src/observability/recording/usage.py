"""
🌙 Moon Dev's Usage
Built with love by Moon Dev 🚀

Providers' token counts as disjoint Langfuse buckets: `input`, `input_cached_tokens`, `input_cache_creation`,
`output`, `output_reasoning_tokens`. Every token stands in exactly one of them, since Langfuse adds them up.
"""

from typing import Any, NamedTuple

from ..tracing import field_of, library_of

_Path = tuple[str, ...]


class _Habit(NamedTuple):
    """Where one family of providers keeps its counts, and which of them overlap."""

    input: str
    output: str
    total: str | None = None
    cached: tuple[_Path, ...] = ()
    written: tuple[_Path, ...] = ()
    reasoning: tuple[_Path, ...] = ()
    cache_beside: bool = False  # cached tokens are not part of the input count
    reasoning_beside: bool = False  # reasoning tokens are not part of the output count


# In this order: the first whose input or output count is there. Formats are the providers' API references.
_HABITS = (
    _Habit(  # OpenAI chat completions and alike; DeepSeek and Moonshot name cache hits their own way
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        cached=(
            ("prompt_tokens_details", "cached_tokens"),
            ("prompt_cache_hit_tokens",),
            ("cached_tokens",),
            ("cache_read_input_tokens",),
        ),
        written=(("prompt_tokens_details", "cache_write_tokens"), ("cache_creation_input_tokens",)),
        reasoning=(("completion_tokens_details", "reasoning_tokens"),),
    ),
    _Habit(  # Anthropic messages; OpenAI responses share two names, and put cached tokens inside (see `_habit_of`)
        "input_tokens",
        "output_tokens",
        cached=(("cache_read_input_tokens",),),
        written=(("cache_creation_input_tokens",),),
        reasoning=(("output_tokens_details", "thinking_tokens"), ("output_tokens_details", "reasoning_tokens")),
        cache_beside=True,
    ),
    _Habit(  # Gemini's own API, over its SDK
        "prompt_token_count",
        "candidates_token_count",
        cached=(("cached_content_token_count",),),
        reasoning=(("thoughts_token_count",),),
        reasoning_beside=True,
    ),
    _Habit(  # Gemini's own API, raw
        "promptTokenCount",
        "candidatesTokenCount",
        cached=(("cachedContentTokenCount",),),
        reasoning=(("thoughtsTokenCount",),),
        reasoning_beside=True,
    ),
    _Habit("prompt_eval_count", "eval_count"),  # Ollama's own API
)
_RESPONSES = _Habit(
    "input_tokens",
    "output_tokens",
    cached=(("input_tokens_details", "cached_tokens"),),
    reasoning=(("output_tokens_details", "reasoning_tokens"),),
)
# Their OpenAI-compatible endpoints leave thinking out of `completion_tokens`; only `total_tokens` has it.
_TOTAL_HAS_THINKING = frozenset({"gemini", "google", "xai", "grok", "x-ai"})


def usage_buckets(usage: Any, *, provider: str | None = None) -> dict[str, int] | None:
    """Token counts as disjoint buckets; None where they are unknown. Never raises.

    Args:
        usage: what the provider reported: a dict, an SDK object, or None.
        provider: `model_type`; says whether a total beyond prompt and completion is thinking.
    """
    habit = _habit_of(usage)
    if habit is None:
        return None
    return {**_inputs(usage, habit), **_outputs(usage, habit, provider)}


def add_buckets(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """The sum of two calls' buckets."""
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}


def field(value: Any, *path: str) -> Any:
    """The value at `path` in nested dicts and objects; None where there is none. Never raises.

    Of an object only plain data is read (`tracing.field_of`), except of Google's messages, which have properties alone.
    """
    for name in path:
        if type(value) is dict:
            value = value.get(name)
        elif library_of(type(value)) in _PROPERTIES_ALONE:
            value = _property_of(value, name)
        else:
            value = field_of(value, name)
    return value


_PROPERTIES_ALONE = ("google", "proto")


def _property_of(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property that cannot answer raises what it likes
        return None


def _habit_of(usage: Any) -> _Habit | None:
    if usage is None:
        return None
    for habit in _HABITS:
        if _count(usage, (habit.input,)) is not None or _count(usage, (habit.output,)) is not None:
            inside = habit.cache_beside and field(usage, "input_tokens_details") is not None
            return _RESPONSES if inside else habit
    return None


def _inputs(usage: Any, habit: _Habit) -> dict[str, int]:
    said = _count(usage, (habit.input,))
    cached, written = _first(usage, habit.cached), _first(usage, habit.written)
    if said is None:
        return {}
    beside = {"input_cached_tokens": cached, "input_cache_creation": written}
    fresh = said if habit.cache_beside else max(said - cached - written, 0)
    return {"input": fresh, **{name: count for name, count in beside.items() if count}}


def _outputs(usage: Any, habit: _Habit, provider: str | None) -> dict[str, int]:
    said = _count(usage, (habit.output,))
    thought = _first(usage, habit.reasoning)
    if said is None and not thought:
        return {}
    shown = said or 0
    hidden = _thinking_beside(usage, habit, shown, provider)
    if not hidden and (habit.reasoning_beside or thought > shown):
        hidden = thought
    thought = thought or hidden
    buckets = {"output": max(shown + hidden - thought, 0)}
    return {**buckets, "output_reasoning_tokens": thought} if thought else buckets


def _thinking_beside(usage: Any, habit: _Habit, shown: int, provider: str | None) -> int:
    """Tokens that only the total knows of."""
    total = _count(usage, (habit.total,)) if habit.total else None
    asked = _count(usage, (habit.input,))
    if total is None or asked is None or provider not in _TOTAL_HAS_THINKING:
        return 0
    return max(total - asked - shown, 0)


def _first(usage: Any, paths: tuple[_Path, ...]) -> int:
    return next((count for path in paths if (count := _count(usage, path))), 0)


def _count(usage: Any, path: _Path) -> int | None:
    value = field(usage, *path)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
