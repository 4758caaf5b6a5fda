"""
🌙 Moon Dev's Observability Context
Built with love by Moon Dev 🚀

What is being observed right now, in this thread or asyncio task, and what agents may say about it.
"""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from src.config import Recording, recording, tracing_on

from . import runtime
from .internal_errors import failures, guarded
from .tracing.observation import Observation, Score, reply_of, snapshot
from .tracing.otel import foreign_parent

if TYPE_CHECKING:
    from types import FrameType

_Result = TypeVar("_Result")


class _Said(NamedTuple):
    """What `add_agent_metadata` said outside a trace: applies to what the same caller does next in this context."""

    caller: str | None
    agent_name: str
    metadata: dict[str, Any]


_current: ContextVar[Observation | None] = ContextVar("moondev_observation", default=None)
_recent: ContextVar[Observation | None] = ContextVar("moondev_recent_generation", default=None)
_said: ContextVar[_Said | None] = ContextVar("moondev_agent_metadata", default=None)
_starter: ContextVar[str | None] = ContextVar("moondev_starting_agent", default=None)


def current() -> Observation | None:
    """The innermost observation that is still running; an ended one is nobody's parent."""
    observation = _current.get()
    while observation is not None and observation.ended is not None:
        observation = observation.parent
    return observation


def calling_agent(depth: int = 1) -> str | None:
    """The agent whose code is calling: the nearest caller in an `agents` folder, `whale_agent.py` as `WhaleAgent`;
    in a thread, the agent that started it. The first `depth` callers are ours, and are passed by."""
    frame: FrameType | None = sys._getframe(depth)
    agent_of = _agent_of_file
    try:
        while frame:
            if agent := agent_of[frame.f_code.co_filename]:
                return agent
            frame = frame.f_back
    except KeyError as file:  # that has not called before
        agent_of[file.args[0]] = _agent_of(file.args[0])
        return calling_agent(depth + 1)
    return _starter.get()


_agent_of_file: dict[str, str | None] = {}  # bounded by the number of source files


def _agent_of(file: str) -> str | None:
    path = Path(file)
    if path.parent.name != "agents" or path.stem in ("base_agent", "__init__"):
        return None
    return "".join(word[:1].upper() + word[1:] for word in path.stem.split("_"))


def start(name: str, type: str, parent: Observation | None, asked: Recording) -> Observation:
    """Begin an observation under `parent`, by the agent that the cycle, the caller, or the code names."""
    observation = Observation(name, type, parent)
    if parent is None:
        if "opentelemetry.trace" in sys.modules and (foreign := foreign_parent()) is not None:
            observation.foreign_parent = foreign
            observation.trace_id = foreign[0]
        observation.agent = caller = calling_agent(3)
        said = _said.get()
        if said is not None and said.caller == caller:
            observation.agent = said.agent_name
            observation.metadata = said.metadata
    if asked.durable:
        observation.durable = True
    return observation


enter = _current.set  # what happens from here on happens inside the observation, until `leave` of what this returns
leave = _current.reset


def finish(observation: Observation) -> None:
    """Mark an observation as ended, remember it for a signal that comes late, and hand it to the recorder."""
    observation.ended = perf_counter_ns()
    if observation.type == "generation":
        _recent.set(observation)
    (runtime.active or runtime.running()).recorder.put(observation)


class Carried(NamedTuple):
    """What goes along into another thread: the open observation and who speaks, never an ended generation."""

    current: Observation | None
    said: _Said | None
    starter: str | None

    @property
    def empty(self) -> bool:
        """Whether a thread would start the same without it."""
        return self == (None, None, None)


def carried() -> Carried:
    """What a thread or pool task started here should know."""
    observation = current()
    return Carried(observation, _said.get(), observation.agent if observation else calling_agent())


def run_carried(carried: Carried, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> _Result:
    """Call `fn` in this thread, in the context that was carried here."""
    tokens = (_current.set(carried.current), _said.set(carried.said), _starter.set(carried.starter))
    recent = _recent.set(None)
    try:
        return fn(*args, **kwargs)
    finally:
        _recent.reset(recent)
        _current.reset(tokens[0])
        _said.reset(tokens[1])
        _starter.reset(tokens[2])


def clear() -> None:
    """Nothing is observed here: for a fork's child, whose parent's observations end elsewhere, and for tests."""
    _current.set(None)
    _recent.set(None)
    _said.set(None)
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
    """Say more about the running observation; does nothing outside one. For the models layer.

    Args:
        metadata: merged into what is there.
        model_parameters: what was really sent, in place of what the arguments asked for.
        model: the model asked for.
        provider: its provider.
        answer: a `ModelResponse` (or alike) whose usage and finish reason belong to a streamed answer.
    """
    with guarded:
        observation = current()
        if observation is None or not tracing_on():
            return
        if metadata:
            observation.add_metadata(metadata)
        if model_parameters is not None:
            observation.model_parameters = snapshot(model_parameters)
        observation.model = model or observation.model
        observation.provider = provider or observation.provider
        if answer is not None:
            observation.replies += (reply_of(answer),)


class Cycle:
    """The handle of an open agent cycle."""

    def __init__(self, observation: Observation | None) -> None:
        self._observation = observation

    @property
    def trace_id(self) -> str | None:
        """The trace of this cycle, 32 hex digits; None while tracing is off."""
        return self._observation.hex_trace_id if self._observation else None

    def set_input(self, value: Any) -> None:
        """Set the situation that the agent faces: what the trace page shows as the root's input."""
        with guarded:
            if self._observation:
                self._observation.input = snapshot(value)

    def set_output(self, value: Any) -> None:
        """Set what came of the cycle; a trading signal sets it by itself."""
        with guarded:
            if self._observation:
                self._observation.output = snapshot(value)


class ObservabilityContext:
    """What an agent may say about what it is doing. Nothing here ever raises into the agent."""

    @staticmethod
    def current_trace_id() -> str | None:
        """The trace that a call made now would belong to: 32 hex digits, or None outside a trace."""
        observation = current() or _recent_of_caller()
        return observation.hex_trace_id if observation else None

    @staticmethod
    @contextmanager
    def agent_cycle(agent_name: str, agent_type: str = "agent", input: Any = None, **metadata: Any) -> Iterator[Cycle]:
        """One pass of an agent's loop as one trace: the root observation, of type `agent`.

        Args:
            agent_name: the agent's class name; also the trace's name.
            agent_type: its kind (liquidation, whale, swarm, ...).
            input: the situation it faces, anything JSON can hold.
            **metadata: more about the cycle.
        """
        observation = None
        with guarded:
            if tracing_on():
                observation = _begin_cycle(agent_name, {"agent_type": agent_type, **metadata}, input)
        if observation is None:
            yield Cycle(None)
            return
        token = enter(observation)
        try:
            yield Cycle(observation)
        except BaseException as error:
            with guarded:
                note_error(observation, error)
            raise
        finally:
            with guarded:
                leave(token)
                finish(observation)

    @staticmethod
    def add_agent_metadata(agent_type: str, agent_name: str, **kwargs: Any) -> None:
        """Say which agent is at work: of the running observation, else of what follows in this context.

        Args:
            agent_type: type of agent (trading, risk, ...); `model` says what model a generation asks.
            agent_name: name of the agent class.
            **kwargs: additional metadata (trading_pair, exchange, ...).
        """
        with guarded:
            if not tracing_on():
                return
            observation = current()
            if observation is None:
                metadata = snapshot({"agent_type": agent_type, **kwargs})
                _said.set(_Said(calling_agent(), str(agent_name), metadata))
            elif agent_type == "model":  # the plan's own call: it names the provider, not the agent that asks it
                observation.add_metadata({"model_type": agent_name, **kwargs})
            else:
                observation.agent = str(agent_name)
                observation.add_metadata({"agent_type": agent_type, **kwargs})

    @staticmethod
    def add_trading_signal(
        action: str, confidence: float | str, reasoning: str, symbol: str | None = None, **kwargs: Any
    ) -> None:
        """Record a decision on the trace that it belongs to: an event, tags, and two scores.

        Args:
            action: BUY, SELL or NOTHING; anything else is kept as given and marked invalid.
            confidence: 0 to 100, a number or text like "85%"; clamped, with the raw value kept.
            reasoning: the model's reason.
            symbol: what is traded, where one symbol is meant.
            **kwargs: additional signal data.
        """
        with guarded:
            if tracing_on():
                _record_signal(_Signal.of(action, confidence, reasoning, symbol, kwargs))

    @staticmethod
    def record_outcome(
        trace_id: str, pnl_usd: float | None = None, pnl_pct: float | None = None, note: str | None = None
    ) -> None:
        """Record what the market made of a decision: scores on its trace. Said again, it replaces what was said.

        Args:
            trace_id: the decision's trace, as `current_trace_id()` or a cycle's `trace_id` gave it.
            pnl_usd: profit or loss in USD.
            pnl_pct: profit or loss in percent of the stake; one of the two at least.
            note: anything worth knowing.
        """
        with guarded:
            asked = recording()
            if not asked.on:
                return
            from .recording.outcome import outcome_observation, scores_of_outcome

            try:
                scores = scores_of_outcome(trace_id, pnl_usd, pnl_pct, note)
            except ValueError as error:
                failures.note("outcome", f"an outcome is not recorded: {error}", cure="Correct the call.")
                return
            outcome = outcome_observation(trace_id, scores)
            outcome.durable = asked.durable
            runtime.running().recorder.put(outcome)

    @staticmethod
    def add_error(error: BaseException, context: dict[str, Any] | None = None) -> None:
        """Record an error: level ERROR on the running observation, else on the last generation's trace.

        Args:
            error: the exception that occurred.
            context: additional error context.
        """
        with guarded:
            if not tracing_on():
                return
            observation = current()
            if observation is not None:
                note_error(observation, error, context)
                return
            event = _event("error", _recent_of_caller())
            note_error(event, error, context)
            finish(event)


def _begin_cycle(agent_name: str, metadata: dict[str, Any], input: Any) -> Observation:
    observation = start(str(agent_name), "agent", current(), recording())
    observation.agent = str(agent_name)
    observation.add_metadata(metadata)
    observation.input = snapshot(input)
    runtime.running().recorder.opened(observation)
    return observation


def note_error(observation: Observation, error: BaseException, context: dict[str, Any] | None = None) -> None:
    """Level and text of an error; a cancelled or interrupted call is a WARNING, not a fault."""
    message = _message_of(error)
    status = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if context is None and observation.status_message == status:
        return  # said before, with its context
    observation.level = "ERROR" if isinstance(error, Exception) else "WARNING"
    observation.status_message = status
    said = {"error_type": type(error).__name__, "error_message": message, "error_context": context or {}}
    observation.add_metadata(said)


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - an exception's own __str__ may do anything
        return f"[NOT RECORDED: its text cannot be shown: {type(broken).__name__}]"


def _recent_of_caller() -> Observation | None:
    """The last generation that ended in this context, if the agent that made it is the one that is calling now."""
    recent = _recent.get()
    if recent is None:
        return None
    said, caller = _said.get(), calling_agent()
    speaker = said.agent_name if said is not None and said.caller == caller else caller
    return recent if recent.agent == speaker else None


def _event(name: str, parent: Observation | None) -> Observation:
    """An event under `parent`, ended or not, else a trace of its own."""
    return start(name, "event", parent, recording())


ACTIONS = ("BUY", "SELL", "NOTHING")


class _Signal(NamedTuple):
    action: str
    confidence: float | None
    raw_confidence: Any
    reasoning: str
    symbol: str | None
    extra: dict[str, Any]
    valid: bool

    @classmethod
    def of(cls, action: Any, confidence: Any, reasoning: Any, symbol: Any, extra: dict[str, Any]) -> "_Signal":
        text = str(action)
        known = text.strip().upper()
        number = _percent(confidence)
        valid = known in ACTIONS and number is not None and bool(extra.get("valid", True))
        kept = {key: value for key, value in extra.items() if key != "valid"}
        return cls(known if known in ACTIONS else text, number, confidence, str(reasoning), symbol, kept, valid)

    def decision(self) -> dict[str, Any]:
        """The signal as the cycle's output shows it."""
        shown: dict[str, Any] = {"action": self.action, "confidence": self.confidence, "reasoning": self.reasoning}
        if self.symbol:
            shown["symbol"] = self.symbol
        return shown if self.valid else {**shown, "valid": False}

    def metadata(self) -> dict[str, Any]:
        """The plan's metadata names, and what came along."""
        values: dict[str, Any] = {
            "signal_action": self.action,
            "signal_confidence": self.confidence,
            "signal_reasoning": self.reasoning,
            "signal_valid": self.valid,
        }
        if self.confidence != self.raw_confidence:
            values["signal_confidence_raw"] = self.raw_confidence
        if self.symbol:
            values["trading_symbol"] = self.symbol
        return {**self.extra, **values}  # no keyword of a caller overwrites what was decided

    def tags(self) -> list[str]:
        """`signal:buy`, `confidence:85`; `signal:invalid` where it cannot be acted on.

        An action that is none stands in the event as it was given: as a tag, in small letters, it could hide a secret.
        """
        tags = [f"signal:{self.action.lower()}"] if self.action in ACTIONS else []
        if self.confidence is not None:
            tags.append(f"confidence:{int(self.confidence)}")
        return tags if self.valid else [*tags, "signal:invalid"]


def _percent(value: Any) -> float | None:
    """`value` as a number from 0 to 100; None where it is none."""
    try:
        number = float(value.strip().rstrip("%").strip() if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if number != number else min(max(number, 0.0), 100.0)


def _record_signal(signal: _Signal) -> None:
    target = current() or _recent_of_caller()
    event = _event("trading_signal", target)
    event.add_metadata(signal.metadata())
    event.input = {"symbol": signal.symbol} if signal.symbol else None
    event.output = signal.decision()
    event.tags = signal.tags()
    event.scores = _scores(event, signal)
    _decide(target, signal)
    finish(event)


def _decide(target: Observation | None, signal: _Signal) -> None:
    """The decision becomes the output of the cycles that are open around it; several decisions, a list of them."""
    while target is not None:
        if target.type == "agent" and target.ended is None:
            so_far = target.output
            decision = signal.decision()
            if isinstance(so_far, list):
                target.output = [*so_far, decision]
            else:
                target.output = [so_far, decision] if isinstance(so_far, dict) and "action" in so_far else decision
        target = target.parent


def _scores(event: Observation, signal: _Signal) -> tuple[Score, ...]:
    def fixed(name: str) -> str:
        return str(uuid.uuid5(uuid.UUID(event.hex_trace_id), f"{event.hex_id}/{name}"))

    action = Score(fixed("signal_action"), "signal_action", signal.action, signal.reasoning)
    if signal.confidence is None:
        return (action,)
    return action, Score(fixed("signal_confidence"), "signal_confidence", signal.confidence)
