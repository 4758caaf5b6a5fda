"""The view of the journal that an address names: a period and a filter."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from ...journal import Journal
from ..queries.filter import HOUR_NS, NEVER_NS, Filter
from ..queries.overview import Buckets
from ..queries.traces import oldest_ns
from ..time_range import now_ns

# Name of a period in the address -> label, and number of hours including the current hour (None: all).
PERIODS = {"1h": ("1 h", 1), "24h": ("24 h", 24), "7d": ("7 d", 168), "30d": ("30 d", 720), "all": ("All", None)}
ACTIONS = ("BUY", "SELL", "NOTHING")
_DEFAULT_PERIOD = "24h"
_MAX_TEXT = 200  # a longer value in the address is cut to this many characters
_MAX_BUCKETS = 30
_MAX_SPAN_NS = 366 * 24 * HOUR_NS
_WIDTHS = (1, 2, 3, 4, 6, 8, 12, 24)  # possible bucket widths in hours; a bucket wider than a day spans whole days


class View(NamedTuple):
    """What the page shows: a period and a filter. A condition that is None does not apply."""

    period: str = _DEFAULT_PERIOD
    agent: str | None = None
    symbol: str | None = None
    action: str | None = None
    failed: bool = False
    text: str | None = None
    before: str | None = None  # only rows older than this row, given as `start_ns-seq`

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "View":
        """Read the view from the parameters of an address. An invalid value counts as missing."""
        names = {name: (query.get(name) or "")[:_MAX_TEXT].strip() or None for name in ("agent", "symbol", "text")}
        if not re.search(r"[^\W_]", names["text"] or ""):
            names["text"] = None  # the text has no word to search for
        period, action, before = query.get("period"), query.get("action"), query.get("before", "")
        return cls(
            period=period if period in PERIODS else _DEFAULT_PERIOD,
            action=action if action in ACTIONS else None,
            failed=query.get("failed") == "1",
            before=before if re.fullmatch(r"[0-9]{1,18}[0-9]?-[0-9]{1,18}", before) else None,
            **names,
        )

    def query(self, **changes: object) -> str:
        """Return the view, with changes, as an address's query string with its `?`; empty for the default view."""
        changed = self._replace(**changes)._asdict()  # type: ignore[arg-type]
        values = {name: int(value) if value is True else value for name, value in changed.items()}
        kept = {name: value for name, value in values.items() if value and value != View._field_defaults[name]}
        return f"?{urlencode(kept)}" if kept else ""

    @property
    def is_narrow(self) -> bool:
        """Whether the view has a filter that applies to decisions, but not to calls and spend."""
        return any((self.symbol, self.action, self.text))


class Range(NamedTuple):
    """A period, divided into buckets of equal width.

    The last bucket ends with the current hour, or with the period's last hour if that is earlier.
    """

    since_ns: int  # start of the period; may lie within the first bucket
    end: int  # end of the period in hours since 1970
    width: int  # width of a bucket in hours

    @property
    def size(self) -> int:
        """The number of buckets, at least 1."""
        return max(-(-(self.end - self.since_ns // HOUR_NS) // self.width), 1)

    @property
    def buckets(self) -> Buckets:
        """The first bucket and the width of the buckets, which queries need."""
        return Buckets(self.end - self.width * self.size, self.width)

    def start_ns(self, bucket: int) -> int:
        """Return the time at which a bucket begins, in Unix nanoseconds."""
        return max((self.buckets.first + bucket * self.width) * HOUR_NS, self.since_ns)

    @property
    def before(self) -> "Range":
        """The equally long period before this period, as one bucket."""
        hours = self.end - self.since_ns // HOUR_NS
        return Range(self.since_ns - hours * HOUR_NS, -(-self.since_ns // HOUR_NS), hours + 1)


def range_since(since_ns: int, until_ns: int = NEVER_NS) -> Range:
    """Return the range from a time to the end of the current hour, in up to 30 buckets.

    If `until_ns` is earlier, the range ends with the hour of `until_ns`.
    """
    end = -(-min(until_ns, (now_ns() // HOUR_NS + 1) * HOUR_NS) // HOUR_NS)
    least = -(-max(end - since_ns // HOUR_NS, 1) // _MAX_BUCKETS)
    width = next((width for width in _WIDTHS if width >= least), -(-least // 24) * 24)
    return Range(since_ns, end, width)


def range_of(view: View, journal: Journal) -> Range:
    """Return the range of a view's period."""
    hours = PERIODS[view.period][1]
    return range_since((now_ns() // HOUR_NS + 1 - hours) * HOUR_NS if hours else started(journal))


def started(journal: Journal) -> int:
    """Return the hour in which the oldest observation began, as the hour's start in Unix nanoseconds.

    If it is more than 366 days ago (the machine's clock may have been wrong), return the hour 366 days ago.
    """
    now = now_ns()
    oldest = min(oldest_ns(journal) or now, now)
    return max(oldest, now - _MAX_SPAN_NS) // HOUR_NS * HOUR_NS


def filter_of(view: View, time: Range) -> Filter:
    """Return the filter for the decisions of a view in a range."""
    return Filter(time.since_ns, agent=view.agent, symbol=view.symbol, action=view.action)


def calls_of(view: View, time: Range) -> Filter:
    """Return the filter for the calls of a view in a range.

    It leaves out symbol and action, so that the query can read the hourly sums.
    """
    return Filter(time.since_ns, agent=view.agent)
