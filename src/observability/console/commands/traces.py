"""`traces` and `trace`: print traces as lines, trees or JSON."""

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, NoReturn

import typer

from ...journal import Journal
from ..options import AsJson, Full, Limit, filtered, opened, print_error, print_no_rows, with_existing_names
from ..queries import traces as queries
from ..queries.filter import Filter
from ..render.layout import show, show_json, width
from ..render.tables import traces_table
from ..render.tree import tree_of

_SESSIONS = "python -m src.observability costs --by session"
_MAX_CANDIDATES = 20
_MAX_TREE = 160  # largest width of a tree in columns, also if the output is a pipe


@filtered
def traces(
    rows: Filter,
    session: Annotated[str | None, typer.Option(help="Only this session; `last` means the newest session.")] = None,
    limit: Limit = 20,
    tree: Annotated[bool, typer.Option("--tree", help="Show each trace as a tree.")] = False,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """List the newest traces, one line each; --tree, --full and --json show whole traces. `trace ID` shows one trace.

    Example: python -m src.observability traces --agent LiquidationAgent --limit 5
    """
    with opened() as journal:
        rows = with_existing_names(journal, rows)
        session_id = queries.newest_session(journal) if session == "last" else session
        if tree or full or as_json:
            count = _show_all(queries.newest_traces(journal, rows, session_id, limit), as_json, full)
        else:
            count = _show_lines(journal, rows, session_id, limit)
    if not count:
        is_named = session not in (None, "last")
        print_no_rows("traces", rows, f"list the sessions with `{_SESSIONS}`" if is_named else "run an agent")


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
    """Show one trace as a tree. If several trace ids start with the given digits, list them and exit with status 1.

    Example: python -m src.observability trace last --full
    """
    with opened() as journal:
        ids = queries.trace_ids_named(journal, name, _MAX_CANDIDATES)
        if len(ids) > 1:
            _list_candidates(name, sorted(queries.lines_of(journal, ids), key=lambda line: line.start_ns))
        named_trace = queries.trace(journal, ids[0])
    _show(named_trace, as_json, full)


def _list_candidates(name: str, lines: Sequence[queries.TraceLine]) -> NoReturn:
    more = f" (the first {_MAX_CANDIDATES} are listed)" if len(lines) == _MAX_CANDIDATES else ""
    print_error(f"Several trace ids start with {name!r}{more}", "give more digits of one of these ids")
    for line in traces_table(lines, width()):
        print(line.plain, file=sys.stderr)
    raise typer.Exit(1)


def _show(trace: queries.Trace, as_json: bool, full: bool) -> None:
    if as_json:
        show_json(trace.as_json())
    else:
        show(tree_of(trace, full=full, width=min(width(), _MAX_TREE)), "")
