"""
🌙 Moon Dev's Shipper Tests
Built with love by Moon Dev 🚀

A backend that is away, slow, broken, or of another mind: nothing is lost, nothing known is sent twice, the agent never
waits.
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug import Request, Response

from src.observability import LangFuseTracker, ObservabilityContext, observe_llm
from tests.langfuse_server import TRACES, LangfuseServer


@observe_llm(name="llm_generation")
def ask(prompt: str) -> str:
    """A model call that answers at once."""
    return "BUY"


def states(journal: Any) -> Counter[str]:
    """How many observations are in which state."""
    return Counter(row["state"] for row in journal.observations())


def wait_until(what: Callable[[], bool], seconds: float = 10) -> None:
    """Poll for something that another thread brings about."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not within its time"
        time.sleep(0.01)


def answers(*responses: Response | None) -> Callable[[Request, bytes], Response | None]:
    """These answers one after another, then as a healthy server; None takes what came."""
    left = list(responses)
    return lambda _request, _body: left.pop(0) if left else None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(status: int, langfuse: LangfuseServer, journal: Any, monkeypatch: Any) -> None:
    """The same rows go again until the server has them, each of them once."""
    monkeypatch.setattr("src.observability.shipper._FIRST_BACKOFF_SECONDS", 0.05)
    langfuse.answer = answers(*[Response("not now", status)] * 3)
    for number in range(5):
        ask(str(number))
    wait_until(lambda: len(langfuse.spans) == 5)
    wait_until(lambda: states(journal) == {"shipped": 5})
    assert len({span.id for span in langfuse.spans}) == 5
    assert len(langfuse.requests) == 4
    assert f"HTTP {status}" in LangFuseTracker().health()["last_error"]


def test_retry_after_is_honoured(langfuse: LangfuseServer, journal: Any, monkeypatch: Any) -> None:
    """Not before the server's own time, also when somebody flushes."""
    monkeypatch.setattr("src.observability.shipper._FIRST_BACKOFF_SECONDS", 0.01)
    langfuse.answer = answers(Response("slow down", 429, {"Retry-After": "1"}))
    ask("now")
    wait_until(lambda: len(langfuse.requests) == 1)
    began = time.monotonic()
    assert not LangFuseTracker().flush(0.3)
    wait_until(lambda: len(langfuse.spans) == 1)
    assert time.monotonic() - began > 0.9


def test_a_poisoned_row_is_found_and_the_others_go(langfuse: LangfuseServer, journal: Any) -> None:
    """One row of many that the server refuses for good: it alone is rejected, with the server's words."""
    refused = threading.Event()

    def refuse(request: Request, body: bytes) -> Response | None:
        if b"poison" in body:
            refused.set()
            return Response("Invalid span: poison", 400)
        return None

    langfuse.answer = refuse
    with ObservabilityContext.agent_cycle("Agent"):
        for number in range(100):
            ask("poison" if number == 37 else str(number))
    assert LangFuseTracker().flush(20)
    assert refused.is_set()
    assert states(journal) == {"shipped": 100, "rejected": 1}
    (row,) = [row for row in journal.observations() if row["state"] == "rejected"]
    assert row["reason"] == "HTTP 400: Invalid span: poison"
    assert len({span.id for span in langfuse.spans}) == len(langfuse.spans) == 100
    assert LangFuseTracker().health()["rejected"] == 1


def test_a_batch_that_is_too_large_is_halved(langfuse: LangfuseServer, journal: Any) -> None:
    """413 is an answer to the batch, not to its rows."""
    langfuse.answer = lambda _request, body: Response("too large", 413) if len(body) > 20_000 else None
    for number in range(40):
        ask(f"{number} " + "x" * 1000)
    assert LangFuseTracker().flush(20)
    assert states(journal) == {"shipped": 40}


def test_a_refused_key_is_said_once_and_shipping_waits_for_new_settings(
    langfuse: LangfuseServer, journal: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which key, at which host, what to do; no second request until the settings change, then all of it goes."""
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-wrong-0123456789")
    for number in range(5):
        ask(str(number))
        assert not LangFuseTracker().flush(0.5)
    assert len(langfuse.requests) == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if langfuse.public_key in line]
    assert "Correct LANGFUSE_PUBLIC_KEY" in said
    assert "sk-lf" not in said
    assert states(journal) == {"pending": 5}
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", langfuse.secret_key)
    assert LangFuseTracker().flush(10)
    assert states(journal) == {"shipped": 5}


def test_a_forbidden_key_is_not_tried_again(langfuse: LangfuseServer, journal: Any) -> None:
    """403 says the same of the keys as 401."""
    langfuse.answer = answers(Response("forbidden", 403))
    for _ in range(3):
        ask("now")
        assert not LangFuseTracker().flush(0.5)
    assert len(langfuse.requests) == 1
    assert states(journal) == {"pending": 3}


@pytest.fixture
def raw_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[socket.socket], None]], None]]:
    """A socket that takes connections and does with each what it is told; the settings point at it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)
    monkeypatch.setenv("LANGFUSE_HOST", f"http://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-test-0123456789")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-test-0123456789abcdef")
    monkeypatch.setenv("LANGFUSE_FLUSH_INTERVAL", "0.05")

    def serve(what: Callable[[socket.socket], None]) -> None:
        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=what, args=(connection,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()

    yield serve
    listener.close()


def reset(connection: socket.socket) -> None:
    """Read a little, then break the connection off."""
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def trickle(connection: socket.socket) -> None:
    """An answer of one byte every 50 ms, without an end."""
    connection.recv(100)
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"x")
            time.sleep(0.05)
    except OSError:
        connection.close()


def silence(connection: socket.socket) -> None:
    """No answer at all."""
    time.sleep(30)
    connection.close()


@pytest.mark.parametrize("backend", [reset, trickle, silence])
def test_a_broken_backend_keeps_nobody_waiting(backend: Any, raw_server: Any, journal: Any, monkeypatch: Any) -> None:
    """Calls return at once, `flush` within its time, rows stay pending, and closing keeps to its budget."""
    from src.observability import runtime

    raw_server(backend)
    monkeypatch.setenv("OBSERVABILITY_EXIT_SECONDS", "0.3")
    ask("first")
    began = time.monotonic()
    assert not LangFuseTracker().flush(0.4)
    ask("while it hangs")
    assert time.monotonic() - began < 2
    assert set(states(journal)) == {"pending"}
    began = time.monotonic()
    runtime.close()
    assert time.monotonic() - began < 0.3 + 1


def test_plain_http_beyond_loopback_is_refused(monkeypatch: Any, journal: Any, capsys: Any) -> None:
    """The keys do not travel in the open unless the operator says so; rows stay pending."""
    monkeypatch.setenv("LANGFUSE_HOST", "http://langfuse.example")
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-test-0123456789")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-test-0123456789abcdef")
    ask("now")
    assert not LangFuseTracker().flush(2)
    assert capsys.readouterr().err.count("LANGFUSE_ALLOW_HTTP=true") == 1
    assert states(journal) == {"pending": 1}


def test_a_redirect_is_not_followed(langfuse: LangfuseServer, journal: Any, monkeypatch: Any) -> None:
    """Credentials go to no other host."""
    langfuse.answer = lambda request, _body: Response("", 307, {"Location": f"http://localhost:9{TRACES}"})
    ask("now")
    assert not LangFuseTracker().flush(1)
    assert "HTTP 307" in LangFuseTracker().health()["last_error"]
    assert states(journal) == {"pending": 1}


def test_health_tells_what_there_is(langfuse: LangfuseServer, monkeypatch: Any) -> None:
    """Counts, the age of what waits, the last error and when."""
    langfuse.answer = lambda _request, _body: Response("broken", 500)
    ObservabilityContext.add_trading_signal("BUY", 50, "why")
    assert not LangFuseTracker().flush(1)
    health = LangFuseTracker().health()
    assert (health["recorded"], health["journalled"], health["dropped"], health["failures"]) == (1, 1, 0, 0)
    assert (health["pending"], health["shipped"], health["rejected"]) == (3, 0, 0)
    assert 0 <= health["oldest_pending_seconds"] < 30
    assert "HTTP 500: broken" in health["last_error"]
    assert time.time() - health["last_error_at"] < 30
    assert (health["tracing"], health["shipping"]) == (True, True)


def test_a_score_sent_again_has_the_same_id(langfuse: LangfuseServer, monkeypatch: Any) -> None:
    """The server replaces it: a repeat changes nothing."""
    monkeypatch.setattr("src.observability.shipper._FIRST_BACKOFF_SECONDS", 0.05)
    seen: list[bytes] = []

    def fail_once(request: Request, body: bytes) -> Response | None:
        if request.path.endswith("scores") and body not in seen:
            seen.append(body)
            return Response("try again", 500)
        return None

    langfuse.answer = fail_once
    ObservabilityContext.add_trading_signal("BUY", 50, "why")
    wait_until(lambda: len(langfuse.scores) == 2)
    assert len(seen) == 2
    assert {score["name"] for score in langfuse.scores} == {"signal_action", "signal_confidence"}
