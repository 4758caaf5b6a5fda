"""
🌙 Moon Dev's OTLP Encoding
Built with love by Moon Dev 🚀

Journal rows as the OTLP message that Langfuse reads: one span an observation. The attribute names are those of
`langfuse.LangfuseOtelSpanAttributes`; what the server makes of them was measured (docs/langfuse.md).
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

Row = dict[str, Any]

# With any other scope the server copies every raw attribute into the observation's metadata.
_SCOPE = "langfuse-sdk"
_PRICED_AS_FREE = json.dumps({"input": 0, "output": 0})


def request_of(rows: Iterable[Row], public_key: str) -> bytes:
    """An `ExportTraceServiceRequest` of journal rows; roots last, so that their tags are the ones shown."""
    children_first = sorted(rows, key=lambda row: row["is_root"])
    scope = InstrumentationScope(name=_SCOPE, attributes=[_attribute("public_key", public_key)])
    spans = ScopeSpans(scope=scope, spans=[span_of(row) for row in children_first])
    resource = Resource(attributes=[_attribute("service.name", "moon-dev-ai-agents")])
    message = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource, scope_spans=[spans])])
    return message.SerializeToString()


def span_of(row: Row) -> Span:
    """One row as a span."""
    failed = row["level"] == "ERROR"
    return Span(
        trace_id=bytes.fromhex(row["trace_id"]),
        span_id=bytes.fromhex(row["id"]),
        parent_span_id=bytes.fromhex(row["parent_id"] or ""),
        name=row["name"],
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=row["start_ns"],
        end_time_unix_nano=row["end_ns"],
        attributes=[_attribute(name, value) for name, value in _attributes(row) if value is not None],
        status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
    )


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


def _attribute(name: str, value: Any) -> KeyValue:
    return KeyValue(key=name, value=_value(value))


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))
    return AnyValue(string_value=str(value))
