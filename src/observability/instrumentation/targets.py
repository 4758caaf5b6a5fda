"""The patches of an SDK, made from a table of its methods and stream classes."""

from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

from . import streams as late
from .calls import async_method, manager_method, sync_method
from .hooks import Patch, replace
from .reading import Shape


class Method(NamedTuple):
    """A method that makes a request, of a class and of its asynchronous twin `Async…`."""

    modules: tuple[str, ...]  # in which some version has the class
    class_name: str
    name: str
    shape: Shape
    manager: bool = False  # returns a context manager, which makes the request when it is entered

    def patches(self) -> Iterator[tuple[str, Patch]]:
        """Module -> patch. The class decides between sync and async: decorators hide it from `iscoroutinefunction`."""
        wraps = (manager_method, manager_method) if self.manager else (sync_method, async_method)
        for module in self.modules:
            for class_name, wrap in zip((self.class_name, f"Async{self.class_name}"), wraps, strict=True):
                yield module, _replacing(class_name, self.name, wrap(self.shape))


class Streams(NamedTuple):
    """A class of streams, helpers or raw responses whose `close` ends a request, and its asynchronous twin."""

    module: str
    class_name: str
    close_only: bool = False

    def patches(self) -> Iterator[tuple[str, Patch]]:
        """Module -> patch."""
        name, twin = self.class_name, f"Async{self.class_name}"
        yield self.module, _replacing(name, "close", late.ending_close)
        yield self.module, _replacing(twin, "close", late.ending_aclose)
        if not self.close_only:
            yield self.module, _replacing(name, "__stream__", late.observing_items)
            yield self.module, _replacing(twin, "__stream__", late.observing_async_items)
            for class_name in (name, twin):
                yield self.module, _replacing(class_name, "__init__", late.matching_init)


class Sdk(NamedTuple):
    """One SDK, under its name in OBSERVABILITY_INSTRUMENT."""

    name: str
    methods: tuple[Method, ...]
    streams: tuple[Streams, ...]

    def patches(self) -> Iterator[tuple[str, Patch]]:
        """Module -> patch, of all methods and streams."""
        for method in self.methods:
            yield from method.patches()
        for streams in self.streams:
            yield from streams.patches()


def _replacing(class_name: str, name: str, wrap: Callable[[Any], Any]) -> Patch:
    return partial(_replace, class_name, name, wrap)


def _replace(class_name: str, name: str, wrap: Callable[[Any], Any], module: ModuleType) -> None:
    replace(module, class_name, name, wrap)
