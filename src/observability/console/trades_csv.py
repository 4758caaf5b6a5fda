"""Reads a CSV file of trade results, and combines the lines of each trace into one outcome."""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from .. import recording
from ..journal import Journal, JournalError, Row
from .queries import traces

if TYPE_CHECKING:
    from ..tracing import Score

_MAX_CELL = 16 * 2**20  # a cell may have at most this many characters
_VALUES = ("pnl_usd", "pnl_pct", "note")
_TRACE_ID = re.compile(r"[0-9a-f]{8,32}", re.IGNORECASE)  # a shorter number may be an exchange's order number


class TradeLine(NamedTuple):
    """A line of the file: its number and its cells. An empty cell is None, but an empty `trace` is an empty text."""

    line: int
    trace: str
    pnl_usd: str | None
    pnl_pct: str | None
    note: str | None


class BadLine(NamedTuple):
    """A line that cannot be imported, and the reason."""

    line: int
    why: str


class Repeats(Enum):
    """How to treat several lines for the same trace."""

    REFUSE = auto()
    ADD = auto()
    KEEP_LAST = auto()


class Trades(NamedTuple):
    """The content of a file: for each trace the scores of its outcome, and the lines that cannot be imported."""

    outcomes: list[list[Row]]
    bad_lines: list[BadLine]


def read_trades(journal: Journal, file: Path, column: str, repeats: Repeats) -> Trades:
    """Read and check the whole file without recording anything. The lines of a trace are accepted or rejected together.

    Args:
        file: the file; may be a pipe, since it is read only once.
        column: the column with the trace id (column names are case-insensitive).

    Raises:
        JournalError: the file cannot be read, or its header lacks or repeats a column.
    """
    outcomes: list[list[Row]] = []
    bad: list[BadLine] = []
    for trace_id, lines in _by_trace(journal, read_lines(file, column), bad).items():
        try:
            scores = _scores(trace_id, lines, repeats)
            # `None` means: if the trace is not in this journal, its scores get no destination.
            outcomes.append(recording.rows_of_outcome(journal, trace_id, scores, None))
        except ValueError as error:
            bad.extend(BadLine(line.line, str(error)) for line in lines)
    return Trades(outcomes, sorted(bad))


def _by_trace(
    journal: Journal, lines: Iterable[TradeLine | BadLine], bad: list[BadLine]
) -> dict[str, list[TradeLine]]:  # fmt: skip
    traces: dict[str, list[TradeLine]] = defaultdict(list)
    for line in lines:
        try:
            if isinstance(line, TradeLine):
                traces[_trace_id(journal, line.trace)].append(line)
            else:
                bad.append(line)
        except (ValueError, JournalError) as error:
            bad.append(BadLine(line.line, str(error)))
    return traces


def _trace_id(journal: Journal, name: str) -> str:
    if not _TRACE_ID.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is not a trace id: give at least its first 8 hex digits")
    return traces.trace_id_named(journal, name)


def _scores(trace_id: str, lines: Sequence[TradeLine], repeats: Repeats) -> "tuple[Score, ...]":
    """Combine a trace's lines into one outcome's scores. Raises ValueError if one is invalid or they do not combine."""
    scores = [_scores_of_line(trace_id, line, len(lines)) for line in lines]
    if len(lines) == 1 or repeats is Repeats.KEEP_LAST:
        return scores[-1]
    if repeats is Repeats.REFUSE:
        raise ValueError(
            f"lines {_numbers(lines)} are for the same trace: use --sum to add them or --last to keep the last"
        )
    if any(line.pnl_pct for line in lines):
        raise ValueError(
            f"lines {_numbers(lines)} are for the same trace, and percents cannot be added: empty their pnl_pct"
        )
    total = math.fsum(float(usd.value) for usd, *_ in scores)
    return recording.scores_of_outcome(
        trace_id, total, None, "; ".join(line.note for line in lines if line.note) or None
    )


def _scores_of_line(trace_id: str, line: TradeLine, lines: int) -> "tuple[Score, ...]":
    try:
        return recording.scores_of_outcome(trace_id, line.pnl_usd, line.pnl_pct, line.note)
    except ValueError as error:
        raise ValueError(
            f"no line of this trace is imported, as line {line.line} is invalid: {error}" if lines > 1 else str(error)
        ) from None


def _numbers(lines: Sequence[TradeLine]) -> str:
    """List the numbers of lines: `3 and 4`; `3, 4, 5, 6, 7, …`."""
    numbers = [str(line.line) for line in lines[:5]]
    return " and ".join(numbers) if len(lines) == 2 else ", ".join(numbers) + (", …" if len(lines) > 5 else "")


def read_lines(file: Path, column: str) -> Iterator[TradeLine | BadLine]:
    """Yield every line below the header except empty lines. Raises JournalError as `read_trades` does."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
            yield from _lines(text, column.strip().lower(), file)
    except JournalError:
        raise
    except OSError as error:
        raise JournalError(f"{file} cannot be read: {error.strerror or error}") from None


def _lines(text: TextIO, column: str, file: Path) -> Iterator[TradeLine | BadLine]:
    csv.field_size_limit(_MAX_CELL)
    first = text.readline()
    records = _records(chain([first], text), delimiter=max(",;\t", key=first.count))
    header = next(records, None)
    names = [name.strip().lower() for name in header[1]] if header and not isinstance(header, BadLine) else []
    _check_header(names, column, file)
    indexes = [names.index(name) if name in names else None for name in (column, *_VALUES)]
    for record in records:
        if isinstance(record, BadLine):
            yield record
            continue
        line, cells = record
        if any(cell.strip() for cell in cells[len(names) :]):
            yield BadLine(line, f"{len(cells)} cells, but {len(names)} columns")
        elif cells:
            yield _trade_line(line, cells, indexes)


def _trade_line(line: int, cells: list[str], indexes: list[int | None]) -> TradeLine:
    trace, *values = ("" if index is None or index >= len(cells) else cells[index].strip() for index in indexes)
    return TradeLine(line, trace, *(value or None for value in values))


def _check_header(names: list[str], column: str, file: Path) -> None:
    if column not in names:
        raise JournalError(f"{file} has no column {column!r}: use --column NAME to give the column of the trace ids")
    if not {"pnl_usd", "pnl_pct"} & set(names):
        raise JournalError(f"{file} has no column pnl_usd or pnl_pct: rename the column with the results")
    for name in (column, *_VALUES):
        if names.count(name) > 1:
            raise JournalError(f"{file} has {names.count(name)} columns {name!r}: keep one of them")


def _records(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]] | BadLine]:
    """Yield each record with its first line's number. If a quote is never closed, yield the rest as one BadLine."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            below = f" from here to line {reader.line_num}" if reader.line_num > line else ""
            yield BadLine(line, f"not valid CSV{below} ({error}): check the quotes")
