"""`tail`: prints decisions, errors and warnings as they happen."""

import contextlib
import json
import sys
import time
from typing import Annotated

import typer
from rich.text import Text
from termcolor import cprint

from ... import settings
from ...journal import Journal, JournalError, Row
from ..checks.findings import is_awaited
from ..options import MAX_ROWS, AsJson, filtered, opened, with_existing_names
from ..queries import pages
from ..queries.filter import Filter
from ..queries.text import traces_with, with_traces
from ..render.format import SHORT_ID, one_line, padded, safe, zone
from ..render.layout import WIDE, show, show_json, width
from ..render.tables import decision_text
from ..signal import signal_of
from ..time_range import local_time

_POLL_SECONDS = 0.5
_POLL_ROWS = 500
_AGENT, _MODEL, _EVENT = 18, 24, 22  # widths of these texts in terminal columns
_NARROW = 60  # in a terminal with fewer columns, the agent's name is cut shorter

First = Annotated[int, typer.Option("--limit", "-n", min=1, max=MAX_ROWS, help="Begin with the N newest rows.")]


@filtered
def tail(rows: Filter, limit: First = 10, as_json: AsJson = False) -> None:
    """Print decisions, errors and warnings as they happen, each with its trace's id. Ctrl-C ends the command.

    If there is no journal yet, the command waits for one. --since limits the rows that are printed at the start.

    Example: python -m src.observability tail --agent WhaleAgent
    """
    follower = _Follower(rows, as_json)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            _wait_for_journal()
            with opened() as journal:  # reopened for each poll, since a damaged journal may have been replaced
                follower.print_news(journal, limit)
            limit = _POLL_ROWS
            time.sleep(_POLL_SECONDS)


def _wait_for_journal() -> None:
    path = settings.journal_path()
    if is_awaited(path):
        cprint(f"🤖 No journal at {safe(str(path))} yet: waiting for an agent", "cyan", file=sys.stderr)
    while is_awaited(settings.journal_path()):
        time.sleep(_POLL_SECONDS)


class _Follower:
    """Prints new rows, and remembers the last printed row and day."""

    def __init__(self, rows: Filter, as_json: bool) -> None:
        self._rows, self._as_json = rows, as_json
        self._printed, self._day = 0, ""

    def print_news(self, journal: Journal, limit: int) -> None:
        """Print the rows that have arrived since the last call, at most the newest `limit`."""
        last = pages.newest_ended(journal)
        after = self._printed if self._printed <= last else 0  # 0 if the journal was replaced or emptied
        for row in self._news(journal, after, last, limit):
            row["metadata"] = json.loads(row["metadata"] or "{}")
            if self._as_json:
                show_json(row)
            else:
                self._print(row)
        self._printed = last

    def _news(self, journal: Journal, after: int, last: int, limit: int) -> list[Row]:
        rows = self._existing(journal)
        if rows.text is None or not after:
            return pages.news(journal, with_traces(journal, rows), after, last, limit)
        news = pages.news(journal, rows._replace(text=None), after, last, limit)
        traces = traces_with(journal, rows.text, [row["trace_id"] for row in news])
        return [row for row in news if row["trace_id"] in traces]

    def _existing(self, journal: Journal) -> Filter:
        """Return the filter with the agent and model spelled as in the journal.

        If the journal lacks one of them, return the filter unchanged, since rows of this agent or model may come later.
        """
        with contextlib.suppress(JournalError):
            return with_existing_names(journal, self._rows)
        return self._rows

    def _print(self, row: Row) -> None:
        day = f"{local_time(row['start_ns']):%Y-%m-%d}"
        if day != self._day:
            show(Text(f"── {day}, {zone(row['start_ns'])}", style="dim"))
            self._day = day
        show(_line(row, width()))
        sys.stdout.flush()


def _line(row: Row, columns: int) -> Text:
    """Return a row as one line of at most `columns` columns.

    In a narrow terminal, the agent's name is cut shorter, and the model is left out.
    """
    line = Text(f"{local_time(row['start_ns']):%H:%M:%S}  {row['trace_id'][:SHORT_ID]}  ", style="dim")
    line.append(
        f"{padded(row['agent'] or 'unknown', min(_AGENT, columns // (4 if columns >= _NARROW else 7)))}  ",
        style="not dim",
    )
    if columns >= WIDE:
        line.append(f"{padded(row['model'] or '', _MODEL)}  ", style="not dim")
    event = _event(row)
    event.append(" " * max(_EVENT - event.cell_len, 2), style="not bold")
    remaining = columns - line.cell_len - event.cell_len
    line.append_text(event).append(one_line(_reason(row), remaining) if remaining > 0 else "", style="not bold")
    line.rstrip()
    line.truncate(columns, overflow="ellipsis")
    return line


def _event(row: Row) -> Text:
    if row["name"] == "trading_signal":
        return Text("📌 ", style="not dim").append_text(decision_text(signal_of(row["metadata"])))
    icon, style = ("❌", "not dim red") if row["level"] == "ERROR" else ("⚠️", "not dim yellow")
    return Text(f"{icon} {one_line(row['name'], 24)}", style=style)


def _reason(row: Row) -> str:
    is_signal = row["name"] == "trading_signal"
    return signal_of(row["metadata"]).reason if is_signal else row["status_message"] or ""
