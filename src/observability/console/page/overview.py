"""The page's first screen: tiles with key figures, and the list of decisions or failed calls."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ...journal import Journal, Row
from ..evaluation import FEW, wilson
from ..queries import overview as queries
from ..queries.filter import Filter
from ..queries.text import traces_with
from ..render.format import cost_text, gain, how_many, money, outcome_text, plain, profit_of, signed
from ..signal import Signal, signal_of
from .charts import Line, line
from .view import ACTIONS, Range, View

ROWS = 30  # number of rows on one page of the list
_MAX_REASON = 400
_SEARCH_ROWS = 200  # rows read per step of a text search
_SEARCH_SECONDS = 0.2


class Tile(NamedTuple):
    """A figure of the period, its change since the period before, and a small line chart of its values over time."""

    label: str
    value: str
    mood: str  # CSS class of the value: good, bad or empty
    note: str
    change: str  # change since the period before; empty if either figure is unknown
    line: Line


class DecisionRow(NamedTuple):
    """A decision as one row of the list."""

    row: Row
    signal: Signal
    action: str
    kind: str  # CSS class: the action if it is valid, else `unreadable`
    reason: str
    outcome: str
    mood: str
    cost: str


def decision(row: Row) -> DecisionRow:
    """Return a decision as one row of the list."""
    signal = signal_of(row["metadata"])
    action = plain(signal.action)[:24]
    profit = profit_of(row) if row["stands"] else None
    return DecisionRow(
        row, signal, action, action if action in ACTIONS and signal.valid else "unreadable",
        plain(signal.reason[:_MAX_REASON]), outcome_text(row), mood(profit), cost_text(row),
    )  # fmt: skip


class Sums(NamedTuple):
    """Counts and sums of the calls and outcomes in a period. Money is in USD."""

    calls: int = 0
    errors: int = 0
    priced: int = 0
    unpriced: int = 0
    spend: float = 0.0
    cases: int = 0
    hits: int = 0
    usd_cases: int = 0
    profit: float = 0.0

    @property
    def net(self) -> float | None:
        """Profit of the decisions minus the cost of all calls; None if no decision has an outcome in USD."""
        return self.profit - self.spend if self.usd_cases else None

    @property
    def hit_share(self) -> float | None:
        """Share of profitable decisions among those with an outcome; None if no decision has an outcome."""
        return self.hits / self.cases if self.cases else None

    @property
    def spent(self) -> float | None:
        """Cost of the calls; None if no call has a known price."""
        return self.spend if self.priced else None

    @property
    def failed_share(self) -> float | None:
        """Share of failed calls; None without calls."""
        return self.errors / self.calls if self.calls else None


def added(all_sums: Iterable[Sums]) -> Sums:
    """Return the sum of several `Sums`."""
    columns = list(zip(*all_sums, strict=True))
    return Sums(*map(sum, columns)) if columns else Sums()


_COLUMNS = {
    "calls": "calls", "errors": "errors", "priced": "priced", "unpriced": "unpriced", "cost_usd": "spend",
    "cases": "cases", "hits": "hits", "usd_cases": "usd_cases", "usd": "profit",
}  # fmt: skip


def sums_of(row: Row) -> Sums:
    """Convert a query's row, with sums of calls or of outcomes, to `Sums`."""
    return Sums(**{name: row[column] for column, name in _COLUMNS.items() if column in row})


def sums_by_bucket(journal: Journal, rows: Filter, calls: Filter, period: Range) -> list[Sums]:
    """Return the sums of the calls and outcomes in each bucket of a period."""
    parts: dict[int, list[Sums]] = defaultdict(list)
    for row in queries.calls_by_bucket(journal, calls, period.buckets):
        parts[row["bucket"]].append(sums_of(row))
    for row in queries.outcomes_by_bucket(journal, rows, period.buckets):
        parts[row["bucket"]].append(sums_of(row))
    return [added(parts[bucket]) for bucket in range(max(period.size, *(number + 1 for number in (*parts, 0))))]


def tiles(journal: Journal, rows: Filter, calls: Filter, period: Range) -> list[Tile]:
    """Return the tiles of a period. `rows` selects the decisions, and `calls` the calls."""
    earlier, earlier_calls = (
        part._replace(since_ns=period.before.since_ns, until_ns=period.since_ns) for part in (rows, calls)
    )
    then = sums_by_bucket(journal, earlier, earlier_calls, period.before)
    return _tiles(sums_by_bucket(journal, rows, calls, period), added(then))


def _tiles(buckets: Sequence[Sums], then: Sums) -> list[Tile]:
    now = added(buckets)
    return [
        Tile("Net profit", gain(now.net), mood(now.net), _net_note(now), _change(now.net, then.net, gain),
             line(_running([bucket.profit - bucket.spend for bucket in buckets]) if now.usd_cases else [])),
        Tile("Hit rate", share(now.hit_share), "", _hit_note(now), _change(now.hit_share, then.hit_share, _points),
             line([bucket.hit_share for bucket in buckets])),
        Tile("Spend", money(now.spent) if now.calls else "–", "", _spend_note(now), _growth(now.spent, then.spent),
             line([bucket.spend for bucket in buckets] if now.priced else [])),
        Tile("Failures", share(now.failed_share), "", f"{now.errors:,} of {how_many(now.calls, 'call')}",
             _change(now.failed_share, then.failed_share, _points),
             line([bucket.failed_share for bucket in buckets])),
    ]  # fmt: skip


def _running(values: Sequence[float]) -> list[float]:
    return [sum(values[: number + 1]) for number in range(len(values))]


def _net_note(sums: Sums) -> str:
    if not sums.usd_cases:
        return "no outcomes in this period"
    unpriced = f", and {how_many(sums.unpriced, 'call')} of unknown price" if sums.unpriced else ""
    return f"{gain(sums.profit)} from trades, {money(sums.spend) if sums.spend else 'nothing'} spent{unpriced}"


def _hit_note(sums: Sums) -> str:
    if not sums.cases:
        return "no outcomes in this period"
    low, high = wilson(sums.hits, sums.cases)
    few = "few: " if sums.cases < FEW else ""
    return f"{few}{sums.hits:,} of {sums.cases:,}; 95 % interval {100 * low:.0f}–{100 * high:.0f} %"


def _spend_note(sums: Sums) -> str:
    if sums.unpriced:
        return f"and {how_many(sums.unpriced, 'call')} of unknown price"
    return how_many(sums.calls, "call")


def _change(now: float | None, then: float | None, form: Callable[[float], str]) -> str:
    return "" if now is None or then is None else form(now - then)


def _growth(now: float | None, then: float | None) -> str:
    return "" if now is None or not then else f"{signed(100 * (now / then - 1), '+,.0f')} %"


def _points(difference: float) -> str:
    return f"{signed(100 * difference, '+.1f')} pts"


def share(value: float | None) -> str:
    """A share as percent; `–` for None."""
    return "–" if value is None else f"{100 * value:.1f} %"


def mood(value: float | None) -> str:
    """The CSS class of a profit or loss; empty for zero or None."""
    return "good" if (value or 0) > 0 else "bad" if (value or 0) < 0 else ""


class Listing(NamedTuple):
    """One page of the list: decisions or failed calls, newest first."""

    rows: list[Any]
    older: str | None  # the next page begins below this row, given as `start_ns-seq`; None on the last page
    # If a text search ran out of time, the start of the oldest row that it read; else None.
    searched_ns: int | None


def listing(journal: Journal, rows: Filter, view: View, limit: int = ROWS) -> Listing:
    """Return the newest rows of a view: failed calls if the view shows failures, else decisions."""
    if view.text:
        return _searched(journal, rows, view, limit)
    read = _read(journal, rows, view, limit + 1, view.before)
    return Listing(read[:limit], cursor_of(read[limit - 1]) if len(read) > limit else None, None)


def _read(journal: Journal, rows: Filter, view: View, limit: int, before: str | None) -> list[Any]:
    if view.failed:
        return queries.newest_failures(journal, rows, limit, before)
    return [decision(row) for row in queries.newest_decisions(journal, rows, limit, before)]


def _searched(journal: Journal, rows: Filter, view: View, limit: int) -> Listing:
    """Search rows for the view's text, newest first, until a page is full or the time limit is reached."""
    deadline = time.monotonic() + _SEARCH_SECONDS
    matches: list[Any] = []
    before = view.before
    while page := _read(journal, rows, view, _SEARCH_ROWS, before):
        before = cursor_of(page[-1])
        matches += with_text(journal, page, view)
        if len(matches) > limit:
            return Listing(matches[:limit], cursor_of(matches[limit - 1]), None)
        if time.monotonic() > deadline:
            return Listing(matches, before, int(before.partition("-")[0]))
    return Listing(matches, None, None)


def with_text(journal: Journal, rows: Sequence[Any], view: View) -> list[Any]:
    """Return the rows whose trace contains the view's text; all rows if the view has no text."""
    if not view.text:
        return list(rows)
    traces = traces_with(journal, view.text, {trace_of(row) for row in rows})
    return [row for row in rows if trace_of(row) in traces]


def cursor_of(item: Any) -> str:
    """Return a row's place in the list, as `start_ns-seq`."""
    row = item.row if isinstance(item, DecisionRow) else item
    return f"{row['start_ns']}-{row['seq']}"


def trace_of(item: Any) -> str:
    """Return the trace id of a row of the list."""
    return str(item.row["trace_id"] if isinstance(item, DecisionRow) else item["trace_id"])


def rows_after(journal: Journal, rows: Filter, view: View, after: int) -> list[Any]:
    """Return the rows of the list that arrived after the row whose `seq` is `after`, newest first."""
    if view.failed:
        return with_text(journal, queries.failures_after(journal, rows, after, ROWS), view)
    news = [decision(row) for row in queries.decisions_after(journal, rows, after, ROWS)]
    return with_text(journal, news, view)
