"""Starts and ends observations, and keeps the open observation of each thread or asyncio task."""

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from ..internal_errors import guarded
from ..interruption import is_interruption
from ..settings import CaptureSettings
from . import otel
from .observation import Observation, UsedPrompt
from .snapshot import reply_of, size_of, snapshot

if TYPE_CHECKING:
    from types import FrameType

_Result = TypeVar("_Result")


class _Announced(NamedTuple):
    """An agent's name and metadata, set outside a trace. They apply to the next traces of `caller` in this context."""

    caller: str | None
    agent_name: str
    metadata: dict[str, Any]


class Processor(Protocol):
    """Receives started and ended observations on the caller's thread, like OpenTelemetry's span processor."""

    def on_start(self, observation: Observation) -> None:
        """Register a running observation."""

    def on_end(self, observation: Observation) -> None:
        """Receive an ended observation."""


processor: Processor  # read as a variable, since a function call would delay the caller too much


def set_processor(new: Processor) -> None:
    """Send all observations to `new` from now on."""
    global processor
    processor = new


def on_start(observation: Observation) -> None:
    """Send a started observation to the processor."""
    processor.on_start(observation)


def on_end(observation: Observation) -> None:
    """Send an ended observation to the processor."""
    processor.on_end(observation)


_current: ContextVar[Observation | None] = ContextVar("moondev_observation", default=None)
_recent: ContextVar[Observation | None] = ContextVar("moondev_recent_generation", default=None)
_announced: ContextVar[_Announced | None] = ContextVar("moondev_agent_metadata", default=None)
_prompt: ContextVar[UsedPrompt | None] = ContextVar("moondev_prompt", default=None)
exiting: ContextVar[bool] = ContextVar("moondev_exit_decision", default=False)  # if True, budgets refuse no call
_has_prompts = False  # whether any prompt was used; if not, `start` skips the look-up of a prompt
_starter: ContextVar[str | None] = ContextVar("moondev_starting_agent", default=None)


def current_observation() -> Observation | None:
    """The innermost observation that is still running, or None. An ended observation cannot be a parent."""
    observation = _current.get()
    while observation is not None and observation.ended is not None:
        observation = observation.parent
    return observation


def calling_agent(depth: int = 2) -> str | None:
    """Return the calling agent's name. It comes from the nearest caller whose file is in a folder named `agents`.

    The agent of `chartanalysis_agent.py` has the name of its class `ChartAnalysisAgent`. If the file has no
    such class, the name is `ChartanalysisAgent`. In a thread without a caller in such a folder, the agent that started
    the thread is returned, or None.

    Args:
        depth: number of this package's frames to skip. This saves time, since Python creates an object for each frame.
    """
    frame: FrameType | None = None
    agent_of = _agent_of_file
    try:
        frame = sys._getframe(depth)
        while frame:
            if agent := agent_of[frame.f_code.co_filename]:
                return agent
            frame = frame.f_back
    except KeyError as file:  # this is the first call from the file
        agent = frame and agent_of_file(file.args[0], frame.f_globals)
        if frame and agent and frame.f_code.co_name == "<module>":  # not cached: the class may be defined later
            return agent
        agent_of[file.args[0]] = agent
        return calling_agent(depth + 1)
    except ValueError:  # no Python code called this package, as in a thread started by `_thread`
        pass
    return _starter.get()


_agent_of_file: dict[str, str | None] = {}  # has at most one entry per source file


def agent_of_file(file: str, names: dict[str, Any]) -> str | None:
    """The name of a file's agent, if the file is in a folder named `agents`; else None. See `calling_agent`.

    Args:
        file: the file's path.
        names: the file's global names.
    """
    path = Path(file)
    if path.parent.name != "agents" or path.stem in ("base_agent", "__init__"):
        return None
    agent = "".join(word[:1].upper() + word[1:] for word in path.stem.split("_"))
    classes = (name for name in list(names) if name.lower() == agent.lower() and type(names[name]) is type)
    return next(classes, agent)


def start(name: str, type: str, parent: Observation | None, capture: CaptureSettings) -> Observation:
    """Start an observation under `parent`, whose agent it inherits. Without a parent, it gets the calling agent."""
    observation = Observation(name, type, parent)
    if parent is None:
        if "opentelemetry.trace" in sys.modules and otel.active() and (foreign := otel.foreign_parent()) is not None:
            observation.foreign_parent = foreign
            observation.trace_id = foreign.trace_id
        observation.agent = caller = calling_agent(4)
        announced = _announced.get()
        if announced is not None and announced.caller == caller:
            observation.agent = announced.agent_name
            observation.metadata = announced.metadata
    if _has_prompts:
        observation.prompt = _prompt.get()
    if capture.durable:
        observation.durable = True
    return observation


latest = _current.get  # returns the observation that was made current last, even if it has ended; or None
enter = _current.set  # makes an observation the current one; `leave` takes the returned token
leave = _current.reset


def finish(observation: Observation) -> None:
    """Mark an observation as ended, and send it to the recorder. A generation is remembered for a later signal."""
    observation.ended = perf_counter_ns()
    try:
        if observation.type == "generation":
            _recent.set(observation)
            if observation.has_inner_rows:
                _settle(observation)
        processor.on_end(observation)
    except BaseException:  # an agent's SIGALRM handler may raise; send again, since no other code will
        processor.on_end(observation)
        raise


def _settle(holder: Observation) -> None:
    """Merge a generation's request into the generation's row if it is the only one, has ended, and no inner generation
    has its own row. Otherwise make the generation a span, so that each request has its own row."""
    requests = holder.requests or []
    ended = [request for request in requests if request.ended is not None and request.claim()]
    if len(requests) == len(ended) == 1 and not holder.over_generations:
        holder.request = ended[0]
        holder.size += ended[0].size
        return
    holder.type = "span"
    for request in requests:
        if request in ended:
            processor.on_end(request)
        elif request.ended is None:
            processor.on_start(request)  # so that evidence of the request remains if the process crashes


def finish_request(request: Observation, *, remember: bool = True) -> None:
    """End a request to a provider, unless it has ended. A request in a running generation is not recorded yet.

    Args:
        request: from `requests.begin_request`.
        remember: whether a later signal may be attached to the request. Finalizers pass False, since
            the garbage collector may run them in any context.
    """
    if request.ended is not None:
        return
    request.ended = perf_counter_ns()
    try:
        _send(request, remember=remember)
    except BaseException:  # an agent's SIGALRM handler may raise; send again, since no other code will
        _send(request, remember=remember)
        raise


def _send(request: Observation, *, remember: bool) -> None:
    holder = request.holder
    if holder is None or (holder.ended is not None and request.claim()):
        if remember and holder is None and request.type == "generation":
            _recent.set(request)
        processor.on_end(request)


class Carried(NamedTuple):
    """The context variables that a new thread or pool task receives: all except the last ended generation."""

    current: Observation | None
    announced: _Announced | None
    starter: str | None
    prompt: UsedPrompt | None
    exiting: bool

    @property
    def empty(self) -> bool:
        """Whether all these variables have their defaults, so that nothing needs to be carried."""
        return self == (None, None, None, None, False)


def carried() -> Carried:
    """The current context, for a new thread or pool task."""
    observation = current_observation()
    starter = observation.agent if observation else calling_agent()
    return Carried(observation, _announced.get(), starter, _prompt.get(), exiting.get())


def run_carried(carried: Carried, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> _Result:
    """Call `fn` in the carried context."""
    tokens = (_current.set(carried.current), _announced.set(carried.announced), _starter.set(carried.starter))
    recent, prompt, exits = _recent.set(None), _prompt.set(carried.prompt), exiting.set(carried.exiting)
    try:
        return fn(*args, **kwargs)
    finally:
        _recent.reset(recent)
        _prompt.reset(prompt)
        exiting.reset(exits)
        _current.reset(tokens[0])
        _announced.reset(tokens[1])
        _starter.reset(tokens[2])


def clear() -> None:
    """Forget all context. Needed in a forked child, where the parent's observations never end, and in tests."""
    global _has_prompts
    _has_prompts = False
    _current.set(None)
    _recent.set(None)
    _announced.set(None)
    _prompt.set(None)
    exiting.set(False)
    _starter.set(None)


os.register_at_fork(after_in_child=clear)


def annotate(
    *,
    metadata: dict[str, Any] | None = None,
    model_parameters: dict[str, Any] | None = None,
    model: str | None = None,
    provider: str | None = None,
    answer: Any = None,
) -> None:
    """Add these values to the running observation, if there is one. Called by `src/models`.

    Args:
        metadata: merged into the existing metadata.
        model_parameters: the parameters sent to the provider; recorded instead of those among the call's arguments.
        model: the requested model.
        provider: the model's provider.
        answer: a `ModelResponse`, or a similar object, with the usage and finish reason of a streamed answer.
    """
    with guarded:
        observation = current_observation()
        if observation is None:
            return
        if metadata:
            observation.add_metadata(metadata)
        if model_parameters is not None:
            observation.model_parameters = snapshot(model_parameters)
        observation.model = model or observation.model
        observation.provider = provider or observation.provider
        if answer is not None:
            reply = reply_of(answer)
            observation.replies += (reply,)
            observation.size += size_of(reply)


def use_prompt(name: str | None, version: int | None) -> None:
    """Link a prompt's version to the generations that follow in this context. If an observation is running, the link
    applies only inside it."""
    global _has_prompts
    _has_prompts = True
    scope, outer = current_observation(), _prompt.get()
    while outer is not None and outer.scope is not None and (outer.scope is scope or outer.scope.ended is not None):
        outer = outer.outer
    prompt = UsedPrompt(name, version, scope, None if scope is None else outer)
    _prompt.set(prompt)
    if scope is not None:
        scope.prompt = prompt


def note_error(observation: Observation, error: BaseException, context: dict[str, Any] | None = None) -> None:
    """Record an error's level and text. A cancelled or interrupted call is a WARNING."""
    message = _message_of(error)
    status = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if context is None and observation.status_message == status:
        return  # this error is already recorded, with its context
    observation.level = "ERROR" if isinstance(error, Exception) else "WARNING"
    observation.status_message = status
    details = {"error_type": type(error).__name__, "error_message": message, "error_context": context or {}}
    observation.add_metadata(details)


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # an exception's own __str__ may do anything
        if is_interruption(broken):
            raise
        return f"[NOT RECORDED: the error's text cannot be read: {type(broken).__name__}]"


def recent_of_caller() -> Observation | None:
    """The last generation that ended in this context, if the calling agent made it."""
    recent = _recent.get()
    if recent is None:
        return None
    announced, caller = _announced.get(), calling_agent()
    agent = announced.agent_name if announced is not None and announced.caller == caller else caller
    return recent if recent.agent == agent else None


def announce(agent_name: str, metadata: dict[str, Any]) -> None:
    """Store an agent's name and metadata, set outside a trace, for the agent's next traces in this context."""
    _announced.set(_Announced(calling_agent(), str(agent_name), snapshot(metadata)))
