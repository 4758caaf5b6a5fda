"""
🌙 Moon Dev's Outcome Queries
Built with love by Moon Dev 🚀

Decisions beside what the market made of them.
"""

from typing import NamedTuple

from ...journal import Journal, Row


class Judged(NamedTuple):
    """Which decisions: since a time (Unix nanoseconds), of an agent, of a model."""

    since_ns: int = 0
    agent: str | None = None
    model: str | None = None


_CAN_BE_JUDGED = """name = 'trading_signal' AND type = 'event' AND json_extract(metadata, '$.signal_valid')
    AND json_extract(metadata, '$.signal_action') IN ('BUY', 'SELL')"""

# Of an observation `o`: whether its trace's outcome is its own. That is so of the last decision that could be acted on.
IS_JUDGED = f"o.seq = (SELECT max(seq) FROM observations WHERE trace_id = o.trace_id AND {_CAN_BE_JUDGED})"

_JUDGED = f"""
SELECT * FROM (SELECT o.trace_id, o.agent, json_extract(o.metadata, '$.signal_confidence') AS confidence,
    (SELECT value FROM scores WHERE trace_id = o.trace_id AND name = 'pnl_usd' LIMIT 1) AS pnl_usd,
    (SELECT value FROM scores WHERE trace_id = o.trace_id AND name = 'pnl_pct' LIMIT 1) AS pnl_pct,
    (SELECT model FROM observations AS g WHERE g.trace_id = o.trace_id AND g.type = 'generation'
        AND g.start_ns <= o.start_ns ORDER BY g.start_ns DESC LIMIT 1) AS model
FROM observations AS o WHERE o.name = 'trading_signal' AND o.start_ns >= :since_ns
    AND o.trace_id IN (SELECT trace_id FROM scores WHERE name IN ('pnl_usd', 'pnl_pct')) AND {IS_JUDGED}
    AND (:agent IS NULL OR o.agent = :agent)) WHERE :model IS NULL OR model = :model
"""


def judged(journal: Journal, which: Judged) -> list[Row]:
    """Each BUY or SELL whose outcome is known: trace_id, agent, model, confidence (0 to 100), pnl_usd, pnl_pct."""
    return journal.select(_JUDGED, which._asdict())


def can_be_judged(journal: Journal, trace_id: str) -> bool:
    """Whether an outcome of this trace is one of a decision: a valid BUY or SELL."""
    return bool(
        journal.select(f"SELECT 1 FROM observations WHERE trace_id = ? AND {_CAN_BE_JUDGED} LIMIT 1", (trace_id,))
    )
