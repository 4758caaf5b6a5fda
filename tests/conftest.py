"""Every test starts as a new process would: no key, no secret of this machine, no `.env`, a journal of its own.

A test fails if observability itself failed, or if something connects beyond this machine.
"""

import os

os.environ["PYTHON_DOTENV_DISABLED"] = "1"  # before src.config is imported: tests must not read the operator's .env

import functools
import gc
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from pytest_httpserver import HTTPServer

from src.models.model_factory import ModelFactory
from src.observability import LangFuseTracker, internal_errors, runtime, settings
from src.observability.journal.retention import Retention
from src.observability.journal.store import Journal, Row
from src.observability.redaction import environment
from src.observability.tracing import current
from tests.certificate import one_certificate
from tests.langfuse_server import LangfuseServer, RawServer, settings_for
from tests.otlp_server import HEADERS, OtlpServer

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore SIGINT
platform.processor()  # fills the cache, so that no SDK's first client runs `uname`
typer.testing._get_command = functools.cache(typer.testing._get_command)  # otherwise each run builds all commands

_SETTINGS = re.compile(
    r"_KEY$|_TOKEN$|_SECRET$|_BASE_URL$|^(LANGFUSE|OBSERVABILITY|AI|MOONDEV|OTEL|ENABLE_LANGFUSE|COLUMNS)"
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Exempt modules and tests from garbage collection: each collection would scan them, although none is freed."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _few_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    os.environ["SSL_CERT_FILE"] = str(one_certificate(tmp_path_factory.mktemp("certificate")))
    yield
    del os.environ["SSL_CERT_FILE"]


@pytest.fixture(autouse=True)
def _as_in_a_new_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [
        name for name, value in os.environ.items() if _SETTINGS.search(name) or environment.is_secret(name, value)
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OBSERVABILITY_INFER_SIGNALS", "false")  # an answer BUY would add a row, and tests count rows
    monkeypatch.setattr(settings, "ENV_FILE", tmp_path / "no.env")
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(tmp_path / "journal" / "journal.db"))
    monkeypatch.setattr(internal_errors, "strict", True)
    _forget()
    yield
    runtime.close()
    _forget()


def _forget() -> None:
    ModelFactory.clear()
    current.clear()
    internal_errors.failures.reset()
    LangFuseTracker._instance = LangFuseTracker._client = None
    settings.reported.clear()
    settings.forget()
    environment.forget()
    Retention.deleted_pending = 0


@pytest.fixture(autouse=True)
def _observability_itself_does_not_fail(request: pytest.FixtureRequest, _as_in_a_new_process: None) -> Iterator[None]:
    yield
    if "failures_expected" not in request.keywords:
        if runtime.active is not None:
            runtime.active.recorder.flush(5)
        assert internal_errors.failures.total == 0, internal_errors.failures.last


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        assert host in ("localhost", "::1") or host.startswith("127."), f"a test called {host}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(autouse=True)
def _a_quick_test_starts_no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        pytest.fail("a test that starts a process is slow: mark it so")

    if "slow" not in request.keywords:
        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
        monkeypatch.setattr(os, "fork", refuse)


@pytest.fixture(autouse=True)
def _a_failed_test_waits_for_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the processes of a failed test: `with Popen(...)` would wait until they end."""
    leave = subprocess.Popen.__exit__

    def kill_and_leave(self: subprocess.Popen[Any], kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is not None:
            self.kill()
        leave(self, kind, *rest)

    monkeypatch.setattr(subprocess.Popen, "__exit__", kill_and_leave)


@pytest.fixture
def write_env_file(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that writes the test's `.env`."""

    def write(text: str) -> None:
        monkeypatch.delenv("PYTHON_DOTENV_DISABLED")
        settings.ENV_FILE.write_text(text, encoding="utf-8")
        settings.forget()

    return write


class JournalReader:
    """Reads the test's journal as the console does, after all queued rows are written."""

    @property
    def path(self) -> Path:
        """The path of the journal."""
        return settings.journal_path()

    def observations(self) -> list[Row]:
        """All observations in order of their start, JSON columns decoded."""
        return self._read(lambda journal: journal.observations())

    def scores(self) -> list[Row]:
        """All scores in order of arrival."""
        return self._read(lambda journal: journal.scores())

    def _read(self, what: Callable[[Journal], list[Row]]) -> list[Row]:
        assert runtime.running().recorder.flush(10), "not journalled within 10 s"
        if not self.path.exists():
            return []
        journal = Journal(self.path, create=False)
        try:
            return what(journal)
        finally:
            journal.close()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users can read. `tmp_path` is closed to them whenever another run of pytest begins."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def _new_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("new") / "journal.db"
    Journal(path).close()
    return path


@pytest.fixture
def _copied_journal(_new_journal: Path, _as_in_a_new_process: None) -> None:
    """An empty journal for the test, copied from a template, since its migrations take longer than most tests."""
    settings.journal_path().parent.mkdir(mode=0o700, exist_ok=True)
    if not settings.journal_path().exists():
        shutil.copy(_new_journal, settings.journal_path())


@pytest.fixture
def made(_copied_journal: None) -> Iterator[Journal]:
    """The journal, opened for writing."""
    journal = Journal(settings.journal_path())
    yield journal
    journal.close()


@pytest.fixture
def journal(_copied_journal: None) -> JournalReader:
    """A reader of the test's journal."""
    return JournalReader()


@pytest.fixture
def langfuse(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> LangfuseServer:
    """A Langfuse server on loopback that accepts only our project's keys; the settings point to it."""
    server = LangfuseServer(httpserver)
    monkeypatch.setenv("LANGFUSE_HOST", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", server.public_key)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", server.secret_key)
    monkeypatch.setenv("LANGFUSE_FLUSH_INTERVAL", "0.1")
    return server


@pytest.fixture(scope="session")
def further_httpservers() -> Iterator[Callable[[str], HTTPServer]]:
    """Return a function that gives a server by name. Servers run all session, since stopping takes half a second."""
    with ExitStack() as started:
        yield functools.cache(lambda _name: started.enter_context(HTTPServer("127.0.0.1")))


@pytest.fixture
def otlp(further_httpservers: Callable[[str], HTTPServer], monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpServer]:
    """An OTLP backend on loopback, which the settings name as second destination."""
    httpserver = further_httpservers("otlp")
    server = OtlpServer(httpserver)
    monkeypatch.setenv("OBSERVABILITY_OTLP_ENDPOINT", server.url)
    monkeypatch.setenv("OBSERVABILITY_OTLP_HEADERS", HEADERS)
    monkeypatch.setenv("LANGFUSE_FLUSH_INTERVAL", "0.1")
    yield server
    httpserver.clear()


@pytest.fixture
def raw_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[socket.socket], None]], None]]:
    """Return a function that starts a server. The server passes each connection to the given function."""
    servers: list[RawServer] = []

    def serve(what: Callable[[socket.socket], None]) -> None:
        servers.append(RawServer(what))
        for name, value in settings_for(servers[-1].url).items():
            monkeypatch.setenv(name, value)

    yield serve
    for server in servers:
        server.close()
