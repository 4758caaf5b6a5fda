"""
🌙 Moon Dev's Report Queries
Built with love by Moon Dev 🚀

What the report draws: sums by day, latencies by class, decisions by day, and what the market made of them.
"""

from ...journal import INTERRUPTED, Journal, Row

_HOUR_NS = 3_600_000_000_000
_DAY = "strftime('%Y-%m-%d', {} / 1000000000, 'unixepoch')"
_CHOSEN = "(:agent IS NULL OR agent = :agent) AND (:model IS NULL OR model = :model)"

# Upper ends of the classes, milliseconds, and how they are called.
LATENCY_CLASSES = (
    (100, "< 0.1 s"), (300, "0.1–0.3 s"), (1_000, "0.3–1 s"), (3_000, "1–3 s"), (10_000, "3–10 s"),
    (30_000, "10–30 s"), (None, "≥ 30 s"),
)  # fmt: skip
_CLASS = " ".join(
    f"WHEN end_ns - start_ns < {milliseconds * 1_000_000} THEN {at}"
    for at, (milliseconds, _) in enumerate(LATENCY_CLASSES)
    if milliseconds is not None
)


def days(journal: Journal, since_ns: int, agent: str | None, model: str | None) -> list[Row]:
    """Per day (UTC), agent and model: calls, errors, calls of unknown price, spend in USD (None: no price is known);
    whole hours, also of rows long let go of."""
    return journal.select(
        "SELECT strftime('%Y-%m-%d', hour * 3600, 'unixepoch') AS day, agent, model, sum(calls) AS calls,"
        " sum(errors) AS errors, sum(unpriced) AS unpriced, CASE WHEN sum(priced) THEN sum(cost_usd) END AS cost_usd"
        f" FROM hourly WHERE hour >= :hour AND {_CHOSEN} GROUP BY day, agent, model HAVING sum(calls) ORDER BY day",
        {"hour": since_ns // _HOUR_NS, "agent": agent, "model": model},
    )


def latencies(journal: Journal, since_ns: int, agent: str | None, model: str | None) -> list[Row]:
    """Per model: how many calls took how long, by number of class; how long one took that its process did not see the
    end of, nobody knows."""
    return journal.select(
        f"SELECT model, CASE {_CLASS} ELSE {len(LATENCY_CLASSES) - 1} END AS class, count(*) AS calls"
        f" FROM observations WHERE type = 'generation' AND end_ns IS NOT NULL AND start_ns >= :since_ns AND {_CHOSEN}"
        " AND status_message IS NOT :interrupted"
        " GROUP BY model, class",
        {"since_ns": since_ns, "agent": agent, "model": model, "interrupted": INTERRUPTED},
    )


def signals(journal: Journal, since_ns: int, agent: str | None, model: str | None) -> list[Row]:
    """Per day (UTC): how many decisions of each action; one that cannot be acted on has none. A decision's model is
    that of the last call before it."""
    return journal.select(
        f"SELECT {_DAY.format('start_ns')} AS day, CASE WHEN json_extract(metadata, '$.signal_valid')"
        " THEN json_extract(metadata, '$.signal_action') END AS action, count(*) AS found FROM observations AS o"
        " WHERE name = 'trading_signal' AND type = 'event' AND start_ns >= :since_ns"
        " AND (:agent IS NULL OR agent = :agent) AND (:model IS NULL OR :model = (SELECT g.model FROM observations AS g"
        " WHERE g.trace_id = o.trace_id AND g.type = 'generation' AND g.start_ns <= o.start_ns"
        " ORDER BY g.start_ns DESC LIMIT 1)) GROUP BY day, action ORDER BY day",
        {"since_ns": since_ns, "agent": agent, "model": model},
    )
