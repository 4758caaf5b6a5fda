"""Observes answers that come after the SDK's method has returned: streams, and responses that are read later.

A stream is the SDK's own object; only its inner iterator is wrapped. A request and its stream are matched by the HTTP
response, since helpers and raw responses make streams of their own. The request ends with the last item, an error or
`close()`, or when the stream is garbage-collected.
"""

import os
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter_ns
from typing import Any, NamedTuple

from ..internal_errors import guarded
from ..tracing import Observation, PerClass, fields_of, finish_request, has_class, note_error, running_request

_MAX_EVENTS = 10_000  # at most this many events of one stream are kept; they take some 20 MB
_LAST_EVENTS = 8
_RESPONSES = ("http_response", "response", "_response")  # fields of a stream or answer that may hold the HTTP response


class _Open(NamedTuple):
    request: Observation
    dropping: "weakref.finalize[[Observation], Any]"  # ends the request when the caller drops the stream or response


_open: "weakref.WeakKeyDictionary[Any, _Open]" = weakref.WeakKeyDictionary()  # HTTP response -> its open request


def _read_from(source: Any, response: Any, request: Observation) -> None:
    """Record that the caller reads the response through `source`, such as a stream, from now on."""
    if (before := _open.get(response)) is not None:
        before.dropping.detach()
    _open[response] = _Open(request, weakref.finalize(source, _dropped, request))


def _response_of(source: Any) -> Any:
    """Return the HTTP response inside `source`: a stream, a helper around a stream, or a raw response."""
    fields = fields_of(source)
    if "_raw_stream" in fields:
        return _response_of(fields["_raw_stream"])
    return next((fields[name] for name in _RESPONSES if name in fields), None)


def _entry_of(response: Any) -> _Open | None:
    return None if response is None else _open.get(response)


def _forget() -> None:
    for entry in _open.values():
        entry.dropping.detach()
    _open.clear()


os.register_at_fork(after_in_child=_forget)  # a forked child forgets the parent's streams, which end in the parent


_GENERATIVEAI = ("generativeai.types.generation_types", "BaseGenerateContentResponse")
_is_generativeai = PerClass(lambda kind: has_class(kind, *_GENERATIVEAI))


def end_later(request: Observation, result: Any) -> bool:
    """Return whether the caller will read the answer later. If so, the request ends only then."""
    if request.events is not None:
        return True
    kind = type(result)
    if (_is_generativeai.get(id(kind)) or _is_generativeai.add(kind))[1]:
        return _end_with_chunks(request, result)
    response = fields_of(result).get("http_response")
    if response is None or "_content" in fields_of(response):
        return False
    _read_from(result, response, request)
    return True


def _end_with_chunks(request: Observation, response: Any) -> bool:
    """Observe the remaining chunks of a google.generativeai response.

    Such a response is its own stream, and already contains its first chunk.
    """
    fields = fields_of(response)
    if fields.get("_done") is not False:
        return False
    request.events = []
    note_item(request, fields["_result"])
    items = fields["_iterator"]
    response._iterator = (_AsyncItems if hasattr(items, "__anext__") else _Items)(items, request)
    weakref.finalize(response, _dropped, request)
    return True


def matching_init(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap `Stream.__init__`, to link a stream to the request that got its HTTP response, or to the running request."""

    def observed(stream: Any, *args: Any, **kwargs: Any) -> None:
        with guarded:
            _match(stream, kwargs.get("response"))
        init(stream, *args, **kwargs)

    return observed


def _match(stream: Any, response: Any) -> None:
    entry = _entry_of(response)
    request = running_request() if entry is None else entry.request
    if request is not None and response is not None:
        request.events = request.events or []
        _read_from(stream, response, request)


def observing_items(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap `Stream.__stream__`, which makes a stream's iterator, so that the items are recorded."""
    return _observing(make, _Items)


def observing_async_items(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap `AsyncStream.__stream__`, which makes an asynchronous stream's iterator, so that the items are recorded."""
    return _observing(make, _AsyncItems)


def _observing(make: Callable[[Any], Any], wrap: Callable[[Any, Observation], Any]) -> Callable[[Any], Any]:
    def observed(stream: Any) -> Any:
        items = make(stream)
        with guarded:
            entry = _entry_of(_response_of(stream))
            return items if entry is None else wrap(items, entry.request)
        return items

    return observed


class _Items:
    """A stream's iterator, which records the items that it yields."""

    def __init__(self, items: Iterator[Any], request: Observation) -> None:
        self._items, self._request = items, request

    def __iter__(self) -> "_Items":
        return self

    def __next__(self) -> Any:
        try:
            item = next(self._items)
        except BaseException as error:
            end_stream(self._request, None if isinstance(error, StopIteration) else error)
            raise
        note_item(self._request, item)
        return item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._items, name)


class _AsyncItems:
    """An asynchronous stream's iterator, which records the items that it yields."""

    def __init__(self, items: AsyncIterator[Any], request: Observation) -> None:
        self._items, self._request = items, request

    def __aiter__(self) -> "_AsyncItems":
        return self

    async def __anext__(self) -> Any:
        try:
            item = await self._items.__anext__()
        except BaseException as error:
            end_stream(self._request, None if isinstance(error, StopAsyncIteration) else error)
            raise
        note_item(self._request, item)
        return item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._items, name)


def note_item(request: Observation, item: Any) -> None:
    """Keep an item of the request's stream, to record it."""
    events = request.events
    if events is None:
        return
    if not events:
        request.first_token = perf_counter_ns()
    elif len(events) >= _MAX_EVENTS:  # drop an earlier event: the last ones report the usage
        request.pieces_left_out += 1
        del events[-_LAST_EVENTS]
    events.append(item)


def end_stream(request: Observation, error: BaseException | None) -> None:
    """End the request of a stream that was read to its end, or that failed."""
    with guarded:
        if error is not None and request.ended is None:
            note_error(request, error)
        finish_request(request)


def _dropped(request: Observation) -> None:
    """End the request of a stream that the caller dropped.

    The garbage collector calls this in any thread, so nothing here may wait.
    """
    with guarded:
        request.durable = False
        finish_early(request, remember=False)


def finish_early(request: Observation, *, remember: bool = True) -> None:
    """End the request of a stream that the caller left early, unless it has ended."""
    if request.ended is None:
        request.level = "DEFAULT"  # if the answer was not read to its end, that is not the model's error
        request.add_metadata({"response": "read as bytes"} if request.events is None else {"stream": "closed early"})
        finish_request(request, remember=remember)


def ending_close(close: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap the `close` of a stream, of a helper around a stream, or of a raw response, so that it ends the request."""

    def observed(source: Any) -> Any:
        try:
            return close(source)
        finally:
            _closed(source)

    return observed


def ending_aclose(close: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap an asynchronous `close` in the way that `ending_close` wraps a synchronous `close`."""

    async def observed(source: Any) -> Any:
        try:
            return await close(source)
        finally:
            _closed(source)

    return observed


def _closed(source: Any) -> None:
    with guarded:
        response = _response_of(source)
        entry = _entry_of(response)
        if entry is None or entry.request.ended is not None:
            return
        entry.dropping.detach()
        if entry.request.events is None and "_content" in fields_of(response):
            entry.request.output = source
            finish_request(entry.request)
        else:
            finish_early(entry.request)
