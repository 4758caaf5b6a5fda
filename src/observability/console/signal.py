"""Parses a trading signal from the journal. A field may have any type, since agents may record any value."""

import math
from typing import Any, NamedTuple

_UNREADABLE = "?"


class Signal(NamedTuple):
    """A trading signal whose fields have been checked to have the expected types."""

    action: str  # `?` if the metadata has no action, or if the action is not text
    confidence: float | None  # 0 to 100; None if it is not a finite number
    reason: str
    symbol: str
    valid: bool
    inferred: bool  # whether the recorder inferred the signal from a model's answer


def signal_of(metadata: Any) -> Signal:
    """Parse a signal's metadata; a value of the wrong type counts as unknown."""
    fields = metadata if isinstance(metadata, dict) else {}
    return Signal(
        _text(fields.get("signal_action")) or _UNREADABLE,
        finite(fields.get("signal_confidence")),
        _text(fields.get("signal_reasoning")),
        _text(fields.get("trading_symbol")),
        fields.get("signal_valid", True) is True,
        fields.get("signal_inferred") is True,
    )


def finite(value: Any) -> float | None:
    """Return a finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer too large for a float
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else _UNREADABLE
