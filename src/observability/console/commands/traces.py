"""
🌙 Moon Dev's Looking Commands
Built with love by Moon Dev 🚀

What the agents decided, and why: decisions, traces, trace.
"""

from collections.abc import Iterable
from typing import Annotated

import typer

from ...journal import Journal
from ..options import MOST, SINCE, Agent, AsJson, Full, Limit, Model, Since, known_names, nothing, opened, since_ns
from ..queries import traces as queries
from ..queries.decisions import Judged
from ..render.layout import show, show_json, width
from ..render.tables import decisions_table, traces_table
from ..render.tree import tree_of
from . import track_record

_DECISIONS = 20
_SESSIONS = "python -m src.observability costs --by session"
Newest = Annotated[
    int | None, typer.Option(min=1, max=MOST, help=f"The newest so many, {_DECISIONS} unless given; not with --report.")
]


def decisions(
    agent: Agent = None,
    model: Model = None,
    limit: Newest = None,
    since: Since = SINCE,
    report: Annotated[bool, typer.Option("--report", help="Were they any good? Of all with an outcome.")] = False,
    as_json: AsJson = False,
) -> None:
    """Every signal, the newest last: NOTHING and those that nobody could read (?) included; with what came of it.

    Cost and outcome are those of the whole trace, beside the decision that it stands for; ″ beside its others.

    Example: python -m src.observability decisions --since 24h --agent WhaleAgent
    """
    if report:
        if limit is not None:
            raise typer.BadParameter("--report is of all with an outcome: choose with --since", param_hint="--limit")
        track_record.report(Judged(since_ns(since), agent, model), as_json)
        return
    with opened() as journal:
        chosen = queries.Chosen(None, *known_names(journal, agent, model), since_ns(since), limit or _DECISIONS)
        found = queries.decisions(journal, chosen)
    if as_json:
        for row in found:
            show_json(row)
    elif found:
        show(*decisions_table(found, width()))
    else:
        nothing("decision", chosen.since_ns)


def traces(
    session: Annotated[str | None, typer.Option(help="Of one session; `last` is the newest.")] = None,
    agent: Agent = None,
    model: Model = None,
    limit: Limit = 20,
    since: Since = SINCE,
    tree: Annotated[bool, typer.Option("--tree", help="Each as a tree.")] = False,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """The newest traces, a line each; `trace ID` shows one of them, --tree (or --full) all. --json has them whole.

    Example: python -m src.observability traces --agent LiquidationAgent --limit 5
    """
    with opened() as journal:
        named = queries.newest_session(journal) if session == "last" else session
        chosen = queries.Chosen(named, *known_names(journal, agent, model), since_ns(since), limit)
        as_a_list = not (tree or full or as_json)
        shown = _list(journal, chosen) if as_a_list else _show_each(queries.traces(journal, chosen), as_json, full)
    if not shown:
        other = session not in (None, "last")
        nothing("trace", chosen.since_ns, f"{_SESSIONS} names the sessions" if other else "run an agent")


def _list(journal: Journal, chosen: queries.Chosen) -> int:
    found = queries.listed_traces(journal, chosen)
    if found:
        show(*traces_table(found, width()))
    return len(found)


def _show_each(traces: Iterable[queries.Trace], as_json: bool, full: bool) -> int:
    shown = 0
    for shown, found in enumerate(traces, 1):  # noqa: B007 - how many there were
        _show(found, as_json, full)
    return shown


def trace(
    name: Annotated[str, typer.Argument(metavar="ID", help="Its id, the beginning of it, or `last`.")],
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """One trace as a tree.

    Example: python -m src.observability trace last --full
    """
    with opened() as journal:
        found = queries.trace_named(journal, name)
    _show(found, as_json, full)


_FOLDED = 160  # columns at the most; what is folded is cut in a pipe too


def _show(found: queries.Trace, as_json: bool, full: bool) -> None:
    if as_json:
        show_json(queries.as_json(found))
    else:
        show(tree_of(found, full=full, width=min(width(), _FOLDED)), "")
