"""Renders the HTML for each address of the live web page."""

from ...journal import Journal
from ..queries import overview as queries
from ..queries.traces import Trace, names
from ..queries.traces import trace as trace_of
from . import overview as screen
from .budgets import budgets
from .comparison import comparison
from .conversation import picture
from .view import ACTIONS, PERIODS, View, calls_of, filter_of, range_of
from .writing import written


def overview(journal: Journal, view: View) -> str:
    """Return the whole main page for a view, which is a period and a filter."""
    time = range_of(view, journal)
    rows, calls = filter_of(view, time), calls_of(view, time)
    newest = journal.newest()[0]  # read before the rows, so that `news` sends all rows that arrive later
    return written(
        "overview.html.j2", view=view, time=time, live=True, newest=newest,
        tiles=screen.tiles(journal, rows, calls, time), budgets=budgets(journal),
        **screen.listing(journal, rows, view)._asdict(),
        agents=names(journal, "agent"), symbols=queries.symbols(journal), actions=ACTIONS, periods=PERIODS,
        is_empty=not newest,
    )  # fmt: skip


def lower(journal: Journal, view: View) -> str:
    """Return the lower part of the page, below the list of decisions. The browser loads this part last."""
    time = range_of(view, journal)
    return written("lower.html.j2", live=True, **comparison(journal, filter_of(view, time), calls_of(view, time), time))


def trace_page(journal: Journal, trace_id: str, view: View) -> str | None:
    """Return the page of a trace; None if no trace has this id."""
    trace: Trace = trace_of(journal, trace_id)
    if not trace.observations:
        return None
    return written("trace.html.j2", trace=picture(trace), view=view, live=True)


def message(title: str, text: str, *, again: bool = False) -> str:
    """Return a page with one message. With `again`, the browser reloads the page after some seconds."""
    return written("message.html.j2", title=title, text=text, again=again, live=True)


Newest = tuple[int, int]  # `seq` of the newest observation, and `seq` of the newest score


def news(journal: Journal, view: View, after: int | None, drawn: Newest | None) -> tuple[Newest, list[tuple[str, str]]]:
    """Return the `seq` of the newest rows, and the events to send to the browser, each with a name and HTML.

    Args:
        journal: the journal.
        view: the view that the browser shows.
        after: the `seq` of the newest row in the browser. Newer rows are sent. None: no rows are sent.
        drawn: the newest `seq`s when the tiles were last sent. If these have changed, tiles are sent. None: no tiles.
    """
    newest = journal.newest()
    has_rows, has_tiles = after is not None and newest[0] > after, drawn is not None and newest != drawn
    events: list[tuple[str, str]] = []
    if has_rows or has_tiles:
        time = range_of(view, journal)
        rows = filter_of(view, time)
        if has_rows and (shown := screen.rows_after(journal, rows, view, after or 0)):
            events.append(("rows", written("rows.html.j2", rows=shown, view=view, live=True)))
        if has_tiles:
            tiles = screen.tiles(journal, rows, calls_of(view, time), time)
            events.append(("tiles", written("tiles.html.j2", tiles=tiles, budgets=budgets(journal), live=True)))
    return newest, events
