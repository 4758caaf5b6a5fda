"""Records a trading signal (BUY, SELL or NOTHING) on its trace."""

import uuid
from typing import Any, NamedTuple

from ..settings import recording
from .current import current_observation, finish, recent_of_caller, start
from .observation import Observation, Score

ACTIONS = ("BUY", "SELL", "NOTHING")


class Signal(NamedTuple):
    """An agent's trading decision, with the values that the agent gave and the values to record."""

    action: str
    confidence: float | None
    raw_confidence: Any
    reasoning: str
    symbol: str | None
    extra: dict[str, Any]
    valid: bool

    @classmethod
    def of(cls, action: Any, confidence: Any, reasoning: Any, symbol: Any, extra: dict[str, Any]) -> "Signal":
        """Return the signal. If the action is not BUY, SELL or NOTHING, or the confidence is not a number, the given
        value is kept and the signal is marked invalid."""
        text = str(action)
        action = text.strip().upper()
        number = _percent(confidence)
        valid = action in ACTIONS and number is not None and bool(extra.get("valid", True))
        kept = {key: value for key, value in extra.items() if key != "valid"}
        return cls(action if action in ACTIONS else text, number, confidence, str(reasoning), symbol, kept, valid)

    def decision(self) -> dict[str, Any]:
        """The decision as a dictionary, which becomes the output of the agent's cycle."""
        decision: dict[str, Any] = {"action": self.action, "confidence": self.confidence, "reasoning": self.reasoning}
        if self.symbol:
            decision["symbol"] = self.symbol
        return decision if self.valid else {**decision, "valid": False}

    def metadata(self) -> dict[str, Any]:
        """The signal's metadata, including the caller's additional values."""
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
        return {**self.extra, **values}  # an additional value never overwrites the decision

    def tags(self) -> list[str]:
        """The tags, such as `signal:buy` and `confidence:85`; `signal:invalid` for an invalid signal.

        An unknown action does not become a tag, since a secret in it would not be masked in lower case.
        """
        tags = [f"signal:{self.action.lower()}"] if self.action in ACTIONS else []
        if self.confidence is not None:
            tags.append(f"confidence:{int(self.confidence)}")
        return tags if self.valid else [*tags, "signal:invalid"]


def _percent(value: Any) -> float | None:
    """`value` as a number from 0 to 100; None if it is not a number."""
    try:
        number = float(value.strip().rstrip("%").strip() if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if number != number else min(max(number, 0.0), 100.0)


def new_event(name: str, parent: Observation | None) -> Observation:
    """Start an event under `parent`, which may have ended; without a parent, in a new trace."""
    return start(name, "event", parent, recording())


def record_signal(signal: Signal) -> None:
    """Record the signal as an event with tags and scores, and as the output of every running cycle that contains
    the event."""
    target = current_observation() or recent_of_caller()
    event = new_event("trading_signal", target)
    event.add_metadata(signal.metadata())
    event.input = {"symbol": signal.symbol} if signal.symbol else None
    event.output = signal.decision()
    event.tags = signal.tags()
    event.scores = _scores(event, signal)
    _decide(target, signal)
    finish(event)


def _decide(target: Observation | None, signal: Signal) -> None:
    """Make the decision the output of every running cycle around `target`. A second decision makes it a list."""
    while target is not None:
        target.decided = True
        if target.type == "agent" and target.ended is None:
            earlier = target.output
            decision = signal.decision()
            if isinstance(earlier, list):
                target.output = [*earlier, decision]
            else:
                target.output = [earlier, decision] if isinstance(earlier, dict) and "action" in earlier else decision
        target = target.parent


def _scores(event: Observation, signal: Signal) -> tuple[Score, ...]:
    def fixed(name: str) -> str:
        return str(uuid.uuid5(uuid.UUID(event.hex_trace_id), f"{event.hex_id}/{name}"))

    action = Score(fixed("signal_action"), "signal_action", signal.action, signal.reasoning)
    if signal.confidence is None:
        return (action,)
    return action, Score(fixed("signal_confidence"), "signal_confidence", signal.confidence)
