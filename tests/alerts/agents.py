"""Makes journal rows for the alerts' tests: cycles of a model call and a decision, at chosen times."""

import json
from itertools import count

from src.observability.journal.store import Journal, Row
from tests.million import observation_row

MINUTE_NS, HOUR_NS, DAY_NS = 60 * 10**9, 3_600 * 10**9, 86_400 * 10**9
T0 = 20_000 * DAY_NS  # 2024-10-04, a Friday
_ids = count(1)


def cycle(
    at_ns: int, agent: str = "WhaleAgent", *, failed: bool = False, answer: str | None = None, action: str = "BUY",
    confidence: float = 70, seconds: float = 2.0, usd: float = 0.01, valid: bool = True, **columns: object,
) -> list[Row]:  # fmt: skip
    """Return the rows of a trace that ends at `at_ns`: the call, its decision unless the call failed, and the root."""
    number = next(_ids)
    shared = {"trace_id": f"{number:032x}", "trace_name": agent, "agent": agent, "end_ns": at_ns, **columns}
    call = observation_row(
        **shared, id=f"{number:013x}001", type="generation", name="llm_generation",
        start_ns=at_ns - int(seconds * 1e9), level="ERROR" if failed else "DEFAULT",
        status_message="HTTP 503" if failed else None, cost_usd=None if failed else usd,
        output=None if failed else json.dumps(answer or f"{action}\nreason {number}"),
    )  # fmt: skip
    signal = {"signal_action": action, "signal_confidence": confidence, "signal_valid": valid, "trading_symbol": "BTC"}
    event = observation_row(
        **shared, id=f"{number:013x}002", type="event", name="trading_signal", start_ns=at_ns,
        metadata=json.dumps(signal),
    )  # fmt: skip
    root = observation_row(
        **shared, id=f"{number:013x}003", type="agent", name=agent, is_root=1, start_ns=at_ns - int(seconds * 1e9)
    )
    return [call, root] if failed else [call, event, root]


def append(journal: Journal, rows: list[list[Row]]) -> None:
    """Append the rows of these cycles in one transaction."""
    journal.append([row for rows_of_cycle in rows for row in rows_of_cycle], [])


def trace_of(rows: list[Row]) -> str:
    """Return the trace id of a cycle's rows."""
    return str(rows[0]["trace_id"])
