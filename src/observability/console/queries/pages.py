"""Reads the journal page by page: each page is a short read, so that no writer waits and memory stays small."""

from collections.abc import Iterator
from typing import Any

from ...journal import Journal, Row
from .filter import ROWS, Filter, rows_of, traces_of

PAGE_BYTES = 8 * 1024 * 1024  # a page has at most this many bytes of text

_OBSERVATIONS = f"FROM observations WHERE seq > :after AND seq <= :last AND state <> 'open' AND {ROWS}"
# A score matches an agent or a model if an observation of the score's trace has that agent or model.
_OF_TRACE = "EXISTS (SELECT 1 FROM observations AS o WHERE o.trace_id = scores.trace_id AND o.{0} = :{0})"
_SCORES = f"""
FROM scores WHERE seq > :after AND seq <= :last AND timestamp_ns >= :since_ns AND timestamp_ns < :until_ns
    AND (:agent IS NULL OR {_OF_TRACE.format("agent")}) AND (:model IS NULL OR {_OF_TRACE.format("model")})
    AND {traces_of("scores")}
"""


def observation_pages(journal: Journal, rows: Filter, limit: int | None, page_rows: int) -> Iterator[list[Row]]:
    """Yield the newest `limit` ended observations (None: all) in pages, in order of arrival. JSON columns are text."""
    return _pages(journal, _OBSERVATIONS, journal.newest()[0], rows, limit, page_rows)


def score_pages(journal: Journal, rows: Filter, limit: int | None, page_rows: int) -> Iterator[list[Row]]:
    """Yield the newest `limit` scores (None: all) in pages, in order of arrival."""
    return _pages(journal, _SCORES, journal.newest()[1], rows, limit, page_rows)


def _pages(
    journal: Journal, source: str, last: int, rows: Filter, limit: int | None, page_rows: int
) -> Iterator[list[Row]]:
    values = rows.parameters(last=last, limit=limit, page_rows=page_rows, after=0)
    if limit is not None:
        values["after"] = _before_newest(journal, source, values)
    while page := journal.page(f"SELECT * {source} ORDER BY seq LIMIT :page_rows", values, PAGE_BYTES):
        yield page
        values["after"] = page[-1]["seq"]


def _before_newest(journal: Journal, source: str, values: dict[str, Any]) -> int:
    query = f"SELECT min(seq) AS first FROM (SELECT seq {source} ORDER BY seq DESC LIMIT :limit)"
    return int(journal.select(query, values)[0]["first"] or 1) - 1


# An error or warning that repeats the message of its child observation is left out.
_NEWS = f"""
SELECT seq, trace_id, start_ns, end_ns, agent, type, name, level, status_message, metadata, model
FROM attributed AS o WHERE seq > :after AND seq <= :last AND state <> 'open' AND {rows_of("o")}
    AND (type = 'event' AND name = 'trading_signal' OR level IN ('ERROR', 'WARNING'))
    AND NOT EXISTS (SELECT 1 FROM observations AS c WHERE c.trace_id = o.trace_id AND c.parent_id = o.id
        AND c.agent IS o.agent AND c.level = o.level AND c.status_message = o.status_message)
ORDER BY seq DESC LIMIT :limit
"""


def newest_ended(journal: Journal) -> int:
    """Return the highest `seq` of an ended observation.

    Open observations are left out: one that ends may get a new `seq`, and another row may then get the old `seq`.
    """
    newest = journal.select("SELECT seq FROM observations WHERE state <> 'open' ORDER BY seq DESC LIMIT 1")
    return int(newest[0]["seq"]) if newest else 0


def news(journal: Journal, rows: Filter, after: int, last: int, limit: int) -> list[Row]:
    """Return the newest `limit` decisions, errors and warnings with `after` < `seq` <= `last`, oldest first."""
    return list(reversed(journal.select(_NEWS, rows.parameters(after=after, last=last, limit=limit))))
