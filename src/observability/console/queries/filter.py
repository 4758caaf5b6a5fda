"""The filter that all queries share, and its SQL conditions."""

from typing import Any, NamedTuple

from ..time_range import sqlite_zone

HOUR_NS = 3_600_000_000_000
NEVER_NS = 2**63 - 1


class Filter(NamedTuple):
    """The conditions on the rows that a query reads. None means no condition. Times are Unix nanoseconds.

    `action` and `symbol` select decisions; in queries of other rows, they select the traces with such a decision.
    `text` selects the traces that contain the text.
    """

    since_ns: int = 0  # inclusive
    until_ns: int = NEVER_NS  # exclusive
    agent: str | None = None
    model: str | None = None
    action: str | None = None  # in capitals
    symbol: str | None = None  # case-insensitive
    failed: bool = False  # only rows with an error; in queries of traces or decisions, those whose trace has an error
    text: str | None = None
    traces: str | None = None  # JSON list of the ids of the traces that contain `text`, set by `text.with_traces`

    @property
    def is_of_traces(self) -> bool:
        """Whether the filter has a condition that cannot be applied to the hourly sums."""
        return self.failed or (self.action, self.symbol, self.text) != (None, None, None)

    @property
    def has_few_traces(self) -> bool:
        """Whether fewer than about a thousand traces contain the text; then a query should start from these traces."""
        return self.traces is not None and len(self.traces) < 36_000  # an id takes 36 characters in the JSON list

    @property
    def is_bounded(self) -> bool:
        """Whether the filter has a start time or an end time."""
        return self.since_ns > 0 or self.until_ns < NEVER_NS

    def parameters(self, **more: Any) -> dict[str, Any]:
        """Return the parameters of the SQL conditions, and the additional parameters `more`."""
        return {**self._asdict(), "zone": sqlite_zone(), **more}


STARTED = "start_ns >= :since_ns AND start_ns < :until_ns"
# A call matches if `:model` is the model name in the call's request, or the model name in the provider's answers.
IS_MODEL = (
    "(model = :model OR model IN (SELECT answered FROM model_names WHERE requested = :model)"
    " OR model IN (SELECT requested FROM model_names WHERE answered = :model))"
)
NAMED = f"(:agent IS NULL OR agent = :agent) AND (:model IS NULL OR {IS_MODEL})"
_FAILED = "(NOT :failed OR level = 'ERROR')"
_WITH_TEXT = "(:text IS NULL OR {0}.trace_id IN (SELECT value FROM json_each(:traces)))"
_DECIDES = "(:action IS NULL OR action = :action) AND (:symbol IS NULL OR symbol = :symbol COLLATE NOCASE)"
# The alias `of_it` must differ from the aliases in the outer query, which are o, d and c.
_WITH_DECISION = (
    "(:action IS NULL AND :symbol IS NULL OR EXISTS"
    f" (SELECT 1 FROM decisions AS of_it WHERE of_it.trace_id = {{0}}.trace_id AND {_DECIDES}))"
)
_WITH_ERROR = (
    "(NOT :failed OR EXISTS"
    " (SELECT 1 FROM observations AS of_it WHERE of_it.trace_id = {0}.trace_id AND of_it.level = 'ERROR'))"
)


_FROM_TRACES = "json_each(:traces) AS searched CROSS JOIN {0} AS {1} ON {1}.trace_id = searched.value"


def source(rows: Filter, table: str, name: str) -> str:
    """Return the FROM clause for a table with alias `name`.

    If few traces contain the filter's text, the query starts from these traces.
    """
    return _FROM_TRACES.format(table, name) if rows.has_few_traces else f"{table} AS {name}"


def rows_of(name: str) -> str:
    """Return the filter's SQL conditions on the table `observations` with alias `name`."""
    return f"{STARTED} AND {NAMED} AND {_FAILED} AND {_WITH_TEXT.format(name)} AND {_WITH_DECISION.format(name)}"


def decisions_of(name: str) -> str:
    """Return the filter's SQL conditions on the view `decisions` with alias `name`."""
    return f"{STARTED} AND {NAMED} AND {_DECIDES} AND {_WITH_ERROR.format(name)} AND {_WITH_TEXT.format(name)}"


def traces_of(name: str) -> str:
    """Return the filter's SQL conditions on traces. `name` is the alias of a table with the column trace_id."""
    return " AND ".join(part.format(name) for part in (_WITH_TEXT, _WITH_ERROR, _WITH_DECISION))


ROWS = rows_of("observations")
DECISIONS = decisions_of("decisions")
