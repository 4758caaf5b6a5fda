"""Outcomes: a decision's profit or loss, as the scores `pnl_usd` and `pnl_pct` on its trace.

Score ids are derived from the trace's id: a repeat changes nothing, and a correction replaces the score, here and in
Langfuse.
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
_LARGEST = {"pnl_usd": 1e12, "pnl_pct": 1e9}  # a larger value is refused as a typo
# Limits of one transaction: rows, and characters in the comments of the rows. Such a transaction takes about 5 ms.
_MAX_ROWS, _MAX_TEXT = 200, 1_000_000


def scores_of_outcome(trace_id: str, pnl_usd: Any = None, pnl_pct: Any = None, note: Any = None) -> tuple[Score, ...]:
    """Return the scores that record an outcome, the profit or loss of a trace's decision.

    Args:
        trace_id: 32 hex digits.
        pnl_usd: profit or loss in USD, at most 1e12 either way.
        pnl_pct: profit or loss in percent of the stake, at most 1e9 either way.
        note: any remark; becomes the comment of the scores.

    Raises:
        ValueError: the id is malformed, neither value is given, or a value is not a number within its bounds.
    """
    name = str(trace_id).strip().lower()
    if not _TRACE_ID.fullmatch(name):
        raise ValueError(
            f"{str(trace_id)[:40]!r} is not a trace id: give 32 hex digits, as current_trace_id() returns them"
        )
    given = values_of_outcome(pnl_usd, pnl_pct)
    comment = None if note is None else str(note)
    return tuple(
        Score(str(uuid.uuid5(uuid.UUID(name), f"outcome/{key}")), key, value, comment) for key, value in given.items()
    )


def values_of_outcome(pnl_usd: Any = None, pnl_pct: Any = None) -> dict[str, float]:
    """Map the name of each value that is not None to the value as a number.

    Raises:
        ValueError: neither value is given, or a value is not a number within its bounds.
    """
    values = {"pnl_usd": pnl_usd, "pnl_pct": pnl_pct}
    given = {key: _number(key, value) for key, value in values.items() if value is not None}
    if not given:
        raise ValueError("an outcome needs pnl_usd, pnl_pct or both")
    return given


def _number(name: str, value: Any) -> float:
    try:
        number = (
            math.nan if "_" in str(value) else float(value)
        )  # Python parses 1_000 as 1000, which may not be what the trader meant
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, not {str(value)[:40]!r}")
    if abs(number) > _LARGEST[name]:
        raise ValueError(f"{name} must be between -{_LARGEST[name]:.0e} and {_LARGEST[name]:.0e}, not {number:g}")
    return number


def outcome_observation(trace_id: str, scores: tuple[Score, ...]) -> Observation:
    """Return an observation that carries an outcome's scores to the recorder. The observation itself gets no row."""
    carrier = Observation(OUTCOME, OUTCOME)
    carrier.trace_id, carrier.scores = int(str(trace_id), 16), scores
    return carrier


def rows_of_outcome(journal: Journal, trace_id: str, scores: Sequence[Score], destination: str | None) -> list[Row]:
    """The scores as rows for the destination of their trace, or for `destination` if the journal lacks the trace.

    A score is attached to the generation that made the decision. A score that is already in the journal stays
    attached to the same observation.
    """
    origin = journal.origin_of(trace_id) or {"destination": destination, "environment": "default", "session_id": None}
    decider = journal.decider_of(trace_id)
    now = time.time_ns()
    places = journal.places_of(score.id for score in scores)
    return [
        {
            **origin, "id": score.id, "trace_id": trace_id, "name": score.name,
            "observation_id": places.get(score.id, decider),
            "data_type": "NUMERIC", "value": score.value, "comment": redact(score.comment),
            "timestamp_ns": now, "state": "local" if origin["destination"] is None else "pending",
        }
        for score in scores
    ]  # fmt: skip


def append_in_steps(journal: Journal, outcomes: Sequence[Sequence[Row]]) -> None:
    """Write the rows of any number of outcomes in short transactions, between which other processes can write.

    The rows of one outcome are written together. The call may be repeated: a score replaces the score with the same id.

    Raises:
        JournalError: the message gives the number of outcomes written so far.
    """
    done = 0
    for step in _steps(outcomes):
        try:
            journal.append([], [row for rows in step for row in rows])
        except JournalError as error:
            progress = f"{done:,} of {len(outcomes):,} outcomes were written: run the same command again for the rest"
            raise JournalError(f"{error}. {progress}") from None
        done += len(step)
        journal.yield_write_lock()


def _steps(outcomes: Sequence[Sequence[Row]]) -> Iterator[Sequence[Sequence[Row]]]:
    first = rows = text = 0
    for at, outcome in enumerate(outcomes):
        size = sum(len(row["comment"] or "") for row in outcome)
        if at > first and (rows + len(outcome) > _MAX_ROWS or text + size > _MAX_TEXT):
            yield outcomes[first:at]
            first, rows, text = at, 0, 0
        rows, text = rows + len(outcome), text + size
    if first < len(outcomes):
        yield outcomes[first:]
