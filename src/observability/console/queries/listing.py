"""
🌙 Moon Dev's Listing
Built with love by Moon Dev 🚀

A trace in a line: what of its observations a list shows.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ...journal import INTERRUPTED, Row
from ..render.format import asked_and_answered
from ..signal import Said, said_of

_LEVELS = ("DEBUG", "DEFAULT", "WARNING", "ERROR")


class Listed(NamedTuple):
    """One trace. Times are Unix nanoseconds; None is unknown, or still to come."""

    id: str
    start_ns: int
    took_ns: int | None  # of all of it; None while something of it runs
    interrupted: bool  # something of it: its end is the last that is known, not how long it took
    name: str  # its agent's, else its own
    model: str | None  # the last that was asked
    said: Said | None  # the decision that it stands for
    tokens: tuple[int, int] | None  # asked and answered, of the calls that tell
    calls: int
    cost_usd: float | None  # None where the price of any call is unknown
    level: str  # the worst


def listed(rows: Sequence[Row]) -> Listed:
    """A trace of its observations, in order of their start."""
    calls = [row for row in rows if row["type"] == "generation"]
    ends = [row["end_ns"] for row in rows]
    return Listed(
        id=rows[0]["trace_id"],
        start_ns=rows[0]["start_ns"],
        took_ns=None if None in ends else max(ends) - rows[0]["start_ns"],
        interrupted=any(row["status_message"] == INTERRUPTED for row in rows),
        name=next((row["agent"] for row in rows if row["agent"]), rows[0]["trace_name"]),
        model=calls[-1]["model"] if calls else None,
        said=_decision(rows),
        tokens=_tokens(calls),
        calls=len(calls),
        cost_usd=cost_of(calls),
        level=max((row["level"] for row in rows), key=lambda level: _LEVELS.index(level) if level in _LEVELS else 1),
    )


def cost_of(calls: Sequence[Row]) -> float | None:
    """USD; None where a call that did not fail has no price, or no call has one."""
    known = [call["cost_usd"] for call in calls if call["cost_usd"] is not None]
    unpriced = any(call["cost_usd"] is None and call["level"] != "ERROR" for call in calls)
    return None if unpriced or not known else sum(known)


def _tokens(calls: Sequence[Row]) -> tuple[int, int] | None:
    told = [asked_and_answered(call["usage"]) for call in calls if call["usage"]]
    return (sum(asked for asked, _ in told), sum(answered for _, answered in told)) if told else None


def _decision(rows: Sequence[Row]) -> Said | None:
    """The last BUY or SELL that can be acted on, else the last decision at all."""
    all_of_it = [said_of(row["metadata"]) for row in rows if row["name"] == "trading_signal" and row["type"] == "event"]
    traded = [said for said in all_of_it if said.valid and said.action in ("BUY", "SELL")]
    return next(reversed(traded or all_of_it), None)
