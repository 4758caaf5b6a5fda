"""A backend on loopback that accepts OTLP over HTTP, as the OpenTelemetry Collector, Phoenix or Datadog do.

It checks the key of each request, decodes the message with the official protobuf classes, and keeps the spans.
"""

import gzip
from collections.abc import Callable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.langfuse_server import ReceivedSpan, spans_of

HEADERS = "api-key=otlp-key-0123456789,x-scope=desk%201"


class OtlpServer:
    """A server that keeps received spans. If `answer` returns a Response, the server sends this and keeps no spans."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.batches: list[ExportTraceServiceRequest] = []
        self.response = ExportTraceServiceResponse()
        self.answer: Callable[[Request, bytes], Response | None] = lambda _request, _body: None
        httpserver.expect_request("/otlp/v1/traces", method="POST").respond_with_handler(self._take)
        self.url = httpserver.url_for("/otlp")

    @property
    def spans(self) -> list[ReceivedSpan]:
        """Return every span in order of arrival."""
        return spans_of(self.batches)

    def _take(self, request: Request) -> Response:
        assert request.headers["Content-Type"] == "application/x-protobuf"
        body = gzip.decompress(request.get_data())
        if (request.headers.get("api-key"), request.headers.get("x-scope")) != ("otlp-key-0123456789", "desk 1"):
            return Response(f"unknown key: {request.headers.get('api-key')}", 401)
        if (refusal := self.answer(request, body)) is not None:
            return refusal
        self.batches.append(ExportTraceServiceRequest.FromString(body))
        return Response(self.response.SerializeToString(), 200, content_type="application/x-protobuf")
