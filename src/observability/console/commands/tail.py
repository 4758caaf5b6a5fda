"""
🌙 Moon Dev's Tail
Built with love by Moon Dev 🚀

Decisions and errors as they happen.
"""

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
from ..checks.place import is_awaited
from ..options import MOST, SINCE, Agent, AsJson, Model, Since, known_names, opened, since_ns
from ..queries import pages
from ..queries.pages import Wanted
from ..render.format import local_time, one_line, padded, zone
from ..render.layout import WIDE, show, show_json, width
from ..render.tables import decision_text
from ..signal import said_of

_LOOK_SECONDS = 0.5
_AT_ONCE = 500
_AGENT, _MODEL, _WHAT = 18, 24, 22  # columns

First = Annotated[int, typer.Option("--limit", min=1, max=MOST, help="Begin with the newest so many.")]


def tail(
    agent: Agent = None, model: Model = None, limit: First = 10, since: Since = SINCE, as_json: AsJson = False
) -> None:
    """Decisions, errors and warnings as they happen, local time; Ctrl-C ends it, with status 0.

    Where there is no journal yet, it waits for one. --since is how far back it may begin.

    Example: python -m src.observability tail --agent WhaleAgent
    """
    following = _Following(Wanted(agent, model, since_ns(since)), as_json)
    with contextlib.suppress(KeyboardInterrupt):
        rows = limit
        while True:
            _wait_for_a_journal()
            with opened() as journal:  # anew: it may have been set aside
                following.show_news(journal, rows)
            rows = _AT_ONCE
            time.sleep(_LOOK_SECONDS)


def _wait_for_a_journal() -> None:
    path = settings.journal_path()
    if is_awaited(path):
        cprint(f"🤖 No journal at {path} yet: waiting for an agent", "cyan", file=sys.stderr)
    while is_awaited(settings.journal_path()):
        time.sleep(_LOOK_SECONDS)


class _Following:
    """How far it has come: up to which row, and in which day."""

    def __init__(self, wanted: Wanted, as_json: bool) -> None:
        self._wanted, self._as_json = wanted, as_json
        self._seen, self._day = 0, ""

    def show_news(self, journal: Journal, rows: int) -> None:
        """Print what is new, the newest `rows` of it."""
        last = pages.newest_ended(journal)
        after = self._seen if self._seen <= last else 0  # another file, or all of it was pruned
        for row in pages.news(journal, self._named(journal), after, last, rows):
            row["metadata"] = json.loads(row["metadata"] or "{}")
            if self._as_json:
                show_json(row)
            else:
                self._show(row)
        self._seen = last

    def _named(self, journal: Journal) -> Wanted:
        """With the names as they are written; one that is not known may come."""
        with contextlib.suppress(JournalError):
            agent, model = known_names(journal, self._wanted.agent, self._wanted.model)
            return self._wanted._replace(agent=agent, model=model)
        return self._wanted

    def _show(self, row: Row) -> None:
        day = f"{local_time(row['start_ns']):%Y-%m-%d}"
        if day != self._day:
            show(Text(f"── {day}, {zone(row['start_ns'])}", style="dim"))
            self._day = day
        show(_line(row, width()))
        sys.stdout.flush()


def _line(row: Row, columns: int) -> Text:
    """As much of it as there is room for: of narrow terminals the agent's name takes less."""
    text = Text(f"{local_time(row['start_ns']):%H:%M:%S}  ", style="dim")
    text.append(f"{padded(row['agent'] or 'unknown', min(_AGENT, columns // 4))}  ", style="not dim")
    if columns >= WIDE:
        text.append(f"{padded(row['model'] or '', _MODEL)}  ", style="not dim")
    said = _what(row)
    said.append(" " * max(_WHAT - said.cell_len, 2), style="not bold")
    room = columns - text.cell_len - said.cell_len
    text.append_text(said).append(one_line(_why(row), room) if room > 0 else "", style="not bold")
    text.rstrip()
    text.truncate(columns, overflow="ellipsis")
    return text


def _what(row: Row) -> Text:
    if row["name"] == "trading_signal":
        return Text("📌 ", style="not dim").append_text(decision_text(said_of(row["metadata"])))
    failed = row["level"] == "ERROR"
    return Text(
        f"{'❌' if failed else '⚠️'} {one_line(row['name'], 24)}", style="not dim red" if failed else "not dim yellow"
    )


def _why(row: Row) -> str:
    return said_of(row["metadata"]).reason if row["name"] == "trading_signal" else row["status_message"] or ""
