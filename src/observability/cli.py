"""
🌙 Moon Dev's Observability Console
Built with love by Moon Dev 🚀

`python -m src.observability COMMAND`: what the agents decided, why, and what it cost, read from the journal. Needs no
key and no network.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from termcolor import cprint

from src import config
from src.observability.console import queries
from src.observability.console.shown import duration, money
from src.observability.console.since import parse_since
from src.observability.console.tables import decisions_table, figures_table
from src.observability.console.trees import tree_of
from src.observability.journal import Journal, JournalError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help=__doc__.split("\n\n", 1)[1], pretty_exceptions_enable=False
)

AsJson = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object a line.")]
Agent = Annotated[str | None, typer.Option(help="Of one agent.")]
Limit = Annotated[int, typer.Option(min=1, help="The newest so many.")]
Since = Annotated[str, typer.Option(help="24h, 7d, 2026-11-01, ... (UTC).")]
Full = Annotated[bool, typer.Option("--full", help="Whole prompts and answers.")]


@contextmanager
def _journal() -> Iterator[Journal]:
    """The journal to read; what is wrong with it is said, and ends the command with status 1."""
    try:
        journal = Journal(config.journal_path(), create=False)
    except JournalError as error:
        cprint(f"❌ {error}", "red", file=sys.stderr)
        raise typer.Exit(1) from None
    try:
        yield journal
    except JournalError as error:
        cprint(f"❌ {error}", "red", file=sys.stderr)
        raise typer.Exit(1) from None
    finally:
        journal.close()


def _show(found: list[queries.Trace], as_json: bool, full: bool) -> None:
    console = Console(highlight=False)
    for trace in found:
        if as_json:
            print(json.dumps(queries.as_json(trace), ensure_ascii=True))
        else:
            console.print(tree_of(trace, full=full, width=console.width))
            console.print()


def _since(text: str) -> int:
    try:
        return parse_since(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None


_WIDE = 120  # columns: room for models, costs and whole reasons


@app.command()
def status() -> None:
    """Is tracing on and well, what was decided last, and what did the last 24 hours cost?

    Example: python -m src.observability status
    """
    console = Console(highlight=False)
    print(f"🤖 Tracing is {'on' if config.tracing_on() else 'off (ENABLE_LANGFUSE)'}, {_shipping()}")
    with _journal() as journal:
        counts, oldest = journal.counts(), journal.oldest_pending_ns()
        print(f"📒 {config.journal_path()}  {journal.used_bytes() / 2**20:.1f} MB  {_states(counts)}")
        if oldest is not None:
            print(f"   the oldest that waits is from {duration(time.time_ns() - oldest)} ago")
        figures = queries.figures_by(journal, "agent", parse_since("24h"))
        decided = queries.decisions(journal, queries.Chosen(limit=5))
    if figures:
        spent = sum(each.cost_usd or 0.0 for each in figures)
        print(f"\n💰 The last 24 hours: {sum(each.calls for each in figures):,} calls, {money(spent)}")
        console.print(figures_table(figures, "agent", wide=console.width >= _WIDE))
    if decided:
        print("📌 The last decisions")
        console.print(decisions_table(decided, wide=console.width >= _WIDE))


def _shipping() -> str:
    to = config.destination()
    if to is not None:
        return f"shipped to {to.host}"
    missing = config.missing_langfuse_keys()
    return f"kept here: set {' and '.join(missing)} in .env for Langfuse" if missing else "kept here"


def _states(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "empty"


@app.command()
def decisions(agent: Agent = None, limit: Limit = 20, since: Since = "1970-01-01", as_json: AsJson = False) -> None:
    """Every signal, the newest last: NOTHING and those that nobody could read (?) included.

    Example: python -m src.observability decisions --since 24h --agent WhaleAgent
    """
    with _journal() as journal:
        found = queries.decisions(journal, queries.Chosen(None, agent, _since(since), limit))
    if as_json:
        for row in found:
            print(json.dumps(row, ensure_ascii=True))
    elif found:
        console = Console(highlight=False)
        console.print(decisions_table(found, wide=console.width >= _WIDE))
    else:
        cprint("🤖 No decision there: run an agent, or look further back with --since", "cyan", file=sys.stderr)


class By(StrEnum):
    """What costs are summed by."""

    agent = "agent"
    model = "model"
    provider = "provider"
    day = "day"
    session = "session"


@app.command()
def costs(by: By = By.agent, since: Since = "30d", as_json: AsJson = False) -> None:
    """What the calls cost and how they went: spend, errors, latency, tokens. A price nobody knows is never 0.

    Example: python -m src.observability costs --by model --since 7d
    """
    with _journal() as journal:
        found = queries.figures_by(journal, by.value, _since(since))
    if as_json:
        for each in found:
            print(json.dumps({**each._asdict(), "cost_per_decision": each.cost_per_decision}, ensure_ascii=True))
    elif found:
        console = Console(highlight=False)
        console.print(figures_table(found, by.value, wide=console.width >= _WIDE))
    else:
        cprint("🤖 No call there: run an agent, or look further back with --since", "cyan", file=sys.stderr)


@app.command()
def traces(
    session: Annotated[str | None, typer.Option(help="Of one session; `last` is the newest.")] = None,
    agent: Agent = None,
    limit: Limit = 20,
    since: Since = "1970-01-01",
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """The newest traces as trees.

    Example: python -m src.observability traces --agent LiquidationAgent --limit 5
    """
    with _journal() as journal:
        named = queries.newest_session(journal) if session == "last" else session
        found = queries.traces(journal, queries.Chosen(named, agent, _since(since), limit))
    if not found:
        cprint("🤖 Nothing recorded yet: run an agent, then look again", "cyan", file=sys.stderr)
    _show(found, as_json, full)


@app.command()
def trace(
    name: Annotated[str, typer.Argument(metavar="ID", help="Its id, the beginning of it, or `last`.")],
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """One trace as a tree.

    Example: python -m src.observability trace last --full
    """
    with _journal() as journal:
        found = queries.trace_named(journal, name)
    _show([found], as_json, full)
