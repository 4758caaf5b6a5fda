"""Observes methods that answer with a generator: the request begins when the caller takes the first item.

The caller gets a generator too. The request contains the work of the SDK's generator between two items, not the
caller's.
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
    """Observe a method that returns a generator, always or where `stream` is set."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def generating(*args: Any, **kwargs: Any) -> Generator[Any, Any, None]:
            yield from _items(shape, method(*args, **kwargs), args, kwargs)

        def observed(*args: Any, **kwargs: Any) -> Any:
            if not kwargs.get("stream"):
                return observe_call(shape, method, args, kwargs)
            items = method(*args, **kwargs)
            return _items(shape, items, args, kwargs) if type(items) is GeneratorType else items

        from inspect import isgeneratorfunction  # loaded lazily: by now the SDK has loaded it

        return generating if isgeneratorfunction(method) else observed

    return wrap


def async_generator_method(shape: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Observe a method that is an asynchronous generator, or whose coroutine gives one."""

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


def _begun(shape: Shape, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Observation | None:
    request = begin(shape, args, kwargs)
    if request is not None:
        request.events = []
        if budgeting.gate is not None:
            _admit(request)
    return request


def _admit(request: Observation) -> None:
    try:
        admit_request(request)
    except RuntimeError as error:
        end_stream(request, error)
        raise


def _note(request: Observation, item: Any) -> None:
    note_item(request, len(item) if type(item) is bytes else item)  # sound is recorded by its size


def _items(
    shape: Shape, items: Iterator[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, None]:
    request = _begun(shape, args, kwargs)
    if request is None:
        yield from items
        return
    try:
        while True:
            entered = enter_request(request)
            try:
                item = next(items)
            except BaseException as error:
                end_stream(request, None if isinstance(error, StopIteration) else error)
                if isinstance(error, StopIteration):
                    return
                raise
            finally:
                leave_request(entered)
            _note(request, item)
            yield item
    finally:
        with guarded:
            finish_early(request)
        items.close()  # type: ignore[attr-defined]


async def _async_items(
    shape: Shape, items: AsyncIterator[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Any, None]:
    request = _begun(shape, args, kwargs)
    if request is None:
        async for item in items:
            yield item
        return
    try:
        while True:
            entered = enter_request(request)
            try:
                item = await items.__anext__()
            except BaseException as error:
                end_stream(request, None if isinstance(error, StopAsyncIteration) else error)
                if isinstance(error, StopAsyncIteration):
                    return
                raise
            finally:
                leave_request(entered)
            _note(request, item)
            yield item
    finally:
        with guarded:
            finish_early(request)
        await items.aclose()  # type: ignore[attr-defined]
