"""Convert a provider's token counts to disjoint Langfuse buckets.

The buckets are `input`, `input_cached_tokens`, `input_cache_creation`, `output` and `output_reasoning_tokens`. Every
token is in exactly one of them, since Langfuse adds them up.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

from ..tracing import Reply, data_fields_of, field_of, library_of

Get = Callable[[str], Any]
Buckets = dict[str, int]
_Path = tuple[str, ...]


class UsageFormat(NamedTuple):
    """The names of the fields in which a family of providers reports token counts, and whether the counts overlap."""

    input: str
    output: str
    total: str | None = None
    cached: tuple[_Path, ...] = ()
    written: tuple[_Path, ...] = ()
    reasoning: tuple[_Path, ...] = ()
    cache_beside: bool = False  # cached tokens are not part of the input count
    reasoning_beside: bool = False  # reasoning tokens are not part of the output count


# A usage report has the first format in this list whose input or output field occurs in the report. The field names
# are from the providers' API references.
_FORMATS = (
    # OpenAI's Chat Completions and similar APIs. DeepSeek and Moonshot have their own names for tokens from the cache.
    UsageFormat(
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
    # Anthropic's Messages. OpenAI's Responses API uses the same names for the input and output counts, but its input
    # count includes cached tokens; for its reports, `_format_of` chooses `_RESPONSES`.
    UsageFormat(
        "input_tokens",
        "output_tokens",
        cached=(("cache_read_input_tokens",),),
        written=(("cache_creation_input_tokens",),),
        reasoning=(("output_tokens_details", "thinking_tokens"), ("output_tokens_details", "reasoning_tokens")),
        cache_beside=True,
    ),
    UsageFormat(  # Gemini's own API, read through Google's SDK
        "prompt_token_count",
        "candidates_token_count",
        cached=(("cached_content_token_count",),),
        reasoning=(("thoughts_token_count",),),
        reasoning_beside=True,
    ),
    UsageFormat(  # Gemini's own API, read as raw JSON
        "promptTokenCount",
        "candidatesTokenCount",
        cached=(("cachedContentTokenCount",),),
        reasoning=(("thoughtsTokenCount",),),
        reasoning_beside=True,
    ),
    UsageFormat("prompt_eval_count", "eval_count"),  # Ollama's own API
)
_RESPONSES = UsageFormat(
    "input_tokens",
    "output_tokens",
    cached=(("input_tokens_details", "cached_tokens"),),
    reasoning=(("output_tokens_details", "reasoning_tokens"),),
)
_COUNTS = frozenset(name for form in _FORMATS for name in (form.input, form.output))
# Providers whose OpenAI-compatible endpoints count thinking tokens in `total_tokens` but not in `completion_tokens`.
_TOTAL_HAS_THINKING = frozenset({"gemini", "google", "xai", "grok", "x-ai"})


def usage_buckets(usage: Any, *, provider: str | None = None) -> Buckets | None:
    """Return token counts as disjoint buckets, in which each token counts once; None if unknown. Never raises.

    Args:
        usage: the provider's report: a dict, an SDK object, or None.
        provider: `model_type`. With some providers, the total minus prompt and completion is the number of thinking
            tokens.
    """
    fields = fields_in(usage)
    if fields is not None and _COUNTS.isdisjoint(fields):
        return None
    get = getter(usage) if fields is None else fields.get
    form = _format_of(get, _FORMATS if fields is None else _formats_among(tuple(fields)))
    return None if form is None else {**_inputs(get, form), **_outputs(get, form, provider)}


def counts_thinking_beside(provider: str | None) -> bool:
    """Whether the provider may count thinking tokens in the total alone, not in the output."""
    return provider in _TOTAL_HAS_THINKING


def add_buckets(first: Buckets, second: Buckets) -> Buckets:
    """Add the token counts of two calls, kind by kind."""
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}


def getter(value: Any) -> Get:
    """Return a function that reads a field of `value` by name. It returns None for a missing field, and never raises.

    Of an object, only plain data is read (`tracing.field_of`), so that no property's code runs. Google's protobuf
    objects are an exception, since they have only properties.
    """
    fields = fields_in(value)
    if fields is not None:
        return fields.get
    return partial(_property_of if library_of(type(value)) in _PROPERTIES_ALONE else field_of, value)


def fields_in(value: Any) -> dict[str, Any] | None:
    """The dict of all fields of plain data (do not change it); None for an object, whose fields are read one by one."""
    kind = type(value)
    if value is None:
        return _NO_FIELDS
    if kind is dict:
        return value  # type: ignore[no-any-return]
    if kind is Reply:
        return value._asdict()  # type: ignore[no-any-return]
    return None if library_of(kind) in _PROPERTIES_ALONE else data_fields_of(value)


def field(value: Any, *path: str) -> Any:
    """The value at `path` in nested dicts and objects; None if the path is missing. Never raises."""
    for name in path:
        value = getter(value)(name)
    return value


_NO_FIELDS: dict[str, Any] = {}
_PROPERTIES_ALONE = ("google", "proto")


def _property_of(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property may raise any exception
        return None


@lru_cache(maxsize=256)
def _formats_among(names: tuple[Any, ...]) -> tuple[UsageFormat, ...]:
    """The formats that a report with these fields may have, without the paths to fields that the report lacks.

    This saves look-ups, since most reports have only three fields.
    """

    def present(paths: tuple[_Path, ...]) -> tuple[_Path, ...]:
        return tuple(path for path in paths if path[0] in names)

    return tuple(
        form._replace(cached=present(form.cached), written=present(form.written), reasoning=present(form.reasoning))
        for form in _FORMATS
        if form.input in names or form.output in names
    )


def _format_of(get: Get, formats: tuple[UsageFormat, ...]) -> UsageFormat | None:
    for form in formats:
        if _number(get(form.input)) is not None or _number(get(form.output)) is not None:
            inside = form.cache_beside and get("input_tokens_details") is not None
            return _RESPONSES if inside else form
    return None


def _inputs(get: Get, form: UsageFormat) -> Buckets:
    count = _number(get(form.input))
    cached, written = _first(get, form.cached), _first(get, form.written)
    if count is None:
        return {}
    if not cached and not written:
        return {"input": count}
    beside = {"input_cached_tokens": cached, "input_cache_creation": written}
    fresh = count if form.cache_beside else max(count - cached - written, 0)
    return {"input": fresh, **{name: tokens for name, tokens in beside.items() if tokens}}


def _outputs(get: Get, form: UsageFormat, provider: str | None) -> Buckets:
    count = _number(get(form.output))
    thought = _first(get, form.reasoning)
    if count is None and not thought:
        return {}
    visible = count or 0
    hidden = _thinking_beside(get, form, visible, provider)
    if not hidden and (form.reasoning_beside or thought > visible):
        hidden = thought
    thought = thought or hidden
    buckets = {"output": max(visible + hidden - thought, 0)}
    return {**buckets, "output_reasoning_tokens": thought} if thought else buckets


def _thinking_beside(get: Get, form: UsageFormat, visible: int, provider: str | None) -> int:
    """The number of thinking tokens that are counted in the report's total but not in its output."""
    if form.total is None or provider not in _TOTAL_HAS_THINKING:
        return 0
    total, prompt = _number(get(form.total)), _number(get(form.input))
    return 0 if total is None or prompt is None else max(total - prompt - visible, 0)


def _first(get: Get, paths: tuple[_Path, ...]) -> int:
    for name, *rest in paths:
        value = get(name)
        if value is not None and (count := _number(field(value, *rest))):
            return count
    return 0


def _number(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None
