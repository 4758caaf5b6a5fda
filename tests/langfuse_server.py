"""A Langfuse server on loopback, which ingests as the real server does, as far as that was measured.

It checks keys and encoding, decodes OTLP with the official protobuf classes, keeps spans and scores, refuses a batch
that holds one bad span, and answers each event of a batch of scores. A score replaces an earlier score of the same id,
but keeps the earlier time (measured on server 4.16.0; the server's `IngestionService` merges scores in this way).
"""

import gzip
import json
import re
import socket
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TRACES = "/api/public/otel/v1/traces"
INGESTION = "/api/public/ingestion"
HEALTH = "/api/public/health"
PROJECTS = "/api/public/projects"
JSON = "application/json"
OBSERVATIONS = "/api/public/v2/observations"
READ_SCORES = "/api/public/v3/scores"
LEGACY_TRACES = re.compile(r"/api/public/(traces|traces/\w+|v2/scores)")
MAX_INGESTION_BYTES = 3_500_000  # Langfuse's documented limit of a request with scores


def decoded(message: bytes | str) -> ExportTraceServiceRequest:
    """Decode an OTLP/JSON message to the official class; protobuf's own JSON has base64 where OTLP has hex digits."""
    plain = json.loads(message)
    for resource in plain["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = b64encode(bytes.fromhex(span[name])).decode()
    return ParseDict(plain, ExportTraceServiceRequest())


class ReceivedSpan:
    """One span as it arrived."""

    def __init__(self, span: Span) -> None:
        self.name = span.name
        self.id, self.trace_id = span.span_id.hex(), span.trace_id.hex()
        self.parent_id = span.parent_span_id.hex() or None
        self.start_ns, self.end_ns = span.start_time_unix_nano, span.end_time_unix_nano
        self.attributes = {item.key: _plain(item.value) for item in span.attributes}
        self.status = span.status.code

    def json(self, name: str) -> Any:
        """Return an attribute of the observation, decoded from JSON."""
        return json.loads(self.attributes[f"langfuse.observation.{name}"])


def spans_of(batches: Iterable[ExportTraceServiceRequest]) -> list[ReceivedSpan]:
    """Return every span of these messages, in order."""
    return [
        ReceivedSpan(span)
        for batch in batches
        for resource in batch.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


class LangfuseServer:
    """A server that keeps received rows. If `answer` returns a Response, that is sent, and no row is kept."""

    project = "cm_project-1"
    public_key, secret_key = "pk-lf-test-0123456789", "sk-lf-test-0123456789abcdef"

    def __init__(self, httpserver: HTTPServer) -> None:
        self.batches: list[ExportTraceServiceRequest] = []
        self.scores: list[dict[str, Any]] = []  # received `score-create` events: body and `timestamp` of each
        self.refuse: Callable[[dict[str, Any]], int | None] = lambda _score: None  # HTTP status, or None to accept
        self.raw: list[bytes] = []  # bodies of requests, unzipped
        self.requests: list[Request] = []
        self.version = "4.60.0"
        self.mode = "events_only"  # write mode; else "dual", "legacy" (before version 4), or "none" (no read API)
        self.answer: Callable[[Request, bytes], Response | None] = lambda _request, _body: None
        self.is_stored = True  # False while accepted rows are still queued
        self._lock = threading.Lock()
        httpserver.expect_request(TRACES, method="POST").respond_with_handler(self._take_spans)
        httpserver.expect_request(INGESTION, method="POST").respond_with_handler(self._take_events)
        httpserver.expect_request(HEALTH, method="GET").respond_with_handler(self._tell_health)
        httpserver.expect_request(PROJECTS, method="GET").respond_with_handler(self._tell_projects)
        httpserver.expect_request(OBSERVATIONS, method="GET").respond_with_handler(self._list_observations)
        httpserver.expect_request(READ_SCORES, method="GET").respond_with_handler(self._list_scores)
        httpserver.expect_request(LEGACY_TRACES, method="GET").respond_with_handler(self._list_legacy)

    @property
    def spans(self) -> list[ReceivedSpan]:
        """Return every span in order of arrival."""
        return spans_of(self.batches)

    def _take_spans(self, request: Request) -> Response:
        assert request.headers["Content-Encoding"] == "gzip"
        assert request.headers["x-langfuse-ingestion-version"] == "4"
        body = gzip.decompress(request.get_data())
        if request.headers["Content-Type"] == "application/x-protobuf":  # from the SDK's own exporter
            return self._refusal(request, body) or self._keep_spans(ExportTraceServiceRequest.FromString(body))
        assert request.headers["Content-Type"] == "application/json"
        return self._refusal(request, body) or self._keep_spans(decoded(body))

    def _keep_spans(self, batch: ExportTraceServiceRequest) -> Response:
        for resource in batch.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    if len(span.span_id) != 8 or len(span.trace_id) != 16:
                        return Response("Invalid span: id missing", 400)
        with self._lock:
            self.batches.append(batch)
        return Response(b"{}", 200, content_type="application/json")

    @property
    def journalled_scores(self) -> list[dict[str, Any]]:
        """Return the scores without those that shipping adds: a signal's symbol and an outcome's hit."""
        return [score for score in self.scores if score["name"] not in ("signal_symbol", "hit")]

    @property
    def standing_scores(self) -> list[dict[str, Any]]:
        """Return the scores as the server shows them: one per id, with the last value and the first time."""
        standing: dict[str, dict[str, Any]] = {}
        for score in self.scores:
            earlier = standing.get(score["id"])
            standing[score["id"]] = {**(earlier or {}), **score} | (
                {"timestamp": earlier["timestamp"]} if earlier else {}
            )
        return [*standing.values()]

    def grouped(self, score_name: str, by: str) -> dict[Any, list[Any]]:
        """Group a score's values by an attribute of the score's observation, as the metrics API does."""
        spans = {span.id: span for span in self.spans}
        groups: dict[Any, list[Any]] = {}
        for score in self.standing_scores:
            if score["name"] == score_name:
                span = spans.get(score.get("observationId", ""))
                dimension = None if span is None else span.name if by == "name" else span.attributes.get(by)
                groups.setdefault(dimension, []).append(score["value"])
        return groups

    def _take_events(self, request: Request) -> Response:
        body = request.get_data()
        refusal = self._refusal(request, body)
        if refusal is not None:
            return refusal
        if len(body) > MAX_INGESTION_BYTES:
            return Response("Payload too large", 413)
        answer: dict[str, list[dict[str, Any]]] = {"successes": [], "errors": []}
        for event in json.loads(body)["batch"]:
            status = self._take_event(event)
            answer["successes" if status == 201 else "errors"].append(
                {"id": event["id"], "status": status, **({} if status == 201 else {"message": "Invalid request data"})}
            )
        return Response(json.dumps(answer), 207, content_type="application/json")

    def _take_event(self, event: dict[str, Any]) -> int:
        score = event["body"]
        kind = int | float if score["dataType"] == "NUMERIC" else str
        is_valid = event["type"] == "score-create" and isinstance(score["value"], kind)
        status = self.refuse(score) or (201 if is_valid else 400)
        if status == 201:
            with self._lock:
                self.scores.append({**score, "timestamp": event["timestamp"]})
        return status

    def _tell_health(self, request: Request) -> Response:
        """Answer as the health endpoint, which needs no key."""
        body = json.dumps({"status": "OK", "version": self.version})
        return self.answer(request, b"") or Response(body, content_type="application/json")

    def _tell_projects(self, request: Request) -> Response:
        organization = {"id": "1", "name": "Moon Dev"}
        project = {"id": self.project, "name": "Agents", "organization": organization, "metadata": {}}
        body = json.dumps({"data": [project]})
        return self._unauthorized(request) or self.answer(request, b"") or Response(body, content_type=JSON)

    def _list_observations(self, request: Request) -> Response:
        if self.mode in ("legacy", "none"):
            return Response("Not found", 404)
        spans = [span for span in self.spans if span.trace_id == request.args.get("traceId", span.trace_id)]
        return self._rows(request, [{"id": span.id, "traceId": span.trace_id} for span in spans])

    def _list_scores(self, request: Request) -> Response:
        if self.mode in ("legacy", "none"):
            return Response("Not found", 404)
        return self._rows(request, [score for score in self.scores if score["id"] == request.args.get("id")])

    def _list_legacy(self, request: Request) -> Response:
        """Answer a request to the legacy API; since version 4, servers answer 404 by default."""
        if self.mode in ("events_only", "none"):
            return Response('{"message": "This endpoint is not available in events_only mode"}', 404)
        if request.path.endswith("/scores"):
            return self._rows(request, [score for score in self.scores if score["id"] == request.args.get("scoreIds")])
        trace_id = request.path.rpartition("/")[2]
        spans = [span for span in self.spans if trace_id in ("traces", span.trace_id)]
        return self._rows(request, [{"id": span.trace_id} for span in spans])

    def _rows(self, request: Request, rows: list[dict[str, Any]]) -> Response:
        body = json.dumps({"data": rows if self.is_stored else [], "meta": {}})
        return self._unauthorized(request) or Response(body, content_type=JSON)

    def _refusal(self, request: Request, body: bytes) -> Response | None:
        with self._lock:
            self.requests.append(request)
            self.raw.append(body)
        return self._unauthorized(request) or self.answer(request, body)

    def _unauthorized(self, request: Request) -> Response | None:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic" or b64decode(encoded).decode() != f"{self.public_key}:{self.secret_key}":
            return Response('{"message":"Invalid credentials. Check the host."}', 401)
        return None


def settings_for(url: str) -> dict[str, str]:
    """Return the environment of a process that ships to this address without delay."""
    return {
        "LANGFUSE_HOST": url,
        "LANGFUSE_PUBLIC_KEY": LangfuseServer.public_key,
        "LANGFUSE_SECRET_KEY": LangfuseServer.secret_key,
        "LANGFUSE_FLUSH_INTERVAL": "0.1",
    }


class Backend:
    """A Langfuse server at a fixed address: unavailable until `start`, and again after `stop`."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
        self._server: HTTPServer | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a process that ships to this server."""
        return settings_for(f"http://127.0.0.1:{self._port}")

    def start(self) -> LangfuseServer:
        """Start the server."""
        self._server = HTTPServer("127.0.0.1", self._port)
        server = LangfuseServer(self._server)
        self._server.start()
        return server

    def stop(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.stop()
            self._server = None


class RawServer:
    """A server that gives each connection to a function, until `close`."""

    def __init__(self, what: Callable[[socket.socket], None]) -> None:
        self._what = what
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop accepting connections."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection:  # an unclosed socket would be a warning in a later test
            self._what(connection)


def reset(connection: socket.socket) -> None:
    """Read a little, then reset the connection."""
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def trickle(connection: socket.socket) -> None:
    """Send a header that never ends, one byte every 50 ms, so that the client gets no whole answer."""
    connection.recv(100)
    _slowly(connection, b"HTTP/1.1 200 OK\r\nX-Thinking: ")


def _slowly(connection: socket.socket, beginning: bytes) -> None:
    try:
        for byte in beginning + b"x" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        connection.close()


def silence(connection: socket.socket) -> None:
    """Send nothing for 30 s, then close the connection."""
    time.sleep(30)
    connection.close()


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return [_plain(item) for item in value.array_value.values] if kind == "array_value" else getattr(value, str(kind))
