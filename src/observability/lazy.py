"""Lazy exports of a package (PEP 562): a module is loaded when one of its names is first used."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_exports(package: str, homes: dict[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__`. It imports the module of a public name when the name is first used.

    Args:
        package: the package's `__name__`.
        homes: maps each module of the package to its public names, separated by spaces.
    """
    home_of = {name: module for module, names in homes.items() for name in names.split()}

    def load(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home_of[name]}"), name)

    return load
