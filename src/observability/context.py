"""
🌙 Moon Dev's Observability Context
Built with love by Moon Dev 🚀

`ObservabilityContext`: agents record their cycles, metadata, signals, errors and outcomes with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .internal_errors import failures, guarded, swallow
from .settings import recording, tracing_on
from .tracing import (
    Observation,
    Signal,
    announce,
    current_observation,
    enter,
    exiting,
    finish,
    latest,
    leave,
    new_event,
    note_error,
    on_end,
    on_start,
    recent_of_caller,
    record_signal,
    start,
    use_prompt,
)

_VERSION = "In the agent's code, pass use_prompt() a whole number as the version, such as 3 or `prompt.version`."


class Cycle:
    """An open agent cycle, which is one pass of an agent's loop. Its methods set the cycle's input and output."""

    def __init__(self, observation: Observation | None) -> None:
        self._observation = observation

    @property
    def trace_id(self) -> str | None:
        """The id of this cycle's trace, 32 hex digits; None if tracing was off when the cycle began."""
        return self._observation.hex_trace_id if self._observation else None

    def set_input(self, value: Any) -> None:
        """Set the cycle's input: the situation that the agent faces."""
        with guarded:
            if self._observation:
                self._observation.set_input(value)

    def set_output(self, value: Any) -> None:
        """Set the cycle's output: the result of the cycle. A trading signal sets the output too."""
        with guarded:
            if self._observation:
                self._observation.set_output(value)


class ObservabilityContext:
    """Adds facts about an agent's work to the trace of that work. Errors of this package never reach the agent."""

    @staticmethod
    def current_trace_id() -> str | None:
        """The trace id (32 hex digits) of the running observation, or if none runs, of the agent's last generation.

        None if there is neither.
        """
        observation = current_observation() or recent_of_caller()
        return observation.hex_trace_id if observation else None

    @staticmethod
    @contextmanager
    def agent_cycle(agent_name: str, agent_type: str = "agent", input: Any = None, **metadata: Any) -> Iterator[Cycle]:
        """Record one pass of an agent's loop as an observation of type `agent`.

        It starts a new trace, unless it is nested in another observation.

        Args:
            agent_name: the agent's class name; a new trace has this name too.
            agent_type: the agent's kind (liquidation, whale, swarm, ...).
            input: the situation that the agent faces, any JSON value.
            **metadata: additional metadata of the cycle.
        """
        cycle = own = None
        try:
            with guarded:
                if tracing_on():
                    outer = current_observation()
                    cycle = _cycle_in(outer, str(agent_name), {"agent_type": agent_type, **metadata}, input)
                    # If `cycle` is `outer`, a method named in OBSERVABILITY_CYCLES opened it, and will close it.
                    if cycle is not outer:
                        own = cycle
                        own.token = enter(own)
                        on_start(own)
            yield Cycle(cycle)
        except BaseException as error:
            if own is not None:
                with guarded:
                    note_error(own, error)
            raise
        finally:
            try:
                _end_cycle(own)
            finally:
                _end_cycle(own)  # has an effect only if a signal handler interrupted the first `_end_cycle`

    @staticmethod
    @contextmanager
    def exit_decision() -> Iterator[None]:
        """Mark the model calls in the block as decisions to leave a position.

        Budgets count these calls, but never refuse them.
        """
        token = exiting.set(True)
        try:
            yield
        finally:
            with suppress(ValueError):  # raised in a context other than the one that set the token
                exiting.reset(token)

    @staticmethod
    def add_agent_metadata(agent_type: str, agent_name: str, **kwargs: Any) -> None:
        """Name the agent of the running observation; if none is running, of later observations in this context.

        Args:
            agent_type: type of agent (trading, risk, ...), or `model`.
            agent_name: name of the agent class; for type `model`, the provider of the running generation.
            **kwargs: additional metadata (trading_pair, exchange, ...).
        """
        try:  # faster than `guarded`: the classes in `src/models` call this method at every model call
            observation = latest()
            if observation is not None and observation.ended is not None:
                observation = current_observation()
            if observation is None:
                if recording().on:
                    announce(agent_name, {"agent_type": agent_type, **kwargs})
            elif agent_type == "model":  # here `agent_name` is the generation's provider
                observation.add_metadata({"model_type": agent_name, **kwargs})
            else:
                observation.agent = str(agent_name)
                observation.add_metadata({"agent_type": agent_type, **kwargs})
        except Exception as error:  # noqa: BLE001
            swallow(error)

    @staticmethod
    def use_prompt(name: str | None, version: int | str | None = None) -> None:
        """Link a version of a managed prompt to later calls in the running observation; if none runs, in this context.

        Prompts fetched through `LangFuseTracker().client` link themselves.

        Args:
            name: the prompt's name in Langfuse. With None, later calls are linked to no prompt.
            version: the prompt's version, a whole number.
        """
        with guarded:
            if not tracing_on():
                return
            try:
                number = None if name is None else int(str(version))
            except ValueError:
                failures.note("prompt", f"prompt {name!r} is not linked: {version!r} is not a version", cure=_VERSION)
                return
            use_prompt(None if name is None else str(name), number)

    @staticmethod
    def add_trading_signal(
        action: str, confidence: float | str, reasoning: str, symbol: str | None = None, **kwargs: Any
    ) -> None:
        """Record a trading decision on the current trace, as an event with tags and scores.

        Args:
            action: BUY, SELL or NOTHING; anything else is kept as given and marked invalid.
            confidence: 0 to 100, as a number or a text like "85%". Other numbers are clamped; the raw value is kept.
            reasoning: the model's reason.
            symbol: the traded symbol, if the decision is about only one.
            **kwargs: additional signal data.
        """
        with guarded:
            if tracing_on():
                record_signal(Signal.of(action, confidence, reasoning, symbol, kwargs))

    @staticmethod
    def record_outcome(
        trace_id: str, pnl_usd: float | None = None, pnl_pct: float | None = None, note: str | None = None
    ) -> None:
        """Record the profit or loss of a decision, as scores on its trace. A later outcome replaces an earlier one.

        Args:
            trace_id: the decision's trace, from `current_trace_id()` or a cycle's `trace_id`.
            pnl_usd: profit or loss in USD.
            pnl_pct: profit or loss in percent of the stake; give `pnl_usd`, `pnl_pct` or both.
            note: free text.
        """
        with guarded:
            capture = recording()
            if not capture.on:
                return
            from .recording import outcome_observation, scores_of_outcome

            try:
                scores = scores_of_outcome(trace_id, pnl_usd, pnl_pct, note)
            except ValueError as error:
                failures.note("outcome", f"an outcome is not recorded: {error}", cure="Fix the record_outcome() call.")
                return
            outcome = outcome_observation(trace_id, scores)
            outcome.durable = capture.durable
            on_end(outcome)

    @staticmethod
    def add_error(error: BaseException, context: dict[str, Any] | None = None) -> None:
        """Record an error (level ERROR) on the running observation.

        If none is running, the error becomes an event on the trace of the agent's last generation, or on a new trace.

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


def _cycle_in(outer: Observation | None, name: str, metadata: dict[str, Any], input: Any) -> Observation:
    if outer is not None and outer.is_automatic and outer.name == name:
        outer.add_metadata(metadata)
        if input is not None:
            outer.set_input(input)
        return outer
    observation = start(name, "agent", outer, recording())
    observation.agent = name
    observation.add_metadata(metadata)
    observation.set_input(input)
    return observation


def _end_cycle(cycle: Observation | None) -> None:
    if cycle is None:
        return
    with guarded:
        if cycle.ended is None:
            finish(cycle)
    token, cycle.token = cycle.token, None
    if token is not None:
        with guarded, suppress(ValueError):  # raised in a context other than the one that set the token
            leave(token)
