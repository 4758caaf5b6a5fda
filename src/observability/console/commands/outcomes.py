"""
🌙 Moon Dev's Judging Commands
Built with love by Moon Dev 🚀

What the market made of the decisions: told one by one (`outcome`) or from a file (`outcomes`).
"""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from termcolor import cprint

from ...journal import JournalError, Row
from ...recording import append_in_steps, rows_of_outcome, scores_of_outcome, values_of_outcome
from ..checks.obstacles import refused_patterns
from ..options import AsJson, complain, opened
from ..queries import decisions, traces
from ..render.format import gain, gain_percent, how_many, one_line
from ..trades import Checked, Several, checked
from ..trades_csv import Broken, lines_of

_MOST_SAID = 20  # broken lines

Usd = Annotated[str | None, typer.Option(metavar="NUMBER", help="Profit or loss, USD.")]
Percent = Annotated[str | None, typer.Option(metavar="NUMBER", help="Profit or loss, percent of the stake.")]
Sum = Annotated[bool, typer.Option("--sum", help="Lines of one trace (partial fills) add up.")]
Last = Annotated[bool, typer.Option("--last", help="Of lines of one trace the last counts.")]


def outcome(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="Its id, the beginning of it, or `last`.")],
    pnl_usd: Usd = None,
    pnl_pct: Percent = None,
    note: Annotated[str | None, typer.Option(help="Anything worth knowing.")] = None,
    as_json: AsJson = False,
) -> None:
    """What the market made of a decision; said again, it replaces what was said before.

    It is that of the last BUY or SELL of the trace that was a valid decision.

    Example: python -m src.observability outcome 9dbed5bf --pnl-usd -12.5 --note "stopped out"
    """
    _check_numbers(pnl_usd, pnl_pct)
    if note is not None:
        _check_notes()
    with opened() as journal:
        try:
            trace_id = traces.trace_id_named(journal, trace)
        except ValueError as error:
            raise JournalError(str(error)) from None
        scores = scores_of_outcome(trace_id, pnl_usd, pnl_pct, note)
        found = rows_of_outcome(journal, trace_id, scores, None)  # the journal knows where the trace went
        journal.append([], found)
        judges = decisions.can_be_judged(journal, trace_id)
    _say_outcome(found, judges, as_json)


def _check_numbers(pnl_usd: str | None, pnl_pct: str | None) -> None:
    try:
        values_of_outcome(pnl_usd, pnl_pct)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--pnl-usd, --pnl-pct") from None


def _check_notes() -> None:
    """End the command where a note would be lost: under patterns that are refused, no text is recorded."""
    for refused in refused_patterns():
        complain(f"No outcome is taken: a note would be lost, since {refused.what}", refused.cure)
        raise typer.Exit(1)


def _say_outcome(found: Sequence[Row], judges: bool, as_json: bool) -> None:
    trace_id, values = found[0]["trace_id"], {row["name"]: row["value"] for row in found}
    if as_json:
        _print({"trace_id": trace_id, **values, "note": found[0]["comment"], "judges": judges})
    else:
        said = {"pnl_usd": gain, "pnl_pct": gain_percent}
        values_said = ", ".join(f"{name} {said[name](value)}" for name, value in values.items())
        cprint(f"✅ {trace_id[:8]}: {values_said}", "green")
    if not judges:
        cprint("⚠️ Stored, but there is nothing to judge: no valid BUY or SELL there", "yellow", file=sys.stderr)


def outcomes(
    trades: Annotated[Path, typer.Option("--import", metavar="FILE", help="CSV with a header line.")],
    column: Annotated[str, typer.Option(help="The column that names the trace.")] = "trace_id",
    add_up: Sum = False,
    last: Last = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look whether the file is right.")] = False,
    as_json: AsJson = False,
) -> None:
    """Outcomes from a file: columns pnl_usd, pnl_pct (one of them at least), note, and one that names the trace.

    A trace is named by its id, or the first 8 digits of it at the least. The whole file is looked at before anything is
    written; good lines are taken, broken ones are named, and the command ends with status 1.

    Example: python -m src.observability outcomes --import trades.csv --column trace --sum
    """
    if add_up and last:
        raise typer.BadParameter("take one of the two", param_hint="--sum, --last")
    several = Several.ADD_UP if add_up else Several.LAST if last else Several.REFUSED
    with opened() as journal:
        found = checked(journal, lines_of(trades, column), several)
        if any(row["comment"] for rows in found.outcomes for row in rows):
            _check_notes()
        _say_broken(found.broken, as_json)
        if not dry_run:
            with _ctrl_c_waits():
                append_in_steps(journal, found.outcomes)
        unjudged = sum(not decisions.can_be_judged(journal, rows[0]["trace_id"]) for rows in found.outcomes)
    _say_taken(found, unjudged, dry_run, as_json)
    if found.broken or not found.outcomes:
        raise typer.Exit(1)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """An import is there whole or not at all: what was checked is written to its end, which takes seconds."""

    def wait(*_: Any) -> None:
        cprint("⚠️ What was right is being written to its end: a moment", "yellow", file=sys.stderr)

    before = signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _say_broken(broken: Sequence[Broken], as_json: bool) -> None:
    for each in broken if as_json else broken[:_MOST_SAID]:
        if as_json:
            _print({"line": each.line, "error": each.why})
        else:
            cprint(f"⚠️ Line {each.line}: {one_line(each.why, 160)}", "yellow", file=sys.stderr)


def _say_taken(found: Checked, unjudged: int, dry_run: bool, as_json: bool) -> None:
    taken, broken = len(found.outcomes), len(found.broken)
    if as_json:
        _print({"taken": taken, "broken": broken, "unjudged": unjudged, "dry_run": dry_run})
        return
    what = "would be taken" if dry_run else "taken"
    if taken:
        cprint(f"✅ Outcomes of {how_many(taken, 'trace')} {what}", "green")
    if unjudged:
        cprint(f"⚠️ {unjudged:,} of them have no valid BUY or SELL to judge", "yellow", file=sys.stderr)
    if broken:
        none = "" if taken else "No outcome is taken: "
        words = f"{none}{broken:,} lines are broken: correct them and import the file again"
        cprint(f"❌ {words}", "red", file=sys.stderr)
    elif not taken:
        cprint("❌ No outcome is taken: there is nothing below the header", "red", file=sys.stderr)


def _print(line: Row) -> None:
    print(json.dumps(line, ensure_ascii=True))
