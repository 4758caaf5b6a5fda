"""One HTTP/1.1 connection to one host, with or without TLS.

No HTTP library is used, for four reasons. A request and its answer have one deadline. An answer is read up to a limit
and never decompressed. Nothing is logged, and no class is used that an agent may have patched. The imports are light,
and done before this package's threads start.
"""

import contextlib
import encodings.idna  # noqa: F401 - looking up a host's name would import it
import re
import select
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from .. import settings

_CONNECT_SECONDS = 5.0  # limit for connecting to one address of the host
_BODY_SECONDS = 5.0  # limit for an answer's body
_BODY_BYTES = _HEAD_BYTES = 65_536
# A connection that was idle for over 4 seconds is not reused: Langfuse's Node.js server closes it after 5 seconds.
_IDLE_SECONDS = 4.0
_PIECE = 65_536


class Answer(NamedTuple):
    """A server's answer."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    is_whole: bool  # False if the body was too long or incomplete

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return self.status // 100 == 2

    @property
    def is_redirect(self) -> bool:
        """Whether the server redirects to another address."""
        return self.status // 100 == 3 and "location" in self.headers


class Connection:
    """An HTTP connection to one server. A request opens it, and it stays open for the next request.

    Only one thread at a time may use it. `cut` is the exception: any thread may call it.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_tls else 80)
        self._authority, self._prefix = parts.netloc, parts.path
        self._tls = ssl.create_default_context(cafile=_AUTHORITIES) if self._is_tls else None
        self._socket: socket.socket | None = None
        self._received = b""
        self._deadline = 0.0  # deadline of the running request, monotonic seconds
        self._used_at = 0.0

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes, seconds: float) -> Answer:
        """Send a request and read its answer within `seconds`. Raises OSError if there is no answer."""
        self._deadline = time.monotonic() + seconds
        lines = [f"{method} {self._prefix}{path} HTTP/1.1", f"Host: {self._authority}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()] + [f"Content-Length: {len(body)}"]
        try:
            self._connect()
            self._send("\r\n".join([*lines, "", ""]).encode("utf-8"))
            self._send(body)
            answer = self._answer()
        except BaseException as error:
            self.close()
            if isinstance(error, ValueError) and not isinstance(error, OSError):
                raise ConnectionError(f"the answer of {self._host} cannot be read: {error}") from error
            raise
        if not answer.is_whole or answer.headers.get("connection", "").lower() == "close":
            self.close()
        self._used_at = time.monotonic()
        return answer

    def close(self) -> None:
        """Close the connection."""
        stream, self._socket, self._received = self._socket, None, b""
        if stream is not None:
            stream.close()

    def cut(self) -> None:
        """Abort a request that is running in another thread, where `request` then raises OSError.

        A request that is still resolving the host's name is aborted once the name is resolved. The socket is shut down
        and not closed, since the number of a closed descriptor may be given to another file at once.
        """
        self._deadline = 0.0  # set first: a thread that is still opening the connection then times out
        stream = self._socket
        if stream is not None:
            with contextlib.suppress(OSError):  # the request may have ended and closed the socket meanwhile
                # `SSLSocket.shutdown` would end TLS while the other thread still uses it
                socket.socket.shutdown(stream, socket.SHUT_RDWR)

    def _connect(self) -> None:
        if self._socket is not None and not self._is_stale(self._socket):
            return
        self.close()
        # a request without TLS does not use a proxy, which could read the keys
        proxy = settings.https_proxy(self._host) if self._is_tls else None
        if proxy is None:
            self._open(self._host, self._port)
        else:
            self._tunnel(proxy)
        if self._tls is not None and self._socket is not None:
            self._socket.settimeout(self._seconds_left())
            stream = self._tls.wrap_socket(self._socket, server_hostname=self._host, do_handshake_on_connect=False)
            self._socket = stream  # set before the handshake, so that `cut` can abort it
            stream.do_handshake()

    def _is_stale(self, stream: socket.socket) -> bool:
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        # an idle connection becomes readable when the server closes it
        return time.monotonic() - self._used_at > _IDLE_SECONDS or bool(poll.poll(0))

    def _open(self, host: str, port: int) -> None:
        """Try the host's addresses in turn, and connect to the first that answers."""
        failure = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            self._socket = socket.socket(family, kind, protocol)  # set before connecting, so that `cut` can abort it
            try:
                self._socket.settimeout(min(self._seconds_left(), _CONNECT_SECONDS))
                self._socket.connect(address)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                failure = error
                self.close()
            else:
                return
        raise failure

    def _tunnel(self, proxy: str) -> None:
        """Connect to this connection's host through the HTTP proxy at the address `proxy`."""
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme != "http" or not parts.hostname:
            raise ConnectionError("the proxy in HTTPS_PROXY or ALL_PROXY must be an http:// address")
        self._open(parts.hostname, parts.port or 80)
        target = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            lines.append(f"Proxy-Authorization: Basic {b64encode(credentials).decode()}")
        self._send("\r\n".join([*lines, "", ""]).encode("utf-8"))
        status, _ = self._head()
        if status // 100 != 2:
            raise ConnectionError(f"the proxy {parts.hostname} answers HTTP {status}")

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def _send(self, data: bytes) -> None:
        assert self._socket is not None  # noqa: S101
        left = memoryview(data)
        while left:
            self._socket.settimeout(self._seconds_left())
            left = left[self._socket.send(left[:_PIECE]) :]

    def _receive(self) -> bytes:
        """Return the next bytes from the server, or no bytes if it has closed the connection."""
        assert self._socket is not None  # noqa: S101
        self._socket.settimeout(self._seconds_left())
        return self._socket.recv(_PIECE)

    def _answer(self) -> Answer:
        status, headers = self._head()
        while status // 100 == 1:  # interim answers such as "100 Continue" and "103 Early Hints"
            status, headers = self._head()
        self._deadline = min(self._deadline, time.monotonic() + _BODY_SECONDS)
        body, is_whole = bytearray(), True
        try:
            for piece in self._pieces(status, headers):
                body += piece
        except (OSError, ValueError):  # the answer is returned, but marked as incomplete
            is_whole = False
        return Answer(status, headers, bytes(body), is_whole)

    def _head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self._until(b"\r\n\r\n", _HEAD_BYTES).decode("latin-1").split("\r\n")
        status = re.match(r"HTTP/1\.[01] (\d{3})(?: |$)", first)
        if status is None:
            raise ValueError("its first line has no status")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(status[1]), headers

    def _pieces(self, status: int, headers: dict[str, str]) -> Iterator[bytes]:
        """Yield the body of an answer in pieces.

        Raises ValueError if the body is longer than `_BODY_BYTES`, and OSError if it is incomplete.
        """
        if status in (204, 304):
            return
        if "chunked" in headers.get("transfer-encoding", "").lower():
            yield from self._chunks()
        elif "content-length" in headers:
            yield from self._exactly(int(headers["content-length"]), _BODY_BYTES)
        else:
            headers["connection"] = "close"  # the body ends where the server closes the connection
            yield from self._rest()

    def _chunks(self) -> Iterator[bytes]:
        room = _BODY_BYTES
        while size := int(self._until(b"\r\n", 1000).partition(b";")[0], 16):
            yield from self._exactly(size, room)
            room -= size
            self._until(b"\r\n", 0)
        while self._until(b"\r\n", _HEAD_BYTES):  # trailers
            pass

    def _exactly(self, size: int, room: int) -> Iterator[bytes]:
        """Yield the next `size` bytes. If `size` is larger than `room`, yield `room` bytes and raise ValueError."""
        left = min(size, room)
        while left > 0:
            piece = self._received or self._receive_or_raise()
            self._received = piece[left:]
            yield piece[:left]
            left -= min(len(piece), left)
        if not 0 <= size <= room:
            raise ValueError("the body is too long")

    def _rest(self) -> Iterator[bytes]:
        room, piece = _BODY_BYTES, self._received or self._receive()
        while piece:
            yield piece[:room]
            room -= len(piece)
            if room < 0:
                raise ValueError("the body is too long")
            piece = self._receive()

    def _until(self, end: bytes, limit: int) -> bytes:
        """Return the bytes before the next `end`, and skip `end`. Raises ValueError if they are more than `limit`."""
        while (at := self._received.find(end)) < 0:
            if len(self._received) > limit + len(end):
                raise ValueError("a line or the headers are too long")
            self._received += self._receive_or_raise()
        if at > limit:
            raise ValueError("a line or the headers are too long")
        line, self._received = self._received[:at], self._received[at + len(end) :]
        return line

    def _receive_or_raise(self) -> bytes:
        piece = self._receive()
        if not piece:
            raise ConnectionError("the server closed the connection")
        return piece


def _certifi() -> str | None:
    """The file of certificate authorities in the package certifi. It is for systems that have no such file.

    None if the system or SSL_CERT_FILE provides authorities, or if certifi is not installed.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        return None
    try:
        import certifi
    except ImportError:
        return None
    return str(certifi.where())


_AUTHORITIES = _certifi()  # called while this module is imported, since the threads of this package import nothing
