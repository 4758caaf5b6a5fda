"""Finds the traces that contain a text: in a prompt, an answer, an error or a decision's reason.

The search index contains most rows. Rows missing from the index are read one by one. During its first
`_FILL_SECONDS`, a search also adds the missing rows to the index.
"""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from typing import TypeVar

from ...journal import (
    SEARCHED_COLUMNS,
    WORD,
    Journal,
    JournalError,
    SearchIndex,
    open_index,
    text_of_row,
    words_of,
)
from ...terminal import warn
from .filter import Filter

_PAGE_ROWS = 1_000
_PAGE_BYTES = 8 * 1024 * 1024
_FILL_SECONDS = 5.0  # how long one search may add rows to the index
_MANY_ROWS = 10_000  # if a search reads more rows than this outside the index, a message is printed
# To find the newest N items, a search first collects N times this many matching traces, and then reads their items.
_TRACES_AN_ITEM = 20
_Item = TypeVar("_Item")


def with_traces(journal: Journal, rows: Filter) -> Filter:
    """Return the filter with `traces` set to all traces with an observation in the period that contains the text.

    Raises:
        JournalError: the text has neither letter nor digit.
    """
    if rows.text is None:
        return rows
    traces: set[str] = set()
    for traces in _Search(journal, rows.text).run(*_range_of(journal, rows)):  # noqa: B007 - the last set is complete
        pass
    return _with(rows, traces)


def newest(journal: Journal, rows: Filter, limit: int, read: Callable[[Filter], list[_Item]]) -> list[_Item]:
    """Read the newest `limit` items that match a filter. If the filter has a text, search only as far back as needed.

    Raises:
        JournalError: the text has neither letter nor digit.
    """
    if rows.text is None or rows.traces is not None:
        return read(rows)
    traces: set[str] = set()
    enough = _TRACES_AN_ITEM * limit
    for traces in _Search(journal, rows.text).run(*_range_of(journal, rows)):
        if len(traces) >= enough:
            items = read(_with(rows, traces))
            if len(items) >= limit:
                return items
            enough *= 8
    return read(_with(rows, traces))


def _with(rows: Filter, traces: set[str]) -> Filter:
    return rows._replace(traces=json.dumps([*traces]))


def traces_with(journal: Journal, text: str, trace_ids: Iterable[str]) -> set[str]:
    """Return the traces among `trace_ids` that contain the text."""
    pattern = _pattern_of(_words(text))
    query = f"SELECT trace_id, {SEARCHED_COLUMNS} FROM observations WHERE trace_id IN (SELECT value FROM json_each(?))"
    rows = journal.select(query, (json.dumps([*trace_ids]),))
    return {row["trace_id"] for row in rows if pattern.search(text_of_row(row))}


class _Search:
    """One search for a text. It uses the index, and reads rows that are missing from the index one by one."""

    def __init__(self, journal: Journal, text: str) -> None:
        self._journal, self._words = journal, _words(text)
        self._pattern = _pattern_of(self._words)
        self._fill_until = time.monotonic() + _FILL_SECONDS
        self._rows_read = 0

    def run(self, first: int, last: int) -> Iterator[set[str]]:
        """Search the rows with a `seq` from `first` to `last` for the text, in parts, newest part first.

        After each part, yield the set of all traces found so far.
        """
        traces: set[str] = set()
        index = open_index(self._journal.path)
        with closing(index) if index else nullcontext():
            for begin, end in SearchIndex.parts(first, last):
                traces |= self._traces_of(index, begin, end)
                yield traces
        if self._rows_read > _MANY_ROWS:
            without = "without a search index: OBSERVABILITY_SEARCH is off, or the index cannot be opened"
            how = "not yet in the search index. Some are in it now, so the next search is faster" if index else without
            warn(f"🔎 Read {self._rows_read:,} rows {how}", "cyan")

    def _traces_of(self, index: SearchIndex | None, begin: int, end: int) -> set[str]:
        try:
            upto = index.last_seq(begin) if index else begin - 1
            traces = index.traces_with(self._words, begin) if index and upto >= begin else set()
        except sqlite3.Error:  # the index is damaged, or was removed by another process: read the journal instead
            index, upto, traces = None, begin - 1, set()
        return traces | self._read(index, upto + 1, end)

    def _read(self, index: SearchIndex | None, begin: int, end: int) -> set[str]:
        """Search a range of rows without the index. Until `_fill_until`, also add the rows to the index."""
        traces: set[str] = set()
        while begin <= end:
            page = self._journal.page(_PAGE, {"begin": begin, "end": end, "rows": _PAGE_ROWS}, _PAGE_BYTES)
            texts = [(row["seq"], row["trace_id"], text_of_row(row)) for row in page]
            traces.update(trace_id for _, trace_id, text in texts if self._pattern.search(text))
            self._rows_read += len(page)
            upto = page[-1]["seq"] if page else end
            is_late = time.monotonic() >= self._fill_until
            # The index must not have gaps: once a page is not added to it, no later page is added.
            index = self._fill(index, texts, upto) if index and not is_late else None
            begin = upto + 1
        return traces

    def _fill(self, index: SearchIndex, texts: Sequence[tuple[int, str, str]], upto: int) -> SearchIndex | None:
        seqs = json.dumps([seq for seq, _, _ in texts])
        query = "SELECT seq FROM observations WHERE seq IN (SELECT value FROM json_each(?))"
        try:
            index.add(texts, upto, lambda: {row["seq"] for row in self._journal.select(query, (seqs,))})
        except sqlite3.Error:
            return None
        return index


_ENDS = (("min", "first"), ("max", "last"))
_PAGE = (
    f"SELECT seq, trace_id, {SEARCHED_COLUMNS} FROM observations WHERE seq BETWEEN :begin AND :end"
    " ORDER BY seq LIMIT :rows"
)


def _range_of(journal: Journal, rows: Filter) -> tuple[int, int]:
    """Return the lowest and highest `seq` in the filter's period. The range is empty if the period has no row."""
    where = "WHERE start_ns >= :since_ns AND start_ns < :until_ns" if rows.is_bounded else ""
    first, last = (f"(SELECT {end}(seq) FROM observations {where}) AS {name}" for end, name in _ENDS)
    query = f"SELECT {first}, {last}"
    (ends,) = journal.select(query, rows.parameters())
    return (1, 0) if ends["first"] is None else (ends["first"], ends["last"])


def _words(text: str) -> list[str]:
    words = words_of(text)
    if not words:
        raise JournalError(f"--text {text[:40]!r} has no word: give at least one letter or digit")
    return words


def _pattern_of(words: Sequence[str]) -> "re.Pattern[str]":
    """Return a case-insensitive pattern that matches the words in order.

    Only non-word characters may separate them. The last word may be the beginning of a longer word.
    """
    return re.compile(rf"(?<!{WORD})" + r"[\W_]+".join(map(re.escape, words)), re.IGNORECASE)
