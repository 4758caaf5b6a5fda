"""`prune`: deletes old observations."""

import contextlib
import sys
from typing import Annotated, NamedTuple

import typer
from termcolor import cprint

from .... import settings
from ....journal import STEP_ROWS, Journal
from ... import time_range
from ...options import AsJson, opened
from ...queries import health
from ...render.format import moment
from ...render.layout import paragraph, show_json
from .confirmation import Yes, confirm

_DAY_NS = 86_400_000_000_000


def prune(
    older_than: Annotated[
        str | None, typer.Option(help="An age or a time: 30d, 2026-11-01, all. Default: OBSERVABILITY_RETENTION_DAYS.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete old observations and their scores, except those waiting for Langfuse. Costs stay in the totals.

    The command prints the number of rows, and asks for confirmation.

    Example: python -m src.observability prune --older-than 14d --dry-run
    """
    before = _before(older_than)
    with opened() as journal:
        by_state = health.ended_before(journal, before)
        pending = by_state.pop("pending", 0)
        undelivered, used = health.undelivered(journal, before), journal.used_bytes()
        if by_state and not dry_run and not yes:
            _announce(_Pruned(before, True, by_state, pending, undelivered, 0, 0))
        deleted = 0 if dry_run else _delete(journal, before)
        pruned = _Pruned(before, dry_run, by_state, pending, undelivered, deleted, used - journal.used_bytes())
    if as_json:
        show_json(pruned._asdict())
    else:
        _print(pruned)


class _Pruned(NamedTuple):
    """The result: numbers of ended observations that began before `before_ns` (Unix nanoseconds).

    The field names are those of the JSON output.
    """

    before_ns: int
    dry_run: bool
    found: dict[str, int]  # state -> number of observations to delete
    waiting: int  # observations that are kept, since Langfuse has not received them
    undelivered: int  # part of `found` that the second destination has not received
    gone: int  # number of deleted observations
    freed_bytes: int


def _announce(pruned: _Pruned) -> None:
    """Print on stderr how many observations would be deleted, and ask for confirmation."""
    with contextlib.redirect_stdout(sys.stderr):
        _print(pruned)
    confirm("Delete these observations for good?", "nothing was deleted")


def _print(pruned: _Pruned) -> None:
    before, colour = moment(pruned.before_ns), "cyan" if pruned.dry_run else "green"
    rows = sum(pruned.found.values()) if pruned.dry_run else pruned.gone
    count = f"{'Would delete' if pruned.dry_run else 'Deleted'} {rows:,}"
    cprint(f"🧹 {count} observation{'' if rows == 1 else 's'} from before {before}", colour)
    by_state = [f"{count:,} {state}" for state, count in sorted(pruned.found.items())]
    freed = [] if pruned.dry_run else [f"{pruned.freed_bytes / 2**20:,.1f} MB freed"]
    cprint(paragraph("  ", ", ".join([*by_state, *freed]) or "none"), colour)
    if pruned.waiting:
        cprint(f"⚠️ Kept observations: {pruned.waiting:,}, because Langfuse has not received them yet", "yellow")
        cprint("   → to send them: python -m src.observability ship", "yellow")
    if pruned.undelivered:
        deleted = "of the observations to delete" if pruned.dry_run else "of the deleted observations"
        cprint(f"⚠️ {pruned.undelivered:,} {deleted} not delivered to OBSERVABILITY_OTLP_ENDPOINT's address", "yellow")


def _before(older_than: str | None) -> int:
    now = time_range.now_ns()
    if older_than is not None and older_than.strip().lower() == "all":
        return now
    if older_than is None:
        return now - int(settings.setting("OBSERVABILITY_RETENTION_DAYS") * _DAY_NS)
    try:
        before = time_range.parse_time(older_than)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from None
    if before > now:
        raise typer.BadParameter("this time is in the future", param_hint="--older-than")
    return before


def _delete(journal: Journal, before: int) -> int:
    """Delete the observations that began before a time (Unix ns). Short steps let other writers take turns."""
    deleted = 0
    while step := journal.delete_done(STEP_ROWS, before_ns=before):
        deleted += step
        journal.vacuum()
        journal.yield_write_lock()
    return deleted
