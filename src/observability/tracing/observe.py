"""The decorator `observe_llm`, which traces calls from `_begin` to `_end` or `_stop`.

All kinds of functions share these three functions. The four wrappers at the end only add `await` or `yield`. Calls of
an SDK are traced by `instrumentation/calls.py`.
"""

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from sys import modules
from threading import get_ident
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from ..internal_errors import swallow
from ..settings import CaptureSettings, recording
from . import current
from .current import current_observation, enter, finish, latest, leave, note_error, start
from .observation import MAX_STREAM_SIZE, PIECE_SIZE, Observation
from .otel import attach, detach
from .snapshot import Reply, reply_of, size_of, size_of_items, sized_snapshot, snapshot

if TYPE_CHECKING:
    from inspect import Signature

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
    """Decorate a function so that each call is one observation. The settings are read at every call.

    Works bare (`@observe_llm`) and with arguments, on sync and async functions, generators and async generators.
    A call inside another call of the same name on the same instance, as by `super()`, is part of the outer call.

    Args:
        name: the observation's name; the function's name unless given.
        capture_input: whether to record the arguments.
        capture_output: whether to record the result.
        as_type: Langfuse's observation type (generation, agent, tool, chain, span, ...).
    """

    def decorate(fn: Any) -> Any:
        if isinstance(fn, staticmethod | classmethod):
            return type(fn)(decorate(fn.__func__))
        return _observed(fn, _Label(fn, label or fn.__name__, as_type, capture_input, capture_output))

    is_bare = callable(name) or isinstance(name, classmethod)
    label = None if is_bare else name
    return decorate(name) if is_bare else decorate


def cycle_method(fn: _Function, agent: str, *, collects_votes: bool = False) -> _Function:
    """Wrap a method so that each call is one cycle of `agent`. A cycle is a trace, or an observation inside a running
    trace.

    Args:
        fn: the method.
        agent: the name of the method's class; also the agent of the calls inside.
        collects_votes: whether the models' answers inside are votes, not decisions. If so, a new trace belongs to
            the calling agent.
    """
    label = _Label(fn, agent, "agent", capture_input=True, capture_output=True)
    label.cycle_of, label.collects_votes = agent, collects_votes
    return _observed(fn, label)


class _Label:
    """The properties of a decorated function, common to all its calls."""

    __slots__ = (
        "_defaults", "_fn", "_names", "_rest", "_signature", "as_type", "bind", "capture_input", "capture_output",
        "collects_votes", "cycle_of", "is_method", "name",
    )  # fmt: skip

    def __init__(self, fn: Callable[..., Any], name: str, as_type: str, capture_input: bool, capture_output: bool):
        import inspect  # imported lazily, since it takes a tenth of this package's import time

        code = getattr(inspect.unwrap(fn), "__code__", None)
        self.name, self.as_type = name, as_type
        self.capture_input, self.capture_output = capture_input, capture_output
        self.cycle_of: str | None = None
        self.collects_votes = False
        self.is_method = code is not None and code.co_varnames[:1] in (("self",), ("cls",))
        self._fn = fn
        self._signature: Signature | None = None
        self._names: tuple[str, ...] = ()
        self._defaults: dict[str, Any] = {}
        self._rest = ""
        self.bind = self._bind  # this bound method is created once, not at every call

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments and defaults by name. Raises TypeError if they do not fit the function's signature."""
        signature = self._signature or self._inspect()
        names = self._names
        given = {**self._defaults, **dict(zip(names, args, strict=False)), **kwargs}
        if len(args) <= len(names) and given.keys() == set(names) and kwargs.keys().isdisjoint(names[: len(args)]):
            return {name: given[name] for name in names}
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        extra = bound.arguments.pop(self._rest, {})
        return {**bound.arguments, **extra}

    def _inspect(self) -> "Signature":
        """Return the signature. Also prepares names and defaults, so that `_bind` is fast if all parameters are
        plain."""
        from inspect import signature as signature_of

        signature = signature_of(self._fn)
        parameters = list(signature.parameters.values())[1 if self.is_method else 0 :]
        plain = [item for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.VAR_KEYWORD)]
        if plain == parameters:
            self._names = tuple(item.name for item in plain if item.kind is item.POSITIONAL_OR_KEYWORD)
        self._defaults = {item.name: item.default for item in plain if item.default is not item.empty}
        self._rest = next((item.name for item in plain if item.kind is item.VAR_KEYWORD), "")
        self._signature = signature.replace(parameters=parameters)
        return self._signature


class _Part(NamedTuple):
    """A call, as by `super()`, that is part of the call around it. Only its answer is recorded, in the outer call."""

    around: Observation


_Traced = Observation | _Part | None


def _begin(label: _Label, capture: CaptureSettings, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Traced:
    """Start a call's observation, record its arguments and make it the current one.

    `_begin` and `_end` delay the caller, so they take no lock, serialise nothing and call few functions. After the wait
    for a model's answer, the CPU must fetch the code of each function into its cache again (docs/performance.md).
    """
    observation = None
    try:
        owner = args[0] if label.is_method and args else None
        if (outer := latest()) is not None:
            outer = current_observation()
            if owner is not None and (around := _part_of(outer, owner, label.name)):
                return _Part(around)
        observation = start(label.name, label.as_type, outer, capture)
        if label.cycle_of is not None:
            _make_cycle(observation, label.cycle_of, collects_votes=label.collects_votes)
        if owner is not None:
            observation.owner = owner
            observation.thread = get_ident()
        if not (label.capture_output and capture.capture_output):
            observation.capture_output = False
        if label.capture_input and capture.capture_input:
            _note_arguments(observation, label, args, kwargs)
        current.processor.on_start(observation)
        _resume(observation)
        return observation  # inside the `try`, since an agent's SIGALRM handler may raise at any line
    except BaseException as error:  # noqa: BLE001 - `_give_up` separates our errors from the agent's
        _give_up(observation, error)
    return observation


def _note_arguments(observation: Observation, label: _Label, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given, size = args[1:] if label.is_method else args, 0
    for value in given:  # most values are texts or numbers, which are measured without a function call
        kind = type(value)
        if kind is str:
            size += len(value)
        elif not (kind is float or kind is int or value is None):
            given, sizes = zip(*map(sized_snapshot, given), strict=True)
            size = sum(sizes)
            break
    observation.bind = label.bind
    observation.args = given
    if kwargs:
        observation.kwargs, named = kwargs, 0  # this dictionary is the wrapper's own; the function gets another
        for value in kwargs.values():
            kind = type(value)
            if kind is str:
                named += len(value)
            elif not (kind is float or kind is int or value is None):
                observation.kwargs = {name: snapshot(value) for name, value in kwargs.items()}
                named = size_of_items(observation.kwargs.values())
                break
        size += named
    observation.size = size


def _make_cycle(observation: Observation, agent: str, *, collects_votes: bool) -> None:
    observation.is_automatic = True
    observation.speaker = agent
    is_callers = collects_votes and observation.parent is None and observation.agent is not None
    observation.agent = observation.agent if is_callers else agent
    if collects_votes:
        observation.votes = {}


def _give_up(observation: Observation | None, error: BaseException) -> None:
    """Swallow an error of this package; on an interruption (SIGALRM, Ctrl-C), end the observation and re-raise."""
    try:
        if not isinstance(error, Exception):
            raise error
        swallow(error)
    except BaseException:
        _stop(observation, error)
        raise


def _resume(call: _Traced) -> None:
    """Make the observation the current one."""
    if type(call) is Observation:
        call.token = enter(call)
        trace = modules.get("opentelemetry.trace")
        # Without a tracer provider, `attach` does nothing.
        if trace is not None and getattr(trace, "_TRACER_PROVIDER", trace) is not None:
            call.otel = attach(call)


def _suspend(call: _Traced) -> None:
    """Undo `_resume`: when a call ends, and whenever a generator yields to its caller."""
    if type(call) is not Observation or (token := call.token) is None:
        return
    otel = call.otel
    call.token = call.otel = None
    try:
        leave(token)
    except ValueError:  # this code runs in another context than `_resume`, so the token is invalid
        return
    if otel is not None:
        detach(otel)


def _piece(call: _Traced, piece: Any) -> None:
    """Record a yielded piece. Beyond `MAX_STREAM_SIZE`, or without `capture_output`, pieces are only counted."""
    if type(call) is not Observation:
        return
    if call.pieces is None:
        call.first_token = perf_counter_ns()
        call.pieces = []
    try:
        if type(piece) is str:
            size = len(piece) + PIECE_SIZE
        else:
            piece = snapshot(piece)
            size = size_of(piece) + PIECE_SIZE
        call.streamed += size
        if call.streamed <= MAX_STREAM_SIZE and call.capture_output:
            call.pieces.append(piece)
            call.size += size
        else:
            call.pieces_left_out += 1
    except Exception as error:  # noqa: BLE001
        swallow(error)


def _end(call: _Traced, result: Any) -> None:
    """End the call and record its result."""
    _suspend(call)
    try:
        if type(call) is Observation:
            try:
                if call.output is None:  # for a cycle, the output may already be a signal's decision
                    _note_result(call, result)
            finally:  # the call ends even if its result cannot be read
                finish(call)
        elif type(call) is _Part and type(reply := reply_of(result)) is Reply:
            call.around.replies += (reply,)
            call.around.size += size_of(reply)
    except Exception as error:  # noqa: BLE001
        swallow(error)


def _note_result(observation: Observation, result: Any) -> None:
    text = result
    if type(result) is not str:
        result = reply_of(result)
        text = result[0] if type(result) is Reply else result
    observation.output = result
    observation.size += len(text) if type(text) is str else size_of(text)


def _stop(call: _Traced, error: BaseException | None = None) -> None:
    """End the call without a result, unless it has ended, and record its exception if there is one."""
    _suspend(call)
    try:
        if type(call) is Observation and call.ended is None:
            try:
                if error is not None:
                    note_error(call, error)
            finally:
                finish(call)
    except Exception as failure:  # noqa: BLE001
        swallow(failure)


def _part_of(outer: Observation | None, owner: Any, name: str) -> Observation | None:
    """Return the running call of `name` on `owner` in this thread, or None. If found, a new call is part of it."""
    while outer is not None:
        if outer.owner is owner and outer.name == name and outer.thread == get_ident():
            return outer
        outer = outer.parent
    return None


def _observed(fn: _Function, label: _Label) -> _Function:
    import inspect

    if inspect.isasyncgenfunction(fn):
        wrapper: Any = _async_generator(fn, label)
    elif inspect.isgeneratorfunction(fn):
        wrapper = _generator(fn, label)
    elif inspect.iscoroutinefunction(fn):
        wrapper = _coroutine(fn, label)
    else:
        wrapper = _plain(fn, label)
    functools.update_wrapper(wrapper, fn)
    wrapper.__observed__ = True  # prevents wrapping a method twice
    return cast("_Function", wrapper)


def _plain(fn: Callable[..., Any], label: _Label) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        capture = recording()
        if not capture.on:
            return fn(*args, **kwargs)
        call = None
        try:
            call = _begin(label, capture, args, kwargs)
            result = fn(*args, **kwargs)
            _end(call, result)
        except BaseException as error:
            _stop(call, error)
            raise
        return result

    return wrapper


def _coroutine(fn: Callable[..., Any], label: _Label) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        capture = recording()
        if not capture.on:
            return await fn(*args, **kwargs)
        call = None
        try:
            call = _begin(label, capture, args, kwargs)
            result = await fn(*args, **kwargs)
            _end(call, result)
        except BaseException as error:
            _stop(call, error)
            raise
        return result

    return wrapper


def _generator(fn: Callable[..., Generator[Any, Any, Any]], label: _Label) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        capture = recording()
        if not capture.on:
            return (yield from fn(*args, **kwargs))
        inner = fn(*args, **kwargs)
        call = None
        step: Callable[[Any], Any] = inner.send
        value: Any = None
        try:
            call = _begin(label, capture, args, kwargs)
            while True:
                try:
                    piece = step(value)
                finally:
                    _suspend(call)
                _piece(call, piece)
                try:
                    step, value = inner.send, (yield piece)
                except GeneratorExit:
                    _close(call, inner)
                    raise
                except BaseException as thrown:  # noqa: BLE001 - `.throw()` by the caller: passed to the function
                    step, value = inner.throw, thrown
                _resume(call)
        except StopIteration as stop:
            _stop(call)
            return stop.value
        except BaseException as error:
            _stop(call, None if isinstance(error, GeneratorExit) else error)
            raise
        finally:
            _stop(call)  # does nothing, unless a SIGALRM handler raised in the code above

    return wrapper


def _close(call: _Traced, inner: Generator[Any, Any, Any]) -> None:
    _resume(call)
    try:
        inner.close()
    finally:
        _suspend(call)


def _async_generator(fn: Callable[..., AsyncGenerator[Any, Any]], label: _Label) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = fn(*args, **kwargs)
        capture = recording()
        call = None
        step: Callable[[Any], Any] = inner.asend
        value: Any = None
        try:
            call = _begin(label, capture, args, kwargs) if capture.on else None
            while True:
                try:
                    piece = await step(value)
                finally:
                    _suspend(call)
                _piece(call, piece)
                try:
                    step, value = inner.asend, (yield piece)
                except GeneratorExit:
                    await _aclose(call, inner)
                    raise
                except BaseException as thrown:  # noqa: BLE001 - `.athrow()` by the caller: passed to the function
                    step, value = inner.athrow, thrown
                _resume(call)
        except StopAsyncIteration:
            _stop(call)
        except BaseException as error:
            _stop(call, None if isinstance(error, GeneratorExit) else error)
            raise
        finally:
            _stop(call)  # does nothing, unless a SIGALRM handler raised in the code above

    return wrapper


async def _aclose(call: _Traced, inner: AsyncGenerator[Any, Any]) -> None:
    _resume(call)
    try:
        await inner.aclose()
    finally:
        _suspend(call)
