"""The search index: the words of prompts, answers, reasons and errors, in a file beside the journal (SQLite's FTS5).

The file is separate so that writing to it does not delay a recorder, and so that its loss does no harm. Searches fill
the index; agents never do. Each of its tables has the words of `PART_ROWS` rows of the journal. Once a row is deleted,
its table is dropped, and the next search fills a new one, so that no word outlives its row.
"""

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from .. import settings
from .file import identity_of

Row = dict[str, Any]

PART_ROWS = 8192
SEARCHED_COLUMNS = "input, output, status_message, json_extract(metadata, '$.signal_reasoning') AS reason"
WORD = r"[^\W_]"  # a letter or digit
# Longest time for which a search, and the recorder, wait while another process writes to the index.
_WAIT_SECONDS, _WAIT_OF_RECORDER_SECONDS = 5.0, 0.2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (number INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rows (seq INTEGER PRIMARY KEY, trace_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS journal (device INTEGER, inode INTEGER);
"""


class SearchIndex:
    """The search index of one journal; `open_index` creates it. Every method may raise `sqlite3.Error`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def close(self) -> None:
        """Close the index's file."""
        self._db.close()

    @staticmethod
    def parts(first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of the index that cover the rows from `first` to `last` (values of `seq`), newest part first.

        Each part is a pair: the part's first `seq`, and its last `seq`, or `last` if that is lower.
        """
        for number in range(last // PART_ROWS, first // PART_ROWS - 1, -1):
            yield number * PART_ROWS, min(number * PART_ROWS + PART_ROWS - 1, last)

    def last_seq(self, begin: int) -> int:
        """Return the last indexed `seq` of the part that begins at `begin`; `begin - 1` if none is indexed."""
        row = self._db.execute("SELECT last_seq FROM parts WHERE number = ?", (begin // PART_ROWS,)).fetchone()
        return int(row[0]) if row else begin - 1

    def add(self, rows: Sequence[tuple[int, str, str]], last_seq: int, left: Callable[[], set[int]]) -> None:
        """Add rows of one part to the index.

        Args:
            rows: the rows as (seq, trace id, text), in order of `seq`.
            last_seq: once this call returns, every row up to this `seq` is indexed, or deleted from the journal.
            left: returns the `seq` of the rows that are still in the journal. It is called while the index is locked:
                if a row is deleted later, `forget` waits and then drops its words.
        """
        number = last_seq // PART_ROWS
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            existing = left()
            rows = [row for row in rows if row[0] in existing]
            self._db.execute(_CREATE_PART.format(number))
            self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", [row[:2] for row in rows])
            words = [(seq, text) for seq, _, text in rows if text]
            self._db.executemany(f"INSERT INTO words_{number} (rowid, text) VALUES (?, ?)", words)
            self._db.execute("INSERT OR REPLACE INTO parts VALUES (?, ?)", (number, last_seq))

    def traces_with(self, words: Sequence[str], begin: int) -> set[str]:
        """Return the ids of the traces in which an indexed row has these words in succession.

        Only the part of the index that begins at `begin` is searched. The last word may be the beginning of a word.
        """
        query = '"{}" *'.format(" ".join(words))
        return {trace_id for (trace_id,) in self._db.execute(_MATCHES.format(begin // PART_ROWS), (query,))}

    def drop(self, seqs: Iterable[int]) -> None:
        """Drop every part of the index that contains one of these rows."""
        numbers = {seq // PART_ROWS for seq in seqs}
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for number in numbers:
                self._db.execute(f"DROP TABLE IF EXISTS words_{number}")
                between = (number * PART_ROWS, number * PART_ROWS + PART_ROWS - 1)
                self._db.execute("DELETE FROM rows WHERE seq BETWEEN ? AND ?", between)
            self._db.executemany("DELETE FROM parts WHERE number = ?", [(number,) for number in numbers])


_CREATE_PART = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS words_{} USING fts5"
    "(text, content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 0')"
)
_MATCHES = "SELECT DISTINCT trace_id FROM rows WHERE seq IN (SELECT rowid FROM words_{0} WHERE words_{0} MATCH ?)"


def open_index(journal: Path) -> SearchIndex | None:
    """Return the search index of a journal; None if OBSERVABILITY_SEARCH is off or SQLite has no FTS5."""
    path = path_of(journal)
    if not settings.setting("OBSERVABILITY_SEARCH"):
        _remove(path)
        return None
    for _ in range(2):  # the first attempt may fail and delete the file, if it is damaged or of another journal
        with suppress(sqlite3.Error):
            if (index := _opened(path, journal)) is not None:
                return index
        _remove(path)
    return None


def forget(journal: Path, seqs: Sequence[int]) -> None:
    """Drop the words of deleted rows from the index. If that fails, delete the whole index."""
    path = path_of(journal)
    if not path.exists() or not seqs:
        return
    try:
        with closing(_connected(path, _WAIT_OF_RECORDER_SECONDS)) as db:
            SearchIndex(db).drop(seqs)
    except sqlite3.Error:
        _remove(path)


def path_of(journal: Path) -> Path:
    """Return the path of a journal's search index."""
    return journal.with_name(f"{journal.name}.search")


def text_of_row(row: Row) -> str:
    """All texts of a row with the columns `SEARCHED_COLUMNS`, one per line."""
    documents = (json.loads(row[name] or "null") for name in ("input", "output"))
    texts = (text for document in (*documents, row["reason"], row["status_message"]) for text in _texts(document))
    return "\n".join(texts)


def words_of(text: str) -> list[str]:
    """The words of a text: runs of letters and digits."""
    return re.findall(rf"{WORD}+", text)


def _opened(path: Path, journal: Path) -> SearchIndex | None:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    db = _connected(path)
    try:
        db.executescript(_SCHEMA)
        db.execute("CREATE VIRTUAL TABLE temp.probe USING fts5(text)")  # fails if SQLite has no FTS5
        of, identity = db.execute("SELECT device, inode FROM journal").fetchone(), identity_of(journal) or (0, 0)
        if of is None:
            db.execute("INSERT INTO journal VALUES (?, ?)", identity)
        elif of != identity:
            db.close()
            return None
    except sqlite3.Error:
        db.close()
        raise
    return SearchIndex(db)


def _connected(path: Path, wait_seconds: float = _WAIT_SECONDS) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=wait_seconds, isolation_level=None)
    try:
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA synchronous = OFF")  # a crash may damage the index, which is then created anew
    except BaseException:
        db.close()
        raise
    return db


def _remove(path: Path) -> None:
    for suffix in ("-journal", "-wal", "-shm", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)
