"""
🌙 Moon Dev's Outcomes
Built with love by Moon Dev 🚀

What the market made of a decision: two scores on its trace, `pnl_usd` and `pnl_pct`. Their ids are fixed by the trace,
so that a repeat changes nothing and a correction replaces, here and at Langfuse.
"""

import math
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from ..journal import Journal, JournalError, Row
from ..redaction import redact
from ..tracing import OUTCOME, Observation, Score

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_LARGEST = {"pnl_usd": 1e12, "pnl_pct": 1e9}  # beyond that it is a slip of the keyboard
_MOST_ROWS, _MOST_TEXT = 200, 1_000_000  # of one transaction, in characters the latter: some 5 ms


def scores_of_outcome(trace_id: str, pnl_usd: Any = None, pnl_pct: Any = None, note: Any = None) -> tuple[Score, ...]:
    """The scores of an outcome.

    Args:
        trace_id: 32 hex digits.
        pnl_usd: profit or loss in USD, at the most 1e12 either way.
        pnl_pct: profit or loss in percent of what was put at stake, at the most 1e9 either way.
        note: anything worth knowing; becomes the scores' comment.

    Raises:
        ValueError: where the id is none, no value is given, or one is no number in these bounds; says which.
    """
    name = str(trace_id).strip().lower()
    if not _TRACE_ID.fullmatch(name):
        raise ValueError(f"{str(trace_id)[:40]!r} is no trace id: 32 hex digits, as current_trace_id() gives them")
    given = values_of_outcome(pnl_usd, pnl_pct)
    comment = None if note is None else str(note)
    return tuple(
        Score(str(uuid.uuid5(uuid.UUID(name), f"outcome/{key}")), key, value, comment) for key, value in given.items()
    )


def values_of_outcome(pnl_usd: Any = None, pnl_pct: Any = None) -> dict[str, float]:
    """Those that are given, by name. Raises ValueError as `scores_of_outcome`."""
    values = {"pnl_usd": pnl_usd, "pnl_pct": pnl_pct}
    given = {key: _number(key, value) for key, value in values.items() if value is not None}
    if not given:
        raise ValueError("an outcome needs pnl_usd, pnl_pct or both")
    return given


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if "_" in str(value) else float(value)  # Python reads 1_000 as 1000, a trader may not
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, not {str(value)[:40]!r}")
    if abs(number) > _LARGEST[name]:
        raise ValueError(f"{name} must be between -{_LARGEST[name]:.0e} and {_LARGEST[name]:.0e}, not {number:g}")
    return number


def outcome_observation(trace_id: str, scores: tuple[Score, ...]) -> Observation:
    """An outcome on its way to the journal, where only its scores arrive; `trace_id` as `scores_of_outcome` took it."""
    carrier = Observation(OUTCOME, OUTCOME)
    carrier.trace_id, carrier.scores = int(str(trace_id), 16), scores
    return carrier


def rows_of_outcome(journal: Journal, trace_id: str, scores: Sequence[Score], destination: str | None) -> list[Row]:
    """The scores as rows: they go where their trace went; to `destination` where this journal does not know it."""
    known = journal.origin_of(trace_id) or {"destination": destination, "environment": "default", "session_id": None}
    return [
        {
            **known, "id": score.id, "trace_id": trace_id, "observation_id": None, "name": score.name,
            "data_type": "NUMERIC", "value": score.value, "comment": redact(score.comment),
            "timestamp_ns": time.time_ns(), "state": "local" if known["destination"] is None else "pending",
        }
        for score in scores
    ]  # fmt: skip


def append_in_steps(journal: Journal, outcomes: Sequence[Sequence[Row]]) -> None:
    """Write the rows of any number of outcomes so that nobody waits long to write.

    An outcome's rows are written together. What is written twice is written once: the same outcomes may come again.

    Raises:
        JournalError: says how many are in.
    """
    done = 0
    for step in _steps(outcomes):
        try:
            journal.append([], [row for rows in step for row in rows])
        except JournalError as error:
            taken = f"{done:,} of {len(outcomes):,} outcomes are in: the same command again takes the rest"
            raise JournalError(f"{error}. {taken}") from None
        done += len(step)
        journal.yield_write_lock()


def _steps(outcomes: Sequence[Sequence[Row]]) -> Iterator[Sequence[Sequence[Row]]]:
    first = rows = text = 0
    for at, outcome in enumerate(outcomes):
        size = sum(len(row["comment"] or "") for row in outcome)
        if at > first and (rows + len(outcome) > _MOST_ROWS or text + size > _MOST_TEXT):
            yield outcomes[first:at]
            first, rows, text = at, 0, 0
        rows, text = rows + len(outcome), text + size
    if first < len(outcomes):
        yield outcomes[first:]
