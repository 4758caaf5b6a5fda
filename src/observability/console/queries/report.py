"""The report's data: spend and errors per day, latency classes, decisions per day."""

from ...journal import INTERRUPTED, MODEL, Journal, Row
from .filter import DECISIONS, HOUR_NS, NAMED, ROWS, Filter

# Upper ends of the latency classes in milliseconds, and their labels.
LATENCY_CLASSES = (
    (100, "< 0.1 s"), (300, "0.1–0.3 s"), (1_000, "0.3–1 s"), (3_000, "1–3 s"), (10_000, "3–10 s"),
    (30_000, "10–30 s"), (None, "≥ 30 s"),
)  # fmt: skip
_CLASS = " ".join(
    f"WHEN end_ns - start_ns < {milliseconds * 1_000_000} THEN {number}"
    for number, (milliseconds, _) in enumerate(LATENCY_CLASSES)
    if milliseconds is not None
)


def days(journal: Journal, rows: Filter) -> list[Row]:
    """Return calls, errors, calls of unknown price and spend in USD (None: unknown) per UTC day, agent and model.

    Whole hours from the hourly totals, which outlive deleted rows.
    """
    return journal.select(
        "SELECT strftime('%Y-%m-%d', hour * 3600, 'unixepoch') AS day, agent, model, sum(calls) AS calls,"
        " sum(errors) AS errors, sum(unpriced) AS unpriced, CASE WHEN sum(priced) THEN sum(cost_usd) END AS cost_usd"
        f" FROM hourly WHERE hour >= :first_hour AND hour <= :last_hour AND {NAMED}"
        " GROUP BY day, agent, model HAVING sum(calls) ORDER BY day",
        rows.parameters(first_hour=rows.since_ns // HOUR_NS, last_hour=(rows.until_ns - 1) // HOUR_NS),
    )


def latencies(journal: Journal, rows: Filter) -> list[Row]:
    """Return the number of calls per model and latency class; interrupted calls have no known latency."""
    return journal.select(
        f"SELECT {MODEL} AS model, CASE {_CLASS} ELSE {len(LATENCY_CLASSES) - 1} END AS class, count(*) AS calls"
        f" FROM observations WHERE type = 'generation' AND end_ns IS NOT NULL AND {ROWS}"
        " AND status_message IS NOT :interrupted GROUP BY 1, class",
        rows.parameters(interrupted=INTERRUPTED),
    )


def signals(journal: Journal, rows: Filter) -> list[Row]:
    """Return the number of decisions per UTC day and action; None is the action of an invalid one."""
    return journal.select(
        "SELECT strftime('%Y-%m-%d', start_ns / 1000000000, 'unixepoch') AS day, CASE WHEN valid THEN action END"
        f" AS action, count(*) AS decisions FROM decisions WHERE {DECISIONS} GROUP BY 1, 2 ORDER BY 1",
        rows.parameters(),
    )
