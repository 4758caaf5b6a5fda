"""A server in a process of its own that answers every request with 200, without delay. Prints its port."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Takes(BaseHTTPRequestHandler):
    """Answers 200 to everything."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the body and answer 200."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Do not log."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
    print(server.server_port, flush=True)
    server.serve_forever()
