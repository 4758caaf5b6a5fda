"""Reads an object's fields without running its code: no property, no method, no metaclass."""

from collections.abc import Callable
from types import GetSetDescriptorType, MemberDescriptorType, SimpleNamespace
from typing import Any, NamedTuple


class _Pair(NamedTuple):
    field: Any


_SLOTS = (MemberDescriptorType, type(_Pair.field))  # descriptors of `__slots__` and of named tuples: plain data
_TEXTS = frozenset(map(id, (str, int, float, bool, bytes)))  # ids of the types of plain class attributes
_OF_C = (GetSetDescriptorType, MemberDescriptorType)  # Python's own descriptors; a class may define its own `__dict__`
# The accessors of `type` itself, since a metaclass may override them by properties.
_mro_of = type.__dict__["__mro__"].__get__
_class_dict_of = type.__dict__["__dict__"].__get__
_module_of = type.__dict__["__module__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__
_NONE: dict[str, Any] = {}


def type_name(kind: type) -> str:
    """The class's name, such as `DataFrame`."""
    name: str = _qualname_of(kind)
    return name


def library_of(kind: type) -> str:
    """The top-level module of the class, such as `pandas`."""
    module = _module_of(kind)
    return module.partition(".")[0] if type(module) is str else ""


def fields_of(value: Any) -> dict[str, Any]:
    """The instance's own dictionary (do not change it); empty if it has none."""
    kind = type(value)
    known = _known.get(id(kind))
    return (_look_up(kind) if known is None else known)[1](value)


_Fields = Callable[[Any], dict[str, Any]]
# By the id of a class, which calls no metaclass's `__hash__`; the class itself, so that its id never is another's.
_known: dict[int, tuple[type, _Fields]] = {}
_MAX_KNOWN = 1_000


def _look_up(kind: type) -> tuple[type, _Fields]:
    if len(_known) >= _MAX_KNOWN:  # of a program that makes classes while it runs
        _known.clear()
    known = _known[id(kind)] = (kind, _fields_getter(kind))
    return known


def _fields_getter(kind: type) -> _Fields:
    for cls in _mro_of(kind):
        descriptor = _class_dict_of(cls).get("__dict__")
        if descriptor is not None:
            return descriptor.__get__ if type(descriptor) in _OF_C else _no_fields
    return _no_fields


def _no_fields(_value: Any) -> dict[str, Any]:
    return _NONE


def field_of(value: Any, name: str, default: Any = None) -> Any:
    """The field `name` of an object, from its dictionary, a slot, or a plain class attribute; else `default`."""
    fields = fields_of(value)
    if name in fields:
        return fields[name]
    kind = type(value)
    for cls in _mro_of(kind):
        attributes = _class_dict_of(cls)
        if name in attributes:
            return _plain(value, attributes[name], default)
    slot = _extra_slot_of(kind)
    extra = None if slot is None else _plain(value, slot, None)
    return extra.get(name, default) if type(extra) is dict else default


def data_fields_of(value: Any) -> dict[str, Any] | None:
    """All fields of a pydantic model or a `SimpleNamespace` (do not change them); None for any other object."""
    kind = type(value)
    if kind is SimpleNamespace:
        return fields_of(value)
    slot = _extra_slot_of(kind)
    if slot is None:
        return None
    fields, extra = fields_of(value), _plain(value, slot, None)
    return {**fields, **extra} if type(extra) is dict else fields


def _plain(value: Any, attribute: Any, default: Any) -> Any:
    if type(attribute) in _SLOTS:
        try:
            return attribute.__get__(value)
        except AttributeError:  # an empty slot
            return default
    return attribute if id(type(attribute)) in _TEXTS else default


def _extra_slot_of(kind: type) -> Any:
    """The slot of a pydantic class for fields not declared by the SDK's model (`usage.cost`, `reasoning_content`)."""
    for cls in _mro_of(kind):
        slot = _class_dict_of(cls).get("__pydantic_extra__")
        if type(slot) is MemberDescriptorType:
            return slot
    return None


def has_class(kind: type, module: str, name: str) -> bool:
    """Whether the class or one of its bases is named `name`, in a module whose path ends with `module`."""
    for cls in _mro_of(kind):  # noqa: SIM110 - on the caller's path, where a generator's frames cost more
        if _qualname_of(cls) == name and f".{_module_of(cls)}".endswith(f".{module}"):
            return True
    return False


def is_dataclass(kind: type) -> bool:
    """Whether the class or one of its bases is a dataclass."""
    return any("__dataclass_fields__" in _class_dict_of(cls) for cls in _mro_of(kind))
