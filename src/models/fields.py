"""Reads a field of a provider's answer, which may be made of dicts or objects."""

from typing import Any


def field(value: Any, *path: str) -> Any:
    """The value at `path` in nested dicts and objects; None if the path is missing. Never raises."""
    for name in path:
        try:
            value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
        except Exception:  # noqa: BLE001 - a foreign object's property may do anything
            return None
    return value
