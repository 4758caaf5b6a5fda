"""A Langfuse server that works for 4 s, then sends errors for 0.5 s, then resets connections for 0.5 s, and so on.

The server keeps only the ids of spans, so that a million spans fit into memory.
"""

import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.langfuse_server import decoded

PHASES = ("well",) * 8 + ("broken", "resetting")
PHASE_SECONDS = 0.5


class FlappingBackend:
    """A server on loopback that runs from construction to `close`."""

    def __init__(self) -> None:
        self.ids: set[bytes] = set()
        self.repeated = 0
        self.scores = 0
        self.answers = dict.fromkeys(("well", "broken", "resetting"), 0)
        self._began = time.monotonic()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def phase(self) -> str:
        """Return the phase of PHASES that the server is in."""
        return PHASES[int((time.monotonic() - self._began) / PHASE_SECONDS) % len(PHASES)]

    def take(self, path: str, body: bytes) -> None:
        """Store the ids of received spans; count spans received again, and scores."""
        if path.endswith("ingestion"):
            self.scores += len(json.loads(body)["batch"])
            return
        for resource in decoded(gzip.decompress(body)).resource_spans:
            for span in resource.scope_spans[0].spans:
                self.repeated += span.span_id in self.ids
                self.ids.add(span.span_id)


def _handler_of(backend: FlappingBackend) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer, fail or reset the connection, as the phase requires."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            phase = backend.phase
            backend.answers[phase] += 1
            if phase == "resetting":
                self.close_connection = True
                return
            if phase == "well":
                backend.take(self.path, body)
            is_scores = phase == "well" and self.path.endswith("ingestion")
            events = [{"id": event["id"], "status": 201} for event in json.loads(body)["batch"]] if is_scores else []
            answer = json.dumps({"successes": events, "errors": []} if is_scores else {}).encode()
            self.send_response(207 if is_scores else 200 if phase == "well" else 500)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    return Handler
