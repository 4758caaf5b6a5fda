"""Reads an object's fields without running its code: no property, no method, no metaclass."""

from collections.abc import Callable
from types import GetSetDescriptorType, MemberDescriptorType, SimpleNamespace
from typing import Any, NamedTuple


class _Pair(NamedTuple):
    field: Any


# Types of the descriptors of `__slots__` and of named tuples, which run no code of the class.
_SLOTS = (MemberDescriptorType, type(_Pair.field))
_TEXTS = frozenset(map(id, (str, int, float, bool, bytes)))  # ids of types whose values are plain data
# Types of Python's own descriptors. A class's `__dict__` of another type, such as a property, is not read.
_OF_C = (GetSetDescriptorType, MemberDescriptorType)
# These accessors come from `type` itself, since a metaclass may override them by properties.
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


class PerClass(dict[int, tuple[type, Any]]):
    """A cache that maps the id of a class to the class and to the value that `find` returns for it.

    The key is an id, since hashing a class may run its metaclass's `__hash__`. The class is kept so that no other class
    gets its id.
    """

    def __init__(self, find: Callable[[type], Any]) -> None:
        self._find = find

    def add(self, kind: type) -> tuple[type, Any]:
        """Add a class, and return its entry."""
        if len(self) >= _MOST_CLASSES:  # reached in a program that creates classes while it runs
            self.clear()
        entry = self[id(kind)] = (kind, self._find(kind))
        return entry


_MOST_CLASSES = 1_000


def fields_of(value: Any) -> dict[str, Any]:
    """The instance's own dictionary, or an empty one if the instance has none. Do not change it."""
    kind = type(value)
    fields: dict[str, Any] = (_dictionaries.get(id(kind)) or _dictionaries.add(kind))[1](value)
    return fields


def _dictionary_of(kind: type) -> Callable[[Any], dict[str, Any]]:
    for cls in _mro_of(kind):
        descriptor = _class_dict_of(cls).get("__dict__")
        if descriptor is not None:
            return descriptor.__get__ if type(descriptor) in _OF_C else _no_fields
    return _no_fields


def _no_fields(_value: Any) -> dict[str, Any]:
    return _NONE


_dictionaries = PerClass(_dictionary_of)


def runs_no_code(kind: type, names: tuple[str, ...]) -> bool:
    """Whether reading these attributes of an instance runs no code of its class (property, `__getattr__`)."""
    for cls in _mro_of(kind)[:-1]:
        attributes = _class_dict_of(cls)
        if not _RUNNING.isdisjoint(attributes):
            return False
        if any(name in attributes and not _is_data(attributes[name]) for name in names):
            return False
    return True


_RUNNING = frozenset({"__getattr__", "__getattribute__"})


def _is_data(attribute: Any) -> bool:
    return attribute is None or type(attribute) in _SLOTS or id(type(attribute)) in _TEXTS


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
        except AttributeError:  # the slot has no value
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
