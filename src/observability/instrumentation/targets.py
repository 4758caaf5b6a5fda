"""The patches of an SDK, made from a table of its methods and stream classes."""

from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

from . import streams as late
from .calls import async_method, manager_method, sync_method
from .generators import async_generator_method, generator_method
from .hooks import Patch, replace
from .reading import Shape

_Wrap = Callable[[Shape], Callable[[Callable[..., Any]], Callable[..., Any]]]
ANSWER: tuple[_Wrap, _Wrap] = sync_method, async_method
MANAGER: tuple[_Wrap, _Wrap] = manager_method, manager_method  # the context manager makes the request on entry
GENERATOR: tuple[_Wrap, _Wrap] = generator_method, async_generator_method  # reading the generator makes the request


class Method(NamedTuple):
    """A method that makes a request, and its asynchronous counterpart, usually in a class named `Async…`."""

    modules: tuple[str, ...]  # modules in which some version of the SDK has the class
    class_name: str
    name: str
    shape: Shape
    wraps: tuple[_Wrap, _Wrap] = ANSWER  # wrappers of the synchronous and the asynchronous method
    async_name: str | None = None  # the asynchronous method's name, if it is in the same class

    def patches(self) -> Iterator[tuple[str, Patch]]:
        """Yield a pair (module, patch) for the synchronous and the asynchronous method, in each module.

        The names of class and method show which method is asynchronous, since decorators mislead `iscoroutinefunction`.
        """
        twin = (self.class_name, self.async_name) if self.async_name else (f"Async{self.class_name}", self.name)
        homes = ((self.class_name, self.name), twin)
        for module in self.modules:
            for (class_name, name), wrap in zip(homes, self.wraps, strict=True):
                yield module, replacing(class_name, name, wrap(self.shape))


class Streams(NamedTuple):
    """A class of streams, stream helpers or raw responses, and its asynchronous version. `close` ends a request."""

    module: str
    class_name: str
    close_only: bool = False

    def patches(self) -> Iterator[tuple[str, Patch]]:
        """Yield a pair (module, patch) for each method to patch."""
        name, twin = self.class_name, f"Async{self.class_name}"
        yield self.module, replacing(name, "close", late.ending_close)
        yield self.module, replacing(twin, "close", late.ending_aclose)
        if not self.close_only:
            yield self.module, replacing(name, "__stream__", late.observing_items)
            yield self.module, replacing(twin, "__stream__", late.observing_async_items)
            for class_name in (name, twin):
                yield self.module, replacing(class_name, "__init__", late.matching_init)


class Sdk(NamedTuple):
    """An SDK and its patches. `name` is its name in OBSERVABILITY_INSTRUMENT."""

    name: str
    methods: tuple[Method, ...]
    streams: tuple[Streams, ...] = ()
    others: tuple[tuple[str, Patch], ...] = ()  # further patches: pairs (module, patch)

    @property
    def names(self) -> set[str]:
        """The names of the SDK's observed methods, synchronous and asynchronous."""
        return {name for method in self.methods for name in (method.name, method.async_name) if name}

    def patches(self) -> Iterator[tuple[str, Patch]]:
        """Yield a pair (module, patch) for each patch of the SDK."""
        for method in self.methods:
            yield from method.patches()
        for streams in self.streams:
            yield from streams.patches()
        yield from self.others


def replacing(class_name: str, name: str, wrap: Callable[[Any], Any]) -> Patch:
    """Return a patch that replaces a class's method by `wrap(method)`."""
    return partial(_replace, class_name, name, wrap)


def _replace(class_name: str, name: str, wrap: Callable[[Any], Any], module: ModuleType) -> None:
    replace(module, class_name, name, wrap)
