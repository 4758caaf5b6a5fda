"""
🌙 Moon Dev's Base Agent
Built with love by Moon Dev 🚀

The base class of every agent. Each pass (one run of the agent's task) that calls a model or fails is recorded as one
trace. The loop of passes continues after a failed pass.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from termcolor import cprint

from src import config
from src.agents.decision import LOCAL_HINTS, Decision, parse
from src.agents.errors import AgentError
from src.models.base_model import BaseModel
from src.models.model_factory import ModelFactory
from src.observability import ObservabilityContext
from src.observability.context import Cycle
from src.observability.redaction import redact_line
from src.observability.terminal import echo

_Result = TypeVar("_Result")


class BaseAgent:
    """An agent of one type (`liquidation`, `whale`, ...)."""

    local_hints = LOCAL_HINTS  # makes the small local model answer in three lines
    failed_passes = 0
    _quiet_passes = 0
    _recorded: Exception | None = None  # the error that a failing pass has already recorded in its own trace

    def __init__(self, agent_type: str, use_exchange_manager: bool = False) -> None:  # noqa: ARG002 - agents pass it
        self.type = agent_type
        self.start_time = datetime.now(UTC)
        self.em = None  # always None: only the original trading repo has an exchange manager
        self.exchange = config.EXCHANGE

    def get_active_tokens(self) -> list[str]:
        """The tokens to trade."""
        return config.get_active_tokens()

    def run(self) -> Any:
        """Run one pass, or the agent's loop. Raises NotImplementedError unless a subclass overrides it."""
        raise NotImplementedError(f"{type(self).__name__} must define run()")

    @cached_property
    def model(self) -> BaseModel | None:
        """The agent's model, built on first use. If it cannot be built, print advice for the user and return None."""
        return ModelFactory.create_model(model_name=_model_name())

    @contextmanager
    def observed_cycle(self, input: Any = None, **metadata: Any) -> Iterator[Cycle]:
        """Record one pass, its model calls and its decisions as one trace. `input` is the data to be judged."""
        if self._quiet_passes:
            metadata["quiet_passes_before"], self._quiet_passes = self._quiet_passes, 0
        with ObservabilityContext.agent_cycle(type(self).__name__, self.type, input, **metadata) as cycle:
            self._set_observability_context()
            try:
                yield cycle
            except Exception as error:
                self._recorded = error
                raise

    def pass_quietly(self) -> None:
        """Count a pass that called no model, but do not trace it: such traces would outnumber those with decisions."""
        self._quiet_passes += 1

    def _set_observability_context(self, **metadata: Any) -> None:
        """Name this agent in the trace. `observed_cycle` calls this method."""
        ObservabilityContext.add_agent_metadata(
            agent_type=self.type,
            agent_name=type(self).__name__,
            exchange=getattr(self, "exchange", "unknown"),
            **metadata,
        )

    def decide(self, system_prompt: str, situation: str, symbol: str | None = None) -> Decision:
        """Ask the model for a decision and record it as a signal. An answer that cannot be parsed counts as NOTHING."""
        answer = self._ask(system_prompt, situation)
        decision = parse(answer)
        confidence = decision.confidence if decision.valid else "none given"  # 0 would look like the model's answer
        extra = {} if decision.valid else {"valid": False, "raw_answer": answer}
        reason = _masked_reason(answer, decision)
        ObservabilityContext.add_trading_signal(decision.action, confidence, reason, symbol=symbol, **extra)
        _print_decision(decision._replace(reason=reason))
        return decision

    def _ask(self, system_prompt: str, situation: str) -> str:
        if self.model is None:
            return ""
        hints = self.local_hints if self.model.model_type == "local" else None  # only local models accept a grammar
        response = self.model.generate_response(
            system_prompt=f"{system_prompt}\n\n{hints.examples}" if hints and hints.examples else system_prompt,
            user_content=situation,
            temperature=hints.temperature if hints else config.AI_TEMPERATURE,
            max_tokens=config.AI_MAX_TOKENS,
            **({"grammar": hints.grammar} if hints else {}),
        )
        return response.content if response else ""

    def run_forever(self, cycle: Callable[[], Any], minutes: float) -> None:
        """Run `cycle` every `minutes` until Ctrl-C. A failed pass does not end the loop."""
        while True:
            self.run_safely(cycle)
            time.sleep(minutes * 60)

    def run_safely(self, cycle: Callable[[], _Result]) -> _Result | None:
        """Run one pass and return its result. After an error, print and record the error and return None."""
        try:
            return cycle()
        except Exception as error:  # noqa: BLE001 - the next pass may succeed, whatever the error
            self.failed_passes += 1
            self._record(error)
            text = str(error) if isinstance(error, AgentError) else f"{type(error).__name__}: {error}"
            echo(f"❌ {type(self).__name__}: this pass failed: {text}", "red")
            return None

    def _record(self, error: Exception) -> None:
        """Record an error in a new trace, unless the trace of the failed cycle has recorded it already."""
        if error is not self._recorded:
            with self.observed_cycle():
                ObservabilityContext.add_error(error)
        self._recorded = None


def _model_name() -> str | None:
    """AI_MODEL; None if AI_MODEL names a Claude model and AI_MODEL_TYPE another provider, or the other way round."""
    uses_claude = config.AI_MODEL_TYPE.strip().lower() in ("claude", "anthropic")
    return config.AI_MODEL if config.AI_MODEL.startswith("claude") == uses_claude else None


def _masked_reason(answer: str, decision: Decision) -> str:
    """The reason to record and print, parsed from the answer after its secrets were masked.

    Parsing drops characters such as `*`, `_` and line breaks. If a secret lost some of its characters before the
    masking, no rule would recognize it.
    """
    masked = redact_line(answer)
    return decision.reason if masked == answer else parse(masked).reason


def _print_decision(decision: Decision) -> None:
    if decision.valid:
        echo(f"   ✅ {decision.action} ({decision.confidence:.0f}%) {decision.reason}", "green")
    else:
        echo(f"   ⚠️ NOTHING: {decision.reason}", "yellow")


def run_as_script(main: Callable[[], int]) -> int:
    """Run an agent's `main` and return its exit status. Ctrl-C is the usual way to stop an agent and returns 0."""
    try:
        return main()
    except KeyboardInterrupt:
        cprint("\n🌙 Stopped. Until next time", "cyan")
        return 0
