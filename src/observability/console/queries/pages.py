"""
🌙 Moon Dev's Paged Queries
Built with love by Moon Dev 🚀

The journal read from end to end, however large: a page at a time, each in a short read of its own, so that no writer
waits and memory stays small.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...journal import Journal, Row

PAGE_BYTES = 8 * 1024 * 1024  # of text


class Wanted(NamedTuple):
    """Which rows: of an agent, a model, begun since a time (Unix nanoseconds), the newest `limit` (None: all)."""

    agent: str | None = None
    model: str | None = None
    since_ns: int = 0
    limit: int | None = None


_OBSERVATIONS = """
FROM observations WHERE seq > :after AND seq <= :last AND state <> 'open' AND start_ns >= :since_ns
    AND (:agent IS NULL OR agent = :agent) AND (:model IS NULL OR model = :model)
"""
# A score's agent and model are those of the trace that it is about.
_SCORES = """
FROM scores WHERE seq > :after AND seq <= :last AND timestamp_ns >= :since_ns
    AND (:agent IS NULL OR EXISTS (SELECT 1 FROM observations AS o WHERE o.trace_id = scores.trace_id
         AND o.agent = :agent))
    AND (:model IS NULL OR EXISTS (SELECT 1 FROM observations AS o WHERE o.trace_id = scores.trace_id
         AND o.model = :model))
"""


def observation_pages(journal: Journal, wanted: Wanted, rows: int) -> Iterator[list[Row]]:
    """Everything that had ended when this began, in order of arrival, JSON columns as text."""
    return _pages(journal, _OBSERVATIONS, journal.newest()[0], wanted, rows)


def score_pages(journal: Journal, wanted: Wanted, rows: int) -> Iterator[list[Row]]:
    """All scores there were when this began, in order of arrival."""
    return _pages(journal, _SCORES, journal.newest()[1], wanted, rows)


def _pages(journal: Journal, which: str, last: int, wanted: Wanted, rows: int) -> Iterator[list[Row]]:
    asked = {**wanted._asdict(), "last": last, "rows": rows, "after": 0}
    asked["after"] = _before_the_newest(journal, which, asked) if wanted.limit is not None else 0
    while page := journal.page(f"SELECT * {which} ORDER BY seq LIMIT :rows", asked, PAGE_BYTES):
        yield page
        asked["after"] = page[-1]["seq"]


def _before_the_newest(journal: Journal, which: str, asked: dict[str, Any]) -> int:
    query = f"SELECT min(seq) AS first FROM (SELECT seq {which} ORDER BY seq DESC LIMIT :limit)"
    return int(journal.select(query, asked)[0]["first"] or 1) - 1


_NEWS = """
SELECT * FROM (SELECT o.seq, o.trace_id, o.start_ns, o.end_ns, o.agent, o.type, o.name, o.level,
    o.status_message, o.metadata,
    CASE WHEN o.type = 'generation' THEN o.model ELSE (SELECT g.model FROM observations AS g
        WHERE g.trace_id = o.trace_id AND g.type = 'generation' AND g.start_ns <= o.start_ns
        ORDER BY g.start_ns DESC LIMIT 1) END AS model
FROM observations AS o WHERE o.seq > :after AND o.seq <= :last AND o.state <> 'open' AND o.start_ns >= :since_ns
    AND (o.type = 'event' AND o.name = 'trading_signal' OR o.level IN ('ERROR', 'WARNING'))
    AND NOT EXISTS (SELECT 1 FROM observations AS c WHERE c.trace_id = o.trace_id AND c.parent_id = o.id
        AND c.agent IS o.agent AND c.level = o.level AND c.status_message = o.status_message)
) WHERE (:agent IS NULL OR agent = :agent) AND (:model IS NULL OR model = :model) ORDER BY seq DESC LIMIT :rows
"""


def newest_ended(journal: Journal) -> int:
    """How far the ended observations have come. An open one's `seq` may be given to the one that it ends as."""
    found = journal.select("SELECT seq FROM observations WHERE state <> 'open' ORDER BY seq DESC LIMIT 1")
    return int(found[0]["seq"]) if found else 0


def news(journal: Journal, wanted: Wanted, after: int, last: int, rows: int) -> list[Row]:
    """Decisions, errors and warnings that arrived after one `seq` and up to another, the newest `rows` of them; what
    failed because a call within it did is the call's failure, told once."""
    asked = {**wanted._asdict(), "after": after, "last": last, "rows": rows}
    return list(reversed(journal.select(_NEWS, asked)))
