"""
🌙 Moon Dev's Observation
Built with love by Moon Dev 🚀

One traced thing, as the caller's thread leaves it: references, a few numbers, and two clock reads. Everything that
takes time (binding arguments, redaction, counting, pricing, JSON) is the recorder's.
"""

import os
import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from time import perf_counter_ns
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from contextvars import Token

Signature = Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]

# A generator of our own: agents may call `random.seed(42)`, in 48 processes at once.
_ids = random.Random()  # noqa: S311 - identifiers, not secrets; seeded by the system's entropy
_bits = _ids.getrandbits
os.register_at_fork(after_in_child=_ids.seed)


class Reply(NamedTuple):
    """What was returned by a call that answers like a model, held so that later changes by the caller do not show."""

    content: Any
    usage: Any
    model_name: Any
    raw_response: Any


class Observation:
    """One observation in Langfuse's sense. Times are `perf_counter_ns`; the recorder turns them into wall-clock time.

    `ended` is None while it runs. `parent` is the observation that was open around it, or None; `foreign_parent` is
    an active OpenTelemetry span of another library (trace id, span id). What most observations do not have is an
    attribute of the class until it is set, which is what makes a new one cheap.
    """

    parent: "Observation | None" = None
    foreign_parent: tuple[int, int] | None = None
    agent: str | None = None
    owner: Any = None  # the instance whose method was called
    thread = 0  # that called it
    bind: Signature | None = None  # makes named arguments of `args` and `kwargs`, on the recorder's thread
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed
    input: Any = None
    output: Any = None
    capture_output = True
    pieces: list[Any] | None = None  # of a stream
    replies: tuple[Any, ...] = ()  # answers of calls inside this one that count as this one
    metadata: dict[str, Any] | None = None
    model_parameters: dict[str, Any] | None = None
    model: str | None = None
    provider: str | None = None
    level: str | None = None
    status_message: str | None = None
    tags: list[str] | None = None
    scores: "tuple[Score, ...]" = ()
    durable = False  # on disk before the call returns
    noted = False  # the recorder has noted that it has begun
    token: "Token[Observation | None] | None" = None  # while its code runs: what leaves its context
    otel: Any = None  # likewise, of OpenTelemetry's
    size = 0  # characters it keeps alive, roughly, once the recorder has it
    first_token: int | None = None
    ended: int | None = None

    def __init__(self, name: str, type: str, parent: "Observation | None" = None) -> None:
        self.id = _bits(64) or 1
        self.name = name
        self.type = type
        if parent is None:
            self.trace_id = _bits(128) or 1
        else:
            self.parent = parent
            self.trace_id = parent.trace_id
            self.agent = parent.agent
        self.started = perf_counter_ns()

    @property
    def hex_id(self) -> str:
        """The span id: 16 hex digits."""
        return f"{self.id:016x}"

    @property
    def hex_trace_id(self) -> str:
        """The trace id: 32 hex digits."""
        return f"{self.trace_id:032x}"

    @property
    def hex_parent_id(self) -> str | None:
        """The parent's span id, or None for a root."""
        if self.parent is not None:
            return self.parent.hex_id
        return f"{self.foreign_parent[1]:016x}" if self.foreign_parent else None

    def weigh(self) -> int:
        """Set `size`."""
        output = self.output
        size = len(output) if type(output) is str else size_of(output)
        for value in self.args:
            size += len(value) if type(value) is str else size_of(value)
        if self.kwargs or self.pieces or self.input or self.metadata or self.replies:
            size += size_of((self.kwargs, self.pieces, self.input, self.metadata, self.replies))
        self.size = size
        return size

    def add_metadata(self, values: dict[str, Any]) -> None:
        """Merge a snapshot of `values` into the metadata; later values win."""
        kept = snapshot(values)
        self.metadata = {**self.metadata, **kept} if self.metadata else kept


OUTCOME = "moondev.outcome"  # the type of what carries an outcome's scores to the journal, and is no observation there


class Score(NamedTuple):
    """A score on a trace (Langfuse's word): `value` is a float (NUMERIC) or a string (CATEGORICAL)."""

    id: str
    name: str
    value: float | str
    comment: str | None = None


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
