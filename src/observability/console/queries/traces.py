"""Reads traces, and the names of agents and models."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ...journal import INTERRUPTED, Journal, JournalError, Row
from ..signal import Signal, signal_of
from .filter import IS_MODEL, STARTED, Filter, source, traces_of
from .text import newest
from .totals import tokens_in_and_out

_LEVELS = ("DEBUG", "DEFAULT", "WARNING", "ERROR")


class Trace(NamedTuple):
    """A trace, with its observations in order of their start, and its scores."""

    id: str
    observations: list[Row]
    scores: list[Row]
    address: str | None  # URL in Langfuse; None if an observation is not shipped or the project's id is unknown

    @property
    def outcomes(self) -> list[Row]:
        """The trace's scores without those of a trading signal (its action and confidence)."""
        return [score for score in self.scores if score["name"] not in ("signal_action", "signal_confidence")]

    def as_json(self) -> dict[str, Any]:
        """Return the trace as a dict, which scripts get as JSON."""
        return self._asdict()


class TraceLine(NamedTuple):
    """A trace summarised in one line. A field is None if its value is unknown."""

    id: str
    start_ns: int  # Unix nanoseconds
    took_ns: int | None  # None while any observation is open
    interrupted: bool  # whether the recording process died, so that the real duration is unknown
    name: str  # the agent's name; the trace's own name if no agent is known
    model: str | None  # model of the last call
    signal: Signal | None  # the last valid BUY or SELL, else the last decision; None without a decision
    tokens: tuple[int, int] | None  # sums of input and output tokens over the calls that report usage
    calls: int
    cost_usd: float | None  # None if a successful call has no price, or no call has a price
    level: str  # worst level


def oldest_ns(journal: Journal) -> int | None:
    """Return when the oldest observation started, in Unix nanoseconds; None if the journal is empty."""
    oldest: int | None = journal.select("SELECT min(start_ns) AS start_ns FROM observations")[0]["start_ns"]
    return oldest


def newest_session(journal: Journal) -> str | None:
    """Return the newest observation's session; None if that observation has no session, or the journal is empty."""
    newest = journal.select("SELECT session_id FROM observations ORDER BY start_ns DESC LIMIT 1")
    return newest[0]["session_id"] if newest else None


def names(journal: Journal, column: str) -> list[str]:
    """Return the names of all agents (if `column` is `agent`) or of all models (if it is `model`) in the journal."""
    requested = "UNION SELECT requested FROM model_names" if column == "model" else ""
    rows = journal.select(f"SELECT {column} AS name FROM hourly WHERE {column} <> '' {requested} GROUP BY 1 ORDER BY 1")
    return [row["name"] for row in rows]


def name_like(journal: Journal, column: str, name: str) -> str | None:
    """Return an agent's or model's name as the journal spells it, whatever the case of `name`; None if it is unknown.

    If no call has the name, all observations are scanned.
    """
    matches = [existing for existing in names(journal, column) if existing.casefold() == name.casefold()]
    if matches:
        return name if name in matches else matches[0]
    rows = journal.select(
        f"SELECT {column} AS name FROM observations WHERE {column} = ? COLLATE NOCASE LIMIT 1", (name,)
    )
    return rows[0]["name"] if rows else None


# `_NEWEST` walks the index on start_ns backwards, and keeps rows that are the earliest of their trace, up to `limit`.
_IN_TRACE = "EXISTS (SELECT 1 FROM observations AS m WHERE m.trace_id = o.trace_id AND {0})"
_NEWEST = f"""
SELECT trace_id FROM {{0}} WHERE {STARTED}
    AND NOT EXISTS (SELECT 1 FROM observations AS e WHERE e.trace_id = o.trace_id
        AND (e.start_ns, e.seq) < (o.start_ns, o.seq))
    AND (:session IS NULL OR session_id = :session)
    AND (:agent IS NULL OR {_IN_TRACE.format("m.agent = :agent")})
    AND (:model IS NULL OR {_IN_TRACE.format(IS_MODEL)})
    AND {traces_of("o")}
ORDER BY start_ns DESC LIMIT :limit
"""
_LINE = """
SELECT trace_id, trace_name, type, name, agent, model, start_ns, end_ns, level, status_message, metadata, usage,
    cost_usd
FROM observations WHERE trace_id = ? ORDER BY start_ns, seq
"""


def newest_traces(journal: Journal, rows: Filter, session: str | None, limit: int) -> Iterator[Trace]:
    """Yield the `limit` newest traces that match, the oldest of them first."""
    for trace_id in _newest_ids(journal, rows, session, limit):
        yield trace(journal, trace_id)


def newest_trace_lines(journal: Journal, rows: Filter, session: str | None, limit: int) -> list[TraceLine]:
    """Return the `limit` newest traces that match, each as one line, the oldest of them first."""
    return lines_of(journal, _newest_ids(journal, rows, session, limit))


def _newest_ids(journal: Journal, rows: Filter, session: str | None, limit: int) -> list[str]:
    def read(rows: Filter) -> list[Row]:
        query = _NEWEST.format(source(rows, "observations", "o"))
        return journal.select(query, rows.parameters(session=session, limit=limit))

    return [row["trace_id"] for row in reversed(newest(journal, rows, limit, read))]


def lines_of(journal: Journal, trace_ids: Iterable[str]) -> list[TraceLine]:
    """Summarise each trace in one line. Prompts and answers are not read for this."""
    traces = [journal.select(_LINE, (trace_id,)) for trace_id in trace_ids]
    return [_trace_line([_decoded(row) for row in trace]) for trace in traces if trace]


def _decoded(row: Row) -> Row:
    return {**row, **{name: json.loads(row[name] or "null") for name in ("metadata", "usage")}}


def _trace_line(rows: Sequence[Row]) -> TraceLine:
    """Summarise a trace's observations, given in order of their start."""
    calls = [row for row in rows if row["type"] == "generation"]
    ends = [row["end_ns"] for row in rows]
    return TraceLine(
        id=rows[0]["trace_id"],
        start_ns=rows[0]["start_ns"],
        took_ns=None if None in ends else max(ends) - rows[0]["start_ns"],
        interrupted=any(row["status_message"] == INTERRUPTED for row in rows),
        name=next((row["agent"] for row in rows if row["agent"]), rows[0]["trace_name"]),
        model=calls[-1]["model"] if calls else None,
        signal=_signal(rows),
        tokens=_tokens(calls),
        calls=len(calls),
        cost_usd=_cost(calls),
        level=max((row["level"] for row in rows), key=_LEVELS.index),
    )


def _cost(calls: Sequence[Row]) -> float | None:
    """Return the total cost of calls in USD; None if a successful call has no price, or if no call has a price."""
    costs = [call["cost_usd"] for call in calls if call["cost_usd"] is not None]
    unpriced = any(call["cost_usd"] is None and call["level"] != "ERROR" for call in calls)
    return None if unpriced or not costs else sum(costs)


def _tokens(calls: Sequence[Row]) -> tuple[int, int] | None:
    counts = [tokens_in_and_out(call["usage"]) for call in calls if call["usage"]]
    return (sum(count for count, _ in counts), sum(count for _, count in counts)) if counts else None


def _signal(rows: Sequence[Row]) -> Signal | None:
    """Return a trace's last valid BUY or SELL; without one, its last decision of any kind."""
    signals = [signal_of(row["metadata"]) for row in rows if row["name"] == "trading_signal" and row["type"] == "event"]
    trades = [signal for signal in signals if signal.valid and signal.action in ("BUY", "SELL")]
    return next(reversed(trades or signals), None)


def trace(journal: Journal, trace_id: str) -> Trace:
    """Return a trace by its full id."""
    rows = journal.observations("trace_id = ?", (trace_id,))
    is_shipped = rows and all(row["state"] == "shipped" for row in rows)
    address = journal.trace_address(rows[0]["destination"], trace_id) if is_shipped else None
    return Trace(trace_id, rows, journal.scores("trace_id = ?", (trace_id,)), address)


def trace_id_named(journal: Journal, name: str) -> str:
    """Return the full id of the trace whose id starts with `name`; the name `last` means the newest trace.

    Raises:
        JournalError: no trace matches, or several traces match.
    """
    matches = trace_ids_named(journal, name)
    if len(matches) > 1:
        cure = f"`python -m src.observability trace {name}` lists them"
        raise JournalError(f"Several trace ids start with {name!r}: {cure}")
    return matches[0]


def trace_ids_named(journal: Journal, name: str, limit: int = 2) -> list[str]:
    """Return the full ids of at most `limit` traces whose id starts with `name`; `last` means the newest trace.

    Raises:
        JournalError: no trace matches.
    """
    if name == "last":
        matches = journal.select("SELECT trace_id FROM observations ORDER BY start_ns DESC LIMIT 1")
    elif re.fullmatch(r"[0-9a-f]{1,32}", name.lower()):
        query = "SELECT DISTINCT trace_id FROM observations WHERE trace_id BETWEEN ? AND ? LIMIT ?"
        matches = journal.select(query, (name.lower(), name.lower().ljust(32, "f"), limit))
    else:
        raise JournalError(f"{name[:40]!r} is not a trace id: give the first hex digits of one (up to 32), or `last`")
    if not matches:
        raise JournalError(f"No trace id starts with {name!r}: `python -m src.observability traces` lists all traces")
    return [str(row["trace_id"]) for row in matches]
