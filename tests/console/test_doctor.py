"""Each test causes a real fault of tracing, which `doctor` must report with the cure and the exit status."""

import gzip
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from email.utils import formatdate
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Response

from src.observability import LangFuseTracker, ObservabilityContext, runtime, settings
from src.observability.console.app import app
from src.observability.journal.store import Journal, Mark
from src.observability.redaction.rules import operator_patterns
from tests.console.cycles import one_cycle
from tests.langfuse_server import HEALTH, Backend, RawServer, settings_for
from tests.million import fill, observation_row

HOUR_NS = 3_600_000_000_000
pytestmark = pytest.mark.filled(20)


def doctor(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run `doctor` and return the exit status and the findings."""
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def worst_finding(about: str, *arguments: str) -> tuple[str, str, str | None]:
    """Return severity, text and cure of the worst finding about a subject; check that only faults give status 1."""
    status, findings = doctor(*arguments)
    assert status == int(any(finding["weight"] == "fault" for finding in findings))
    worst = next(finding for finding in findings if finding["about"] == about)
    return worst["weight"], worst["what"], worst["cure"]


def test_all_is_well(langfuse: Any) -> None:
    """After a delivered cycle, all findings are fine, no key is shown, and the exit status is 0."""
    one_cycle()
    assert LangFuseTracker().flush(10)
    status, findings = doctor()
    assert [finding for finding in findings if finding["weight"] != "fine"] == []
    assert status == 0
    about = {finding["about"] for finding in findings}
    assert about == {
        "calls",
        "tracing", "keys", "disk", "journal", "pending", "rejected", "own failures", "outcomes", "prices", "server",
        "clock", "package", "reading",
    }  # fmt: skip
    calls = {finding["what"]: finding["detail"] for finding in findings if finding["about"] == "calls"}
    assert calls.keys() >= {"anthropic recorded", "openai recorded"}  # other SDKs may be installed too
    assert "messages.create" in calls["anthropic recorded"]
    output = CliRunner().invoke(app, ["doctor"]).output
    assert langfuse.secret_key not in output + json.dumps(findings)
    assert "✅ keys: set in the environment; accepted by the server" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", {"anthropic recorded", "openai recorded"}),
        ("false", {"SDK calls are not recorded: OBSERVABILITY_INSTRUMENT=false"}),
    ],
)
def test_the_observed_sdks_of_a_new_process(value: str, expected: set[str]) -> None:
    """`doctor` lists the SDKs whose calls are recorded in agents' processes, although `doctor` itself records none."""
    command = [sys.executable, "-m", "src.observability", "doctor", "--json"]
    environment = {**os.environ, "OBSERVABILITY_INSTRUMENT": value}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=settings.REPO_ROOT, timeout=60, env=environment)
    assert expected <= {json.loads(line)["what"] for line in ended.stdout.splitlines()}
    assert ended.stderr == ""  # no SDK's warning is printed


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        ("events_only", "only the new read APIs answer (server mode events_only)"),
        ("dual", "the new and the legacy read APIs answer (server mode dual)"),
        ("legacy", "only the legacy read APIs answer, as on servers before version 4"),
    ],
)
def test_what_was_shipped_is_read_back(langfuse: Any, mode: str, what: str) -> None:
    """`doctor` reports which of Langfuse's APIs answer, and reads the last trace and score through one of them."""
    langfuse.mode = mode
    trace_id = one_cycle()
    assert LangFuseTracker().flush(10)
    _, findings = doctor()
    reading = [finding for finding in findings if finding["about"] == "reading"]
    assert [finding["what"] for finding in reading] == [
        what,
        f"the last shipped trace {trace_id[:8]} can be read back",
        "the last shipped score signal_confidence can be read back",
    ]
    assert {finding["weight"] for finding in reading} == {"fine"}


def test_what_is_not_stored_is_reported(langfuse: Any, filled: Journal) -> None:
    """If a server accepts rows but stores none for an hour, `doctor` warns; earlier, the rows may still be queued."""
    trace_id = one_cycle()
    assert LangFuseTracker().flush(10)
    langfuse.is_stored = False
    assert worst_finding("reading")[0] == "fine"
    filled.change("UPDATE observations SET end_ns = end_ns - ?", (HOUR_NS,))
    what = f"the last shipped trace {trace_id[:8]} cannot be read back (HTTP 200)"
    assert worst_finding("reading")[:2] == ("warning", what)


def test_keys_that_may_not_read(langfuse: Any) -> None:
    """`doctor` warns if none of Langfuse's read APIs accepts the keys."""
    langfuse.mode = "none"
    assert worst_finding("reading")[:2] == ("warning", "no read API accepts these keys")


def test_what_is_wrong_comes_first(langfuse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults come first, then warnings, then fine findings; faults and warnings have a cure."""
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-another-0123456789")
    langfuse.version = "4.16.0"
    status, findings = doctor()
    weights = [finding["weight"] for finding in findings]
    assert weights == sorted(weights, key=["fault", "warning", "fine"].index)
    assert set(weights) == {"fault", "warning", "fine"}
    assert all(finding["cure"] for finding in findings if finding["weight"] != "fine")
    assert status == 1
    result = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "80"})
    assert result.exit_code == 1
    assert result.output.startswith("❌ keys: the server rejects pk-lf-test")
    assert max(map(len, result.output.splitlines())) <= 80


def test_settings(monkeypatch: pytest.MonkeyPatch, write_env_file: Any) -> None:
    """`doctor` reports where ENABLE_LANGFUSE is set, malformed values, and which of Langfuse's two keys is missing."""
    assert worst_finding("tracing") == ("fine", "on, according to the default", None)
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    assert worst_finding("tracing")[:2] == ("warning", "off, according to the environment: calls are not recorded")
    write_env_file("ENABLE_LANGFUSE=false\n")
    assert worst_finding("tracing")[1] == "off, according to .env: calls are not recorded"
    monkeypatch.delenv("ENABLE_LANGFUSE")
    assert worst_finding("keys")[0] == "warning"
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-0123456789")
    assert worst_finding("keys") == (
        "fault",
        "one of two keys is missing: LANGFUSE_PUBLIC_KEY",
        "set LANGFUSE_PUBLIC_KEY in .env",
    )
    monkeypatch.setenv("OBSERVABILITY_MAX_MB", "lots")
    assert worst_finding("settings")[:2] == ("fault", "OBSERVABILITY_MAX_MB must be a number above 0")


def test_limits_of_disk_and_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little free space for a full journal is a warning, under 200 MB a fault; year-old prices are a warning."""
    assert (worst_finding("disk")[0], worst_finding("prices")[0]) == ("fine", "fine")
    monkeypatch.setenv("OBSERVABILITY_MAX_MB", "1000000000")
    assert worst_finding("disk")[0] == "warning"
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=199 * 2**20))
    assert worst_finding("disk")[0] == "fault"
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 365 * 24 * HOUR_NS)
    weight, _, cure = worst_finding("prices")
    assert (weight, str(cure).split(" && ")[0]) == ("warning", "pip install -U genai-prices")


def _refused(pattern: str) -> str:
    try:
        operator_patterns(pattern)
    except settings.SettingError as error:
        return str(error)
    raise AssertionError(pattern)


REFUSED = _refused("*")


def test_patterns_that_are_refused(filled: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused redaction pattern is the first finding, with the reason; secrets in other findings are still masked."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", "*")
    monkeypatch.setenv("MY_SECRET", "hunter2-hunter2")
    status, findings = doctor()
    assert status == 1
    cure = "fix the patterns in the environment: until then no text is recorded"
    assert findings[0] == {"weight": "fault", "about": "settings", "what": REFUSED, "cure": cure}
    assert all("NOT RECORDED" not in finding["what"] for finding in findings)
    assert worst_finding("pending") == ("fine", "no rows are pending", None)
    lines = CliRunner().invoke(app, ["status"], env={"COLUMNS": "200"}).output.splitlines()
    assert lines[:2] == [f"🤖 Tracing is on, records are kept here; {REFUSED}", f"   → {cure}"]
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", "hunter2-hunter2(")
    assert "hunter2" not in CliRunner().invoke(app, ["status"]).output + json.dumps(doctor()[1])


def test_no_note_is_lost_under_refused_patterns(filled: Journal, tmp_path: Path) -> None:
    """While a redaction pattern is refused, notes are refused, also in files; outcomes without a note are recorded."""
    trace_id = filled.observations("is_root")[0]["trace_id"]
    (tmp_path / "trades.csv").write_text(f"trace_id,pnl_usd,note\n{trace_id},5,stopped out\n")
    environment, before = {"OBSERVABILITY_REDACT_PATTERNS": "*", "COLUMNS": "300"}, len(filled.scores())
    for command in (
        ["outcome", trace_id, "--pnl-usd", "5", "--note", "stopped out"],
        ["outcomes", "--import", str(tmp_path / "trades.csv")],
    ):
        result = CliRunner().invoke(app, command, env=environment)
        assert (result.exit_code, result.stdout) == (1, "")
        assert (
            f"❌ No outcome was recorded, since its note could not be: {REFUSED}\n   → fix the patterns in"
            in result.stderr
        )
    assert len(filled.scores()) == before
    assert CliRunner().invoke(app, ["outcome", trace_id, "--pnl-usd", "5"], env=environment).exit_code == 0


def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is a fault; so is an address without TLS on another machine."""
    for name, value in Backend().environment.items():
        monkeypatch.setenv(name, value)
    weight, what, cure = worst_finding("server")
    assert (weight, cure) == ("fault", "correct LANGFUSE_HOST, or check network and server")
    assert "cannot be reached" in what
    monkeypatch.setenv("LANGFUSE_HOST", "http://langfuse.example.com")
    assert "has no TLS" in worst_finding("server")[1]


def test_a_page_accepts_no_keys(langfuse: Any) -> None:
    """If a hotel's network answers with 200 and a web page, it is unknown whether the server accepts the keys."""
    langfuse.answer = lambda _request, _: Response("<html>Log in", 200)
    assert worst_finding("keys")[:2] == ("warning", "HTTP 200: unknown if the server accepts the keys")


@pytest.mark.parametrize(
    ("answer", "weight", "text"),
    [
        (Response("down", 503), "fault", "is not healthy: HTTP 503 down"),
        (Response("what?", 404), "fault", "is not healthy: HTTP 404 what?"),
        (
            Response("", 302, {"Location": "https://elsewhere.example"}),
            "fault",
            "redirects to https://elsewhere.example",
        ),
        (Response("<html>hello", 200), "fault", "is not a Langfuse server"),
        (Response('{"version": "3.20.1"}', 200), "fault", "too old"),
        pytest.param(
            Response('{"version": "4.16.0"}', 200),
            "warning",
            "this server may refuse scores sent by that SDK",
            marks=pytest.mark.skipif(not version("langfuse").startswith("5."), reason="the SDK's version 5"),
        ),
    ],
)
def test_a_server_that_is_not_as_it_should_be(answer: Response, weight: str, text: str, langfuse: Any) -> None:
    """`doctor` reports a server that is broken, has moved, is another program or is too old."""
    langfuse.answer = lambda request, _: answer if request.path == HEALTH else None
    finding = worst_finding("server")
    assert finding[0] == weight
    assert text in finding[1]
    assert ("or correct LANGFUSE_HOST" in str(finding[2])) == ("404" in text)


def test_the_langfuse_sdk_need_not_be_there(langfuse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing Langfuse SDK is not a fault: traces and scores are not sent through it."""
    monkeypatch.setattr(sys, "path", [])  # no installed package can be found
    langfuse.answer = lambda request, _: Response('{"version": "4.60.0"}', 200) if request.path == HEALTH else None
    finding = worst_finding("server")
    assert finding[0] == "fine"
    assert finding[1].endswith("is Langfuse 4.60.0")


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_clock_that_is_wrong(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock an hour off is a fault: traces would get times in the past or the future."""

    def answer(connection: socket.socket) -> None:
        connection.recv(10_000)
        body = b'{"version": "4.60.0"}'
        date = formatdate(time.time() + seconds, usegmt=True)
        head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.close()

    server = RawServer(answer)
    for name, value in settings_for(server.url).items():
        monkeypatch.setenv(name, value)
    weight, what, _ = worst_finding("clock")
    server.close()
    assert weight == "fault"
    assert ("behind" if seconds > 0 else "ahead of") in what


def test_an_endless_answer_is_read_in_part(langfuse: Any) -> None:
    """`doctor` stops reading an answer of 200 MB: less than 50 MB is sent."""
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield bytes(2**20)

    langfuse.answer = lambda _request, _body: Response(pieces())
    assert worst_finding("server")[0] == "fault"
    assert sent < 50


def test_an_answer_that_unpacks_to_much_is_not_unpacked(langfuse: Any) -> None:
    """`doctor` uses less than 20 MB of memory for an answer of 50 KB of gzip that would unpack to 50 MB."""
    bomb = gzip.compress(bytes(50 * 2**20))
    langfuse.answer = lambda _request, _body: Response(bomb, headers={"Content-Encoding": "gzip"})
    tracemalloc.start()
    assert worst_finding("server")[0] == "fault"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20


@pytest.mark.slow
def test_a_certificate_that_nobody_vouches_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A self-signed certificate over real TLS is a fault."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate),
         "-days", "1", "-subj", "/CN=localhost"], check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer("127.0.0.1", 0, ssl_context=context) as server:
        for name, value in settings_for(f"https://127.0.0.1:{server.port}").items():
            monkeypatch.setenv(name, value)
        weight, what, cure = worst_finding("server")
    assert weight == "fault"
    assert "is not trusted" in what
    assert cure is not None
    assert "SSL_CERT_FILE" in cure


def test_rows_that_wait_too_long(langfuse: Any, filled: Journal) -> None:
    """A row pending for ten minutes is a warning, for an hour a fault; a row of an unknown project is a warning."""
    label = settings.destination().label  # type: ignore[union-attr]
    for age, weight in ((1, "fine"), (15, "warning"), (90, "fault")):
        start = time.time_ns() - age * HOUR_NS // 60
        row = observation_row(
            id=f"{age:016x}", trace_id="a" * 32, type="span", name="x", trace_name="x", start_ns=start, end_ns=start,
            state="pending", destination=label,
        )  # fmt: skip
        filled.append([row], [])
        assert worst_finding("pending")[0] == weight
        lines = CliRunner().invoke(app, ["status"], env={"COLUMNS": "200"}).output.splitlines()
        waits = f"the oldest row has been pending for {age} min"
        assert lines[0].endswith(waits if weight != "fine" else settings.setting("LANGFUSE_HOST"))
        assert ("→ run python -m src.observability doctor" in lines[1]) == (weight != "fine")
        filled.mark(Mark("observations", [(filled.newest()[0], row["id"])], "shipped"))
    filled.append([{**row, "id": "f" * 16, "destination": "https://other.example|pk-lf-other"}], [])
    weight, what, _ = worst_finding("pending")
    assert weight == "warning"
    assert "1 row for the project of pk-lf-other at https://other.example" in what


def test_refused_rows_are_sent_again_on_demand(langfuse: Any) -> None:
    """`doctor` prints why the server rejected rows; `doctor --fix` makes these rows pending, so they are sent again."""
    langfuse.answer = lambda request, _: Response("tags\x1b[2J are wrong", 400) if "otel" in request.path else None
    one_cycle()
    LangFuseTracker().flush(10)  # may return False: the server rejects the rows
    weight, what, cure = worst_finding("rejected")
    assert (weight, cure) == (
        "fault",
        "correct the cause; then, to send the rows again: python -m src.observability doctor --fix",
    )
    assert "Langfuse rejected 3 rows" in what
    assert "are wrong" in what
    assert "\x1b" not in what
    langfuse.answer = lambda _request, _body: None
    result = CliRunner().invoke(app, ["doctor", "--fix"])
    assert "✅ 3 rejected rows will be sent again" in result.stderr
    assert worst_finding("rejected")[0] == "fine"
    assert LangFuseTracker().flush(10)
    assert len(langfuse.spans) == 3


@pytest.mark.failures_expected
@pytest.mark.parametrize("where", [0, 40, 95])
def test_a_damaged_journal_is_set_aside_on_demand(where: int, filled: Journal) -> None:
    """`doctor --fix` sets a damaged journal aside, whichever part is damaged; without `--fix` nothing is changed."""
    filled.close()
    path = settings.journal_path()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size * where // 100)
        file.write(b"\xff" * 60_000)
    broken = path.read_bytes()
    weight, what, cure = worst_finding("journal")
    assert weight == "fault"
    assert "damaged" in what
    assert "doctor --fix" in str(cure)
    assert path.read_bytes() == broken
    status, _ = doctor("--fix")
    assert status == 0
    assert ["set aside" in finding["what"] for finding in doctor()[1] if finding["about"] == "journal"] == [True, False]
    assert [
        file.read_bytes()
        for file in path.parent.glob("*.set-aside-*")
        if "-wal" not in file.name and "-shm" not in file.name
    ] == [broken]
    one_cycle()


def test_a_journal_that_is_missing_or_of_the_future(filled: Journal) -> None:
    """A missing journal is a warning; a journal of a newer version is a fault with its cure."""
    filled.change("PRAGMA user_version = 99")
    assert "update it (git pull)" in worst_finding("journal")[1]
    filled.close()
    for file in settings.journal_path().parent.iterdir():
        file.unlink()
    assert worst_finding("journal")[0] == "warning"
    assert doctor("--fix")[0] == 0
    assert not settings.journal_path().exists()


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an ordinary user here")
@pytest.mark.parametrize("mode", [0o755, 0o700])
@pytest.mark.parametrize("command", ["doctor --json", "doctor --fix --json", "status", "tail", "decisions"])
def test_a_folder_that_this_user_cannot_write(mode: int, command: str, public_folder: Path) -> None:
    """If a user may not write to the journal's folder, readable or not, the message tells how to make the folder
    writable, and does not advise to run an agent."""
    folder = public_folder / "shut"
    folder.mkdir()
    folder.chmod(mode)
    code = (
        "import os, sys, zoneinfo, httpx, rich.progress, src.observability.shipping.client\n"
        "import src.observability.console.checks.local, src.observability.console.checks.server\n"
        "from src.observability.console.app import app\n"
        f"os.setuid(65534); app({command.split()!r})"
    )
    path = folder / "observability" / "journal.db"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=settings.REPO_ROOT, timeout=30, check=False,
        env={**os.environ, "OBSERVABILITY_JOURNAL": str(path), "COLUMNS": "400"},
    )  # fmt: skip
    what = f"no journal at {path}, and this user may not create one: {folder} is not writable"
    cure = "make the folder writable for the agents' user, or set OBSERVABILITY_JOURNAL to another file"
    assert ended.returncode == 1
    if command.startswith("doctor"):
        first = json.loads(ended.stdout.splitlines()[0])
        assert first == {"weight": "fault", "about": "journal", "what": what, "cure": cure}
    else:
        assert (ended.stdout, ended.stderr) == ("", f"❌ {what}: {cure}\n")


def test_unknown_prices_and_calls_that_could_not_be_recorded(filled: Journal) -> None:
    """`doctor` names models without a price, and counts calls that could not be recorded."""
    fill(filled, 100, days=3, seed=2)
    assert "unknown for openrouter/nobody-s-model: " in worst_finding("prices")[1]
    assert worst_finding("own failures")[0] == "fine"
    why = "[NOT RECORDED: ValueError]"
    filled.append([observation_row(id="1" * 16, trace_id="a" * 32, type="span", name=why, trace_name=why,
                                   start_ns=time.time_ns(), status_message=why)], [])  # fmt: skip
    assert worst_finding("own failures")[:2] == (
        "warning", "1 call of the last 7 days could not be recorded, only counted",
    )  # fmt: skip


def test_outcomes_of_traces_that_are_not_here(filled: Journal) -> None:
    """Outcomes with a mistyped trace id are a warning with the cure; several outcomes of one trace count once."""
    trace_id = filled.observations("is_root")[0]["trace_id"]
    ObservabilityContext.record_outcome(trace_id, pnl_usd=1)
    assert worst_finding("outcomes")[0] == "fine"
    for wrong in ("deadbeef" * 4, trace_id[:-1] + ("0" if trace_id[-1] != "0" else "1")):
        ObservabilityContext.record_outcome(wrong, pnl_usd=1, pnl_pct=2)
    assert runtime.running().recorder.flush(5)
    weight, what, cure = worst_finding("outcomes")
    assert (weight, what) == (
        "warning",
        f"2 outcomes of the last 7 days without a trace in this journal: {trace_id[:8]}, deadbeef",
    )
    assert "to list the ids: python -m src.observability decisions" in str(cure)
    filled.change("UPDATE scores SET timestamp_ns = timestamp_ns - ? WHERE name LIKE 'pnl_%'", (8 * 24 * HOUR_NS,))
    assert worst_finding("outcomes")[0] == "fine"
