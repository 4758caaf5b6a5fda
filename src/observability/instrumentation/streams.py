"""Answers that come after the SDK's method has returned: streams, and responses that are read later.

A stream is the SDK's own object; only its inner iterator is ours. Its request ends with the last item, an error,
`close()`, or when the stream is dropped.
"""

import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter_ns
from typing import Any

from ..internal_errors import guarded
from ..tracing import Observation, finish_request, note_error, running_request

_REQUEST = "_moondev_request"  # in the `vars()` of a stream
_unread: "weakref.WeakKeyDictionary[Any, tuple[Observation, Any]]" = weakref.WeakKeyDictionary()


def remembering_init(init: Callable[..., None]) -> Callable[..., None]:
    """`Stream.__init__`: a stream made by an observed request, or from its raw response, belongs to it."""

    def observed(stream: Any, *args: Any, **kwargs: Any) -> None:
        with guarded:
            request = _request_of(kwargs.get("response"))
            if request is not None:
                request.pieces = []
                setattr(stream, _REQUEST, request)  # before `__init__`, which may make the iterator
                weakref.finalize(stream, _dropped, request)
        init(stream, *args, **kwargs)

    return observed


def _request_of(response: Any) -> Observation | None:
    request = running_request()
    if request is None and response is not None:
        request, dropping = _unread.pop(response, (None, None))
        if dropping is not None:
            dropping.detach()
    return request


def observing_items(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`Stream.__stream__`, which makes a stream's iterator."""

    def observed(stream: Any) -> Any:
        items = make(stream)
        request = vars(stream).get(_REQUEST)
        return items if request is None else _Items(items, request)

    return observed


def observing_async_items(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`AsyncStream.__stream__`."""

    def observed(stream: Any) -> Any:
        items = make(stream)
        request = vars(stream).get(_REQUEST)
        return items if request is None else _AsyncItems(items, request)

    return observed


class _Items:
    """A stream's iterator, noting what it yields."""

    def __init__(self, items: Iterator[Any], request: Observation) -> None:
        self._items, self._request = items, request

    def __iter__(self) -> "_Items":
        return self

    def __next__(self) -> Any:
        try:
            item = next(self._items)
        except BaseException as error:
            _ended(self._request, None if isinstance(error, StopIteration) else error)
            raise
        _note(self._request, item)
        return item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._items, name)


class _AsyncItems:
    """An asynchronous stream's iterator, noting what it yields."""

    def __init__(self, items: AsyncIterator[Any], request: Observation) -> None:
        self._items, self._request = items, request

    def __aiter__(self) -> "_AsyncItems":
        return self

    async def __anext__(self) -> Any:
        try:
            item = await anext(self._items)
        except BaseException as error:
            _ended(self._request, None if isinstance(error, StopAsyncIteration) else error)
            raise
        _note(self._request, item)
        return item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._items, name)


def _note(request: Observation, item: Any) -> None:
    if request.pieces is not None:
        if not request.pieces:
            request.first_token = perf_counter_ns()
        request.pieces.append(item)


def _ended(request: Observation, error: BaseException | None = None) -> None:
    with guarded:
        if error is not None and request.ended is None:
            note_error(request, error)
        finish_request(request)


def _dropped(request: Observation) -> None:
    """By the garbage collector, in any thread and at any moment: nothing here may wait."""
    with guarded:
        request.durable = False
        _finish_early(request, remember=False)


def _finish_early(request: Observation, *, remember: bool = True) -> None:
    if request.ended is None:
        request.level = "DEFAULT"  # no answer is no fault of the model
        request.add_metadata({"stream": "closed early"})
        finish_request(request, remember=remember)


def ending_close(close: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`close` of a stream, of an SDK's helper around one, or of a raw response."""

    def observed(closed: Any) -> Any:
        try:
            return close(closed)
        finally:
            _closed(closed)

    return observed


def ending_aclose(close: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`ending_close`, asynchronously."""

    async def observed(closed: Any) -> Any:
        try:
            return await close(closed)
        finally:
            _closed(closed)

    return observed


def _closed(closed: Any) -> None:
    with guarded:
        attributes = vars(closed)
        raw_stream = attributes.get("_raw_stream")
        for stream in (attributes, vars(raw_stream) if raw_stream is not None else {}):
            if (request := stream.get(_REQUEST)) is not None:
                _finish_early(request)
        response = attributes.get("http_response")
        if response is not None and (entry := _unread.pop(response, None)) is not None:
            request, dropping = entry
            dropping.detach()
            if "_content" in vars(response):
                request.output = closed
                finish_request(request)
            else:
                _finish_early(request)


def end_later(request: Observation, result: Any) -> bool:
    """Whether the request ends after its method has returned."""
    if request.pieces is not None:
        return True
    response = getattr(result, "__dict__", {}).get("http_response")
    if response is None or "_content" in vars(response):
        return False
    _unread[response] = request, weakref.finalize(result, _dropped, request)
    return True
