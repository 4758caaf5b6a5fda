"""Reads the rows of ended observations as events: calls, decisions, and ends of traces, in order of their end."""

import json
import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from ..journal import INTERRUPTED, Journal, Row

_PAGE_ROWS, _PAGE_BYTES = 2000, 4_000_000
UNKNOWN = "unknown"  # the agent of a row without an agent's name


class Call(NamedTuple):
    """One request to a model."""

    at_ns: int  # end of the call
    trace_id: str
    failed: bool
    refused: bool = False  # whether the model or its provider refused, or the answer was empty
    seconds: float | None = None
    cost_usd: float | None = None
    answer: str | None = None  # a hash of the answer; None if the call failed or no answer is recorded


class DecisionEvent(NamedTuple):
    """One trading signal."""

    at_ns: int
    trace_id: str
    action: str
    confidence: float | None
    symbol: str
    valid: bool


class TraceEnd(NamedTuple):
    """The end of a trace."""

    at_ns: int
    trace_id: str
    decided: bool | None  # whether the trace contains a valid decision; None if no model answered in it


Event = Call | DecisionEvent | TraceEnd

# One statement reads a whole page of rows, so that its read transaction ends before the rows are processed.
_NEW_ROWS = """
SELECT seq, trace_id, ifnull(agent, '') AS agent, type, name, is_root, level, start_ns, end_ns, cost_usd,
    CASE type WHEN 'generation' THEN substr(output, 1, 2000) END AS output,
    CASE WHEN json_valid(metadata) THEN json_extract(metadata, '$.finish_reason') END AS finish_reason,
    CASE name WHEN 'trading_signal' THEN metadata END AS signal,
    CASE WHEN is_root THEN EXISTS (SELECT 1 FROM observations AS g
        WHERE g.trace_id = o.trace_id AND g.type = 'generation' AND g.level <> 'ERROR') END AS answered,
    CASE WHEN is_root THEN EXISTS (SELECT 1 FROM observations AS s
        WHERE s.trace_id = o.trace_id AND s.name = 'trading_signal' AND json_valid(s.metadata)
            AND json_extract(s.metadata, '$.signal_valid')) END AS decided
FROM observations AS o
WHERE seq > ? AND seq <= ? AND state <> 'open' AND status_message IS NOT ?
    AND (type = 'generation' OR name = 'trading_signal' OR is_root)
ORDER BY seq LIMIT ?"""
_REFUSALS = frozenset(("content_filter", "refusal", "safety", "prohibited_content", "blocklist", "recitation"))
_EMPTY = ("", '""', "[]", "{}")
_REFUSAL = re.compile(
    r"\W*(?:(?:I am|I\'m|I’m) (?:sorry|unable|not able)|I (?:can\'t|can’t|cannot|won\'t|won’t) "
    r"|sorry,? (?:but )?I |as an AI )",
    re.IGNORECASE,
)


def newest(journal: Journal) -> int:
    """The highest `seq` of the journal's observations."""
    return journal.newest()[0]


def new_events(journal: Journal, after: int, last: int) -> Iterator[tuple[str, Event]]:
    """Yield the events in the journal's rows with `after` < seq <= `last`, each as (agent, event).

    Rows whose process died are left out: they tell nothing about the answers of a model.
    """
    while rows := journal.page(_NEW_ROWS, (after, last, INTERRUPTED, _PAGE_ROWS), _PAGE_BYTES):
        for row in rows:
            for event in _events_of(row):
                yield row["agent"] or UNKNOWN, event
        after = rows[-1]["seq"]


def _events_of(row: Row) -> Iterator[Event]:
    at_ns = row["end_ns"] or row["start_ns"]
    if row["type"] == "generation":
        yield _call(row, at_ns)
    elif row["name"] == "trading_signal":
        yield _decision(row, at_ns)
    if row["is_root"]:
        yield TraceEnd(at_ns, row["trace_id"], bool(row["decided"]) if row["answered"] else None)


def _call(row: Row, at_ns: int) -> Call:
    failed, output = row["level"] == "ERROR", row["output"]
    return Call(
        at_ns,
        row["trace_id"],
        failed,
        not failed and _is_refused(row["finish_reason"], output, row["level"]),
        None if failed or not row["end_ns"] else (row["end_ns"] - row["start_ns"]) / 1e9,
        row["cost_usd"],
        None if failed or not output else blake2b(output.encode(), digest_size=8).hexdigest(),
    )


def _is_refused(finish_reason: Any, output: str | None, level: str) -> bool:
    if str(finish_reason).lower() in _REFUSALS:
        return True
    if output is None:  # the answer was empty (level WARNING), or the settings keep answers unrecorded
        return level == "WARNING"
    return output in _EMPTY or _REFUSAL.match(output) is not None


def _decision(row: Row, at_ns: int) -> DecisionEvent:
    try:
        fields = json.loads(row["signal"] or "{}")
    except ValueError:  # a placeholder replaced the signal, because redaction failed
        fields = {}
    confidence = fields.get("signal_confidence")
    return DecisionEvent(
        at_ns,
        row["trace_id"],
        str(fields.get("signal_action")),
        float(confidence) if isinstance(confidence, (int, float)) and 0 <= confidence <= 100 else None,
        str(fields.get("trading_symbol") or ""),
        fields.get("signal_valid") is True,
    )
