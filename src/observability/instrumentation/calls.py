"""Observe a call of an SDK's method as one request, on the caller's thread.

The caller gets the SDK's own answer. If that is a stream or a raw response, its request ends later (`streams.py`). The
recorder's thread reads the answer's content (`reading.py`). `tracing/observe.py` traces `generate_response` and
functions under `@observe_llm`.
"""

from collections.abc import Awaitable, Callable, Generator
from types import CoroutineType
from typing import Any

from ..internal_errors import guarded, swallow
from ..settings import CaptureSettings, recording
from ..tracing import (
    IMMUTABLE_IDS,
    Observation,
    admit_request,
    begin_request,
    budgeting,
    enter_request,
    fields_of,
    finish_request,
    leave_request,
    note_error,
    size_of,
    sized_snapshot,
    snapshot,
    type_name,
)
from .reading import NOT_RECORDED, Shape, Unread
from .streams import end_later

_NOT_GIVEN = frozenset({"NotGiven", "Omit"})  # the SDKs' placeholders for an argument that is not sent


def sync_method(shape: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that observes a synchronous method, which returns its answer directly."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            capture = recording()
            if not capture.on:
                return method(*args, **kwargs)
            return observe_call(shape, method, args, kwargs, capture)

        return observed

    return wrap


def observe_call(
    shape: Shape,
    method: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    capture: CaptureSettings | None = None,
) -> Any:
    """Call an SDK's method, and record this call as one request."""
    request = None
    try:
        request = begin(shape, args, kwargs, capture)
        if request is not None:
            enter_request(request)
            if budgeting.gate is not None:
                admit_request(request)
        result = method(*args, **kwargs)
        if request is not None:
            _end(request, result)
    except BaseException as error:
        fail(request, error)
        raise
    finally:
        if request is not None and request.token is not None:  # true only if a signal handler interrupted this code
            fail(request, None)
    return result


def async_method(shape: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that observes a method that returns a coroutine, even if it is not a coroutine function."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        async def observed(*args: Any, **kwargs: Any) -> Any:
            return await observe_awaited(shape, lambda: method(*args, **kwargs), args, kwargs)

        def returning_a_coroutine(*args: Any, **kwargs: Any) -> Any:
            if not recording().on:
                return method(*args, **kwargs)
            try:
                made = method(*args, **kwargs)  # called before the await: the SDKs check `required_args` in the call
            except BaseException as error:
                _refused(shape, args, kwargs, error)
                raise
            return observe_awaited(shape, lambda: made, args, kwargs)

        from inspect import iscoroutinefunction  # imported here, once the SDK has loaded `inspect` anyway

        return observed if iscoroutinefunction(method) else returning_a_coroutine

    return wrap


def _refused(shape: Shape, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
    request = None
    try:
        request = begin(shape, args, kwargs)
    finally:
        fail(request, error)


async def observe_awaited(
    shape: Shape, make: Callable[[], Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call an SDK's asynchronous method, await it, and record this as one request, which begins at the await."""
    request = None
    try:
        request = begin(shape, args, kwargs)
        if request is not None:
            enter_request(request)
            if budgeting.gate is not None:
                _admit(request, make)
        result = await make()
        if request is not None:
            _end(request, result)
    except BaseException as error:
        fail(request, error)
        raise
    finally:
        if request is not None and request.token is not None:  # true only if a signal handler interrupted this code
            fail(request, None)
    return result


def manager_method(shape: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that observes a method that returns a context manager, which makes the request on entry."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            manager = method(*args, **kwargs)
            if recording().on:
                with guarded:
                    _observe_entering(manager, shape, args, kwargs)
            return manager

        return observed

    return wrap


def _observe_entering(manager: Any, shape: Shape, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    attributes = vars(manager)
    name = next((name for name in attributes if name.endswith("__api_request")), None)
    if name is None:
        return
    made = attributes[name]
    if isinstance(made, Awaitable):
        attributes[name] = _AwaitedLater(shape, made, args, kwargs)
    else:
        observed = sync_method(shape)(lambda *_args, **_kwargs: made())
        attributes[name] = lambda: observed(*args, **kwargs)


class _AwaitedLater:
    """The awaitable request of an asynchronous context manager. Its recording begins when it is awaited."""

    def __init__(self, shape: Shape, request: Awaitable[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._shape, self._request, self._args, self._kwargs = shape, request, args, kwargs

    def __await__(self) -> Generator[Any, Any, Any]:
        return observe_awaited(self._shape, lambda: self._request, self._args, self._kwargs).__await__()


def begin(
    shape: Shape, args: tuple[Any, ...], kwargs: dict[str, Any], capture: CaptureSettings | None = None
) -> Observation | None:
    """Begin to record a call as a request. Return None if tracing is off, or if another request is running.

    Args:
        shape: the method's API.
        args: the method's positional arguments.
        kwargs: the method's keyword arguments.
        capture: the capture settings, if the caller has just read them.
    """
    request, capture = None, capture or recording()
    if not capture.on:
        return None
    try:
        request = begin_request(shape.name, shape.type, capture)
        if request is not None:
            request.complete = shape.complete
            request.client = fields_of(args[0]).get("_client") if args else None
            hidden = NOT_RECORDED if _records_input(request, capture) else shape.hidden
            given = shape.arguments(args, kwargs)
            _note_arguments(request, given, hidden)
        return request  # this line is in the `try`, since an exception of a signal handler may be raised at any line
    except BaseException as error:  # noqa: BLE001 - `_give_up` separates our errors from the agent's
        _give_up(request, error)
    return request


def _give_up(request: Observation | None, error: BaseException) -> None:
    """Swallow an error of this package. After any other exception, such as Ctrl-C, end the request and
    raise the exception again."""
    try:
        if not isinstance(error, Exception):
            raise error
        swallow(error)
    except BaseException:
        fail(request, error)
        raise


def _note_arguments(request: Observation, given: dict[str, Any], hidden: frozenset[str]) -> None:
    arguments = {name: value for name, value in given.items() if name not in hidden}
    for name, value in arguments.items():
        kind = type(value)
        if kind is str or kind is bytes:
            request.size += len(value)
        elif kind is list:
            arguments[name], size = sized_snapshot(value)
            request.size += size
        elif id(kind) not in IMMUTABLE_IDS:
            arguments[name] = _kept(value, hidden)
            request.size += size_of(arguments[name])
    request.kwargs = arguments  # assigned only when complete, since the recorder may read a running request at any time


def _kept(value: Any, hidden: frozenset[str]) -> Any:
    if type(value) is Unread:
        return value
    if issubclass(type(value), type):  # a class, such as the type of a parsed answer
        return f"[class {type_name(value)}]"
    if type_name(type(value)) in _NOT_GIVEN:
        return None
    copy = snapshot(value)
    return {name: item for name, item in copy.items() if name not in hidden} if type(copy) is dict else copy


def _records_input(request: Observation, capture: CaptureSettings) -> bool:
    holder = request.holder
    return capture.capture_input and (holder is None or holder.bind is not None)


def _admit(request: Observation, make: Callable[[], Awaitable[Any]]) -> None:
    try:
        admit_request(request)
    except RuntimeError:
        awaitable = make()
        if isinstance(awaitable, CoroutineType):
            awaitable.close()  # without this, Python warns that the coroutine was never awaited
        raise


def fail(request: Observation | None, error: BaseException | None) -> None:
    """End the request with an error, unless it has ended."""
    if request is None:
        return
    try:
        if error is not None and request.ended is None:
            with guarded:
                note_error(request, error)
    finally:
        finish_request(request)
    leave_request(request)


def _end(request: Observation, result: Any) -> None:
    leave_request(request)
    with guarded:
        if not end_later(request, result):
            request.output = result
            finish_request(request)
