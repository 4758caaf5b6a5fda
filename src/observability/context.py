"""
🌙 Moon Dev's Observability Context
Built with love by Moon Dev 🚀

What agents may say about what they are doing.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .internal_errors import failures, guarded
from .settings import recording, tracing_on
from .tracing import (
    Observation,
    Signal,
    announce,
    current_observation,
    enter,
    finish,
    leave,
    new_event,
    note_error,
    on_end,
    on_start,
    recent_of_caller,
    record_signal,
    snapshot,
    start,
)


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
        observation = current_observation() or recent_of_caller()
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
        observation = outer = None
        with guarded:
            if tracing_on():
                outer = current_observation()
                observation = _begin_cycle(str(agent_name), {"agent_type": agent_type, **metadata}, input, outer)
        if observation is None or observation is outer:  # tracing is off, or this is the method's own cycle
            yield Cycle(observation)
            return
        token = enter(observation)
        try:
            yield Cycle(observation)
        except BaseException as error:
            with guarded:
                note_error(observation, error)
            raise
        finally:
            with guarded, suppress(ValueError):  # closed from another context, in which it was never entered
                leave(token)
            with guarded:
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
            observation = current_observation()
            if observation is None:
                announce(agent_name, {"agent_type": agent_type, **kwargs})
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
                record_signal(Signal.of(action, confidence, reasoning, symbol, kwargs))

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
            from .recording import outcome_observation, scores_of_outcome

            try:
                scores = scores_of_outcome(trace_id, pnl_usd, pnl_pct, note)
            except ValueError as error:
                failures.note("outcome", f"an outcome is not recorded: {error}", cure="Correct the call.")
                return
            outcome = outcome_observation(trace_id, scores)
            outcome.durable = asked.durable
            on_end(outcome)

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
            observation = current_observation()
            if observation is not None:
                note_error(observation, error, context)
                return
            event = new_event("error", recent_of_caller())
            note_error(event, error, context)
            finish(event)


def _begin_cycle(name: str, metadata: dict[str, Any], input: Any, outer: Observation | None) -> Observation:
    if outer is not None and outer.is_automatic and outer.name == name:
        outer.add_metadata(metadata)
        outer.input = outer.input if input is None else snapshot(input)
        return outer
    observation = start(name, "agent", outer, recording())
    observation.agent = name
    observation.add_metadata(metadata)
    observation.input = snapshot(input)
    on_start(observation)
    return observation
