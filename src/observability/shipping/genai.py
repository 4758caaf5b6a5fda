"""Converts journal rows to OTLP with OpenTelemetry's GenAI attributes, for all backends but Langfuse.

The convention's version is `SCHEMA`, the last version before the convention moved to a repository without releases:
https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-spans.md
Attributes without a name in the convention begin with `moon_dev.`. Rows for Langfuse are converted by `otlp.py`.
"""

import json
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from ..journal import Row, json_text
from .encoding import KIND_CLIENT, KIND_INTERNAL, SERVICE, STATUS_ERROR, attributes_of, identity_of
from .messages import input_messages, output_message
from .protobuf import message_of as _message_of

SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
_SCOPE = {"name": SERVICE}
_OPERATIONS = {
    "generation": "chat",
    "embedding": "embeddings",
    "agent": "invoke_agent",
    "tool": "execute_tool",
    "retriever": "retrieval",
}
_PROVIDERS = {
    "claude": "anthropic",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "xai": "x_ai",
    "azure": "azure.ai.openai",
    "mistral": "mistral_ai",
}
_IN_PROCESS = "local"  # provider of models that run inside the agent's process
# Name of a model parameter -> its name in the GenAI convention, and its Python types.
_FLOAT, _INT = (float, int), (int,)
_PARAMETERS = {
    "temperature": ("temperature", _FLOAT),
    "top_p": ("top_p", _FLOAT),
    "top_k": ("top_k", _FLOAT),
    "frequency_penalty": ("frequency_penalty", _FLOAT),
    "presence_penalty": ("presence_penalty", _FLOAT),
    "max_tokens": ("max_tokens", _INT),
    "max_completion_tokens": ("max_tokens", _INT),
    "max_output_tokens": ("max_tokens", _INT),
    "num_predict": ("max_tokens", _INT),
    "seed": ("seed", _INT),
}
_Attributes = Iterator[tuple[str, Any]]


def message_of(rows: Iterable[Row]) -> Iterator[bytes]:
    """Encode rows as an `ExportTraceServiceRequest` in protobuf, in pieces."""
    host = attributes_of([("service.name", SERVICE), ("host.name", socket.gethostname())])
    resource = {"resource": {"attributes": host}, "schemaUrl": SCHEMA}
    return _message_of(map(span_of, rows), resource, {"scope": _SCOPE, "schemaUrl": SCHEMA})


def span_of(row: Row) -> dict[str, Any]:
    """Convert a row to a span: the fields of `opentelemetry.proto.trace.v1.Span`."""
    is_request = row["type"] in ("generation", "embedding") and row["provider"] != _IN_PROCESS
    failed = {"code": STATUS_ERROR, "message": row["status_message"] or ""}
    return {
        **identity_of(row),
        "name": _name(row),
        "kind": KIND_CLIENT if is_request else KIND_INTERNAL,
        "attributes": attributes_of(_attributes(row)),
        "status": failed if row["level"] == "ERROR" else {},
    }


def _name(row: Row) -> str:
    """The span's name by the GenAI convention: the operation, followed by its model, agent or tool. A row without an
    operation keeps its own name."""
    operation = _OPERATIONS.get(row["type"])
    subject = {"agent": row["agent"], "tool": row["name"]}.get(row["type"], row["model_requested"])
    return row["name"] if operation is None else f"{operation} {subject or ''}".rstrip()


def _attributes(row: Row) -> _Attributes:
    metadata = json.loads(row["metadata"] or "{}")
    yield "gen_ai.operation.name", _OPERATIONS.get(row["type"])
    yield "gen_ai.agent.name", row["agent"]
    yield "gen_ai.conversation.id", row["session_id"]
    yield "session.id", row["session_id"]
    yield "user.id", row["user_id"]
    yield "deployment.environment.name", row["environment"]
    if row["level"] == "ERROR":
        yield "error.type", str(metadata.get("error_type") or "_OTHER")
    if row["type"] in ("generation", "embedding"):
        yield from _request(row)
    yield from _contents(row, metadata)
    yield from _own(row, metadata)


def _request(row: Row) -> _Attributes:
    yield "gen_ai.provider.name", _PROVIDERS.get(row["provider"], row["provider"])
    yield "gen_ai.request.model", row["model_requested"]
    if row["usage"]:  # a call without an answer has only the requested model
        yield "gen_ai.response.model", row["model"]
        yield from _usage(json.loads(row["usage"]))
    yield from _parameters(json.loads(row["model_parameters"] or "{}"))
    if row["first_token_ns"]:
        yield "gen_ai.response.time_to_first_chunk", (row["first_token_ns"] - row["start_ns"]) / 1e9


def _usage(usage: dict[str, int]) -> _Attributes:
    """Yield the token counts. In the GenAI convention, input includes cached tokens and output includes reasoning
    tokens. The counts in `usage` do not overlap."""
    cached, written = usage.get("input_cached_tokens"), usage.get("input_cache_creation")
    reasoning = usage.get("output_reasoning_tokens")
    if "input" in usage:
        yield "gen_ai.usage.input_tokens", usage["input"] + (cached or 0) + (written or 0)
    yield "gen_ai.usage.cache_read.input_tokens", cached
    yield "gen_ai.usage.cache_creation.input_tokens", written
    if "output" in usage:
        yield "gen_ai.usage.output_tokens", usage["output"] + (reasoning or 0)
    yield "gen_ai.usage.reasoning.output_tokens", reasoning


def _parameters(parameters: dict[str, Any]) -> _Attributes:
    """Yield the model parameters: those of the GenAI convention under its names, all others in one attribute."""
    others = dict(parameters)
    for name, (attribute, types) in _PARAMETERS.items():
        value = parameters.get(name)
        if isinstance(value, types) and not isinstance(value, bool):
            yield f"gen_ai.request.{attribute}", types[0](others.pop(name))
    yield "moon_dev.model_parameters", json_text(others) if others else None


def _contents(row: Row, metadata: dict[str, Any]) -> _Attributes:
    """Yield the input and output, if captured. If the GenAI convention does not cover the type of row, the attributes
    have our own names."""
    if row["type"] in ("generation", "agent"):
        yield from _messages(row, metadata)
    elif row["type"] == "tool":
        yield "gen_ai.tool.name", row["name"]
        yield "gen_ai.tool.call.arguments", row["input"]
        yield "gen_ai.tool.call.result", row["output"]
    else:
        yield "moon_dev.input", row["input"]
        yield "moon_dev.output", row["output"]


def _messages(row: Row, metadata: dict[str, Any]) -> _Attributes:
    finish_reason, reasoning = metadata.get("finish_reason"), metadata.get("reasoning")
    if row["input"] is not None:
        yield "gen_ai.input.messages", json_text(input_messages(json.loads(row["input"])))
    if row["output"] is not None or reasoning:
        answer = None if row["output"] is None else json.loads(row["output"])
        yield "gen_ai.output.messages", json_text([output_message(answer, reasoning, finish_reason)])
    yield "gen_ai.response.finish_reasons", [str(finish_reason)] if finish_reason else None


_STANDARD = frozenset({"finish_reason", "reasoning", "error_type"})  # metadata that the GenAI convention has names for


def _own(row: Row, metadata: dict[str, Any]) -> _Attributes:
    """The attributes for which the GenAI convention has no name: row and trace name, tags, cost and other metadata."""
    yield "moon_dev.name", row["name"]
    yield "moon_dev.trace_name", row["trace_name"]
    yield "moon_dev.tags", row["tags"] or None
    yield "moon_dev.release", row["release"]
    yield "moon_dev.level", row["level"]
    yield "moon_dev.cost_usd", row["cost_usd"]
    for name, value in metadata.items():
        if name not in _STANDARD and value is not None:
            is_plain = isinstance(value, (str, bool, int, float))
            yield f"moon_dev.{name}", value if is_plain else json_text(value)
