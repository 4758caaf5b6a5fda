"""Takes snapshots of arguments and answers: references to immutable values, a bounded copy of plain data.

Snapshots are taken on the caller's thread, of values that the agent still uses. Therefore no code of a value is run (no
`str()`, no property, no method), unless the value is plain data or of a type known by name. A table becomes its shape.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from operator import attrgetter
from pathlib import PurePath
from types import FunctionType, NoneType, SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

from ..interruption import is_interruption
from .attributes import PerClass, field_of, fields_of, has_class, is_dataclass, library_of, runs_no_code, type_name


class Reply(NamedTuple):
    """The parts of a result that contains a model's answer. Later changes by the caller do not affect `content`."""

    content: Any
    usage: Any
    model_name: Any
    raw_response: Any


IMMUTABLE = frozenset({str, int, float, bool, NoneType, bytes, complex, Decimal, date, datetime, timedelta, UUID})
# Ids of the immutable types: comparing ids does not call a metaclass's `__hash__` or `__eq__`.
IMMUTABLE_IDS = frozenset(map(id, IMMUTABLE))
MAX_NODES = 5_000  # limit for the values in a snapshot, on all levels together; copying 5,000 takes about 1 ms
_CONTAINER_NODES = 8  # a list or dict counts as 8 values, since copying it takes as long as 8 values
_MAX_DEPTH = 12
_NOTHING = object()


def reply_of(result: Any) -> Any:
    """Return a `Reply` if the result has a model's answer in an attribute `content`. Otherwise return a snapshot."""
    kind = type(result)
    read = (_readers.get(id(kind)) or _readers.add(kind))[1]
    if read is None:
        return result
    try:
        content, usage, model, raw = read(result)
    except AttributeError:  # not a `ModelResponse`
        content, usage, model, raw = _read_slowly(result)
    if content is None:
        # A `content` of None counts if it is set on the instance; a class's default of None does not.
        content = field_of(result, "content", _NOTHING)
    if content is _NOTHING:
        return snapshot(result)
    if raw is None and _is_pydantic(kind):
        raw = result  # the result is itself the SDK's message
    content = content if type(content) is str else snapshot(content)
    return _new(Reply, (content, usage.copy() if type(usage) is dict else usage, model, raw))


_new = tuple.__new__  # faster than `Reply(...)`, which calls a Python function


def _reader_of(kind: type) -> Callable[[Any], Any] | None:
    """Return a function that reads all fields of a `Reply` from an instance of the class, or None if instances are
    immutable."""
    if id(kind) in IMMUTABLE_IDS:
        return None
    return attrgetter(*Reply._fields) if runs_no_code(kind, Reply._fields) else _read_slowly


def _read_slowly(result: Any) -> tuple[Any, ...]:
    content = field_of(result, "content", _NOTHING)
    return content, *(field_of(result, name) for name in Reply._fields[1:])


_readers = PerClass(_reader_of)


def snapshot(value: Any) -> Any:
    """Return `value` itself if it is immutable, a copy of plain data, or a short description of anything else.

    At most `MAX_NODES` values and 12 levels are kept; the number of omitted values stands in their place.
    """
    kind = type(value)
    if id(kind) in IMMUTABLE_IDS:
        return value
    if kind is dict and len(value) <= MAX_NODES and _is_flat(copy := value.copy()):
        return copy
    if kind is list and (copied := _copied_messages(value)) is not None:
        return copied[0]
    return _Copier().copy(value, 0)


_FEW_MESSAGES = 300
_FEW_FIELDS = 8


def sized_snapshot(value: Any) -> tuple[Any, int]:
    """Return a snapshot and its size. Messages to a model are copied and measured in one pass."""
    if type(value) is list and (copied := _copied_messages(value)) is not None:
        return copied
    kept = snapshot(value)
    return kept, size_of(kept)


def _copied_messages(items: list[Any]) -> tuple[list[Any], int] | None:
    """Copy a short list of small, flat dicts, such as most messages to a model. Return the copies and their size in
    characters, or None for any other list."""
    if len(items) > _FEW_MESSAGES:
        return None
    copies, size = [], 0
    for item in items:
        if type(item) is not dict or len(item) > _FEW_FIELDS:
            return None
        copy = item.copy()
        for name, value in copy.items():
            kind = type(value)
            if kind is str or kind is bytes:
                size += len(value)
            elif id(kind) not in IMMUTABLE_IDS:
                return None
            if type(name) is not str:
                return None
        size += 64 * len(copy)
        copies.append(copy)
    return copies, size


class _Copier:
    """Copies one value. A single limit applies to the number of values on all levels together."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_NODES

    def copy(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if id(kind) in IMMUTABLE_IDS:
            self._left -= 1
            return value
        self._left -= _CONTAINER_NODES
        if depth >= _MAX_DEPTH:
            return f"[left out: nested deeper than {_MAX_DEPTH} levels]"
        if issubclass(kind, dict):
            return self._dict(value, depth)
        if issubclass(kind, list):
            return self._list(list.__getitem__(value, slice(MAX_NODES)), list.__len__(value), depth)
        if issubclass(kind, tuple):
            return self._list(list(tuple.__getitem__(value, slice(MAX_NODES))), tuple.__len__(value), depth)
        if kind is set or kind is frozenset:
            return self._list(list(islice(value, MAX_NODES)), len(value), depth)
        return self._object(value, kind, depth)

    def _list(self, items: list[Any], length: int, depth: int) -> list[Any]:
        del items[max(self._left, 0) :]
        if _are_immutable(items):
            self._left -= len(items)
            kept = items
        else:
            kept = [self.copy(item, depth + 1) for item in items if self._left > 0]
        missing = length - len(kept)
        return [*kept, f"[{missing} more]"] if missing > 0 else kept

    def _dict(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        length = dict.__len__(value)
        if length <= self._left and _is_flat(copy := dict.copy(value)):
            self._left -= length
            return copy
        kept: dict[Any, Any] = {}
        try:
            for key, item in islice(dict.items(value), max(self._left, 0)):
                if self._left <= 0:
                    break
                kept[_key(key)] = self.copy(item, depth + 1)
        except RuntimeError as error:  # another thread changed the dictionary's size
            if is_interruption(error):
                raise
            return {**kept, "[not recorded]": "changed by another thread"}
        return kept if len(kept) >= length else {**kept, "[not recorded]": f"{length - len(kept)} more"}

    def _object(self, value: Any, kind: type, depth: int) -> Any:
        plain = _plain(value, kind)
        if plain is not _NOTHING:
            return plain
        if issubclass(kind, Enum):
            return self.copy(field_of(value, "_value_"), depth + 1)
        if kind is SimpleNamespace or is_dataclass(kind) or _is_pydantic(kind):
            return self._dict(fields_of(value), depth)
        return _shape(value, kind)


def _is_flat(copy: dict[Any, Any]) -> bool:
    """Whether all keys and values are immutable, as in most messages and metadata."""
    return _are_immutable(copy) and _are_immutable(copy.values())


def _are_immutable(items: Iterable[Any]) -> bool:
    for item in items:  # most items are texts or numbers, for which no function is called
        kind = type(item)
        if not (kind is str or kind is float or kind is int or id(kind) in IMMUTABLE_IDS):
            return False
    return True


def _key(key: Any) -> Any:
    if id(type(key)) in IMMUTABLE_IDS:
        return key
    return str(snapshot(key))  # safe, since a snapshot contains only plain data


_BASES = (  # base type, and the function that converts a value of a subclass to plain data
    (str, str.__str__), (int, int.__index__), (float, float.__float__), (datetime, datetime.isoformat),
    (date, date.isoformat), (PurePath, PurePath.__str__), (bytearray, bytes), (Decimal, Decimal.__str__),
)  # fmt: skip


def _plain(value: Any, kind: type) -> Any:
    """Convert a value of a plain type's subclass (`numpy.float64`, a `str` Enum, a path) to plain data."""
    for base, make in _BASES:
        if issubclass(kind, base):
            return make(value)
    return _NOTHING


def _is_pydantic(kind: type) -> bool:
    """Whether the class is a pydantic model, like all answers of the OpenAI, Anthropic and Groq SDKs."""
    return has_class(kind, "pydantic.main", "BaseModel")


def _shape(value: Any, kind: type) -> Any:
    """The shape of a table or an array; for anything else, the name of the function or type."""
    if kind is FunctionType:
        return f"[function {value.__name__}]"
    if library_of(kind) not in ("numpy", "pandas"):
        return f"[{type_name(kind)}]"
    shape = getattr(value, "shape", None)
    if shape == ():
        return value.item()
    size = "x".join(map(str, shape)) if type(shape) is tuple else ""
    columns = [name for name in getattr(value, "columns", ())[:20] if type(name) is str]
    names = f": {', '.join(columns)}" if columns else ""
    return f"[{type_name(kind)} {size}{names}]"


def size_of(value: Any) -> int:
    """The approximate number of characters in the snapshot `value`, for the size limit of the recorder's queue."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value)
    if kind is dict:
        return 64 * len(value) + size_of_items(value.values())
    if kind is list or kind is tuple:
        return 16 * len(value) + size_of_items(value)
    return size_of(value.content) if kind is Reply else 16


def size_of_items(items: Iterable[Any]) -> int:
    """The sum of the items' sizes."""
    size = 0
    for item in items:  # most items are texts, numbers or messages, measured with few function calls
        kind = type(item)
        if kind is str:
            size += len(item)
        elif kind is dict:
            size += 64 * len(item) + size_of_items(item.values())
        else:
            size += 16 if kind is int or kind is float or item is None else size_of(item)
    return size


def weight_of(value: Any) -> int:
    """The approximate number of characters in the first `MAX_NODES` values of a provider's own response."""
    return size_of(snapshot(fields_of(value) or value))
