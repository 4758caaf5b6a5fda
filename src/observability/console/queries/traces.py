"""
🌙 Moon Dev's Console Queries
Built with love by Moon Dev 🚀

Everything that the console asks the journal: all its SQL.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...journal import Journal, JournalError, Row
from .listing import Listed, listed


class Trace(NamedTuple):
    """One trace: its observations in order of their start, and its scores."""

    id: str
    observations: list[Row]
    scores: list[Row]


class Chosen(NamedTuple):
    """Which traces: of a session, an agent, a model, begun since a time (Unix nanoseconds), the newest `limit`."""

    session: str | None = None
    agent: str | None = None
    model: str | None = None
    since_ns: int = 0
    limit: int = 20


def oldest_ns(journal: Journal) -> int | None:
    """When the oldest observation began (Unix nanoseconds); None where there is none."""
    found: int | None = journal.select("SELECT min(start_ns) AS began FROM observations")[0]["began"]
    return found


def newest_session(journal: Journal) -> str | None:
    """The session that began something last."""
    found = journal.select("SELECT session_id FROM observations ORDER BY start_ns DESC LIMIT 1")
    return found[0]["session_id"] if found else None


def names(journal: Journal, column: str) -> list[str]:
    """What agents or models (`column`: agent, model) there are, of all time."""
    found = journal.select(f"SELECT DISTINCT {column} AS name FROM hourly WHERE {column} <> '' ORDER BY name")
    return [row["name"] for row in found]


def name_like(journal: Journal, column: str, name: str) -> str | None:
    """How an agent or model of this name, in capitals or not, is written; a look at every row where none has called."""
    asked = name.casefold()
    if alike := [each for each in names(journal, column) if each.casefold() == asked]:
        return name if name in alike else alike[0]
    query = f"SELECT {column} AS name FROM observations WHERE {column} = ? COLLATE NOCASE LIMIT 1"
    found = journal.select(query, (name,))
    return found[0]["name"] if found else None


# Along the index of starts: of each trace the first row, until there are enough.
_TRACES = """
SELECT trace_id FROM observations AS o WHERE start_ns >= :since_ns
    AND NOT EXISTS (SELECT 1 FROM observations AS e WHERE e.trace_id = o.trace_id
        AND (e.start_ns, e.seq) < (o.start_ns, o.seq))
    AND (:session IS NULL OR session_id = :session)
    AND (:agent IS NULL OR EXISTS (SELECT 1 FROM observations AS a WHERE a.trace_id = o.trace_id AND a.agent = :agent))
    AND (:model IS NULL OR EXISTS (SELECT 1 FROM observations AS m WHERE m.trace_id = o.trace_id AND m.model = :model))
ORDER BY start_ns DESC LIMIT :limit
"""


def traces(journal: Journal, chosen: Chosen) -> Iterator[Trace]:
    """The newest traces that were chosen, the oldest of them first."""
    for trace_id in _chosen_ids(journal, chosen):
        yield trace(journal, trace_id)


_IN_A_LINE = """
SELECT trace_id, trace_name, type, name, agent, model, start_ns, end_ns, level, status_message, metadata, usage,
    cost_usd
FROM observations WHERE trace_id = ? ORDER BY start_ns, seq
"""


def listed_traces(journal: Journal, chosen: Chosen) -> list[Listed]:
    """The same traces, a line of each: no prompt and no answer is read."""
    found = [journal.select(_IN_A_LINE, (trace_id,)) for trace_id in _chosen_ids(journal, chosen)]
    return [listed([_decoded(row) for row in rows]) for rows in found if rows]


def _decoded(row: Row) -> Row:
    return {**row, **{name: json.loads(row[name] or "null") for name in ("metadata", "usage")}}


def _chosen_ids(journal: Journal, chosen: Chosen) -> list[str]:
    return [row["trace_id"] for row in reversed(journal.select(_TRACES, chosen._asdict()))]


def trace(journal: Journal, trace_id: str) -> Trace:
    """One trace by its full id."""
    return Trace(
        trace_id, journal.observations("trace_id = ?", (trace_id,)), journal.scores("trace_id = ?", (trace_id,))
    )


def trace_named(journal: Journal, name: str) -> Trace:
    """A trace by its id, the beginning of it, or `last`. Raises JournalError where that names none, or several."""
    return trace(journal, trace_id_named(journal, name))


def trace_id_named(journal: Journal, name: str) -> str:
    """The full id of a trace, by its id, the beginning of it, or `last`. Raises JournalError as `trace_named` does."""
    if name == "last":
        found = journal.select("SELECT trace_id FROM observations ORDER BY start_ns DESC LIMIT 1")
    elif re.fullmatch(r"[0-9a-f]{1,32}", name.lower()):
        query = "SELECT DISTINCT trace_id FROM observations WHERE trace_id BETWEEN ? AND ? LIMIT 2"
        found = journal.select(query, (name.lower(), name.lower().ljust(32, "f")))
    else:
        raise JournalError("A trace is named by its id (up to 32 hex digits), the beginning of it, or `last`")
    if len(found) != 1:
        what = "Several traces begin" if found else "No trace begins"
        raise JournalError(f"{what} so: `python -m src.observability traces` lists them")
    return str(found[0]["trace_id"])


_CALL = "FROM observations AS g WHERE g.trace_id = o.trace_id AND g.type = 'generation'"
_SIGNAL = "name = 'trading_signal' AND {0}.type = 'event'"
# A trace's cost is known where some call has a price, and each of the others has one or failed. Cost and outcome are of
# its last BUY or SELL that could be acted on, else of its last decision: that one stands for the trace.
_DECISION = f"""
SELECT * FROM (SELECT o.start_ns, o.trace_id, o.agent, o.metadata, o.level,
    (SELECT g.model {_CALL} AND g.start_ns <= o.start_ns ORDER BY g.start_ns DESC LIMIT 1) AS model,
    (SELECT count(*) {_CALL}) AS calls,
    (SELECT CASE WHEN NOT max(g.cost_usd IS NULL AND g.level <> 'ERROR') THEN sum(g.cost_usd) END {_CALL}) AS cost_usd,
    (SELECT value FROM scores s WHERE s.trace_id = o.trace_id AND s.name = 'pnl_usd' LIMIT 1) AS pnl_usd,
    (SELECT value FROM scores s WHERE s.trace_id = o.trace_id AND s.name = 'pnl_pct' LIMIT 1) AS pnl_pct,
    o.seq = (SELECT d.seq FROM observations AS d WHERE d.trace_id = o.trace_id AND d.{_SIGNAL.format("d")}
        ORDER BY json_extract(d.metadata, '$.signal_valid') AND json_extract(d.metadata, '$.signal_action')
            IN ('BUY', 'SELL') DESC, d.seq DESC LIMIT 1) AS stands
FROM observations o WHERE o.{_SIGNAL.format("o")} AND o.start_ns >= :since_ns
    AND (:agent IS NULL OR o.agent = :agent)) WHERE :model IS NULL OR model = :model ORDER BY start_ns DESC LIMIT :limit
"""


def decisions(journal: Journal, chosen: Chosen) -> list[Row]:
    """The newest signals, the oldest of them first: NOTHING and unparsable ones included."""
    found = journal.select(_DECISION, chosen._asdict())
    return [
        {**row, "metadata": json.loads(row["metadata"] or "{}"), "stands": bool(row["stands"])}
        for row in reversed(found)
    ]


def as_json(found: Trace) -> dict[str, Any]:
    """A trace for scripts."""
    return {"id": found.id, "observations": found.observations, "scores": found.scores}
