"""`outcome` and `outcomes`: record the profit or loss of decisions, singly or from a CSV file."""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from termcolor import cprint

from .... import recording  # imported as a module, so that the slow redaction rules load on first use
from ....journal import Row
from ...checks.obstacles import refused_patterns
from ...options import AsJson, opened, print_error
from ...queries import decisions, traces
from ...render.format import SHORT_ID, gain, gain_percent, how_many, one_line
from ...trades_csv import BadLine, Repeats, Trades, read_trades

_MAX_PRINTED = 20  # largest number of bad lines to print

Usd = Annotated[str | None, typer.Option(metavar="NUMBER", help="Profit or loss in USD.")]
Percent = Annotated[str | None, typer.Option(metavar="NUMBER", help="Profit or loss in percent of the stake.")]
Sum = Annotated[bool, typer.Option("--sum", help="Add up several lines for one trace, such as partial fills.")]
Last = Annotated[bool, typer.Option("--last", help="Keep the last of several lines for a trace.")]


def outcome(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="A trace id, its first digits, or `last`.")],
    pnl_usd: Usd = None,
    pnl_pct: Percent = None,
    note: Annotated[str | None, typer.Option(help="A comment.")] = None,
    as_json: AsJson = False,
) -> None:
    """Record the profit or loss of a decision. A second outcome replaces the first.

    The outcome counts for the last valid BUY or SELL of the trace.

    Example: python -m src.observability outcome 9dbed5bf --pnl-usd -12.5 --note "stopped out"
    """
    _check_numbers(pnl_usd, pnl_pct)
    if note is not None:
        _check_notes()
    with opened() as journal:
        trace_id = traces.trace_id_named(journal, trace)
        scores = recording.scores_of_outcome(trace_id, pnl_usd, pnl_pct, note)
        # The argument None means: if the trace is not in this journal, its scores are recorded, but not sent.
        rows = recording.rows_of_outcome(journal, trace_id, scores, None)
        journal.append([], rows)
        has_trade = decisions.has_trade(journal, trace_id)
    _print_outcome(rows, has_trade, as_json)


def _check_numbers(pnl_usd: str | None, pnl_pct: str | None) -> None:
    try:
        recording.values_of_outcome(pnl_usd, pnl_pct)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--pnl-usd, --pnl-pct") from None


def _check_notes() -> None:
    """End the command if a redaction pattern is invalid. No text is recorded then, so the note would be lost."""
    for refused in refused_patterns():
        print_error(f"No outcome was recorded, since its note could not be: {refused.what}", refused.cure)
        raise typer.Exit(1)


def _print_outcome(rows: Sequence[Row], has_trade: bool, as_json: bool) -> None:
    trace_id, values = rows[0]["trace_id"], {row["name"]: row["value"] for row in rows}
    if as_json:
        _print_json({"trace_id": trace_id, **values, "note": rows[0]["comment"], "judges": has_trade})
    else:
        forms = {"pnl_usd": gain, "pnl_pct": gain_percent}
        results = ", ".join(f"{name} {forms[name](value)}" for name, value in values.items())
        cprint(f"✅ {trace_id[:SHORT_ID]}: {results}", "green")
    if not has_trade:
        cprint("⚠️ Recorded, but the trace has no valid BUY or SELL to evaluate", "yellow", file=sys.stderr)


def outcomes(
    trades: Annotated[Path, typer.Option("--import", metavar="FILE", help="A CSV file with a header line.")],
    column: Annotated[str, typer.Option(help="The column with the trace ids.")] = "trace_id",
    add_up: Sum = False,
    last: Last = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file without recording anything.")] = False,
    as_json: AsJson = False,
) -> None:
    """Record outcomes from a CSV file with pnl_usd or pnl_pct (or both), a column of trace ids, and optionally note.

    Trace ids may be shortened to their first 8 hex digits or more. The whole file is checked first. Good lines are
    recorded; bad lines are listed, and the command then ends with status 1.

    Example: python -m src.observability outcomes --import trades.csv --column trace --sum
    """
    if add_up and last:
        raise typer.BadParameter("use only one of these options", param_hint="--sum, --last")
    repeats = Repeats.ADD if add_up else Repeats.KEEP_LAST if last else Repeats.REFUSE
    with opened() as journal:
        file = read_trades(journal, trades, column, repeats)
        if any(row["comment"] for rows in file.outcomes for row in rows):
            _check_notes()
        _print_bad_lines(file.bad_lines, as_json)
        if not dry_run:
            with _ctrl_c_ignored():
                recording.append_in_steps(journal, file.outcomes)
        without_trade = sum(not decisions.has_trade(journal, rows[0]["trace_id"]) for rows in file.outcomes)
    _print_summary(file, without_trade, dry_run, as_json)
    if file.bad_lines or not file.outcomes:
        raise typer.Exit(1)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Ignore Ctrl-C until all rows are written, so that a file is imported completely or not at all."""

    def note(*_: Any) -> None:
        cprint("⚠️ Finishing the import first, which takes a few seconds", "yellow", file=sys.stderr)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print_bad_lines(bad_lines: Sequence[BadLine], as_json: bool) -> None:
    for bad in bad_lines if as_json else bad_lines[:_MAX_PRINTED]:
        if as_json:
            _print_json({"line": bad.line, "error": bad.why})
        else:
            cprint(f"⚠️ Line {bad.line}: {one_line(bad.why, 160)}", "yellow", file=sys.stderr)


def _print_summary(trades: Trades, without_trade: int, dry_run: bool, as_json: bool) -> None:
    good, bad = len(trades.outcomes), len(trades.bad_lines)
    if as_json:
        _print_json({"taken": good, "broken": bad, "unjudged": without_trade, "dry_run": dry_run})
        return
    if good:
        cprint(f"✅ Outcomes of {how_many(good, 'trace')} {'can be' if dry_run else 'were'} recorded", "green")
    if without_trade:
        cprint(f"⚠️ {without_trade:,} of these traces have no valid BUY or SELL to evaluate", "yellow", file=sys.stderr)
    nothing = "" if good else "No outcome was recorded: "
    if bad:
        cure = "Correct them, then import the whole file; no outcome is counted twice"
        cprint(f"❌ {nothing}{how_many(bad, 'bad line')}. {cure}", "red", file=sys.stderr)
    elif not good:
        cprint(f"❌ {nothing}the file has no lines below its header", "red", file=sys.stderr)


def _print_json(line: Row) -> None:
    print(json.dumps(line, ensure_ascii=True))
