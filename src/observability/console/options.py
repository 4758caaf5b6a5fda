"""The options that several commands share, and the functions that open the journal and print errors."""

import functools
import inspect
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from termcolor import cprint

from .. import settings
from ..journal import DamagedJournalError, Journal, JournalError
from . import time_range
from .checks.findings import DOCTOR, journal_obstacle
from .queries import traces
from .queries.filter import NEVER_NS, Filter
from .queries.text import with_traces
from .render.format import one_line, safe
from .render.layout import paragraph

MAX_ROWS = 1_000_000  # largest value of --limit
SINCE = "all"  # default of --since for every command
_MAX_NAMES = 12  # largest number of names listed in an error message

AsJson = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object per line, times in ISO 8601.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=MAX_ROWS, help="Show only the newest N entries.")]
Full = Annotated[bool, typer.Option("--full", help="Print whole prompts and answers.")]


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Add the filter options, such as --agent and --since, to a command.

    The command receives the resulting `Filter` as its argument `rows`.
    """
    return _with_options_of(_filter, command)


def zoned(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option `--utc` to a command."""
    return _with_options_of(_clock, command)


def _with_options_of(common: Callable[..., dict[str, Any]], command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the function `common` to a command.

    On each run, `common` receives the values of its options, and returns arguments for the command.
    """
    added, own = (inspect.signature(function).parameters for function in (common, command))

    @functools.wraps(command)
    def with_options(**options: Any) -> None:
        command(**common(**{name: options.pop(name) for name in added}), **options)

    signature = inspect.Signature([*(own[name] for name in own if name != "rows"), *added.values()])
    with_options.__signature__ = signature  # type: ignore[attr-defined]
    with_options.__annotations__ = {name: option.annotation for name, option in signature.parameters.items()}
    return with_options


def _clock(
    *, utc: Annotated[bool, typer.Option("--utc", help="Read and print times in UTC, not in local time.")] = False
) -> dict[str, Any]:
    (time_range.use_utc if utc else time_range.use_local)()
    return {}


def _filter(
    *,
    agent: Annotated[str | None, typer.Option(help="Only this agent (case-insensitive).")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model (case-insensitive).")] = None,
    action: Annotated[str | None, typer.Option(help="Only traces with this decision: BUY, SELL, NOTHING.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only traces with a decision on this symbol.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only rows with an error; `decisions` and `traces` list traces with one.")
    ] = False,
    text: Annotated[
        str | None, typer.Option(help="Only traces with this text in a prompt, answer, reason or error.")
    ] = None,
    since: Annotated[str, typer.Option(help=f"Only from this time on: {time_range.FORMS}.")] = SINCE,
    until: Annotated[str | None, typer.Option(help="Only before this time, written as for --since.")] = None,
) -> dict[str, Any]:
    until_ns = NEVER_NS if until in (None, SINCE) else time_of(until, "--until")
    rows = Filter(time_of(since, "--since"), until_ns, agent, model, action and action.upper(), symbol, failed, text)
    return {"rows": rows}


def time_of(text: str, option: str) -> int:
    """Convert the time given with an option to Unix nanoseconds. A malformed time ends the command with status 2."""
    try:
        return time_range.parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


@contextmanager
def opened() -> Iterator[Journal]:
    """Open the existing journal, and close it after the `with` block.

    A `JournalError`, also inside the block, is printed and ends the command with status 1.
    """
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


def print_no_rows(noun: str, rows: Filter, cure: str = "run an agent") -> None:
    """Print that no rows match, and how to find some. The command does not fail: an empty result is not an error."""
    widen = ", or widen --since" if rows.since_ns > 0 else ", or choose a later --until" if rows.is_bounded else ""
    widen += ", or leave out a filter" if rows.is_of_traces else ""
    cprint(f"🤖 No {noun} found: {cure}{widen}", "cyan", file=sys.stderr)


def print_error(message: str, cure: str | None) -> None:
    """Print an error on stderr, and its cure on the next line."""
    cprint(paragraph("❌", safe(message)), "red", file=sys.stderr)
    if cure:
        cprint(paragraph("  ", f"→ {cure}"), "red", file=sys.stderr)


def _end(error: JournalError) -> NoReturn:
    cprint(f"❌ {safe(_message_of(error))}", "red", file=sys.stderr)
    raise typer.Exit(1) from None


def _message_of(error: JournalError) -> str:
    """Return an error's message. To a message of SQLite, add the journal's path and the cure, which it lacks."""
    path = settings.journal_path()
    if isinstance(error, DamagedJournalError):
        damage = error if str(path) in str(error) else f"The journal at {path} is damaged ({error})"
        return f"{damage}; to set it aside and start a new journal: {DOCTOR} --fix"
    if isinstance(error.__cause__, sqlite3.Error):
        return f"The journal at {path} cannot be used ({error}): run {DOCTOR}"
    return str(error)


def resolved(journal: Journal, rows: Filter) -> Filter:
    """Return the filter with agent and model spelled as in the journal; a text selects the traces that contain it.

    Raises:
        JournalError: the filter's agent or model is not among those in the journal, or its text has neither letter nor
            digit.
    """
    return with_traces(journal, with_existing_names(journal, rows))


def with_existing_names(journal: Journal, rows: Filter) -> Filter:
    """Return the filter with agent and model spelled as in the journal.

    Raises:
        JournalError: the filter's agent or model is not among those in the journal.
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
