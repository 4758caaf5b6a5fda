"""Tests of the connection to Langfuse: with correct, slow and endless answers, and through a proxy."""

import gzip
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.observability.shipping.connection import Answer, Connection
from tests.langfuse_server import RawServer

Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server with a connection handler, and returns the server's address."""
    servers: list[RawServer] = []

    def begin(handle: Callable[[socket.socket], None]) -> str:
        servers.append(RawServer(handle))
        return servers[-1].url

    yield begin
    for server in servers:
        server.close()


def request_of(connection: socket.socket) -> bytes:
    """Read one HTTP request that has no body; return its bytes."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            return data
        data += piece
    return data


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """Return a handler that gives `answers` in turn to the requests of a connection, then closes the connection."""

    def handle(connection: socket.socket) -> None:
        with connection:
            for answer in answers:
                if not request_of(connection):
                    return
                connection.sendall(answer)

    return handle


def get(url: str, seconds: float = 5) -> Answer:
    """Send one GET over a new connection; return the answer."""
    connection = Connection(url)
    try:
        return connection.request("GET", "/health", {}, b"", seconds)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", id="a length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nTrailer: 1\r\n\r\n",
            200, b"{}", id="chunks",
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n{}", 200, b"{}", id="until it closes"),
        pytest.param(b"HTTP/1.1 204\r\n\r\n", 204, b"", id="no body"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nX: x\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\nx",
            500, b"x", id="after interim answers",
        ),
    ],
)  # fmt: skip
def test_an_answer_is_read_to_its_end(answer: bytes, status: int, body: bytes, serve: Serve) -> None:
    """An answer is read completely, in whichever way HTTP marks its end."""
    result = get(serve(answering(answer)))
    assert (result.status, result.body, result.is_whole) == (status, body, True)


def test_two_requests_use_one_connection(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second request reuses the connection, and gets its own answer. After a pause, a new connection is opened."""
    responses = (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number for number in (1, 2, 3))
    connection = Connection(serve(answering(*responses)))
    bodies = [connection.request("GET", "/", {}, b"", 5).body for _ in range(2)]
    assert bodies == [b"1", b"2"]
    monkeypatch.setattr("src.observability.shipping.connection._IDLE_SECONDS", 0.0)
    assert connection.request("GET", "/", {}, b"", 5).body == b"1"
    connection.close()


def test_a_connection_that_the_server_closed_is_made_anew(serve: Serve) -> None:
    """If the server has closed the connection, the next request opens a new connection and succeeds."""
    connection = Connection(serve(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")))
    for _ in range(3):
        assert connection.request("GET", "/", {}, b"", 5).body == b"1"
        time.sleep(0.05)
    connection.close()


BOMB = gzip.compress(b"\0" * 60_000_000, 9)
CHUNK = b"400\r\n" + b"x" * 1024 + b"\r\n"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"Content-Length: 4000000000\r\n\r\n" + b"x" * 10_000_000, id="a length of 4 GB"),
        pytest.param(b"\r\n" + b"x" * 10_000_000, id="no length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK * 10_000, id="chunks"),
        pytest.param(
            b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(BOMB), BOMB), id="a bomb of gzip"
        ),
    ],
)
def test_an_answer_is_bounded(body: bytes, serve: Serve) -> None:
    """At most 64 KB of an answer are kept, and compressed answers stay compressed, so that memory is bounded."""

    def handle(connection: socket.socket) -> None:
        request_of(connection)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            connection.sendall(body)
        except OSError:
            connection.close()

    url = serve(handle)
    tracemalloc.start()
    answer = get(url)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(answer.body) <= 65_536
    assert answer.is_whole == (b"gzip" in body)
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "head",
    [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, b"HTTP/1.1 twohundred\r\n\r\n"],
    ids=["another protocol", "endless headers", "no status"],
)
def test_what_is_not_http_is_an_error(head: bytes, serve: Serve) -> None:
    """If a server does not answer in HTTP, the ConnectionError names the host."""
    with pytest.raises(ConnectionError, match=r"the answer of 127.0.0.1 cannot be read"):
        get(serve(answering(head)))


def test_a_server_that_closes_without_an_answer_is_an_error(serve: Serve) -> None:
    """If the server closes the connection instead of answering, the error says so at once."""
    with pytest.raises(ConnectionError, match="the server closed the connection"):
        get(serve(answering(b"")), 60)


@pytest.mark.slow
@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX: ", b""], ids=["headers", "status"])
def test_a_request_has_one_deadline(beginning: bytes, serve: Serve) -> None:
    """The time limit applies to the whole request, however steadily bytes arrive."""

    def handle(connection: socket.socket) -> None:
        try:
            for byte in beginning + b"x" * 200:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            connection.close()

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        get(serve(handle), 0.5)
    assert 0.4 < time.monotonic() - began < 1.5


@pytest.mark.slow
def test_a_server_that_takes_nothing_is_left(serve: Serve) -> None:
    """If the server does not read the request's body, the request ends at its deadline."""
    connection = Connection(serve(lambda _connection: time.sleep(3)))
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        connection.request("POST", "/", {}, b"x" * 50_000_000, 0.3)
    assert time.monotonic() - began < 1.5


def test_a_host_of_many_dead_addresses_keeps_to_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """If every address of a host refuses, all are tried within the request's time limit; the last error is raised."""
    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))
    looked_up: list[tuple[str, int]] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: looked_up.append((host, port)) or [address] * 3)
    for scheme in ("http", "https"):
        with pytest.raises(ConnectionRefusedError):
            get(f"{scheme}://langfuse.example", 1)
    assert looked_up == [("langfuse.example", 80), ("langfuse.example", 443)]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with a key and a certificate for localhost, which the system does not trust."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    file = tmp_path / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(tmp_path / "key"), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "key").read_text())
    return file


def tls(certificate: Path, handle: Callable[[Any], None]) -> Callable[[socket.socket], None]:
    """Return a handler that runs `handle` over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def behind(connection: socket.socket) -> None:
        try:
            handle(context.wrap_socket(connection, server_side=True))
        except OSError:
            connection.close()

    return behind


HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def https(url: str) -> str:
    """Return the URL with https, and with localhost in place of the address."""
    return url.replace("http://127.0.0.1", "https://localhost")


@pytest.mark.slow
def test_a_server_must_prove_who_it_is(certificate: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate must contain the host's name; a self-signed one is refused unless SSL_CERT_FILE names it."""
    url = https(serve(tls(certificate, answering(HELLO))))
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate"):
        get(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert get(url).body == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        get(url.replace("localhost", "127.0.0.1"))


@pytest.mark.slow
def test_a_handshake_can_be_cut(certificate: Path, serve: Serve) -> None:
    """If a server never answers the TLS handshake, `Connection.cut` ends the request at once."""
    connection, errors = Connection(https(serve(lambda _connection: time.sleep(10)))), list[BaseException]()

    def ask() -> None:
        try:
            connection.request("GET", "/", {}, b"", 9)
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    connection.cut()
    thread.join(2)
    assert not thread.is_alive()
    assert len(errors) == 1


def proxy(requests: list[bytes], status: bytes = b"200 OK") -> Callable[[socket.socket], None]:
    """Return the handler of an HTTP proxy, which answers CONNECT with `status` and passes bytes both ways."""

    def handle(connection: socket.socket) -> None:
        requests.append(request_of(connection))
        connection.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")
        if not status.startswith(b"200"):
            return
        port = int(requests[-1].split(b" ")[1].rpartition(b":")[2])
        with connection, socket.create_connection(("127.0.0.1", port)) as target:
            back = threading.Thread(target=_pass_on, args=(target, connection))
            back.start()
            _pass_on(connection, target)
            back.join()

    return handle


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.mark.slow
def test_https_goes_through_the_proxy(certificate: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CONNECT request has the proxy's credentials, but not Langfuse's; hosts in NO_PROXY are reached directly."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    requests: list[bytes] = []
    host = https(serve(tls(certificate, answering(HELLO))))
    monkeypatch.setenv("HTTPS_PROXY", serve(proxy(requests)).replace("//", "//moon:s%40il@"))
    assert get(host).body == b"hello"
    assert requests[0].startswith(b"CONNECT localhost:")
    assert b"Proxy-Authorization: Basic bW9vbjpzQGls\r\n" in requests[0]  # moon:s@il
    monkeypatch.setenv("NO_PROXY", "example.com, localhost")
    assert get(host).body == b"hello"
    assert len(requests) == 1


def test_a_proxy_that_refuses_is_named(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a proxy refuses a request, the error names the proxy and its status, not Langfuse."""
    url = serve(proxy([], b"407 Who are you"))
    for value in (url, url.removeprefix("http://")):
        monkeypatch.setenv("ALL_PROXY", value)
        with pytest.raises(ConnectionError, match=r"the proxy 127.0.0.1 answers HTTP 407"):
            get("https://langfuse.example")
