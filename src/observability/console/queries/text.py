"""The traces in which a text occurs: in a prompt, an answer, the reason of a decision or an error."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ...journal import Journal, JournalError, Row
from .filter import Filter

_PAGE_ROWS = 2_000
_PAGE_BYTES = 8 * 1024 * 1024
_TEXTS = "trace_id, input, output, status_message, json_extract(metadata, '$.signal_reasoning') AS reason"
_WORD = r"[^\W_]"  # a letter or digit


def with_traces(journal: Journal, rows: Filter) -> Filter:
    """Find the traces with the filter's text, in any observation of its period.

    Raises:
        JournalError: the text has neither letter nor digit.
    """
    if rows.text is None:
        return rows
    return rows._replace(traces=json.dumps([*_scanned(journal, pattern_of(rows.text), rows)]))


def traces_with(journal: Journal, text: str, trace_ids: Iterable[str]) -> set[str]:
    """Return those of some traces in which the text occurs."""
    pattern = pattern_of(text)
    query = f"SELECT {_TEXTS} FROM observations WHERE trace_id IN (SELECT value FROM json_each(?))"
    return set(_matching(journal.select(query, (json.dumps([*trace_ids]),)), pattern))


def pattern_of(text: str) -> "re.Pattern[str]":
    """The words of `text` one after the other, in any case and with anything but words between; the last may go on.

    Raises:
        JournalError: there is no word.
    """
    words = re.findall(rf"{_WORD}+", text)
    if not words:
        raise JournalError(f"--text {text[:40]!r} has no word: give at least one letter or digit")
    return re.compile(rf"(?<!{_WORD})" + r"[\W_]+".join(map(re.escape, words)), re.IGNORECASE)


def _scanned(journal: Journal, pattern: "re.Pattern[str]", rows: Filter) -> set[str]:
    query = (
        f"SELECT seq, start_ns, {_TEXTS} FROM observations WHERE start_ns >= :since_ns AND start_ns < :until_ns"
        " AND (start_ns, seq) > (:after_ns, :after) ORDER BY start_ns, seq LIMIT :page_rows"
    )
    values = rows.parameters(after_ns=-(2**63), after=0, page_rows=_PAGE_ROWS)
    traces: set[str] = set()
    while page := journal.page(query, values, _PAGE_BYTES):
        traces.update(_matching(page, pattern))
        values |= {"after_ns": page[-1]["start_ns"], "after": page[-1]["seq"]}
    return traces


def _matching(page: Iterable[Row], pattern: "re.Pattern[str]") -> Iterator[str]:
    return (row["trace_id"] for row in page if pattern.search(text_of_row(row)))


def text_of_row(row: Row) -> str:
    """All texts of a row, one a line."""
    documents = (json.loads(row[name] or "null") for name in ("input", "output"))
    texts = (text for document in (*documents, row["reason"], row["status_message"]) for text in _texts(document))
    return "\n".join(texts)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)
