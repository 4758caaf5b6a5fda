"""
🌙 Moon Dev's Langfuse Server for Tests
Built with love by Moon Dev 🚀

What Langfuse's ingestion does with our requests, as far as it was measured: it checks keys and encoding, decodes OTLP
with the official protobuf classes, keeps spans and scores, and refuses a batch that holds one bad span.
"""

import gzip
import json
import threading
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TRACES = "/api/public/otel/v1/traces"
SCORES = "/api/public/scores"


class ReceivedSpan:
    """One span as it arrived."""

    def __init__(self, span: Span) -> None:
        self.name = span.name
        self.id, self.trace_id = span.span_id.hex(), span.trace_id.hex()
        self.parent_id = span.parent_span_id.hex() or None
        self.start_ns, self.end_ns = span.start_time_unix_nano, span.end_time_unix_nano
        self.attributes = {each.key: _plain(each.value) for each in span.attributes}
        self.status = span.status.code

    def json(self, name: str) -> Any:
        """The JSON value of an attribute of the observation."""
        return json.loads(self.attributes[f"langfuse.observation.{name}"])


class LangfuseServer:
    """Keeps what arrives. `answer` takes a request before it is stored, and may refuse it with a Response."""

    public_key, secret_key = "pk-lf-test-0123456789", "sk-lf-test-0123456789abcdef"

    def __init__(self, httpserver: HTTPServer) -> None:
        self.batches: list[ExportTraceServiceRequest] = []
        self.scores: list[dict[str, Any]] = []
        self.raw: list[bytes] = []  # bodies, unzipped
        self.requests: list[Request] = []
        self.answer: Callable[[Request, bytes], Response | None] = lambda _request, _body: None
        self._lock = threading.Lock()
        httpserver.expect_request(TRACES, method="POST").respond_with_handler(self._take_spans)
        httpserver.expect_request(SCORES, method="POST").respond_with_handler(self._take_score)

    @property
    def spans(self) -> list[ReceivedSpan]:
        """Every span in order of arrival."""
        return [
            ReceivedSpan(span)
            for batch in self.batches
            for resource in batch.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def _take_spans(self, request: Request) -> Response:
        assert request.headers["Content-Encoding"] == "gzip"
        assert request.headers["Content-Type"] == "application/x-protobuf"
        assert request.headers["x-langfuse-ingestion-version"] == "4"
        body = gzip.decompress(request.get_data())
        return self._refusal(request, body) or self._keep_spans(body)

    def _keep_spans(self, body: bytes) -> Response:
        batch = ExportTraceServiceRequest.FromString(body)
        for resource in batch.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    if len(span.span_id) != 8 or len(span.trace_id) != 16:
                        return Response("Invalid span: id missing", 400)
        with self._lock:
            self.batches.append(batch)
        return Response(b"{}", 200, content_type="application/json")

    def _take_score(self, request: Request) -> Response:
        refusal = self._refusal(request, request.get_data())
        if refusal is not None:
            return refusal
        score = json.loads(request.get_data())
        if not isinstance(score, dict):  # SDK 5 sends a list, which 4.16 refuses
            return Response("Invalid request data", 400)
        with self._lock:
            self.scores.append(score)
        return Response(json.dumps({"id": score["id"]}), 200, content_type="application/json")

    def _refusal(self, request: Request, body: bytes) -> Response | None:
        with self._lock:
            self.requests.append(request)
            self.raw.append(body)
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic" or b64decode(encoded).decode() != f"{self.public_key}:{self.secret_key}":
            return Response('{"message":"Invalid credentials. Check the host."}', 401)
        return self.answer(request, body)


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return [_plain(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, str(kind))
