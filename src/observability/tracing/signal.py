"""A trading signal: BUY, SELL or NOTHING, recorded on the trace that it belongs to."""

import uuid
from typing import Any, NamedTuple

from ..settings import recording
from .current import current_observation, finish, recent_of_caller, start
from .observation import Observation, Score

ACTIONS = ("BUY", "SELL", "NOTHING")


class Signal(NamedTuple):
    """A decision as an agent gave it, and as it is recorded."""

    action: str
    confidence: float | None
    raw_confidence: Any
    reasoning: str
    symbol: str | None
    extra: dict[str, Any]
    valid: bool

    @classmethod
    def of(cls, action: Any, confidence: Any, reasoning: Any, symbol: Any, extra: dict[str, Any]) -> "Signal":
        """Return the signal; an unknown action or confidence is kept as given and marked invalid."""
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


def new_event(name: str, parent: Observation | None) -> Observation:
    """An event under `parent`, ended or not, else a trace of its own."""
    return start(name, "event", parent, recording())


def record_signal(signal: Signal) -> None:
    """Record the signal as an event with tags and scores, and as the output of the cycles around it."""
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


def _scores(event: Observation, signal: Signal) -> tuple[Score, ...]:
    def fixed(name: str) -> str:
        return str(uuid.uuid5(uuid.UUID(event.hex_trace_id), f"{event.hex_id}/{name}"))

    action = Score(fixed("signal_action"), "signal_action", signal.action, signal.reasoning)
    if signal.confidence is None:
        return (action,)
    return action, Score(fixed("signal_confidence"), "signal_confidence", signal.confidence)
