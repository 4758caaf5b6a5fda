"""The server may be down, slow, broken or not Langfuse: no row is lost, and no row known as delivered is sent again."""

import ctypes
import itertools
import logging
import os
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Request, Response

from src.observability import LangFuseTracker, ObservabilityContext, runtime, settings
from src.observability.journal.file import BUSY_SECONDS
from src.observability.journal.session import JournalSession
from src.observability.journal.store import LEASE_SECONDS, DamagedJournalError, JournalError, Mark
from src.observability.shipping.client import REQUEST_SECONDS, ExportResult, _retry_after
from src.observability.shipping.delivery import _RENEW_SECONDS, Delivery, catch_up_pause, catch_up_rows
from src.observability.shipping.shipper import _NOTE_SECONDS
from tests.calls import ask
from tests.cases import cases
from tests.langfuse_server import (
    INGESTION,
    TRACES,
    Backend,
    LangfuseServer,
    reset,
    settings_for,
    silence,
    trickle,
)
from tests.runtime.busy_machine import Watch


def states(journal: Any) -> Counter[str]:
    """Return the number of observations by state."""
    return Counter(row["state"] for row in journal.observations())


def wait_until(what: Callable[[], bool], seconds: float = 10) -> None:
    """Poll until another thread has made a condition true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not within its time"
        time.sleep(0.01)


def answers(*responses: Response | None) -> Callable[[Request, bytes], Response | None]:
    """Return a function that gives these answers in turn (None accepts the rows) and accepts all later rows."""
    left = list(responses)
    return lambda _request, _body: left.pop(0) if left else None


@pytest.mark.slow
@pytest.mark.parametrize("status", [408, 429, 500, 503, 599])
def test_what_may_pass_is_tried_again(status: int, langfuse: LangfuseServer, journal: Any, monkeypatch: Any) -> None:
    """After a temporary error, rows are sent again until the server has each of them once."""
    monkeypatch.setattr("src.observability.shipping.shipper._FIRST_BACKOFF_SECONDS", 0.05)
    langfuse.answer = answers(*[Response("not now", status)] * 3)
    for number in range(5):
        ask(str(number))
    wait_until(lambda: len(langfuse.spans) == 5)
    wait_until(lambda: states(journal) == {"shipped": 5})
    assert len({span.id for span in langfuse.spans}) == 5
    assert len(langfuse.requests) == 4
    assert f"HTTP {status}" in LangFuseTracker().health()["last_error"]


PAGE = "<!DOCTYPE html><html><title>Log in to the hotel's network</title></html>"


@pytest.mark.parametrize("mimetype", ["text/html", "text/plain"])
def test_a_page_is_no_answer_of_langfuse(
    mimetype: str, langfuse: LangfuseServer, journal: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a hotel's network or a wrong host answers 200 with a web page, the rows are sent again."""
    monkeypatch.setattr("src.observability.shipping.shipper._FIRST_BACKOFF_SECONDS", 0.05)
    langfuse.answer = answers(Response(PAGE, 200, mimetype=mimetype))
    ask("now")
    wait_until(lambda: len(langfuse.spans) == 1)
    wait_until(lambda: states(journal) == {"shipped": 1})
    assert len(langfuse.requests) == 2
    assert "a web page answered instead of Langfuse: check LANGFUSE_HOST" in capsys.readouterr().err


@pytest.mark.slow
def test_retry_after_is_honoured(langfuse: LangfuseServer, journal: Any, monkeypatch: Any) -> None:
    """Before the time that Retry-After names, no request is sent, not even for a `flush`."""
    monkeypatch.setattr("src.observability.shipping.shipper._FIRST_BACKOFF_SECONDS", 0.01)
    langfuse.answer = answers(Response("slow down", 429, {"Retry-After": "1"}))
    ask("now")
    wait_until(lambda: len(langfuse.requests) == 1)
    began = time.monotonic()
    assert not LangFuseTracker().flush(0.3)
    wait_until(lambda: len(langfuse.spans) == 1)
    assert time.monotonic() - began > 0.9


@cases(
    ("text", "seconds"),
    [
        ("7", 7), (" 600 ", 600), ("86400", 3600), ("-1", None), ("soon", None), (None, None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 97), ("Sun, 06 Nov 1994 09:47:00 GMT", 3540),
        ("Sun, 06 Nov 1994 08:47:59 GMT", 0), ("Mon, 07 Nov 1994 08:49:37 GMT", 3600), ("06 Nov 1994", None),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(text: str | None, seconds: float | None, monkeypatch: Any) -> None:
    """Retry-After is a number of seconds or a date, limited to an hour. Any other text counts as no such header."""
    monkeypatch.setattr(time, "time", lambda: 784_111_680.0)  # Sun, 06 Nov 1994 08:48:00 GMT
    assert _retry_after(text) == seconds


@pytest.mark.slow
def test_a_poisoned_row_is_found_and_the_others_go(
    langfuse: LangfuseServer, journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 500 rows the server refuses one: only this row is rejected, with the server's message."""
    monkeypatch.setenv("LANGFUSE_FLUSH_INTERVAL", "60")  # after the first batch, only `flush` sends rows
    ask("first")
    assert LangFuseTracker().flush(20)
    refused = threading.Event()

    def refuse(request: Request, body: bytes) -> Response | None:
        if b"poison" in body:
            refused.set()
            return Response("Invalid span: poison", 400)
        return None

    langfuse.answer = refuse
    with ObservabilityContext.agent_cycle("Agent"):
        for number in range(500):
            ask("poison" if number == 237 else str(number))
    assert not LangFuseTracker().flush(20)  # `flush` returns False, since one row is refused
    assert LangFuseTracker().flush(5)
    assert refused.is_set()
    assert states(journal) == {"shipped": 501, "rejected": 1}
    (row,) = [row for row in journal.observations() if row["state"] == "rejected"]
    assert row["reason"] == "HTTP 400: Invalid span: poison"
    assert len({span.id for span in langfuse.spans}) == len(langfuse.spans) == 501
    assert LangFuseTracker().health()["rejected"] == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_row_that_is_refused_alone_ends_as_rejected(status: int, langfuse: LangfuseServer, journal: Any) -> None:
    """A row that the server refuses even alone is rejected with the server's reason, and is not sent again. As the
    server works, the refusal ends any back-off."""
    langfuse.answer = lambda _request, _body: Response("Invalid span", status)
    backoff = runtime.running().shipper.workers[0]._backoff
    backoff._failed = 9
    backoff.fail(None)
    ask("now")
    assert not LangFuseTracker().flush(10)
    (row,) = journal.observations()
    assert (row["state"], row["reason"]) == ("rejected", f"HTTP {status}: Invalid span")
    assert len(langfuse.requests) == 1
    assert backoff.seconds() == 0


def test_a_batch_that_is_too_large_is_halved(langfuse: LangfuseServer, journal: Any) -> None:
    """After HTTP 413, the batch is sent again in halves, and no row is rejected."""
    langfuse.answer = lambda _request, body: Response("too large", 413) if len(body) > 20_000 else None
    for number in range(40):
        ask(f"{number} " + "x" * 1000)
    assert LangFuseTracker().flush(20)
    assert states(journal) == {"shipped": 40}


def test_a_refused_key_is_said_once_and_shipping_waits_for_new_settings(
    langfuse: LangfuseServer, journal: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused key is reported once, in a line with the public key, the host and the setting to correct. No second
    request is sent until the settings change; then all rows are sent."""
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
    """HTTP 403 means, like 401, that the keys are refused: no second request is sent."""
    langfuse.answer = answers(Response("forbidden", 403))
    for _ in range(3):
        ask("now")
        assert not LangFuseTracker().flush(0.5)
    assert len(langfuse.requests) == 1
    assert states(journal) == {"pending": 3}


@pytest.mark.slow
@pytest.mark.parametrize("backend", [reset, trickle, silence])
def test_a_broken_backend_keeps_nobody_waiting(backend: Any, raw_server: Any, journal: Any, monkeypatch: Any) -> None:
    """With a broken server, calls return at once, `flush` and closing keep to their time, and rows stay pending."""
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


@pytest.mark.slow
def test_after_a_slow_name_lookup_nothing_is_sent_by_who_was_closed_in_it(
    langfuse: LangfuseServer, journal: Any, monkeypatch: Any
) -> None:
    """Closing does not wait for the lookup of the host's name; a connection that opens later sends nothing."""
    looked_up, found = threading.Event(), threading.Event()
    look_up = socket.getaddrinfo

    def slowly(*args: Any, **kwargs: Any) -> Any:
        looked_up.set()
        assert found.wait(60)
        return look_up(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    monkeypatch.setenv("OBSERVABILITY_EXIT_SECONDS", "0.3")
    ask("first")
    assert looked_up.wait(30)
    shipping = runtime.running().shipper.workers[0]._thread
    runtime.close()
    assert shipping.is_alive()
    assert not langfuse.requests
    found.set()
    shipping.join(30)
    assert not shipping.is_alive()
    assert not langfuse.requests
    assert states(journal) == {"pending": 1}


LOOK_UP = """
import sys
from src.observability import observe_llm
observe_llm(lambda: "BUY")()
sys.stdin.readline()
"""


@contextmanager
def silent_resolver(folder: Path) -> Iterator[tuple[socket.socket, list[str]]]:
    """Start a name server that never answers; yield its socket, and a prefix that makes commands use this server."""
    settings, address = folder / "resolv.conf", f"127.77.{os.getpid() % 250}.{os.getpid() // 250 % 250}"
    settings.write_text(f"nameserver {address}\noptions timeout:30 attempts:2\n")
    run = ["unshare", "--mount", "sh", "-c", f'mount --bind {settings} /etc/resolv.conf && exec "$@"', "sh"]
    if subprocess.run([*run, "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))  # the process id makes the address unique: test runs may overlap
        server.settimeout(30)
        yield server, run


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can be a name server")
def test_a_process_ends_while_the_name_of_the_host_is_looked_up(tmp_path: Path, monkeypatch: Any, journal: Any) -> None:
    """A name lookup that takes a minute and cannot be aborted delays the exit by at most the exit's limit plus 1 s."""
    for name, value in settings_for("https://langfuse.example").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OBSERVABILITY_EXIT_SECONDS", "0.3")
    with silent_resolver(tmp_path) as (server, run), Watch() as watch:
        command = [*run, sys.executable, "-c", LOOK_UP]
        with subprocess.Popen(command, cwd=settings.REPO_ROOT, stdin=subprocess.PIPE) as process:
            assert b"\x08langfuse\x07example" in server.recv(512)
            began = time.monotonic_ns()
            process.communicate(b"end\n", timeout=30)
            ended = time.monotonic_ns()
    assert process.returncode == 0
    assert ended - began - watch.kept_waiting_ns(began, ended) < (0.3 + 1) * 1e9
    assert states(journal) == {"pending": 1}


NOT_A_SUCCESS = {
    "203 of a proxy": Response("{}", 203),
    "207 with errors": Response('{"successes": [], "errors": [{"status": 400}]}', 207),
    "204": Response("", 204),
    "text": Response("OK", 200),
    "bytes": Response(b"\x0a\x02\x08\x00\xff", 200),
    "a truncated object": Response('{"partialSuccess": {"reje', 200),
    "a list": Response("[]", 200),
    "null": Response("null", 200),
    "an error under 200": Response('{"error": "no such project"}', 200),
    "a count that is none": Response('{"partialSuccess": {"rejectedSpans": "some"}}', 200),
    "a body without an end": Response("{" + " " * 100_000, 200),
}


@pytest.mark.parametrize("case", NOT_A_SUCCESS)
@pytest.mark.parametrize("path", ["traces", "ingestion"])
def test_rows_are_shipped_only_on_the_protocols_own_success(
    path: str, case: str, langfuse: LangfuseServer, journal: Any, monkeypatch: Any
) -> None:
    """Rows count as shipped only if the protocol calls the answer a success. After any other 2xx, they are resent."""
    monkeypatch.setattr("src.observability.shipping.shipper._FIRST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr("src.observability.shipping.shipper._SHORTEST_PAUSE_SECONDS", 0.01)
    left = [NOT_A_SUCCESS[case]]
    langfuse.answer = lambda request, _body: left.pop() if left and request.path.endswith(path) else None
    ObservabilityContext.add_trading_signal("BUY", 50, "why")
    wait_until(lambda: sum(request.path.endswith(path) for request in langfuse.requests) > 1)
    wait_until(lambda: {row["state"] for row in [*journal.observations(), *journal.scores()]} == {"shipped"})
    assert sum(request.path.endswith(path) for request in langfuse.requests) == 2
    assert "check LANGFUSE_HOST; HTTP 20" in LangFuseTracker().health()["last_error"]


def test_a_body_that_breaks_off_is_no_success(raw_server: Any, journal: Any) -> None:
    """An answer that ends before its announced length is not a success, although an empty body would be one."""

    def break_off(connection: socket.socket) -> None:
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")

    raw_server(break_off)
    ask("now")
    assert not LangFuseTracker().flush(10)
    assert states(journal) == {"pending": 1}


@pytest.mark.parametrize(
    "answer",
    ["", "{}", '{"partialSuccess": {}}', '{"partialSuccess": {"rejectedSpans": "0", "errorMessage": "slow down"}}'],
)
def test_a_success_of_otlp_ships(answer: str, langfuse: LangfuseServer, journal: Any) -> None:
    """An empty body, or an `ExportTraceServiceResponse` that rejects nothing, is a success, even with a warning."""
    langfuse.answer = lambda _request, _body: Response(answer, 200)
    ask("now")
    assert LangFuseTracker().flush(10)
    assert states(journal) == {"shipped": 1}


@pytest.mark.parametrize("names", [("partialSuccess", "rejectedSpans"), ("partial_success", "rejected_spans")])
def test_a_partial_success_is_split_until_the_refused_row_is_alone(
    names: tuple[str, str], langfuse: LangfuseServer, journal: Any
) -> None:
    """The server says how many spans it rejects, not which: the batch is split until the refused row is alone."""

    def reject(_request: Request, body: bytes) -> Response | None:
        if b"poison" not in body:
            return None
        return Response(f'{{"{names[0]}": {{"{names[1]}": "1", "errorMessage": "poison"}}}}', 200)

    langfuse.answer = reject
    for number in range(20):
        ask("poison" if number == 7 else str(number))
    LangFuseTracker().flush(20)  # its result is not tested: the shipper's thread may send the rows first
    assert states(journal) == {"shipped": 19, "rejected": 1}
    (row,) = [row for row in journal.observations() if row["state"] == "rejected"]
    assert row["reason"] == "the server answered: poison"


@pytest.mark.failures_expected
def test_a_thread_that_ends_is_begun_again_by_the_next_batch(langfuse: LangfuseServer, journal: Any) -> None:
    """If the shipper's thread is killed, this is reported, and the next batch starts a new thread."""
    ask("first")
    assert LangFuseTracker().flush(10)
    thread = runtime.running().shipper.workers[0]._thread
    assert thread is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
    wait_until(lambda: not thread.is_alive())
    assert "the thread that sends recorded calls ended (SystemExit" in LangFuseTracker().health()["last_error"]
    ask("second")
    wait_until(lambda: states(journal) == {"shipped": 2})


def test_nothing_of_ours_uses_a_client_that_agents_patch(
    langfuse: LangfuseServer, journal: Any, monkeypatch: Any
) -> None:
    """Shipping works although an agent has replaced `httpx.Client`, `requests.Session` and `http.client`."""
    import http.client

    import httpx

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("an agent's class was used")

    for owner in (httpx.Client, http.client.HTTPConnection, http.client.HTTPResponse):
        monkeypatch.setattr(owner, "__init__", fail)
    ask("now")
    assert LangFuseTracker().flush(10)
    assert states(journal) == {"shipped": 1}


@pytest.mark.slow
def test_shipping_logs_nothing_and_draws_no_random_number(
    langfuse: LangfuseServer, journal: Any, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent's DEBUG log and its seeded random numbers are the same with and without shipping, even in outages."""
    monkeypatch.setattr("src.observability.shipping.shipper._FIRST_BACKOFF_SECONDS", 0.01)
    langfuse.answer = answers(*[Response("not now", 500)] * 3)
    logging.getLogger().setLevel(logging.DEBUG)
    random.seed(42)
    before = random.getstate()
    ask("now")
    wait_until(lambda: states(journal) == {"shipped": 1})
    assert random.getstate() == before
    assert [record.name for record in caplog.records if record.name != "werkzeug"] == []


def test_the_keys_meet_no_proxy_without_tls(langfuse: LangfuseServer, raw_server: Any, monkeypatch: Any) -> None:
    """Plain http to this machine does not use a proxy, which could read the keys."""
    here, asked = settings.setting("LANGFUSE_HOST"), threading.Event()
    raw_server(lambda connection: (asked.set(), connection.close()))
    monkeypatch.setenv("HTTP_PROXY", settings.setting("LANGFUSE_HOST"))
    monkeypatch.setenv("ALL_PROXY", settings.setting("LANGFUSE_HOST"))
    monkeypatch.setenv("LANGFUSE_HOST", here)
    ask("first")
    assert LangFuseTracker().flush(10)
    assert not asked.is_set()


@pytest.mark.slow
def test_another_host_need_not_wait_for_what_the_last_one_asked(langfuse: LangfuseServer, monkeypatch: Any) -> None:
    """If the settings name another server during a Retry-After of an hour, rows are sent to that server at once."""
    langfuse.answer = lambda _request, _body: Response("later", 429, headers={"Retry-After": "3600"})
    ask("first")
    assert not LangFuseTracker().flush(5)
    well = Backend()
    server = well.start()
    for name, value in well.environment.items():
        monkeypatch.setenv(name, value)
    ask("second")
    assert LangFuseTracker().flush(10)
    assert len(server.spans) == 1
    well.stop()


def test_plain_http_beyond_loopback_is_refused(monkeypatch: Any, journal: Any, capsys: Any) -> None:
    """Keys are sent over plain http to other machines only if the operator allows it; otherwise rows stay pending."""
    monkeypatch.setenv("LANGFUSE_HOST", "http://langfuse.example")
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-test-0123456789")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-test-0123456789abcdef")
    ask("now")
    assert not LangFuseTracker().flush(2)
    assert capsys.readouterr().err.count("LANGFUSE_ALLOW_HTTP=true") == 1
    assert states(journal) == {"pending": 1}


def test_a_redirect_is_not_followed(langfuse: LangfuseServer, journal: Any, monkeypatch: Any) -> None:
    """A redirect is not followed, so that the keys are sent to no other host."""
    langfuse.answer = lambda request, _body: Response("", 307, {"Location": f"http://localhost:9{TRACES}"})
    ask("now")
    assert not LangFuseTracker().flush(1)
    assert "HTTP 307" in LangFuseTracker().health()["last_error"]
    assert states(journal) == {"pending": 1}


def test_health_tells_what_there_is(langfuse: LangfuseServer, monkeypatch: Any) -> None:
    """`health()` has the numbers of recorded, pending and failed rows, the age of pending ones, and the last error."""
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
    """Scores that are sent again have the same bytes and event ids, so that the repeat changes nothing."""
    monkeypatch.setattr("src.observability.shipping.shipper._FIRST_BACKOFF_SECONDS", 0.05)
    seen: list[bytes] = []

    def fail_once(request: Request, body: bytes) -> Response | None:
        if request.path == INGESTION and body not in seen:
            seen.append(body)
            return Response("try again", 500)
        return None

    langfuse.answer = fail_once
    ObservabilityContext.add_trading_signal("BUY", 50, "why")
    wait_until(lambda: len(langfuse.scores) == 2)
    assert seen == [langfuse.raw[-1]]
    assert {score["name"] for score in langfuse.scores} == {"signal_action", "signal_confidence"}


def test_a_correction_that_is_told_while_the_first_is_under_way_is_sent_too(langfuse: LangfuseServer) -> None:
    """An outcome corrected while its first value is being sent is sent again: Langfuse ends with the new value."""
    under_way, told = threading.Event(), threading.Event()

    def hold_first(request: Request, body: bytes) -> Response | None:
        if request.path == INGESTION and not told.is_set():
            under_way.set()
            told.wait(5)
        return None

    langfuse.answer = hold_first
    ObservabilityContext.record_outcome("ab" * 16, pnl_usd=-12.5)
    assert under_way.wait(5)
    ObservabilityContext.record_outcome("ab" * 16, pnl_usd=300)
    assert runtime.running().recorder.flush(5)
    told.set()
    wait_until(lambda: [score["value"] for score in langfuse.journalled_scores] == [-12.5, 300])
    assert LangFuseTracker().flush(5)


def test_an_outage_of_days_does_not_end_the_shipper(raw_server: Any, journal: Any, monkeypatch: Any) -> None:
    """The back-off is capped: after two thousand failures the shipper still retries."""
    monkeypatch.setattr("src.observability.shipping.shipper._LONGEST_BACKOFF_SECONDS", 0.0)
    monkeypatch.setattr("src.observability.shipping.shipper._SHORTEST_PAUSE_SECONDS", 0.0)
    connections = itertools.count(1)
    seen = [0]

    def refuse(connection: socket.socket) -> None:
        seen[0] = next(connections)
        if seen[0] == 1:  # the shipper's thread waits for this answer, so the test can change its failure count
            runtime.running().shipper.workers[0]._backoff._failed = 1_990
        reset(connection)

    raw_server(refuse)
    monkeypatch.setenv("LANGFUSE_FLUSH_INTERVAL", "0")
    ask("now")
    wait_until(lambda: seen[0] > 20)
    assert runtime.running().shipper.workers[0]._backoff._failed > 2_000
    monkeypatch.setattr("src.observability.shipping.shipper._LONGEST_BACKOFF_SECONDS", 60.0)
    wait_until(lambda: 20 < runtime.running().shipper.workers[0]._backoff.seconds() <= 60)


@pytest.mark.slow
def test_flush_waits_for_another_process_that_ships(langfuse: LangfuseServer, journal: Any) -> None:
    """While another process holds the lease, `flush` sends nothing. It returns True if the other process ships the rows
    in time, else False."""
    ask("first")
    assert LangFuseTracker().flush(5)
    label = settings.destination().label
    other = JournalSession()
    held = other.open()
    assert held.take_lease(label, other.process, other.is_alive)
    ask("second")
    began = time.monotonic()
    assert not LangFuseTracker().flush(0.4)
    assert 0.3 < time.monotonic() - began < 2
    assert len(langfuse.spans) == 1
    (row,) = held.pending_observations(label, 10, 10**6, up_to=held.newest()[0])
    mark = Mark("observations", [(row["seq"], row["id"])], "shipped")
    shipping = threading.Timer(0.3, held.mark, [mark])
    shipping.start()
    began = time.monotonic()
    assert LangFuseTracker().flush(20)
    assert time.monotonic() - began > 0.2
    assert len(langfuse.spans) == 1
    shipping.join()
    other.close()


@pytest.mark.slow
def test_a_dead_process_loses_its_lease_at_once(langfuse: LangfuseServer, journal: Any) -> None:
    """A dead process loses its lease as soon as its lock file is released, not only after 30 seconds."""
    ask("first")
    assert LangFuseTracker().flush(5)
    code = (
        "import os\n"
        "from src.observability import settings\n"
        "from src.observability.journal.session import JournalSession\n"
        "session = JournalSession(); journal = session.open()\n"
        "assert journal.take_lease(settings.destination().label, session.process, session.is_alive)\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=settings.REPO_ROOT, timeout=30)
    ask("second")
    assert LangFuseTracker().flush(5)
    assert len(langfuse.spans) == 2


@pytest.mark.slow
def test_what_is_known_is_not_sent_again_where_the_journal_could_not_be_told(
    langfuse: LangfuseServer, journal: Any, monkeypatch: Any
) -> None:
    """Rows that the server took while the journal was locked are marked as shipped later, before the next request."""
    ask("first")
    assert journal.observations()
    writer = sqlite3.connect(journal.path, isolation_level=None)
    monkeypatch.setattr("src.observability.journal.connection.BUSY_SECONDS", 0.05)
    runtime.close()
    langfuse.batches.clear()
    blocked = threading.Event()

    def block(request: Request, body: bytes) -> Response | None:
        if not blocked.is_set():
            writer_lock.set()
            blocked.wait(5)
        return None

    writer_lock = threading.Event()
    langfuse.answer = block
    ask("second")
    assert runtime.running().recorder.flush(5)
    assert writer_lock.wait(5)
    writer.execute("BEGIN IMMEDIATE")
    blocked.set()
    wait_until(lambda: "locked" in (runtime.running().shipper.last_error or ""))
    writer.execute("ROLLBACK")
    writer.close()
    wait_until(lambda: states(journal) == {"shipped": 2})
    assert len({span.id for span in langfuse.spans}) == len(langfuse.spans) == 1


def leave_pending(langfuse: LangfuseServer, *prompts: str) -> None:
    """Journal these calls and stop the shipper, so that their rows stay pending."""
    healthy, langfuse.answer = langfuse.answer, lambda _request, _body: Response("away", 500)
    for prompt in prompts:
        ask(prompt)
    assert not LangFuseTracker().flush(5)
    runtime.close()
    langfuse.answer = healthy
    langfuse.requests.clear()


@pytest.fixture
def delivery() -> Iterator[Callable[[], Delivery]]:
    """Return a function that makes a `Delivery`: one process's connections to Langfuse and to the journal."""
    made: list[Delivery] = []

    def make() -> Delivery:
        made.append(Delivery(settings.destination(), lambda: 60.0, print))
        return made[-1]

    yield make
    for each in made:
        each.close()


def execute(path: Any, statement: str) -> list[Any]:
    """Run one statement on a separate connection; return its rows."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        return db.execute(statement).fetchall()
    finally:
        db.close()


REFUSE_MARKS = "CREATE TRIGGER full BEFORE UPDATE OF state ON observations BEGIN SELECT the_disk_is_full(); END"
SHIP = """
from src.observability import settings
from src.observability.shipping.delivery import Delivery
reply = Delivery(settings.destination(), lambda: 60.0, print).ship(0.0)
print(reply.message if reply else "all is shipped")
"""


def shipped_by_another_process() -> str:
    """Ship all pending rows in another process; return what that process prints."""
    run = [sys.executable, "-c", SHIP]
    done = subprocess.run(run, check=True, cwd=settings.REPO_ROOT, timeout=60, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.failures_expected
def test_damage_that_the_shipper_finds_is_set_aside(langfuse: LangfuseServer, journal: Any, delivery: Any) -> None:
    """If the index of pending rows is damaged, shipping raises an exception, and the journal's file is set aside."""
    leave_pending(langfuse, "first")
    query = "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size() WHERE name = 'observations_waiting'"
    ((page, size),) = execute(journal.path, query)
    with journal.path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))
    with pytest.raises(DamagedJournalError):
        delivery().ship(0.0)
    assert not journal.path.exists()
    assert not langfuse.requests


@pytest.mark.slow
def test_nobody_else_sends_what_we_could_not_note(
    langfuse: LangfuseServer, journal: Any, delivery: Any, monkeypatch: Any
) -> None:
    """The server has the rows, but the journal refuses to mark them as shipped: we keep the lease until it accepts."""
    now, later = time.monotonic_ns, itertools.count(0, int(0.8 * LEASE_SECONDS * 1e9))
    leave_pending(langfuse, "first")
    ours, theirs = delivery(), delivery()
    execute(journal.path, REFUSE_MARKS)
    for passed in itertools.islice(later, 4):
        monkeypatch.setattr(time, "monotonic_ns", lambda passed=passed: now() + passed)
        with pytest.raises(JournalError, match="the_disk_is_full"):
            ours.ship(0.0)
        assert theirs.ship(0.0).result is ExportResult.NOT_SENT
    assert shipped_by_another_process() == "another process is sending rows"
    assert execute(journal.path, "SELECT state FROM observations") == [("pending",)]
    assert len(langfuse.requests) == 1

    execute(journal.path, "DROP TRIGGER full")
    assert ours.ship(0.0) is None
    assert execute(journal.path, "SELECT state FROM observations") == [("shipped",)]
    assert execute(journal.path, "SELECT * FROM leases WHERE name <> 'tidy'") == []
    assert len(langfuse.requests) == 1
    leave_pending(langfuse, "second")
    assert shipped_by_another_process() == "all is shipped"
    assert len(langfuse.requests) == 1
    assert len({span.id for span in langfuse.spans}) == len(langfuse.spans) == 2


@pytest.mark.slow
def test_a_journal_that_was_not_told_is_told_soon(langfuse: LangfuseServer, journal: Any, monkeypatch: Any) -> None:
    """If rows cannot be marked as shipped, this is retried soon: during a long back-off, the lease would expire."""
    monkeypatch.setattr("src.observability.shipping.shipper._NOTE_SECONDS", 0.1)
    leave_pending(langfuse, "first")

    def refuse_marks(_request: Request, _body: bytes) -> None:
        runtime.running().shipper.workers[0]._backoff._failed = 10
        execute(journal.path, REFUSE_MARKS)

    langfuse.answer = refuse_marks
    runtime.running().shipper.start()
    wait_until(lambda: runtime.running().shipper.workers[0]._backoff._failed > 12)
    execute(journal.path, "DROP TRIGGER full")
    wait_until(lambda: states(journal) == {"shipped": 1})
    wait_until(lambda: execute(journal.path, "SELECT * FROM leases WHERE name <> 'tidy'") == [])
    assert len(langfuse.requests) == 1


def test_a_request_and_a_note_that_wait_are_shorter_than_a_lease() -> None:
    """A lease lasts longer than a request or marking rows as shipped, so that no other process sends the same rows."""
    assert REQUEST_SECONDS + _RENEW_SECONDS < LEASE_SECONDS
    assert 2 * BUSY_SECONDS + _NOTE_SECONDS < LEASE_SECONDS


@pytest.mark.slow
def test_who_takes_over_waits_as_another_process_was_told(
    langfuse: LangfuseServer, journal: Any, delivery: Any, monkeypatch: Any
) -> None:
    """After one process gets Retry-After, others send nothing for that time, not even on a `flush`; then they send."""
    leave_pending(langfuse, "first")
    ours, theirs = delivery(), delivery()
    langfuse.answer = lambda _request, _body: Response("slow down", 429, {"Retry-After": "600"})
    assert ours.ship(0.0).retry_after == 600
    reply = theirs.ship(time.monotonic() + 60)
    assert reply.result is ExportResult.UNAVAILABLE
    assert 0 < reply.retry_after < 600
    assert shipped_by_another_process() == "the server told another process of this machine to wait"
    assert len(langfuse.requests) == 1

    langfuse.answer = lambda _request, _body: None
    now = time.monotonic_ns
    monkeypatch.setattr(time, "monotonic_ns", lambda: now() + 600 * 10**9)
    assert theirs.ship(0.0) is None
    assert len(langfuse.requests) == 2


@pytest.mark.slow
def test_what_a_process_was_told_ends_with_it(langfuse: LangfuseServer, journal: Any, delivery: Any) -> None:
    """A Retry-After of an hour ends with the process that got it: after a restart, new processes send at once."""
    leave_pending(langfuse, "first")
    langfuse.answer = answers(Response("slow down", 503, {"Retry-After": "3600"}))
    told = delivery()
    assert told.ship(0.0).retry_after == 3600
    told.close()
    assert shipped_by_another_process() == "all is shipped"
    assert len(langfuse.requests) == 2


def test_a_backlog_is_sent_at_its_rate(
    langfuse: LangfuseServer, journal: Any, delivery: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows an hour old are sent in batches with random pauses, while the lease is held; new rows are sent at once."""
    monkeypatch.setattr("src.observability.shipping.delivery.BATCH_ROWS", 2)
    leave_pending(langfuse, *map(str, range(6)))
    execute(journal.path, "UPDATE observations SET end_ns = end_ns - 3600000000000 WHERE seq <= 4")
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        if seconds == 0.0:  # the shipper passes 0 to ask whether a `flush` is waiting
            return False
        pauses.append(seconds)
        theirs._take_lease(journal_of_theirs)
        assert theirs._renew_at == 0.0
        return True

    ours, theirs = delivery(), delivery()
    journal_of_theirs = theirs._session.open()
    ours._pause = pause
    assert ours.ship(0.0) is None
    assert len(langfuse.spans) == 6
    assert len(pauses) == 2
    assert all(0.009 <= seconds <= 0.03 for seconds in pauses)  # two rows at 100 rows a second: 0.02 s ± half
    monkeypatch.setenv("OBSERVABILITY_CATCH_UP_RATE", "0")
    assert (catch_up_rows(), catch_up_pause(500)) == (2, 0.0)
    monkeypatch.setenv("OBSERVABILITY_CATCH_UP_RATE", "0.01")
    assert catch_up_rows() == 1


def test_a_flush_does_not_wait_for_the_rate(
    langfuse: LangfuseServer, journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a backlog is being sent slowly, a `flush` sends the rest of it without pauses."""
    monkeypatch.setattr("src.observability.shipping.delivery.BATCH_ROWS", 2)
    monkeypatch.setenv("OBSERVABILITY_CATCH_UP_RATE", "0.01")
    leave_pending(langfuse, *map(str, range(8)))
    execute(journal.path, "UPDATE observations SET end_ns = end_ns - 3600000000000")
    runtime.running().shipper.start()
    wait_until(lambda: len(langfuse.spans) == 1)
    time.sleep(0.3)
    assert len(langfuse.spans) == 1
    assert LangFuseTracker().flush(10)
    assert len(langfuse.spans) == 8


def latency(calls: int) -> list[float]:
    """Make this number of calls; return their sorted latencies in microseconds."""
    took = []
    for number in range(calls):
        began = time.perf_counter()
        ask(str(number))
        took.append((time.perf_counter() - began) * 1e6)
        time.sleep(0.001)
    return sorted(took)


@pytest.mark.slow
def test_no_backend_slows_a_call(langfuse: LangfuseServer, raw_server: Any, journal: Any, monkeypatch: Any) -> None:
    """Calls are as fast with a server that is down, broken, hanging, resetting, trickling or refusing as with a healthy
    server."""
    statuses = {500: {}, 429: {"Retry-After": "1"}, 401: {}, 413: {}, 400: {}}
    monkeypatch.setenv("OBSERVABILITY_EXIT_SECONDS", "0.1")
    found = {"healthy": latency(80)}
    for status, headers in statuses.items():
        monkeypatch.setattr(langfuse, "answer", lambda *_, s=status, h=headers: Response("no", s, h))
        found[str(status)] = latency(80)
        runtime.close()
    for backend in (reset, trickle, silence):
        raw_server(backend)
        found[backend.__name__] = latency(80)
        runtime.close()
    monkeypatch.setenv("LANGFUSE_HOST", "http://127.0.0.1:9")  # no server listens here
    found["away"] = latency(80)
    print({name: [round(took[40]), round(took[78])] for name, took in found.items()})
    for name, took in found.items():
        assert took[40] < 2 * found["healthy"][40] + 50, name
        assert took[78] < 50_000, name
