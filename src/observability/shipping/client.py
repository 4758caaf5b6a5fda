"""
🌙 Moon Dev's Wire
Built with love by Moon Dev 🚀

One HTTP connection to one Langfuse project, for the shipper: credentials, limits of time, and what an answer means.
"""

import contextlib
import encodings.idna  # noqa: F401 - else the first request imports it, which a fork might cut in two
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any

import httpx

from .. import settings
from ..redaction import redact_line
from .server_reply import ServerReply, Verdict

_CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 20.0  # for one whole request, however slowly its answer trickles in; a lease lasts longer
_LONGEST_RETRY_AFTER = 3600.0  # seconds: a server that says "next year" is asked again all the same
_GZIP_LEVEL = 1  # half the time of the others, and three quarters of what they save
_WORDS = 500  # characters of what the server says that are kept
_BODY_BYTES, _BODY_SECONDS = 65_536, 1.0  # of an answer that are read: its status has said what matters


class Wire:
    """The connection; closed and made anew when the settings name another project."""

    def __init__(self, destination: settings.Destination) -> None:
        self.destination = destination
        self._stream: Any = None  # of the one connection, to cut it short
        self._deadline = 0.0  # monotonic seconds, of the request under way
        self._client = httpx.Client(
            base_url=destination.host,
            auth=(destination.public_key, destination.secret_key),
            limits=httpx.Limits(max_connections=1),
            follow_redirects=False,  # credentials go to no other host
            trust_env=destination.host.startswith("https:"),  # without TLS a proxy would read them
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def cut(self) -> None:
        """End a request that is under way in another thread: it gets a connection error.

        One that is only looking up the host's name is cut once it has a connection. Shut down, not closed: a closed
        descriptor's number may already belong to another connection.
        """
        self._deadline = 0.0  # first: the connection may be made just now
        stream = self._stream
        raw = stream.get_extra_info("socket") if stream is not None else None
        if raw is not None:
            with contextlib.suppress(OSError):  # it may end by itself at the same moment
                raw.shutdown(socket.SHUT_RDWR)

    def send_spans(self, body: bytes, seconds: float) -> ServerReply:
        """POST an OTLP message."""
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "x-langfuse-ingestion-version": "4",
        }
        return self._post(
            "/api/public/otel/v1/traces", seconds, content=gzip.compress(body, _GZIP_LEVEL), headers=headers
        )

    def send_score(self, body: bytes, seconds: float) -> ServerReply:
        """POST the JSON of one score: server 4.16 takes one object a request, not a list."""
        return self._post("/api/public/scores", seconds, content=body, headers={"Content-Type": "application/json"})

    def get(self, path: str, seconds: float) -> httpx.Response:
        """What the server answers to a question. Raises OSError where it does not; the message says why."""
        try:
            with self._cut_after(seconds):
                return self._client.get(path, timeout=seconds, extensions={"trace": self._note_stream})
        except httpx.HTTPError as error:
            raise ConnectionError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error

    def _post(self, path: str, seconds: float, **content: Any) -> ServerReply:
        seconds = max(min(seconds, REQUEST_SECONDS), 0.05)
        timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        try:
            with (
                self._cut_after(seconds),
                self._client.stream(
                    "POST", path, timeout=timeout, extensions={"trace": self._note_stream}, **content
                ) as answer,
            ):
                return _reply(answer, _body_of(answer))
        except httpx.HTTPError as error:
            return ServerReply(
                Verdict.NOT_NOW, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            )

    @contextlib.contextmanager
    def _cut_after(self, seconds: float) -> Iterator[None]:
        """A client's own timeouts begin anew with every byte."""
        self._deadline = time.monotonic() + seconds
        cutter = threading.Timer(seconds, self.cut)
        cutter.daemon = True
        with contextlib.suppress(RuntimeError):  # the interpreter is past starting threads
            cutter.start()
        try:
            yield
        finally:
            cutter.cancel()

    def _note_stream(self, event: str, info: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._stream = info["return_value"]
            if time.monotonic() >= self._deadline:  # it went by, or we were cut, in looking up the host's name
                self.cut()


def is_refused_plain_http(destination: settings.Destination) -> bool:
    """Whether the keys would travel without TLS beyond this machine, and nobody allowed it."""
    url = httpx.URL(destination.host)
    return url.scheme == "http" and not _is_loopback(url.host) and not settings.setting("LANGFUSE_ALLOW_HTTP")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name; 127.0.0.1.example.com is one too
        return host == "localhost"


def _body_of(answer: httpx.Response) -> str:
    """What the server says besides its status, as far as it says it at once."""
    said, deadline = b"", time.monotonic() + _BODY_SECONDS
    with contextlib.suppress(httpx.HTTPError):
        for piece in answer.iter_bytes():
            said += piece
            if len(said) > _BODY_BYTES or time.monotonic() > deadline:
                break
    return said.decode(errors="replace")


def _reply(answer: httpx.Response, body: str) -> ServerReply:
    if answer.is_success and not is_page(answer, body):
        return ServerReply(Verdict.DELIVERED, f"HTTP {answer.status_code}")
    said = answer.headers.get("Location") if answer.is_redirect else body
    said = redact_line(said or "")[:_WORDS]  # in this order: half a secret has no shape
    words = f"HTTP {answer.status_code}: {said}".rstrip(": ")
    if answer.is_success:
        return ServerReply(Verdict.NOT_NOW, f"a web page answers, not Langfuse: see LANGFUSE_HOST; {words}")
    if answer.status_code in (401, 403):
        return ServerReply(Verdict.LOCKED_OUT, words)
    if answer.status_code in (400, 413, 422):
        return ServerReply(Verdict.REFUSED, words)
    return ServerReply(Verdict.NOT_NOW, words, _retry_after(answer.headers.get("Retry-After")))


def is_page(answer: httpx.Response, body: str) -> bool:
    """Of a network that wants a login first, a proxy or another server: Langfuse answers with JSON or protobuf."""
    return "html" in answer.headers.get("Content-Type", "") or body.lstrip().startswith("<")


def _retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a whole number or a date (RFC 9110, 10.2.3); an hour at the most."""
    if text is None:
        return None
    seconds: float | None = None
    if text.strip().isdecimal():
        seconds = float(text)
    else:
        with contextlib.suppress(ValueError):
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)
