"""`ship`: delivers pending rows to Langfuse and to a second destination now."""

import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, NamedTuple, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from termcolor import cprint

from .... import settings
from ....health import delivered
from ....journal import Journal
from ...checks.findings import DOCTOR
from ...checks.obstacles import NO_KEYS, obstacles
from ...options import AsJson, opened, print_error
from ...queries import health
from ...render.format import how_many
from ...render.layout import show_json
from .confirmation import INTERRUPTED, Yes, confirm

if TYPE_CHECKING:
    from ....shipping import Delivery, ServerReply

_LEASE_SECONDS = 60.0  # longest wait for another process that is shipping
_POLL_SECONDS = 0.1


def ship(
    include_local: Annotated[
        bool, typer.Option("--include-local", help="Also send rows recorded before the Langfuse keys were set.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Deliver pending rows to each destination now. Exit status 1 if rows stay pending or were rejected; 130 on Ctrl-C.

    Example: python -m src.observability ship --include-local
    """
    langfuse, destinations = settings.destination(), settings.destinations()
    if not destinations or (include_local and langfuse is None):
        obstacle = next(obstacles(), NO_KEYS)
        _end(f"Nothing can be sent ({obstacle.about}: {obstacle.what})", obstacle.cure, as_json)
    with opened() as journal:
        if include_local and langfuse is not None:
            _address_local(journal, langfuse, yes, as_json)
        shipped = [_ship(journal, destination) for destination in destinations]
        local = health.local_rows(journal) if langfuse is not None else 0
    for result in shipped:
        show_json(result._asdict() | {"local": local}) if as_json else _print(result)
    if local and not as_json:
        cprint(f"🤖 {how_many(local, 'row')} from before Langfuse keys were set: --include-local sends them", "cyan")
    if any(result.waiting or result.refused for result in shipped):
        raise typer.Exit(1)


class _Shipped(NamedTuple):
    """The result for one destination, with numbers of rows. The field names are those of the JSON output."""

    host: str
    delivered: int
    refused: int  # rejected by the server
    waiting: int  # still pending
    why: str | None  # why rows are still pending
    cure: str | None


def _ship(journal: Journal, destination: settings.AnyDestination) -> _Shipped:
    before, rejected_before = journal.pending(destination.label), _rejected(journal, destination)
    reply = _deliver(destination, before) if before else None
    rejected = _rejected(journal, destination) - rejected_before
    # If `reply` is None, all rows were delivered or rejected. Any row recorded since is not counted as pending.
    pending = journal.pending(destination.label) if reply is not None else 0
    taken = max(before - pending - rejected, 0)
    cure = reply and _cure(reply, destination)
    return _Shipped(destination.host, taken, rejected, pending, reply and reply.message, cure)


def _print(shipped: _Shipped) -> None:
    if shipped.waiting:
        print_error(f"{how_many(shipped.waiting, 'row')} still pending: {shipped.why}", shipped.cure)
    elif shipped.refused:
        print_error(f"{shipped.host} rejected {how_many(shipped.refused, 'row')}", f"to see the reason: {DOCTOR}")
    elif shipped.delivered:
        cprint(f"✅ {how_many(shipped.delivered, 'row')} delivered to {shipped.host}", "green")
    else:
        cprint(f"✅ No rows are pending for {shipped.host}", "green")


def _cure(reply: "ServerReply", destination: settings.AnyDestination) -> str:
    from ....shipping import ExportResult

    if reply.result is ExportResult.UNAUTHORIZED:
        return f"correct {destination.key_settings} in .env, then run {DOCTOR}"
    return f"try again later, or run {DOCTOR}"


def _end(message: str, cure: str | None, as_json: bool) -> NoReturn:
    """End the command with status 1, before anything was sent.

    In the JSON output, `delivered` is 0 and the other numbers are null.
    """
    print_error(message, cure)
    if as_json:
        show_json(dict.fromkeys((*_Shipped._fields, "local")) | {"delivered": 0, "why": message, "cure": cure})
    raise typer.Exit(1)


def _address_local(journal: Journal, destination: settings.Destination, yes: bool, as_json: bool) -> None:
    rows = health.local_rows(journal)
    if rows and not yes:
        question = (
            f"{how_many(rows, 'row')} from before the Langfuse keys were set."
            f" Send them, prompts and answers included, to {destination.host}?"
        )
        confirm(question, "nothing was sent", lambda message, cure: _end(message, cure, as_json))
    if rows:
        health.address(journal, destination.label)


def _deliver(destination: settings.AnyDestination, rows: int) -> "ServerReply | None":
    """Ship the pending rows, and show a progress bar.

    Return None if every row was delivered or rejected, else a reply that says why not.
    """
    from ....shipping import Delivery

    replies: list[ServerReply | None] = []
    delivery = Delivery(destination, lambda: float("inf"), lambda _message: None)

    def run() -> None:
        replies.append(_reply(delivery))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        _show_progress(delivery, thread, rows)
    except KeyboardInterrupt:
        delivery.cut()
        cprint("🤖 Stopped: undelivered rows stay pending", "cyan", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    return replies[0]


def _reply(delivery: "Delivery") -> "ServerReply | None":
    from ....shipping import ExportResult, ServerReply

    try:
        if delivery.is_refused_plain_http():
            why = "keys would travel unencrypted: use https://, or on a trusted network set LANGFUSE_ALLOW_HTTP=true"
            return ServerReply(ExportResult.NOT_SENT, why)
        return delivery.ship(time.monotonic() + _LEASE_SECONDS)
    except OSError as error:
        return ServerReply(ExportResult.UNAVAILABLE, str(error))
    finally:
        delivery.close()


def _show_progress(delivery: "Delivery", thread: threading.Thread, rows: int) -> None:
    columns = (TextColumn("🚀"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=rows)
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
            progress.update(task, completed=delivery.settled)


def _rejected(journal: Journal, destination: settings.AnyDestination) -> int:
    return int(delivered(journal, journal.counts())[destination.label]["rejected"])
