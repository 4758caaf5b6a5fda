"""The options that several commands share, and the journal opened for reading."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from termcolor import cprint

from .. import settings
from ..journal import DamagedJournalError, Journal, JournalError
from .checks.findings import DOCTOR, journal_obstacle
from .queries import traces
from .queries.filter import Filter
from .render.format import one_line, safe
from .render.layout import paragraph
from .time_range import parse_since

MAX_ROWS = 1_000_000  # of one --limit
SINCE = "all"  # the default of every command
_MAX_NAMES = 12  # in a message

AsJson = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object per line.")]
Agent = Annotated[str | None, typer.Option(help="Only this agent (case-insensitive).")]
Model = Annotated[str | None, typer.Option(help="Only this model (case-insensitive).")]
Limit = Annotated[int, typer.Option(min=1, max=MAX_ROWS, help="Show the newest N.")]
Since = Annotated[str, typer.Option(help="24h, 7d, 2026-11-01, 2026-11-01T08:00 (UTC), or all.")]
Full = Annotated[bool, typer.Option("--full", help="Print whole prompts and answers.")]


@contextmanager
def opened() -> Iterator[Journal]:
    """Open the journal for reading; an error is printed and ends the command with status 1."""
    path = settings.journal_path()
    try:
        if (obstacle := journal_obstacle(path)) is not None:
            raise JournalError(f"{obstacle.what}: {obstacle.cure}")
        journal = Journal(path, create=False)
    except JournalError as error:
        _end(error)
    try:
        yield journal
    except JournalError as error:
        _end(error)
    finally:
        journal.close()


def print_no_rows(noun: str, since_ns: int, cure: str = "run an agent") -> None:
    """Print that no rows match, and the cure. An empty result is not an error."""
    widen = ", or widen --since" if since_ns > 0 else ""
    cprint(f"🤖 No {noun} found: {cure}{widen}", "cyan", file=sys.stderr)


def print_error(message: str, cure: str | None) -> None:
    """Print an error on stderr, and its cure on the next line."""
    cprint(paragraph("❌", safe(message)), "red", file=sys.stderr)
    cprint(paragraph("  ", f"→ {cure}"), "red", file=sys.stderr)


def _end(error: JournalError) -> NoReturn:
    cprint(f"❌ {safe(_message_of(error))}", "red", file=sys.stderr)
    raise typer.Exit(1) from None


def _message_of(error: JournalError) -> str:
    """Return the error with the journal's path and the cure; SQLite's own messages contain neither."""
    path = settings.journal_path()
    if isinstance(error, DamagedJournalError):
        damage = error if str(path) in str(error) else f"The journal at {path} is damaged ({error})"
        return f"{damage}: {DOCTOR} --fix sets it aside and starts a new one"
    if isinstance(error.__cause__, sqlite3.Error):
        return f"The journal at {path} cannot be used ({error}): run {DOCTOR}"
    return str(error)


def with_existing_names(journal: Journal, rows: Filter) -> Filter:
    """Spell the filter's agent and model as the journal does.

    Raises:
        JournalError: the journal has other names but not this one.
    """
    return rows._replace(agent=_name(journal, "agent", rows.agent), model=_name(journal, "model", rows.model))


def _name(journal: Journal, column: str, name: str | None) -> str | None:
    if name is None or (match := traces.name_like(journal, column, name)) is not None:
        return name and match
    names = [one_line(existing, 40) for existing in traces.names(journal, column)]
    if not names:
        return name
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    raise JournalError(
        f"No {column} named {one_line(name, 40)!r}. Known {column}s: {', '.join(names[:_MAX_NAMES])}{more}"
    )


def since_ns(text: str) -> int:
    """Parse `--since` as Unix nanoseconds; a malformed value ends the command with status 2."""
    try:
        return parse_since(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
