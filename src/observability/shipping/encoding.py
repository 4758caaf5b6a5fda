"""OTLP's JSON encoding: a message with its spans, attributes with their types.

Identifiers are hex digits, 64-bit numbers are strings
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from ..background import yielding
from ..journal import Row, json_pieces, json_text

SERVICE = "moon-dev-ai-agents"
KIND_INTERNAL, KIND_CLIENT = 1, 3  # values of `SpanKind` in opentelemetry/proto/trace/v1/trace.proto
STATUS_ERROR = 2
_END = b"]}]}]}"  # closes the list of spans and everything around it


def message_of(spans: Iterable[dict[str, Any]], resource: dict[str, Any], scope: dict[str, Any]) -> Iterator[bytes]:
    """Yield an `ExportTraceServiceRequest` as one line of JSON. It comes in pieces, so that other threads run in
    between.

    Args:
        spans: fields of `opentelemetry.proto.trace.v1.Span`.
        resource: fields of `ResourceSpans`, without the spans.
        scope: fields of `ScopeSpans`, without the spans.
    """
    empty = json_text({"resourceSpans": [{**resource, "scopeSpans": [{**scope, "spans": []}]}]})
    yield empty.encode()[: -len(_END)]
    separator = b""
    for span in yielding(spans):
        for piece in json_pieces(span):
            yield separator + piece.encode()
            separator = b""
        separator = b", "
    yield _END


def identity_of(row: Row) -> dict[str, Any]:
    """The identifiers and times of a row's span."""
    parent = {"parentSpanId": row["parent_id"]} if row["parent_id"] else {}
    return {
        "traceId": row["trace_id"],
        "spanId": row["id"],
        **parent,
        "startTimeUnixNano": str(int(row["start_ns"])),
        "endTimeUnixNano": str(int(row["end_ns"])),
    }


def attributes_of(values: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Encode attributes as OTLP, and leave out those whose value is None."""
    return [{"key": name, "value": _value(value)} for name, value in values if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if type(value) is str:
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value)}
