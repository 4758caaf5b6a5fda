"""
🌙 Moon Dev's Console Queries
Built with love by Moon Dev 🚀

Everything that the console asks the journal: all its SQL.
"""

import json
import re
from typing import Any, NamedTuple

from src.observability.console.figures import Figures, figures
from src.observability.journal import Journal, JournalError, Row


class Trace(NamedTuple):
    """One trace: its observations in order of their start, and its scores."""

    id: str
    observations: list[Row]
    scores: list[Row]


class Chosen(NamedTuple):
    """Which traces: of a session, an agent, begun since a time (Unix nanoseconds), the newest `limit`."""

    session: str | None = None
    agent: str | None = None
    since_ns: int = 0
    limit: int = 20


def newest_session(journal: Journal) -> str | None:
    """The session that began something last."""
    found = journal.select("SELECT session_id FROM observations ORDER BY start_ns DESC LIMIT 1")
    return found[0]["session_id"] if found else None


def traces(journal: Journal, chosen: Chosen) -> list[Trace]:
    """The newest traces that were chosen, the oldest of them first."""
    found = journal.select(
        "SELECT trace_id, min(start_ns) AS began FROM observations"
        " WHERE start_ns >= :since_ns AND (:session IS NULL OR session_id = :session)"
        " AND (:agent IS NULL OR agent = :agent) GROUP BY trace_id ORDER BY began DESC LIMIT :limit",
        chosen._asdict(),
    )
    return [trace(journal, row["trace_id"]) for row in reversed(found)]


def trace(journal: Journal, trace_id: str) -> Trace:
    """One trace by its full id."""
    return Trace(
        trace_id, journal.observations("trace_id = ?", (trace_id,)), journal.scores("trace_id = ?", (trace_id,))
    )


def trace_named(journal: Journal, name: str) -> Trace:
    """A trace by its id, the beginning of it, or `last`. Raises JournalError where that names none, or several."""
    if name == "last":
        found = journal.select("SELECT trace_id FROM observations ORDER BY start_ns DESC LIMIT 1")
    elif re.fullmatch(r"[0-9a-f]{1,32}", name.lower()):
        query = "SELECT DISTINCT trace_id FROM observations WHERE trace_id BETWEEN ? AND ? LIMIT 2"
        found = journal.select(query, (name.lower(), name.lower().ljust(32, "f")))
    else:
        raise JournalError("A trace is named by its id (up to 32 hex digits), the beginning of it, or `last`")
    if len(found) != 1:
        what = "several traces begin" if found else "no trace begins"
        raise JournalError(f"There {what} so: `python -m src.observability traces` lists them")
    return trace(journal, found[0]["trace_id"])


_DECISION = """
SELECT o.start_ns, o.trace_id, o.agent, o.metadata, o.level,
    (SELECT g.model FROM observations g WHERE g.trace_id = o.trace_id AND g.type = 'generation'
     AND g.start_ns <= o.start_ns ORDER BY g.start_ns DESC LIMIT 1) AS model,
    (SELECT sum(g.cost_usd) FROM observations g WHERE g.trace_id = o.trace_id AND g.type = 'generation') AS cost_usd
FROM observations o WHERE o.name = 'trading_signal' AND o.type = 'event' AND o.start_ns >= :since_ns
    AND (:agent IS NULL OR o.agent = :agent) ORDER BY o.start_ns DESC LIMIT :limit
"""


def decisions(journal: Journal, chosen: Chosen) -> list[Row]:
    """The newest signals, the oldest of them first: NOTHING and unparsable ones included."""
    found = journal.select(_DECISION, {"since_ns": chosen.since_ns, "agent": chosen.agent, "limit": chosen.limit})
    return [{**row, "metadata": json.loads(row["metadata"] or "{}")} for row in reversed(found)]


# What figures are summed by: SQL over one observation.
GROUPS = {
    "agent": "agent",
    "model": "model",
    "provider": "provider",
    "session": "session_id",
    "day": "strftime('%Y-%m-%d', start_ns / 1000000000, 'unixepoch')",
}


def figures_by(journal: Journal, by: str, since_ns: int) -> list[Figures]:
    """What the calls of each group cost, and how they went."""
    generations = journal.select(
        f"SELECT {GROUPS[by]} AS grp, level, usage, cost_usd, start_ns, end_ns FROM observations"
        " WHERE type = 'generation' AND start_ns >= ?",
        (since_ns,),
    )
    signals = journal.select(
        f"SELECT {GROUPS[by]} AS grp, count(*) AS found FROM observations"
        " WHERE name = 'trading_signal' AND start_ns >= ? GROUP BY grp",
        (since_ns,),
    )
    return figures(generations, {row["grp"]: row["found"] for row in signals})


def as_json(found: Trace) -> dict[str, Any]:
    """A trace for scripts."""
    return {"id": found.id, "observations": found.observations, "scores": found.scores}
