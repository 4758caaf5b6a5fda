"""
🌙 Moon Dev's Trade Files
Built with love by Moon Dev 🚀

A CSV of trade results, line by line: what a line tells, or what is wrong with it. A broken line, be it an open quote
that swallows the lines below, costs that line alone.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

from ..journal import JournalError

_LARGEST_CELL = 16 * 2**20  # characters
_VALUES = ("pnl_usd", "pnl_pct", "note")


class Told(NamedTuple):
    """What a line tells, as it stands there; None where a cell is empty."""

    line: int
    trace: str
    pnl_usd: str | None
    pnl_pct: str | None
    note: str | None


class Broken(NamedTuple):
    """A line that cannot be taken, and why."""

    line: int
    why: str


def lines_of(trades: Path, column: str) -> Iterator[Told | Broken]:
    """Every line below the header, empty ones but left out.

    Args:
        trades: may be a pipe: it is read once.
        column: the one that names the trace; in any case, as the others.

    Raises:
        JournalError: where the file cannot be read, or its header lacks a column or has one twice.
    """
    try:
        with trades.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            yield from _lines(file, column.strip().lower(), trades)
    except JournalError:
        raise
    except OSError as error:
        raise JournalError(f"{trades} cannot be read: {error.strerror or error}") from None


def _lines(file: TextIO, column: str, trades: Path) -> Iterator[Told | Broken]:
    csv.field_size_limit(_LARGEST_CELL)
    first = file.readline()
    records = _records(_Lines(chain([first], file)), delimiter=max(",;\t", key=first.count))
    _, header = next(records, (1, []))
    names = [] if isinstance(header, csv.Error) else [name.strip().lower() for name in header]
    _check_header(names, column, trades)
    places = [names.index(name) if name in names else None for name in (column, *_VALUES)]
    for line, cells in records:
        if isinstance(cells, csv.Error):
            yield Broken(line, f"this is no CSV ({cells}): look at its quotes")
        elif any(cell.strip() for cell in cells[len(names) :]):
            yield Broken(line, f"{len(cells)} cells below {len(names)} columns")
        elif cells:
            yield _told(line, cells, places)


def _told(line: int, cells: list[str], places: list[int | None]) -> Told:
    trace, *values = ("" if at is None or at >= len(cells) else cells[at].strip() for at in places)
    return Told(line, trace, *(value or None for value in values))


def _check_header(names: list[str], column: str, trades: Path) -> None:
    if column not in names:
        raise JournalError(f"{trades} has no column {column!r}: name the one with the trace, --column NAME")
    if not {"pnl_usd", "pnl_pct"} & set(names):
        raise JournalError(f"{trades} has neither pnl_usd nor pnl_pct: name a column so")
    for name in (column, *_VALUES):
        if names.count(name) > 1:
            raise JournalError(f"{trades} has {names.count(name)} columns {name!r}: leave one of them")


class _Lines:
    """The lines of a file, numbered. A record may span several: where it turns out to be none, it is its first line
    that is broken, and the others are read once more."""

    def __init__(self, file: Iterable[str]) -> None:
        self._file, self._again = iter(file), deque[str]()
        self._record: list[str] = []
        self.number = 1  # of the record's first line

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._file)
        self._record.append(line)
        return line

    def begin(self) -> None:
        """What comes is the next record."""
        self.number += len(self._record)
        self._record.clear()

    def step_back(self) -> None:
        """The record was none: what comes is the line after its first."""
        self._again.extendleft(reversed(self._record[1:]))
        del self._record[1:]


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Each record, or what is wrong with it, and the number of its first line."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        found: list[str] | csv.Error
        try:
            found = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            found = error
            lines.step_back()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        yield lines.number, found
