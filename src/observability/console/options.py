"""
🌙 Moon Dev's Console Options
Built with love by Moon Dev 🚀

What the commands have in common: their options, and the journal opened to be read.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from termcolor import cprint

from .. import settings
from ..journal import DamagedJournalError, Journal, JournalError
from .checks.place import shut
from .queries import traces
from .render.format import one_line
from .render.layout import paragraph
from .time_range import parse_since

MOST = 1_000_000  # rows that anybody may ask for at once
DOCTOR = "python -m src.observability doctor"
_MOST_NAMES = 12  # that are told where one is not known

AsJson = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object a line.")]
Agent = Annotated[str | None, typer.Option(help="Of one agent, in capitals or not.")]
Model = Annotated[str | None, typer.Option(help="Of one model, in capitals or not.")]
Limit = Annotated[int, typer.Option(min=1, max=MOST, help="The newest so many.")]
Since = Annotated[str, typer.Option(help="24h, 7d, 2026-11-01, 2026-11-01T08:00 (UTC), or all.")]
Full = Annotated[bool, typer.Option("--full", help="Whole prompts and answers.")]
SINCE = "all"  # unless told otherwise, in every command


@contextmanager
def opened() -> Iterator[Journal]:
    """The journal to read; what is wrong with it is said, and ends the command with status 1."""
    path = settings.journal_path()
    try:
        if (wrong := shut(path)) is not None:
            raise JournalError(f"{wrong.what}: {wrong.cure}")
        journal = Journal(path, create=False)
    except JournalError as error:
        _end(error)
    try:
        yield journal
    except JournalError as error:
        _end(error)
    finally:
        journal.close()


def nothing(what: str, since_ns: int, cure: str = "run an agent") -> None:
    """Say that nothing was found since then (Unix nanoseconds), and what to do; that is no fault."""
    back = ", or look further back with --since" if since_ns > 0 else ""
    cprint(f"🤖 No {what} there: {cure}{back}", "cyan", file=sys.stderr)


def complain(what: str, cure: str | None) -> None:
    """Say on stderr what is wrong, and below it what helps."""
    cprint(paragraph("❌", what), "red", file=sys.stderr)
    cprint(paragraph("  ", f"→ {cure}"), "red", file=sys.stderr)


def _end(error: JournalError) -> NoReturn:
    cprint(f"❌ {words_of(error)}", "red", file=sys.stderr)
    raise typer.Exit(1) from None


def words_of(error: JournalError) -> str:
    """What is wrong with the journal, where it lies, and the cure; SQLite's own words know neither."""
    where = settings.journal_path()
    if isinstance(error, DamagedJournalError):
        what = error if str(where) in str(error) else f"The journal at {where} is damaged ({error})"
        return f"{what}: {DOCTOR} --fix sets it aside, and a new one begins"
    if isinstance(error.__cause__, sqlite3.Error):
        return f"The journal at {where} cannot be used ({error}): {DOCTOR} says more"
    return str(error)


def known_names(journal: Journal, agent: str | None, model: str | None) -> tuple[str | None, str | None]:
    """Agent and model as the journal writes them. Raises JournalError where it knows none of that name, but others."""
    return known_name(journal, "agent", agent), known_name(journal, "model", model)


def known_name(journal: Journal, what: str, asked: str | None) -> str | None:
    """One of them; see `known_names`."""
    found = None if asked is None else traces.name_like(journal, what, asked)
    if asked is None or found is not None:
        return found
    names = [one_line(name, 40) for name in traces.names(journal, what)]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    if names:
        raise JournalError(
            f"There is no {what} {one_line(asked, 40)!r}: there are {', '.join(names[:_MOST_NAMES])}{more}"
        )
    return asked


def since_ns(text: str) -> int:
    """`--since` as Unix nanoseconds; what is no time ends the command with status 2."""
    try:
        return parse_since(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
