"""
🌙 Moon Dev's Screen
Built with love by Moon Dev 🚀

How wide it is, and how it is written to: tables of lines that fit, with whole numbers only.
"""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.text import Text

from ..signal import json_text
from .format import both_ends

WIDE = 120  # columns: room for models, costs and reasons in one line
_PIPE = 500  # columns of what is no terminal: the next program wants whole cells
_GAP = 2
_INDENT = 3  # columns of a mark and a blank


class Column(NamedTuple):
    """A column of a table: numbers are never cut, names and texts to their `least` at the most."""

    name: str
    cells: Sequence[str | Text]  # a str, as a name, loses its middle where it is cut, a Text its end
    keep: int  # where there is no room for all, the column with the least goes first
    least: int | None = None  # columns to which a text may be cut; None: not at all
    right: bool = False


def width() -> int:
    """Columns of the terminal, or what COLUMNS says; of a pipe many."""
    return shutil.get_terminal_size((_PIPE, 0)).columns


def show(*what: RenderableType) -> None:
    """Print it, without spaces at the ends of lines."""
    console = Console(highlight=False, width=width())
    with console.capture() as shown:
        for each in what:
            console.print(each, soft_wrap=isinstance(each, Text))
    for line in shown.get().removesuffix("\n").split("\n") if what else ():
        print(line.rstrip())


def paragraph(mark: str, text: str) -> str:
    """`text` behind a mark of two columns, on as many lines as it takes; no address, path or command word is broken."""
    lines = textwrap.wrap(text, max(width() - _INDENT, 1), break_long_words=False, break_on_hyphens=False)
    return f"{mark} " + f"\n{' ' * _INDENT}".join(lines)


def show_json(value: object) -> None:
    """Print one line for scripts, at once."""
    print(json_text(value), flush=True)


def table(columns: Sequence[Column], room: int, beneath: Sequence[Text] = ()) -> list[Text]:
    """Lines: names, a rule, a line a row, and beneath each row its own text."""
    kept = _kept(columns, room)
    widths = _widths(kept, room)
    head = _line([Text(column.name, style="bold cyan") for column in kept], kept, widths)
    rows = [_line(cells, kept, widths) for cells in zip(*(column.cells for column in kept), strict=True)]
    long = max(line.cell_len for line in (head, *rows))
    return [head, Text("─" * long), *_interleaved(rows, beneath)]


def _interleaved(rows: Sequence[Text], beneath: Sequence[Text]) -> Iterator[Text]:
    return (line for line in chain.from_iterable(zip_longest(rows, beneath)) if line and line.plain.strip())


def _kept(columns: Sequence[Column], room: int) -> list[Column]:
    kept = list(columns)
    while len(kept) > 1 and _total([_least(column) for column in kept]) > room:
        kept.remove(min(kept, key=lambda column: column.keep))
    return kept


def _widths(columns: Sequence[Column], room: int) -> list[int]:
    """As wide as what is in them; where that is too much, the widest text gives way first."""
    widths = list(map(_natural, columns))
    while _total(widths) > room:
        spare = [at for at, column in enumerate(columns) if widths[at] > _least(column)]
        if not spare:
            break
        widths[max(spare, key=lambda at: widths[at])] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _natural(column: Column) -> int:
    return max(Text.assemble(cell).cell_len for cell in (column.name, *column.cells))


def _least(column: Column) -> int:
    natural = _natural(column)
    return natural if column.least is None else min(natural, max(column.least, len(column.name)))


def _line(cells: Sequence[str | Text], columns: Sequence[Column], widths: Sequence[int]) -> Text:
    parts = []
    for cell, column, wide in zip(cells, columns, widths, strict=True):
        text = _cut(cell, wide)
        blank = Text(" " * (wide - text.cell_len))
        parts.append(Text.assemble(blank, text) if column.right else Text.assemble(text, blank))
    line = Text(" " * _GAP).join(parts)
    line.rstrip()
    return line


def _cut(cell: str | Text, wide: int) -> Text:
    if isinstance(cell, str):
        return Text(both_ends(cell, wide))
    text = cell.copy()
    text.truncate(wide, overflow="ellipsis")
    return text
