"""`decisions`: the agents' decisions with their outcomes, and an evaluation of them."""

import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Annotated

import typer
from termcolor import cprint

from ...journal import Journal
from ..evaluation import FEW, ConfidenceClass, Evaluation, calibration, evaluations
from ..options import MAX_ROWS, AsJson, filtered, opened, print_no_rows, resolved, with_existing_names
from ..queries import decisions as queries
from ..queries.filter import Filter
from ..queries.totals import CallStats, call_stats
from ..queries.traces import oldest_ns
from ..render.format import how_many
from ..render.layout import show, show_json, width
from ..render.tables import balance_table, calibration_table, decisions_table, evaluations_table

_LIMIT = 20
Newest = Annotated[
    int | None,
    typer.Option(
        "--limit", "-n", min=1, max=MAX_ROWS, help=f"Show the newest N (default {_LIMIT}). Not allowed with --report."
    ),
]
WithInferred = Annotated[bool, typer.Option("--inferred", help="Also evaluate decisions inferred from answers.")]
AsReport = Annotated[bool, typer.Option("--report", help="Evaluate the decisions with a known outcome.")]


@filtered
def decisions(
    rows: Filter,
    limit: Newest = None,
    report: AsReport = False,
    inferred: WithInferred = False,
    as_json: AsJson = False,
) -> None:
    """List the newest decisions with their outcomes, newest last. A decision that could not be read is shown as ?.

    Cost and outcome belong to the whole trace. Its last valid BUY or SELL shows them; its other decisions show ″.
    ≈ marks a decision inferred from a model's answer. --report omits such decisions unless --inferred is given.

    Example: python -m src.observability decisions --since today --action SELL --symbol BTC
    """
    if report:
        if limit is not None:
            raise typer.BadParameter("--report covers all decisions: use --since instead", param_hint="--limit")
        _report(rows, as_json, inferred=inferred)
        return
    with opened() as journal:
        newest = queries.newest_decisions(journal, with_existing_names(journal, rows), limit or _LIMIT)
    if as_json:
        for row in newest:
            show_json(row)
    elif newest:
        show(*decisions_table(newest, width()))
    else:
        print_no_rows("decisions", rows)


def _report(rows: Filter, as_json: bool, *, inferred: bool) -> None:
    with opened() as journal:
        rows = resolved(journal, rows)
        evaluated = queries.decisions_with_outcome(journal, rows, inferred=inferred)
        omitted = 0 if evaluated or inferred else len(queries.decisions_with_outcome(journal, rows, inferred=True))
        groups = {by: evaluations(evaluated, _calls(journal, by, rows), by) for by in ("agent", "model")}
    if as_json:
        _print_json(groups, calibration(evaluated))
    elif evaluated:
        print(f"⚖️ {how_many(len(evaluated), 'BUY and SELL decision')} with a known outcome (indented: 95 % intervals)")
        _print_tables(groups, calibration(evaluated))
    elif omitted:
        hint = f"🤖 Only outcomes of inferred decisions found ({omitted}): add --inferred to evaluate these decisions"
        cprint(hint, "cyan", file=sys.stderr)
    else:
        hint = "🤖 No outcomes found; to record one: python -m src.observability outcome TRACE --pnl-usd -12.5"
        cprint(hint, "cyan", file=sys.stderr)


def _calls(journal: Journal, by: str, rows: Filter) -> list[CallStats]:
    """Return the statistics of the matching calls, but none older than the oldest observation still in the journal."""
    since = max(rows.since_ns, oldest_ns(journal) or 0)
    return call_stats(journal, by, rows._replace(since_ns=since), timed=False)


def _print_json(groups: dict[str, list[Evaluation]], classes: Sequence[ConfidenceClass]) -> None:
    lines = [{"by": by, **group.as_json()} for by, rows in groups.items() for group in rows]
    lines += [{"by": "confidence", **group._asdict(), "few": group.few} for group in classes]
    for line in lines:
        show_json(line)


def _print_tables(groups: dict[str, list[Evaluation]], classes: Sequence[ConfidenceClass]) -> None:
    decided = {by: [group for group in rows if group.cases] for by, rows in groups.items()}
    columns = width()
    for by, rows in decided.items():
        show(*evaluations_table(rows, by, columns), "")
    show(*calibration_table(classes, columns), "")
    print("💰 Profit or loss, minus the cost of all calls, also those that led to NOTHING")
    for by, rows in groups.items():
        show(*balance_table(rows, by, columns), "")
    rated: Iterable[ConfidenceClass | Evaluation] = chain(classes, *decided.values())
    if any(group.few for group in rated):
        cprint(f"⚠️ few: fewer than {FEW} cases; trust the intervals, not the means", "yellow")
