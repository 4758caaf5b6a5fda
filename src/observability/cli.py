"""
🌙 Moon Dev's Observability Console
Built with love by Moon Dev 🚀

`python -m src.observability COMMAND`: what the agents decided, why, and what it cost, read from the journal. Needs no
key and no network.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from termcolor import cprint

from src import config
from src.observability.console import queries
from src.observability.console.trees import tree_of
from src.observability.journal import Journal, JournalError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help=__doc__.split("\n\n", 1)[1], pretty_exceptions_enable=False
)

AsJson = Annotated[bool, typer.Option("--json", help="For scripts: one JSON object a line.")]
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


@app.command()
def traces(
    session: Annotated[str | None, typer.Option(help="Of one session; `last` is the newest.")] = None,
    agent: Annotated[str | None, typer.Option(help="Of one agent.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """The newest traces as trees.

    Example: python -m src.observability traces --agent LiquidationAgent --limit 5
    """
    with _journal() as journal:
        named = queries.newest_session(journal) if session == "last" else session
        found = queries.traces(journal, queries.Chosen(named, agent, limit=limit))
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
