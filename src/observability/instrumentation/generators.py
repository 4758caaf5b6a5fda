"""Observes methods that answer with a generator: the request begins when the caller takes the first item.

The caller gets a generator too. The request is the running request only while the SDK's generator works, not while the
caller handles an item.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from ..internal_errors import guarded
from ..tracing import Observation, admit_request, budgeting, enter_request, leave_request
from .calls import begin, observe_awaited, observe_call
from .reading import Shape
from .streams import end_stream, finish_early, note_item


def generator_method(shape: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that observes a method that returns a generator, always or only if `stream` is set."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def generating(*args: Any, **kwargs: Any) -> Generator[Any, Any, None]:
            yield from _items(shape, method(*args, **kwargs), args, kwargs)

        def observed(*args: Any, **kwargs: Any) -> Any:
            if not kwargs.get("stream"):
                return observe_call(shape, method, args, kwargs)
            items = method(*args, **kwargs)
            return _items(shape, items, args, kwargs) if type(items) is GeneratorType else items

        from inspect import isgeneratorfunction  # imported here, once the SDK has loaded `inspect` anyway

        return generating if isgeneratorfunction(method) else observed

    return wrap


def async_generator_method(shape: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that observes an asynchronous generator method, or one whose coroutine returns a generator."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        always = getattr(method, "__name__", "").endswith("stream")

        async def generating(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            async for item in _async_items(shape, method(*args, **kwargs), args, kwargs):
                yield item

        async def observed(*args: Any, **kwargs: Any) -> Any:
            if not (always or kwargs.get("stream")):
                return await observe_awaited(shape, lambda: method(*args, **kwargs), args, kwargs)
            items = await method(*args, **kwargs)
            return _async_items(shape, items, args, kwargs) if type(items) is AsyncGeneratorType else items

        from inspect import isasyncgenfunction

        return generating if isasyncgenfunction(method) else observed

    return wrap


def _enter(request: Observation) -> None:
    if request.events is None:  # true before the first item
        request.events = []
        if budgeting.gate is not None:
            admit_request(request)
    enter_request(request)


def _note(request: Observation, item: Any) -> None:
    note_item(request, len(item) if type(item) is bytes else item)  # of a piece of audio, only the size is recorded


def _items(
    shape: Shape, items: Iterator[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, None]:
    request = None
    try:
        request = begin(shape, args, kwargs)
        if request is None:
            yield from items
            return
        while True:
            try:
                _enter(request)
                item = next(items)
            except BaseException as error:
                end_stream(request, None if isinstance(error, StopIteration) else error)
                if isinstance(error, StopIteration):
                    return
                raise
            leave_request(request)
            _note(request, item)
            yield item
    finally:
        try:
            _leave_early(request)
        finally:
            _leave_early(request)  # has an effect only if a signal handler interrupted the first `_leave_early`
            items.close()  # type: ignore[attr-defined]


async def _async_items(
    shape: Shape, items: AsyncIterator[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Any, None]:
    request = None
    try:
        request = begin(shape, args, kwargs)
        if request is None:
            async for item in items:
                yield item
            return
        while True:
            try:
                _enter(request)
                item = await items.__anext__()
            except BaseException as error:
                end_stream(request, None if isinstance(error, StopAsyncIteration) else error)
                if isinstance(error, StopAsyncIteration):
                    return
                raise
            leave_request(request)
            _note(request, item)
            yield item
    finally:
        try:
            _leave_early(request)
        finally:
            _leave_early(request)  # has an effect only if a signal handler interrupted the first `_leave_early`
            await items.aclose()  # type: ignore[attr-defined]


def _leave_early(request: Observation | None) -> None:
    """End the request if its generator was closed early by the caller, or stopped by a signal handler's exception."""
    if request is not None:
        leave_request(request)
        if request.ended is None:
            with guarded:
                finish_early(request)
