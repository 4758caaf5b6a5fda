"""Arguments and answers as they are now: immutable values by reference, bounded copies of the rest."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple
from uuid import UUID


class Reply(NamedTuple):
    """What was returned by a call that answers like a model, held so that later changes by the caller do not show."""

    content: Any
    usage: Any
    model_name: Any
    raw_response: Any


_NOTHING = object()


def reply_of(result: Any) -> Any:
    """What a call returned, as it is now: a `Reply` where it answers like a model (has `content`), else a snapshot."""
    if type(result) in IMMUTABLE:
        return result
    try:
        content = getattr(result, "content", _NOTHING)
        if content is _NOTHING:
            return snapshot(result)
        usage = getattr(result, "usage", None)
        return Reply(
            snapshot(content),
            dict(usage) if isinstance(usage, dict) else usage,
            getattr(result, "model_name", None),
            getattr(result, "raw_response", None),
        )
    except Exception as error:  # noqa: BLE001 - an answer's own properties may do anything
        return _unreadable(result, error)


IMMUTABLE = frozenset({str, int, float, bool, NoneType, bytes, complex, Decimal, date, datetime, timedelta, UUID})
_MAX_ITEMS = 10_000
_MAX_DEPTH = 12
_MAX_TEXT = 16_000_000  # characters: redaction takes no more


def snapshot(value: Any, depth: int = 0) -> Any:
    """`value` as it is now: itself where it is immutable, a bounded copy of lists and dicts, text of anything else.

    At most 10,000 items of a container and 12 levels are kept. An object's text is kept whole or not at all, since a
    secret that is cut in the middle has no shape by which it is known.
    """
    kind = type(value)
    if kind in IMMUTABLE:
        return value
    if depth >= _MAX_DEPTH:
        return f"[deeper than {_MAX_DEPTH} levels]"
    try:
        return _copy(value, depth)
    except Exception as error:  # noqa: BLE001 - so may an argument's, and an argument's `__str__`
        return _unreadable(value, error)


def _copy(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        kept = {k if type(k) in IMMUTABLE else str(k): snapshot(v, depth + 1) for k, v in _first(value.items())}
        return kept if len(value) <= _MAX_ITEMS else {**kept, "[not recorded]": f"{len(value) - _MAX_ITEMS} more"}
    if isinstance(value, list | tuple | set | frozenset):
        items = [snapshot(item, depth + 1) for item in _first(value)]
        return items if len(value) <= _MAX_ITEMS else [*items, f"[{len(value) - _MAX_ITEMS} more]"]
    return _text_of(value)


def _first(items: Any) -> Any:
    return items if len(items) <= _MAX_ITEMS else list(items)[:_MAX_ITEMS]


def _text_of(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MAX_TEXT else "[NOT RECORDED: text too long]"


def _unreadable(value: Any, error: Exception) -> str:
    return f"[NOT RECORDED: {type(value).__name__} cannot be shown: {type(error).__name__}]"


def size_of(value: Any) -> int:
    """Roughly the characters that `value`, a snapshot, keeps alive: what the recorder's queue is bounded by."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value)
    if kind is dict:
        return sum(map(size_of, value.values())) + 64 * len(value)
    if kind is list or kind is tuple:
        return sum(map(size_of, value)) + 16 * len(value)
    return size_of(value.content) if kind is Reply else 16
