"""
🌙 Moon Dev's Keeping
Built with love by Moon Dev 🚀

What an operator does with the journal: have what waits delivered now, and let go of what is old.
"""

import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, NamedTuple, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from termcolor import cprint

from ... import settings
from ...journal import STEP_ROWS, Journal
from .. import clock
from ..checks.obstacles import obstacles
from ..options import DOCTOR, AsJson, complain, opened
from ..queries import health
from ..render.format import how_many, moment
from ..render.layout import paragraph, show_json
from ..time_range import parse_since

if TYPE_CHECKING:
    from ...shipping import Delivery, ServerReply

_PATIENCE_SECONDS = 60.0  # for another process that is shipping
_LOOK_SECONDS = 0.1
_INTERRUPTED = 130  # the exit status of what Ctrl-C ended
_DAY_NS = 86_400_000_000_000


def ship(
    include_local: Annotated[
        bool, typer.Option("--include-local", help="Also what was recorded before there were keys.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Deliver to Langfuse what waits, now. Exit status 1 where something still waits or was refused; 130 on Ctrl-C.

    Example: python -m src.observability ship --include-local
    """
    to = settings.destination()
    if to is None:
        obstacle = next(obstacles())
        _end(f"Nowhere to ship to ({obstacle.about}: {obstacle.what})", obstacle.cure, as_json)
    with opened() as journal:
        if include_local:
            _address_local(journal, to, yes, as_json)
        shipped = _ship(journal, to)
    if as_json:
        show_json(shipped._asdict())
    else:
        _say(shipped)
    if shipped.waiting or shipped.refused:
        raise typer.Exit(1)


class _Shipped(NamedTuple):
    """What came of it, in rows."""

    host: str
    delivered: int
    refused: int  # for good
    waiting: int  # still
    why: str | None  # they wait
    cure: str | None
    local: int  # recorded without keys


def _ship(journal: Journal, to: settings.Destination) -> _Shipped:
    waiting, refused = journal.pending(to.label), _refused(journal)
    reply = _deliver(to, waiting) if waiting else None
    refused = _refused(journal) - refused
    left = journal.pending(to.label) if reply is not None else 0  # what came meanwhile is the next one's
    local = health.local_rows(journal)
    return _Shipped(
        to.host, max(waiting - left - refused, 0), refused, left, reply and reply.message, reply and _cure(reply), local
    )


def _say(shipped: _Shipped) -> None:
    if shipped.waiting:
        complain(f"{shipped.waiting:,} rows still wait: {shipped.why}", shipped.cure)
    elif shipped.refused:
        complain(f"Langfuse refused {how_many(shipped.refused, 'row')} for good", f"{DOCTOR} shows why")
    elif shipped.delivered:
        cprint(f"✅ {how_many(shipped.delivered, 'row')} delivered to {shipped.host}", "green")
    else:
        cprint(f"✅ Nothing waits for {shipped.host}", "green")
    if shipped.local:
        cprint(f"🤖 {how_many(shipped.local, 'local row')}: --include-local sends them", "cyan")


def _cure(why: "ServerReply") -> str:
    from ...shipping import ExportResult

    if why.result is ExportResult.UNAUTHORIZED:
        return f"correct the LANGFUSE keys in .env; see: {DOCTOR}"
    return f"try again later, or see: {DOCTOR}"


def _end(what: str, cure: str | None, as_json: bool) -> NoReturn:
    """Nothing was sent, and this is why; what was not looked at is None."""
    complain(what, cure)
    if as_json:
        show_json(dict.fromkeys(_Shipped._fields) | {"delivered": 0, "why": what, "cure": cure})
    raise typer.Exit(1)


def _address_local(journal: Journal, to: settings.Destination, yes: bool, as_json: bool) -> None:
    rows = health.local_rows(journal)
    if rows and not yes:
        _ask(rows, to, as_json)
    if rows:
        health.address(journal, to.label)


def _ask(rows: int, to: settings.Destination, as_json: bool) -> None:
    """End the command unless the operator says yes."""
    said = f"{rows:,} rows were recorded without keys. Send them, prompts and answers included, to {to.host}?"
    try:
        if typer.confirm(said, err=True):
            return
    except typer.Abort as abort:  # Ctrl-C, or nobody there: only its context tells which
        print(file=sys.stderr)
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise typer.Exit(_INTERRUPTED) from None
        _end("Nobody answers: nothing was sent", "add --yes to send them unasked", as_json)
    cprint("🤖 Nothing was sent", "cyan", file=sys.stderr)
    raise typer.Exit(1)


def _deliver(to: settings.Destination, rows: int) -> "ServerReply | None":
    """Ship with a bar of how far it is; None where each row is delivered or refused, else why not."""
    from ...shipping import Delivery

    found: list[ServerReply | None] = []
    delivery = Delivery(to, lambda: float("inf"), lambda _words: None)

    def run() -> None:
        found.append(_shipped(delivery))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        _watch(delivery, thread, rows)
    except KeyboardInterrupt:
        delivery.cut()
        cprint("🤖 Stopped; what was not delivered still waits", "cyan", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None
    return found[0]


def _shipped(delivery: "Delivery") -> "ServerReply | None":
    from ...shipping import ExportResult, ServerReply

    try:
        if delivery.is_refused_plain_http():
            return ServerReply(ExportResult.NOT_SENT, "the host has no TLS, and your keys would travel in the open")
        return delivery.ship(time.monotonic() + _PATIENCE_SECONDS)
    except OSError as error:
        return ServerReply(ExportResult.UNAVAILABLE, str(error))
    finally:
        delivery.close()


def _watch(delivery: "Delivery", thread: threading.Thread, rows: int) -> None:
    columns = (TextColumn("🚀"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=rows)
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            progress.update(task, completed=delivery.settled)


def _refused(journal: Journal) -> int:
    return journal.counts().get("rejected", 0)


def prune(
    older_than: Annotated[
        str | None, typer.Option(help="30d, 2026-11-01, ...; OBSERVABILITY_RETENTION_DAYS unless given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let go of old observations that wait for nothing, with their scores. What they cost stays in the sums.

    Example: python -m src.observability prune --older-than 14d --dry-run
    """
    before = _before(older_than)
    with opened() as journal:
        found = health.done_before(journal, before)
        waiting = found.pop("pending", 0)
        used = journal.used_bytes()
        gone = 0 if dry_run else _let_go(journal, before)
        pruned = _Pruned(before, dry_run, found, waiting, gone, used - journal.used_bytes())
    if as_json:
        show_json(pruned._asdict())
    else:
        _say_pruned(pruned)


class _Pruned(NamedTuple):
    """What is older than a time (Unix nanoseconds), in observations by their state, and what became of it."""

    before_ns: int
    dry_run: bool
    found: dict[str, int]
    waiting: int  # stay: Langfuse does not have them yet
    gone: int
    freed_bytes: int


def _say_pruned(pruned: _Pruned) -> None:
    when = f"observations begun before {moment(pruned.before_ns)}"
    if pruned.dry_run:
        cprint(f"🧹 Would let go of {sum(pruned.found.values()):,} {when}", "cyan")
    else:
        cprint(f"🧹 Let go of {pruned.gone:,} {when}", "green")
    by_state = [f"{count:,} {state}" for state, count in sorted(pruned.found.items())]
    freed = [] if pruned.dry_run else [f"{pruned.freed_bytes / 2**20:,.1f} MB given back"]
    cprint(paragraph("  ", ", ".join([*by_state, *freed]) or "none"), "cyan" if pruned.dry_run else "green")
    if pruned.waiting:
        cprint(f"⚠️ {pruned.waiting:,} stay, since Langfuse does not have them yet", "yellow")
        cprint("   → python -m src.observability ship", "yellow")


def _before(older_than: str | None) -> int:
    now = clock.now_ns()
    if older_than is None:
        return now - int(settings.setting("OBSERVABILITY_RETENTION_DAYS") * _DAY_NS)
    try:
        before = parse_since(older_than)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from None
    if before > now:
        raise typer.BadParameter("that time has not come yet", param_hint="--older-than")
    return before


def _let_go(journal: Journal, before: int) -> int:
    """In steps, so that no writer waits long; how many."""
    gone = 0
    while step := journal.delete_done(STEP_ROWS, before_ns=before):
        gone += step
        journal.give_back_space()
        journal.let_others_write()
    return gone
