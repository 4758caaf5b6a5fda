"""
🌙 Moon Dev's observe_llm
Built with love by Moon Dev 🚀

A call is traced here. `_traced` holds what all kinds of functions share; each of the four shells below holds only its
own `await` or `yield`.
"""

import functools
import inspect
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from src.config import setting, tracing_on
from src.observability import context, otel_context, runtime
from src.observability.guard import guarded
from src.observability.observation import IMMUTABLE, Observation, reply_of, size_of, snapshot

if TYPE_CHECKING:
    from contextvars import Token

_Function = TypeVar("_Function", bound=Callable[..., Any])


@overload
def observe_llm(name: _Function) -> _Function: ...
@overload
def observe_llm(
    name: str | None = None, capture_input: bool = True, capture_output: bool = True, as_type: str = "generation"
) -> Callable[[_Function], _Function]: ...
def observe_llm(
    name: Any = None, capture_input: bool = True, capture_output: bool = True, as_type: str = "generation"
) -> Any:
    """Decorate a function so that each call of it is one observation; decided anew on every call.

    Works bare (`@observe_llm`) and with arguments, on sync and async functions, generators and async generators.
    A call inside a call of the same name on the same instance is part of that call, not one more.

    Args:
        name: what the observation is called; the function's name unless given.
        capture_input: whether to record the arguments.
        capture_output: whether to record the result.
        as_type: Langfuse's observation type (generation, agent, tool, chain, span, ...).
    """
    if callable(name):
        return _observed(name, _Label(name, name.__name__, as_type, capture_input, capture_output))

    def decorate(fn: _Function) -> _Function:
        return _observed(fn, _Label(fn, name or fn.__name__, as_type, capture_input, capture_output))

    return decorate


class _Label:
    """What is known of a decorated function before it is called."""

    __slots__ = ("_fn", "_signature", "as_type", "capture_input", "capture_output", "is_method", "name")

    def __init__(self, fn: Callable[..., Any], name: str, as_type: str, capture_input: bool, capture_output: bool):
        code = getattr(inspect.unwrap(fn), "__code__", None)
        self.name, self.as_type = name, as_type
        self.capture_input, self.capture_output = capture_input, capture_output
        self.is_method = code is not None and code.co_varnames[:1] in (("self",), ("cls",))
        self._fn = fn
        self._signature: inspect.Signature | None = None

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by name, defaults included; raises TypeError where the call had the wrong ones."""
        if self._signature is None:
            signature = inspect.signature(self._fn)
            named = list(signature.parameters.values())
            self._signature = signature.replace(parameters=named[1:] if self.is_method else named)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        extra = bound.arguments.pop(self._rest(inspect.Parameter.VAR_KEYWORD), {})
        return {**bound.arguments, **extra}

    def _rest(self, kind: Any) -> str:
        assert self._signature is not None  # noqa: S101 - for the type checker
        return next((each.name for each in self._signature.parameters.values() if each.kind is kind), "")


class _traced:  # noqa: N801 - reads as what it does: `with _traced(...)`
    """One call as an observation; inside a call that it is part of, only what it answered is noted there."""

    __slots__ = ("_args", "_inside", "_kwargs", "_label", "_otel", "_token", "observation")

    def __init__(self, label: _Label, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._label, self._args, self._kwargs = label, args, kwargs
        self.observation: Observation | None = None
        self._inside: Observation | None = None
        self._token: Token[Observation | None] | None = None
        self._otel: Any = None

    def __enter__(self) -> Callable[[Any], None]:
        self.start()
        self.resume()
        return self.record

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.suspend()
        self.end(error)

    def start(self) -> None:
        """Note the arguments, begin the observation."""
        with guarded:
            label, args = self._label, self._args
            owner = args[0] if label.is_method and args else None
            self._inside = _call_around(owner, label.name)
            if self._inside is None:
                observation = context.start(label.name, label.as_type)
                observation.owner = owner
                observation.capture_output = label.capture_output and setting("LANGFUSE_CAPTURE_OUTPUT")
                if label.capture_input and setting("LANGFUSE_CAPTURE_INPUT"):
                    _keep_arguments(observation, label, args[1:] if label.is_method else args, self._kwargs)
                self.observation = observation
                runtime.opened(observation)

    def resume(self) -> None:
        """What happens from here on happens inside the observation."""
        if self.observation is not None:
            self._token = context.enter(self.observation)
            self._otel = otel_context.attach(self.observation)

    def suspend(self) -> None:
        """Undo `resume`: a generator's caller is not inside it."""
        if self._token is not None:
            otel_context.detach(self._otel)
            context.leave(self._token)
            self._token = None

    def record(self, result: Any) -> None:
        """Note what was returned."""
        with guarded:
            if self.observation is not None:
                self.observation.output = result = reply_of(result)
                self.observation.size += size_of(getattr(result, "content", result))
            elif self._inside is not None and hasattr(result, "content"):
                self._inside.replies += (reply_of(result),)

    def piece(self, piece: Any) -> None:
        """Note what was yielded."""
        observation = self.observation
        if observation is None:
            return
        if observation.pieces is None:
            observation.pieces = []
            observation.first_token = time.perf_counter_ns()
        observation.pieces.append(piece if type(piece) in IMMUTABLE else _kept_piece(piece))

    def end(self, error: BaseException | None = None) -> None:
        """The observation is over, with an error or without."""
        with guarded:
            if self.observation is not None:
                self.observation.size += size_of(self.observation.pieces)
                if error is not None:
                    context.note_error(self.observation, error)
                context.finish(self.observation)


def _call_around(owner: Any, name: str) -> Observation | None:
    """The open call of the same name on the same instance in this thread that a call made now is part of."""
    outer = context.current() if owner is not None else None
    while outer is not None:
        if outer.owner is owner and outer.name == name and outer.thread == threading.get_ident():
            return outer
        outer = outer.parent
    return None


def _keep_arguments(observation: Observation, label: _Label, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    observation.bind = label.bind
    observation.args = tuple([value if type(value) in IMMUTABLE else snapshot(value) for value in args])
    observation.kwargs = {
        name: value if type(value) in IMMUTABLE else snapshot(value) for name, value in kwargs.items()
    }
    observation.size = sum(map(size_of, observation.args)) + sum(map(size_of, observation.kwargs.values()))


def _kept_piece(piece: Any) -> Any:
    with guarded:
        return snapshot(piece)
    return None


def _observed(fn: _Function, label: _Label) -> _Function:
    if inspect.isasyncgenfunction(fn):
        wrapper: Any = _async_generator(fn, label)
    elif inspect.isgeneratorfunction(fn):
        wrapper = _generator(fn, label)
    elif inspect.iscoroutinefunction(fn):
        wrapper = _coroutine(fn, label)
    else:
        wrapper = _plain(fn, label)
    functools.update_wrapper(wrapper, fn)
    wrapper.__observed__ = True  # so that a model class is not wrapped twice
    return cast("_Function", wrapper)


def _plain(fn: Callable[..., Any], label: _Label) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not tracing_on():
            return fn(*args, **kwargs)
        with _traced(label, args, kwargs) as record:
            result = fn(*args, **kwargs)
            record(result)
            return result

    return wrapper


def _coroutine(fn: Callable[..., Any], label: _Label) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not tracing_on():
            return await fn(*args, **kwargs)
        with _traced(label, args, kwargs) as record:
            result = await fn(*args, **kwargs)
            record(result)
            return result

    return wrapper


def _generator(fn: Callable[..., Generator[Any, Any, Any]], label: _Label) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if not tracing_on():
            return (yield from fn(*args, **kwargs))
        call, inner = _traced(label, args, kwargs), fn(*args, **kwargs)
        call.start()
        step: Callable[[Any], Any] = inner.send
        value: Any = None
        try:
            while True:
                call.resume()
                try:
                    piece = step(value)
                finally:
                    call.suspend()
                call.piece(piece)
                try:
                    step, value = inner.send, (yield piece)
                except GeneratorExit:
                    _close(call, inner)
                    raise
                except BaseException as thrown:  # noqa: BLE001 - `.throw()` by the caller: the function's to answer
                    step, value = inner.throw, thrown
        except StopIteration as stop:
            call.end()
            return stop.value
        except BaseException as error:
            call.end(None if isinstance(error, GeneratorExit) else error)
            raise

    return wrapper


def _close(call: _traced, inner: Generator[Any, Any, Any]) -> None:
    call.resume()
    try:
        inner.close()
    finally:
        call.suspend()


def _async_generator(fn: Callable[..., AsyncGenerator[Any, Any]], label: _Label) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call, inner = _traced(label, args, kwargs), fn(*args, **kwargs)
        if tracing_on():
            call.start()
        step: Callable[[Any], Any] = inner.asend
        value: Any = None
        try:
            while True:
                call.resume()
                try:
                    piece = await step(value)
                finally:
                    call.suspend()
                call.piece(piece)
                try:
                    step, value = inner.asend, (yield piece)
                except GeneratorExit:
                    await _aclose(call, inner)
                    raise
                except BaseException as thrown:  # noqa: BLE001 - `.athrow()` by the caller: the function's to answer
                    step, value = inner.athrow, thrown
        except StopAsyncIteration:
            call.end()
        except BaseException as error:
            call.end(None if isinstance(error, GeneratorExit) else error)
            raise

    return wrapper


async def _aclose(call: _traced, inner: AsyncGenerator[Any, Any]) -> None:
    call.resume()
    try:
        await inner.aclose()
    finally:
        call.suspend()
