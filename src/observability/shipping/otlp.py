"""Converts journal rows to OTLP messages for Langfuse: one span per observation, in OTLP's JSON encoding.

The server accepts JSON and protobuf; JSON needs no library. The attribute names are those of
`langfuse.LangfuseOtelSpanAttributes`; docs/langfuse.md describes their effects on the server.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from ..journal import Row, json_text
from .encoding import KIND_INTERNAL, SERVICE, STATUS_ERROR, attributes_of, identity_of
from .encoding import message_of as _message_of
from .names import shown_metadata, shown_name, trace_name
from .tools import shown_answer, shown_prompt

# For any other scope name, the server copies every raw attribute into the observation's metadata.
_SCOPE = "langfuse-sdk"
_PRICED_AS_FREE = json.dumps({"input": 0, "output": 0})
_MODEL_TYPES = ("generation", "embedding")


def message_of(rows: Iterable[Row], public_key: str) -> Iterator[bytes]:
    """Encode rows as an `ExportTraceServiceRequest`, in pieces. Roots come last, so that Langfuse shows their tags."""
    scope = {"name": _SCOPE, "attributes": attributes_of([("public_key", public_key)])}
    resource = {"attributes": attributes_of([("service.name", SERVICE)])}
    in_order = sorted(rows, key=lambda row: row["is_root"])
    return _message_of(map(span_of, in_order), {"resource": resource}, {"scope": scope})


def json_of(rows: Iterable[Row], public_key: str) -> str:
    """Return the pieces of `message_of` as one text."""
    return b"".join(message_of(rows, public_key)).decode()


def span_of(row: Row) -> dict[str, Any]:
    """One row as a span: the fields of `opentelemetry.proto.trace.v1.Span`."""
    return {
        **identity_of(row),
        "name": shown_name(row),
        "kind": KIND_INTERNAL,
        "attributes": attributes_of(_attributes(row)),
        "status": {"code": STATUS_ERROR} if row["level"] == "ERROR" else {},
    }


def _attributes(row: Row) -> Iterator[tuple[str, Any]]:
    yield "langfuse.observation.type", row["type"]
    is_call = row["type"] == "generation"
    yield "langfuse.observation.input", _plain(shown_prompt(row["input"]) if is_call and row["input"] else row["input"])
    output = shown_answer(row["output"]) if is_call and row["output"] else row["output"]
    yield "langfuse.observation.output", _plain(output) or _failure(row)
    yield "langfuse.observation.level", row["level"]
    yield "langfuse.observation.status_message", row["status_message"]
    if row["type"] in _MODEL_TYPES:
        yield from _generation_attributes(row)
    for name, value in _metadata(row):
        yield f"langfuse.observation.metadata.{name}", value
    yield "langfuse.trace.name", trace_name(row)
    yield "langfuse.trace.tags", row["tags"] or None
    yield "session.id", row["session_id"]
    yield "user.id", row["user_id"]
    yield "langfuse.environment", row["environment"]
    yield "langfuse.release", row["release"]
    # In an experiment, the trace's root is a span of the Langfuse SDK, so no row of ours is marked as the root.
    yield "langfuse.internal.is_app_root", True if row["is_root"] and not row.get("experiment") else None
    yield from json.loads(row.get("experiment") or "{}").items()


def _generation_attributes(row: Row) -> Iterator[tuple[str, Any]]:
    yield "langfuse.observation.model.name", row["model"]
    yield "langfuse.observation.model.parameters", row["model_parameters"]
    # Without usage, the server would count, and price, the tokens of a failed call.
    unanswered = row["level"] in ("ERROR", "WARNING")
    yield "langfuse.observation.usage_details", row["usage"] or (_PRICED_AS_FREE if unanswered else None)
    yield "langfuse.observation.cost_details", row["cost"]
    yield "langfuse.observation.prompt.name", row.get("prompt_name")
    yield "langfuse.observation.prompt.version", row.get("prompt_version")
    if row["first_token_ns"]:
        # The value is JSON text, as Langfuse's SDK sends it.
        yield "langfuse.observation.completion_start_time", json.dumps(iso_time(row["first_token_ns"]))


def _failure(row: Row) -> str | None:
    """The error message of a failed cycle, as its output. Without any output, the trace page would show "undefined"."""
    return row["status_message"] if row["is_root"] and row["level"] == "ERROR" else None


def _metadata(row: Row) -> Iterator[tuple[str, str]]:
    """Yield metadata as strings. A string is not JSON-encoded: with JSON's quotes, equality filters would not match
    it."""
    for name, value in shown_metadata(row).items():
        yield name, value if isinstance(value, str) else json_text(value)


def _plain(text: str | None) -> str | None:
    """Decode a JSON string; keep other JSON."""
    return json.loads(text) if text and text.startswith('"') else text


def iso_time(nanoseconds: int) -> str:
    """Format Unix nanoseconds as an ISO 8601 time in UTC."""
    return datetime.fromtimestamp(nanoseconds / 1e9, timezone.utc).isoformat().replace("+00:00", "Z")
