"""Reading an object's fields without running any code of it: no property, no method, no metaclass."""

from types import GetSetDescriptorType, MemberDescriptorType, SimpleNamespace
from typing import Any, NamedTuple


class _Pair(NamedTuple):
    field: Any


_SLOTS = (MemberDescriptorType, type(_Pair.field))  # descriptors of `__slots__` and of named tuples: plain data
_TEXTS = frozenset(map(id, (str, int, float, bool, bytes)))  # of class attributes
_OF_C = (GetSetDescriptorType, MemberDescriptorType)  # a class may have a property of its own under `__dict__`
# The accessors of `type` itself: a metaclass may have put properties of its own in their place.
_mro_of = type.__dict__["__mro__"].__get__
_class_dict_of = type.__dict__["__dict__"].__get__
_module_of = type.__dict__["__module__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__
_NONE: dict[str, Any] = {}


def type_name(kind: type) -> str:
    """The class's name, as `DataFrame`."""
    name: str = _qualname_of(kind)
    return name


def library_of(kind: type) -> str:
    """The top-level module that the class comes from, as `pandas`."""
    module = _module_of(kind)
    return module.partition(".")[0] if type(module) is str else ""


def fields_of(value: Any) -> dict[str, Any]:
    """The instance's own dictionary, which is not to be changed; empty where it has none."""
    for cls in _mro_of(type(value)):
        descriptor = _class_dict_of(cls).get("__dict__")
        if descriptor is not None:
            return descriptor.__get__(value) if type(descriptor) in _OF_C else _NONE
    return _NONE


def field_of(value: Any, name: str, default: Any = None) -> Any:
    """The field `name` of an object, if it is plain data: of the instance, a slot, or a plain value of its class."""
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
    """All fields of a pydantic model or a `SimpleNamespace`, not to be changed; None for any other object, whose class
    may have fields too."""
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
        except AttributeError:  # a slot that was never filled
            return default
    return attribute if id(type(attribute)) in _TEXTS else default


def _extra_slot_of(kind: type) -> Any:
    """The slot of a pydantic class for fields that a provider sent and the SDK's model does not declare (`usage.cost`,
    `reasoning_content`)."""
    for cls in _mro_of(kind):
        slot = _class_dict_of(cls).get("__pydantic_extra__")
        if type(slot) is MemberDescriptorType:
            return slot
    return None


def has_class(kind: type, module: str, name: str) -> bool:
    """Whether the class or one of its bases is `name` of a module whose path ends with `module`."""
    for cls in _mro_of(kind):  # noqa: SIM110 - on the caller's path, where a generator's frames cost more
        if _qualname_of(cls) == name and f".{_module_of(cls)}".endswith(f".{module}"):
            return True
    return False


def is_dataclass(kind: type) -> bool:
    """Whether the class or one of its bases is a dataclass."""
    return any("__dataclass_fields__" in _class_dict_of(cls) for cls in _mro_of(kind))
