"""Prints to the terminal: tables that fit its width, paragraphs, JSON lines."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from rich.console import Console, RenderableType
from rich.text import Text

from ..time_range import local_time
from .format import both_ends, json_text

WIDE = 120  # smallest terminal width, in columns, at which models, costs and reasons fit in one line
_PIPE = 500  # columns of the output to a pipe; so wide that the next program gets uncut cells
_LISTS_OF_ROWS = ("observations", "scores", "decisions", "agents")
_TIMES = (
    "start_ns", "first_token_ns", "end_ns", "timestamp_ns", "began_ns", "oldest_pending_ns", "before_ns", "since_ns",
    "opened_ns", "closed_ns",
)  # fmt: skip
_GAP = 2
_INDENT = 3  # width of an icon and a space, in columns


class Column(NamedTuple):
    """A column of a table. Its cells are never cut to fewer than `min_width` terminal columns."""

    name: str
    cells: Sequence[str | Text]  # a str, used for names, is cut in the middle; a Text is cut at the end
    priority: int  # in a narrow terminal the column with the lowest priority is dropped first
    min_width: int | None = None  # None: the cells are never cut
    right: bool = False


def width() -> int:
    """Return the width of the output: COLUMNS if it is set, else the terminal's width, or 500 for a pipe."""
    return shutil.get_terminal_size((_PIPE, 0)).columns


def show(*renderables: RenderableType) -> None:
    """Print the renderables, with trailing spaces removed from each line."""
    console = Console(highlight=False, width=width())
    with console.capture() as output:
        for renderable in renderables:
            console.print(renderable, soft_wrap=isinstance(renderable, Text))
    for line in output.get().removesuffix("\n").split("\n") if renderables else ():
        print(line.rstrip())


def paragraph(icon: str, text: str) -> str:
    """Put an icon, two columns wide, before `text`, and wrap it to the terminal. No word, address or path is broken."""
    lines = textwrap.wrap(text, max(width() - _INDENT, 1), break_long_words=False, break_on_hyphens=False)
    return f"{icon} " + f"\n{' ' * _INDENT}".join(lines)


def show_json(value: Mapping[str, Any]) -> None:
    """Print `value` as one line of JSON for scripts, unbuffered. A time in nanoseconds is also given in ISO 8601."""
    print(json_text(_with_iso_times(value)), flush=True)


def _with_iso_times(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy in which each time in nanoseconds is repeated in ISO 8601: `start` beside `start_ns`, and so on.

    Times in lists of rows are repeated too, but not times in values that an agent recorded.
    """
    line: dict[str, Any] = {}
    for name, item in value.items():
        is_rows = name in _LISTS_OF_ROWS and isinstance(item, list)
        line[name] = [_with_iso_times(row) for row in item] if is_rows else item
        if name in _TIMES:
            line[name.removesuffix("_ns")] = None if item is None else local_time(item).isoformat()
    return line


def table(columns: Sequence[Column], max_width: int, notes: Sequence[Text] = ()) -> list[Text]:
    """Return the lines of a table: a header, a rule, and for each row a line and its note."""
    fitting = _fitting(columns, max_width)
    widths = _widths(fitting, max_width)
    head = _line([Text(column.name, style="bold cyan") for column in fitting], fitting, widths)
    rows = [_line(cells, fitting, widths) for cells in zip(*(column.cells for column in fitting), strict=True)]
    rule = max(line.cell_len for line in (head, *rows))
    return [head, Text("─" * rule), *_interleaved(rows, notes)]


def _interleaved(rows: Sequence[Text], notes: Sequence[Text]) -> Iterator[Text]:
    return (line for line in chain.from_iterable(zip_longest(rows, notes)) if line and line.plain.strip())


def _fitting(columns: Sequence[Column], max_width: int) -> list[Column]:
    fitting = list(columns)
    while len(fitting) > 1 and _total([_min_width(column) for column in fitting]) > max_width:
        fitting.remove(min(fitting, key=lambda column: column.priority))
    return fitting


def _widths(columns: Sequence[Column], max_width: int) -> list[int]:
    """Return the columns' widths. While they exceed `max_width`, the widest column that may still be cut shrinks."""
    widths = list(map(_natural, columns))
    while _total(widths) > max_width:
        cuttable = [index for index, column in enumerate(columns) if widths[index] > _min_width(column)]
        if not cuttable:
            break
        widths[max(cuttable, key=lambda index: widths[index])] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _natural(column: Column) -> int:
    return max(Text.assemble(cell).cell_len for cell in (column.name, *column.cells))


def _min_width(column: Column) -> int:
    natural = _natural(column)
    return natural if column.min_width is None else min(natural, max(column.min_width, len(column.name)))


def _line(cells: Sequence[str | Text], columns: Sequence[Column], widths: Sequence[int]) -> Text:
    parts = []
    for cell, column, cell_width in zip(cells, columns, widths, strict=True):
        text = _cut(cell, cell_width)
        blank = Text(" " * (cell_width - text.cell_len))
        parts.append(Text.assemble(blank, text) if column.right else Text.assemble(text, blank))
    line = Text(" " * _GAP).join(parts)
    line.rstrip()
    return line


def _cut(cell: str | Text, cell_width: int) -> Text:
    if isinstance(cell, str):
        return Text(both_ends(cell, cell_width))
    text = cell.copy()
    text.truncate(cell_width, overflow="ellipsis")
    return text
