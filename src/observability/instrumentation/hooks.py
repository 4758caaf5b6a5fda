"""Import hooks: patch a module right after its import, or at once if it is imported already.

The finder handles only modules with patches. It gets the module's spec from the other finders, and replaces the spec's
loader by one that runs the original loader and then patches the module. Spec and module get the original loader back
before the module's code runs. A reloaded module is patched again.
"""

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any

from ..internal_errors import guarded

Patch = Callable[[ModuleType], None]
PatchesOf = Callable[[str], Sequence[Patch]]  # a module's full name -> its patches


class _PatchingLoader:
    """Replaces a module's loader for one import, and patches the module afterwards.

    The class does not inherit from `importlib.abc.Loader`, since importing that class takes 5 ms.
    """

    def __init__(self, loader: Any, patches: Iterable[Patch]) -> None:
        self._loader, self._patches = loader, patches

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # for code that reads a module's source through its loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _apply(self._patches, module)


class _Finder:
    """Finds the modules that have patches, by asking the other finders, and replaces their loaders."""

    def __init__(self, patches_of: PatchesOf) -> None:
        self._patches_of = patches_of

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        patches = self._patches_of(fullname)
        if not patches:
            return None
        spec = self._spec_of_others(fullname, path, target)
        if spec is not None and hasattr(spec.loader, "exec_module") and not isinstance(spec.loader, _PatchingLoader):
            spec.loader = _PatchingLoader(spec.loader, patches)  # type: ignore[assignment]
        return spec

    def _spec_of_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
            if spec is not None:
                return spec
        return None


def _apply(patches: Iterable[Patch], module: ModuleType) -> None:
    for patch in patches:
        with guarded:
            patch(module)


_finder: _Finder | None = None


def install(patches_of: PatchesOf) -> None:
    """Patch the modules that have patches: at once if they are imported already, otherwise right after their import.

    This function imports no module itself.
    """
    global _finder
    uninstall()
    _finder = _Finder(patches_of)
    sys.meta_path.insert(0, _finder)
    for name, module in sys.modules.copy().items():
        if (patches := patches_of(name)) and issubclass(type(module), ModuleType):
            _apply(patches, module)


def uninstall() -> None:
    """Remove the finder and every patch, for tests."""
    global _finder
    if _finder is not None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not _finder]
        _finder = None
    while _replaced:
        cls, name, original, replacement = _replaced.pop()
        if vars(cls).get(name) is replacement:
            setattr(cls, name, original)


_replaced: list[tuple[type, str, Any, Any]] = []


def replace(module: ModuleType, class_name: str, name: str, wrap: Callable[[Any], Any]) -> None:
    """Replace a class's own method by `wrap(method)`, unless it was replaced before.

    If the installed SDK version lacks the class or the method, do nothing.
    """
    cls = vars(module).get(class_name)
    method = vars(cls).get(name) if isinstance(cls, type) else None
    if method is None or any(done[0] is cls and done[1] == name for done in _replaced):
        return
    replacement = functools.update_wrapper(wrap(_callable(method)), method)
    setattr(cls, name, replacement)
    _replaced.append((cls, name, method, replacement))  # type: ignore[arg-type]


def _callable(method: Any) -> Callable[..., Any]:
    """Return the method as a function whose first argument is the instance.

    A method that another library has wrapped may work only when it is bound to the instance.
    """
    if type(method) is FunctionType:  # not `isinstance`: a wrapt proxy poses as the wrapped function
        return method
    return lambda self, *args, **kwargs: method.__get__(self, type(self))(*args, **kwargs)


def replaced() -> list[tuple[type, str]]:
    """Return a pair for each patched method: its class and its name."""
    return [(cls, name) for cls, name, _, _ in _replaced]
