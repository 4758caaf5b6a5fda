"""`traces` and `trace`: traces as lines, as trees, or as JSON."""

from collections.abc import Iterable
from typing import Annotated

import typer

from ...journal import Journal
from ..options import (
    SINCE,
    Agent,
    AsJson,
    Full,
    Limit,
    Model,
    Since,
    opened,
    print_no_rows,
    since_ns,
    with_existing_names,
)
from ..queries import traces as queries
from ..queries.filter import Filter
from ..render.layout import show, show_json, width
from ..render.tables import traces_table
from ..render.tree import tree_of

_SESSIONS = "python -m src.observability costs --by session"
_MAX_TREE = 160  # columns, in a pipe too


def traces(
    session: Annotated[str | None, typer.Option(help="Only this session; `last` is the newest.")] = None,
    agent: Agent = None,
    model: Model = None,
    limit: Limit = 20,
    since: Since = SINCE,
    tree: Annotated[bool, typer.Option("--tree", help="Show each trace as a tree.")] = False,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """List the newest traces, one line each. `trace ID` shows one of them; --tree, --full and --json show all.

    Example: python -m src.observability traces --agent LiquidationAgent --limit 5
    """
    rows = Filter(since_ns(since), agent=agent, model=model)
    with opened() as journal:
        rows = with_existing_names(journal, rows)
        session_id = queries.newest_session(journal) if session == "last" else session
        if tree or full or as_json:
            count = _show_all(queries.newest_traces(journal, rows, session_id, limit), as_json, full)
        else:
            count = _show_lines(journal, rows, session_id, limit)
    if not count:
        is_named = session not in (None, "last")
        print_no_rows("traces", rows.since_ns, f"{_SESSIONS} lists the sessions" if is_named else "run an agent")


def _show_lines(journal: Journal, rows: Filter, session: str | None, limit: int) -> int:
    lines = queries.newest_trace_lines(journal, rows, session, limit)
    if lines:
        show(*traces_table(lines, width()))
    return len(lines)


def _show_all(traces: Iterable[queries.Trace], as_json: bool, full: bool) -> int:
    count = 0
    for count, trace in enumerate(traces, 1):  # noqa: B007 - returned
        _show(trace, as_json, full)
    return count


def trace(
    name: Annotated[str, typer.Argument(metavar="ID", help="A trace id, its first digits, or `last`.")],
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """Show one trace as a tree.

    Example: python -m src.observability trace last --full
    """
    with opened() as journal:
        named_trace = queries.trace(journal, queries.trace_id_named(journal, name))
    _show(named_trace, as_json, full)


def _show(trace: queries.Trace, as_json: bool, full: bool) -> None:
    if as_json:
        show_json(trace.as_json())
    else:
        show(tree_of(trace, full=full, width=min(width(), _MAX_TREE)), "")
