"""`watch`: alerts the operator when an agent deviates from its past. `alerts`: lists incidents and tests channels."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from termcolor import cprint

from .... import settings
from ....alerts import (
    AlertStore,
    AlreadyWatchedError,
    Channel,
    Incident,
    Message,
    Watcher,
    configured_channels,
    note_result,
    only_watch,
    path_beside,
    run_passes,
    send,
)
from ....journal import JournalError
from ... import time_range
from ...checks.findings import is_awaited, is_there
from ...options import AsJson, Limit, opened, print_error
from ...render.format import SHORT_ID, duration, moment, one_line, safe
from ...render.layout import Column, show, show_json, table, width

_POLL_SECONDS = 0.5
_URLS = "OBSERVABILITY_ALERT_URLS"


def watch(
    once: Annotated[bool, typer.Option("--once", help="Check once and exit, for cron.")] = False,
    every: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between two checks of the journal.")] = 60,
) -> None:
    """Send an alert to OBSERVABILITY_ALERT_URLS, and print it, when an agent deviates from its past behaviour.

    Without --once, the command runs until Ctrl-C, and then ends with status 0.

    Example: python -m src.observability watch --once
    """
    targets = configured_channels()
    path = settings.journal_path()
    if not _has_journal(path, once):
        return
    with opened():
        pass  # if the journal cannot be opened, `opened` prints the cure and ends the command
    try:
        with only_watch(path), contextlib.closing(Watcher(path, targets)) as watcher:
            if once:
                _report(watcher.run_pass(time.time_ns()))
                return
            cprint(f"🤖 Watching {safe(str(path))}, {_described(targets)}", "cyan", file=sys.stderr)
            with contextlib.suppress(KeyboardInterrupt):
                run_passes(watcher, every, _report)
    except AlreadyWatchedError as error:
        cprint(f"🤖 {error}", "cyan", file=sys.stderr)
    except JournalError as error:
        print_error(str(error), "the next run will retry" if once else None)
        raise typer.Exit(1) from None


def alerts(
    test: Annotated[str | None, typer.Argument(help="`test` sends one message to every channel.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List open and past incidents. `alerts test` sends a test message; exit status 1 if a channel fails.

    Example: python -m src.observability alerts test
    """
    if test == "test":
        _test()
        return
    if test is not None:
        raise typer.BadParameter("use `alerts` or `alerts test`", param_hint="test")
    path = path_beside(settings.journal_path())
    rows = _incidents(limit) if is_there(path) else []
    if as_json:
        for row in rows:
            show_json(row)
    elif rows:
        show(*_table(rows))
    else:
        cure = "none were recorded so far" if is_there(path) else "to watch for them: python -m src.observability watch"
        cprint(f"🤖 No incidents; {cure}", "cyan", file=sys.stderr)


def _has_journal(path: Path, once: bool) -> bool:
    """Wait until an agent has created the journal, except with `once`. Return whether there is a journal."""
    if is_awaited(path):
        cprint(f"🤖 No journal at {safe(str(path))} yet: {'nothing to watch' if once else 'waiting for an agent'}",
               "cyan", file=sys.stderr)  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):
        while not once and is_awaited(path):
            time.sleep(_POLL_SECONDS)
    return not is_awaited(path)


def _described(targets: list[Channel]) -> str:
    return f"messages go to {len(targets)} channels" if targets else f"{_URLS} is not set: messages are printed only"


def _report(changes: list[Incident] | OSError) -> None:
    if isinstance(changes, OSError):
        cprint(f"❌ {safe(one_line(str(changes), 400))}", "red", file=sys.stderr)
        return
    for incident in changes:
        if incident.closed_ns is None:
            icon, colour, at_ns, text = "❌", "red", incident.opened_ns, one_line(incident.text, 300)
        else:
            icon, colour, at_ns, text = "✅", "green", incident.closed_ns, incident.closing
        cprint(f"{icon} {moment(at_ns)} {one_line(incident.agent, 60)}: {incident.rule}: {text}", colour, flush=True)


def _incidents(limit: int) -> list[dict[str, Any]]:
    try:
        store = AlertStore(path_beside(settings.journal_path()))
        try:
            return store.incidents(limit)
        finally:
            store.close()
    except JournalError as error:
        print_error(str(error), None)
        raise typer.Exit(1) from None


def _table(rows: list[dict[str, Any]]) -> list[Any]:
    now = time_range.now_ns()
    return table(
        [
            Column("", ["✅" if row["closed_ns"] else "❌" for row in rows], 9),
            Column("since", [moment(row["since_ns"])[:16] for row in rows], 5),
            Column("for", [duration((row["closed_ns"] or now) - row["since_ns"]) for row in rows], 4),
            Column("agent", [one_line(row["agent"], 60) for row in rows], 8, 8),
            Column("rule", [row["rule"] for row in rows], 8),
            Column("first bad", [row["first_bad"][:SHORT_ID] for row in rows], 3),
            Column("last good", [row["last_good"][:SHORT_ID] for row in rows], 2),
            Column("incident", [one_line(row["text"], 200) for row in rows], 6, 20),
        ],
        width(),
    )


def _test() -> None:
    targets = configured_channels()
    if not targets:
        print_error(f"{_URLS} is not set", f"set it in .env: {_URLS}=tgram://TOKEN/CHAT, see docs/operations.md")
        raise typer.Exit(1)
    failed = False
    for target in targets:
        error = send(target, Message("🔔 Test", "Alerts of the trading agents arrive here."))
        failed |= error is not None
        _note(target, error)
        if error is None:
            cprint(f"✅ {target.label}: sent", "green")
        else:
            print_error(f"{target.label}: {one_line(error, 300)}", f"correct the address in {_URLS}")
    if failed:
        raise typer.Exit(1)


def _note(target: Channel, error: str | None) -> None:
    """Record the result of a test message for `doctor`. Do nothing if the journal's folder is missing."""
    path = path_beside(settings.journal_path())
    if is_there(path.parent):
        store = AlertStore(path)
        note_result(store, target, error, time.time_ns())
        store.close()
