"""
🌙 Moon Dev's OTLP Encoding
Built with love by Moon Dev 🚀

Journal rows as the OTLP message that Langfuse reads: one span an observation. The attribute names are those of
`langfuse.LangfuseOtelSpanAttributes`; what the server makes of them was measured (docs/langfuse.md).
"""

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ..background import yielding
from ..journal import Row

# With any other scope the server copies every raw attribute into the observation's metadata.
_SCOPE = "langfuse-sdk"
_PRICED_AS_FREE = json.dumps({"input": 0, "output": 0})


def request_of(rows: Iterable[Row], public_key: str) -> bytes:
    """An `ExportTraceServiceRequest` of journal rows; roots last, so that their tags are the ones shown."""
    return _message(rows, public_key).SerializeToString()


def json_of(rows: Iterable[Row], public_key: str) -> str:
    """The same message as OTLP/JSON, on one line.

    Identifiers are hex digits there, not base64 (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
    """
    message = MessageToDict(_message(rows, public_key), use_integers_for_enums=True)
    for span in message["resourceSpans"][0]["scopeSpans"][0].get("spans", ()):
        span |= {name: b64decode(span[name]).hex() for name in _IDENTIFIERS if name in span}
    return json.dumps(message, ensure_ascii=False)


_IDENTIFIERS = ("traceId", "spanId", "parentSpanId")


def _message(rows: Iterable[Row], public_key: str) -> ExportTraceServiceRequest:
    children_first = sorted(rows, key=lambda row: row["is_root"])
    scope = {"name": _SCOPE, "attributes": [_attribute("public_key", public_key)]}
    resource = {"attributes": [_attribute("service.name", "moon-dev-ai-agents")]}
    around: Any = {"resource": resource, "scope_spans": [{"scope": scope}]}
    message = ExportTraceServiceRequest(resource_spans=[around])
    spans = message.resource_spans[0].scope_spans[0].spans
    for row in yielding(children_first):
        spans.add(**span_of(row))
    return message


def span_of(row: Row) -> dict[str, Any]:
    """One row as a span: the fields of `opentelemetry.proto.trace.v1.Span`."""
    failed = row["level"] == "ERROR"
    return {
        "trace_id": bytes.fromhex(row["trace_id"]),
        "span_id": bytes.fromhex(row["id"]),
        "parent_span_id": bytes.fromhex(row["parent_id"] or ""),
        "name": row["name"],
        "kind": Span.SPAN_KIND_INTERNAL,
        "start_time_unix_nano": row["start_ns"],
        "end_time_unix_nano": row["end_ns"],
        "attributes": [_attribute(name, value) for name, value in _attributes(row) if value is not None],
        "status": {"code": Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET},
    }


def _attributes(row: Row) -> Iterator[tuple[str, Any]]:
    yield "langfuse.observation.type", row["type"]
    yield "langfuse.observation.input", _plain(row["input"])
    yield "langfuse.observation.output", _plain(row["output"])
    yield "langfuse.observation.level", row["level"]
    yield "langfuse.observation.status_message", row["status_message"]
    if row["type"] == "generation":
        yield from _generation_attributes(row)
    for name, value in _metadata(row):
        yield f"langfuse.observation.metadata.{name}", value
    yield "langfuse.trace.name", row["trace_name"]
    yield "langfuse.trace.tags", row["tags"] or None
    yield "session.id", row["session_id"]
    yield "user.id", row["user_id"]
    yield "langfuse.environment", row["environment"]
    yield "langfuse.release", row["release"]
    yield "langfuse.internal.is_app_root", True if row["is_root"] else None


def _generation_attributes(row: Row) -> Iterator[tuple[str, Any]]:
    yield "langfuse.observation.model.name", row["model"]
    yield "langfuse.observation.model.parameters", row["model_parameters"]
    # Without usage the server counts, and bills, the tokens of a call that failed.
    unanswered = row["level"] in ("ERROR", "WARNING")
    yield "langfuse.observation.usage_details", row["usage"] or (_PRICED_AS_FREE if unanswered else None)
    yield "langfuse.observation.cost_details", row["cost"]
    if row["first_token_ns"]:
        yield "langfuse.observation.completion_start_time", _iso(row["first_token_ns"])


def _metadata(row: Row) -> Iterator[tuple[str, str]]:
    """Strings as they are: JSON-encoded ones look the same, but no equality filter finds them."""
    ours = {name: row[name] for name in ("agent", "provider", "model_requested", "cost_source") if row[name]}
    said = json.loads(row["metadata"] or "{}")
    for name, value in {**ours, **said}.items():
        if value is not None:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain(text: str | None) -> str | None:
    """A JSON string as the string itself; other JSON as it is."""
    return json.loads(text) if text and text.startswith('"') else text


def _iso(nanoseconds: int) -> str:
    """The completion start time as the SDK sends it: JSON text of an ISO 8601 time."""
    return json.dumps(datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat().replace("+00:00", "Z"))


# Messages as dicts: protobuf makes them where they belong, in a third of the time that it takes to make and copy each.


def _attribute(name: str, value: Any) -> dict[str, Any]:
    return {"key": name, "value": _value(value)}


def _value(value: Any) -> dict[str, Any]:
    if type(value) is str:
        return {"string_value": value}
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, list):
        return {"array_value": {"values": [_value(each) for each in value]}}
    return {"string_value": str(value)}
