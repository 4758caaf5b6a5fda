"""Encodes journalled scores as `score-create` events: one request to Langfuse's ingestion API has many of them.

Events keep their own time; `POST /api/public/scores` would set the time of arrival.
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from ..journal import Row, json_text
from .client import ExportResult, ServerReply
from .otlp import iso_time

_SYMBOL, _HIT = "signal_symbol", "hit"
_MAX_SYMBOL = 50  # limit in characters for a symbol, which is a score's value


def batch_of(rows: Sequence[Row]) -> bytes:
    """The body of `POST /api/public/ingestion`."""
    in_usd = _in_usd(rows)
    batch = {"batch": [event for row in rows for event in _events_of(row, in_usd)]}
    return json_text(batch).encode()


def replies_to(rows: Sequence[Row], reply: ServerReply) -> list[tuple[ServerReply, list[Row]]]:
    """The server's reply to each row. A row with several events gets the first reply that is not a success."""
    in_usd = _in_usd(rows)
    taken: list[Row] = []
    others: list[tuple[ServerReply, list[Row]]] = []
    for row in rows:
        replies = [reply.events.get(event["id"], _UNANSWERED) for event in _events_of(row, in_usd)]
        failed = next((reply for reply in replies if reply.result is not ExportResult.DELIVERED), None)
        if failed is None:
            taken.append(row)
        else:
            others.append((failed, [row]))
    return [(reply, taken), *others] if taken else others


def _in_usd(rows: Sequence[Row]) -> set[str]:
    """The ids of the traces that have an outcome in USD. If such a trace also has an outcome in percent, only the one
    in USD counts as a hit or a miss."""
    return {row["trace_id"] for row in rows if row["name"] == "pnl_usd"}


def _events_of(row: Row, in_usd: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the score's events. A signal's action also gets an event with the symbol. A trade's outcome (in
    percent only if there is none in USD) also gets an event `hit` (1 or 0). Langfuse's metrics API can group and
    average only scores."""
    yield _event(row, _body(row))
    judges = row["name"] == "pnl_usd" or (row["name"] == "pnl_pct" and row["trace_id"] not in in_usd)
    if judges and isinstance(row["value"], int | float):
        score_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{row['trace_id']}/{_HIT}"))
        yield _event(row, _body(row) | {"id": score_id, "name": _HIT, "value": int(row["value"] > 0), "comment": None})
    if row.get("symbol") and row["name"] == "signal_action":
        score_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{row['id']}/{_SYMBOL}"))
        symbol = {"id": score_id, "name": _SYMBOL, "value": str(row["symbol"])[:_MAX_SYMBOL], "comment": None}
        yield _event(row, _body(row) | symbol)


def _body(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "traceId": row["trace_id"],
        "observationId": row["observation_id"],
        "name": row["name"],
        "value": row["value"],
        "dataType": row["data_type"],
        "comment": row["comment"],
        "environment": row["environment"],
    }


def _event(row: Row, body: dict[str, Any]) -> dict[str, Any]:
    """Build an event. The server skips event ids that it knows, so a repeat keeps its id and a correction gets a new
    one."""
    event_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{body['id']}/{row['timestamp_ns']}/{body['value']}")
    return {
        "id": str(event_id),
        "type": "score-create",
        "timestamp": iso_time(row["timestamp_ns"]),
        "body": {name: value for name, value in body.items() if value is not None},
    }


_UNANSWERED = ServerReply(ExportResult.UNAVAILABLE, "Langfuse's answer does not say whether a score was accepted")
