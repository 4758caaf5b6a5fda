"""
🌙 Moon Dev's Said
Built with love by Moon Dev 🚀

What a journalled signal says, read once for all screens: an agent may hand over anything under any name.
"""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..journal import Row

_UNREADABLE = "?"


class Said(NamedTuple):
    """A signal as a screen may show it."""

    action: str  # `?` where it is no text
    confidence: float | None  # 0 to 100; None where it is no finite number
    reason: str
    symbol: str
    valid: bool


def said_of(metadata: Any) -> Said:
    """A signal's metadata; what has not the type that it should is unknown."""
    known = metadata if isinstance(metadata, dict) else {}
    return Said(
        _text(known.get("signal_action")) or _UNREADABLE,
        finite(known.get("signal_confidence")),
        _text(known.get("signal_reasoning")),
        _text(known.get("trading_symbol")),
        known.get("signal_valid", True) is True,
    )


def finite(value: Any) -> float | None:
    """A number that can be shown and compared; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number beyond any float
        return None


def readable(judged: Sequence[Row]) -> list[Row]:
    """Decisions with their outcome; a confidence that is no number is none."""
    return [{**row, "confidence": finite(row["confidence"])} for row in judged]


def json_text(value: Any, *, ascii_only: bool = True) -> str:
    """A line for scripts; no number is beyond JSON's."""
    try:
        return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    except ValueError:
        return json.dumps(_without_infinity(value), ensure_ascii=ascii_only)


def _without_infinity(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_infinity(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(each) for each in value]
    return finite(value) if isinstance(value, float) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else _UNREADABLE
