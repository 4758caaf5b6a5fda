"""`ship` delivers pending rows, `prune` deletes old rows, `tail` prints new rows."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from typer.testing import CliRunner, Result
from werkzeug import Response

from src.observability import LangFuseTracker, ObservabilityContext, settings
from src.observability.console.app import app
from src.observability.journal.store import Journal
from tests.console.cycles import ask, one_cycle
from tests.langfuse_server import TRACES, Backend
from tests.million import observation_row

pytestmark = pytest.mark.filled(100, days=10)

DAY_NS = 86_400_000_000_000


def run(*arguments: str, answer: str | None = None) -> Result:
    """Run a command, with `answer` as the operator's input."""
    return CliRunner().invoke(app, [*arguments], input=answer)


def rows(**states: int) -> None:
    """Check the number of rows in each state."""
    journal = Journal(settings.journal_path(), create=False)
    assert journal.counts() == states
    journal.close()


def pending(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """Record three observations and two scores while the server cannot be reached; return the server."""
    backend = Backend()
    for name, value in backend.environment.items():
        monkeypatch.setenv(name, value)
    one_cycle()
    assert not LangFuseTracker().flush(10)
    return backend


def test_ship_delivers_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ship` exits with 1 while the server is away, and with 0 once all rows are delivered."""
    backend = pending(monkeypatch)
    result = run("ship")
    assert result.exit_code == 1
    assert "❌ 5 rows still pending: ConnectionRefusedError" in result.stderr
    server = backend.start()
    result = run("ship")
    assert (result.exit_code, "✅ 5 rows delivered" in result.output) == (0, True)
    assert (len(server.spans), len(server.journalled_scores)) == (3, 2)
    assert "✅ No rows are pending" in run("ship").output
    assert len(server.spans) == 3
    backend.stop()


def test_a_server_s_words_do_not_reach_the_terminal(langfuse: Any) -> None:
    """Escape sequences in a server's message are escaped, by `ship` and by `doctor`."""
    langfuse.answer = lambda request, _: Response("\x1b]0;owned\x07\x1b[2J\u202e\x9b31m", 500)
    one_cycle()
    assert not LangFuseTracker().flush(10)
    for command in ("ship", "doctor"):
        result = run(command)
        assert "\\x1b]0;owned\\x07" in result.output
        assert not set("\x1b\x07\u202e\x9b") & set(result.output)


def test_ship_says_what_was_refused(langfuse: Any) -> None:
    """`ship` prints the number of rejected rows and ends with status 1."""
    langfuse.answer = lambda request, _: Response("busy", 500)
    one_cycle()
    assert not LangFuseTracker().flush(10)
    langfuse.answer = lambda request, _: Response("bad tags", 400) if request.path == TRACES else None
    result = run("ship")
    assert result.exit_code == 1
    assert "rejected 3 rows" in result.stderr
    rows(rejected=3, shipped=2)


def test_without_keys_there_is_nowhere_to_ship_to(filled: Journal) -> None:
    """Without keys, `ship` names the missing settings, also with `--include-local`."""
    result = run("ship", "--include-local", "--yes")
    assert result.exit_code == 1
    assert "set LANGFUSE_SECRET_KEY and LANGFUSE_PUBLIC_KEY in .env" in result.stderr
    rows(local=500)


def test_local_rows_are_sent_only_when_asked_for(filled: Journal, langfuse: Any) -> None:
    """`ship --include-local` asks whether to send N rows; `n` or no answer sends nothing, `y` or `--yes` sends them."""
    assert "No rows are pending" in run("ship").output
    for answer, end in (("n\n", "🤖 Nothing was sent\n"), ("", "\n   → add --yes to skip the question\n")):
        result = run("ship", "--include-local", answer=answer)
        assert result.exit_code == 1
        assert result.stderr.endswith(end)
        assert "500 rows from before the Langfuse keys were set" in result.output
        rows(local=500)
    result = json.loads(run("ship", "--include-local", "--json", answer="").stdout)
    assert (result["delivered"], result["cure"]) == (0, "add --yes to skip the question")
    assert langfuse.requests == []
    result = run("ship", "--include-local", answer="y\n")
    assert (result.exit_code, "✅ 500 rows delivered" in result.output) == (0, True)
    assert (len(langfuse.spans), len(langfuse.journalled_scores)) == (300, 200)
    rows(shipped=500)
    assert run("ship", "--include-local").exit_code == 0


@contextmanager
def started(*arguments: str, stdin: int | None = None) -> Iterator[Any]:
    """Run a command in a new process, which is killed at the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "src.observability", *arguments], cwd=settings.REPO_ROOT, text=True,
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "100"},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_ctrl_c_at_the_question_sends_nothing(filled: Journal, langfuse: Any) -> None:
    """Ctrl-C at the question of `ship` ends with status 130, and nothing is sent."""
    with started("ship", "--include-local", stdin=subprocess.PIPE) as process:
        assert process.stderr.read(3) == "500"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    rows(local=500)
    assert langfuse.requests == []


@pytest.mark.slow
def test_ctrl_c_stops_shipping(filled: Journal, langfuse: Any) -> None:
    """Ctrl-C ends `ship` immediately, with status 130; undelivered rows stay pending."""
    langfuse.answer = lambda _request, _body: time.sleep(1)
    with started("ship", "--include-local", "--yes") as process:
        wait_for(lambda: langfuse.requests)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert "undelivered rows stay pending" in process.stderr.read()
    journal = Journal(settings.journal_path(), create=False)
    assert journal.counts().get("shipped", 0) < 500
    journal.close()


def wait_for(what: Any) -> None:
    """Wait until a condition holds, at most ten seconds."""
    for _ in range(1000):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_prune_lets_go_of_what_is_old(filled: Journal) -> None:
    """`prune --dry-run` counts old rows, `prune` deletes them; pending rows stay. `costs` still prints all groups."""
    old = observation_row(id="1" * 16, trace_id="a" * 32, type="span", name="x", trace_name="x", end_ns=1,
                          start_ns=time.time_ns() - 9 * DAY_NS, state="pending", destination="h|k")  # fmt: skip
    filled.append([old], [])
    cut = f"{datetime.now(timezone.utc) - timedelta(days=5):%Y-%m-%d}"  # a fixed time; `5d` moves on with the clock
    spent = run("costs", "--json").output.count("\n")
    result = run("prune", "--older-than", cut, "--dry-run")
    number = int(result.output.split("Would delete ")[1].split(" observations from before")[0])
    assert f"   {number} local\n" in result.output
    assert 100 < number < 200
    assert len(filled.observations()) == 301
    assert "Kept observations: 1, because Langfuse has not received them yet" in result.output
    assert f"Deleted {number} observations" in run("prune", "--older-than", cut, "--yes").output
    assert len(filled.observations()) == 301 - number
    assert "Deleted 0 observations" in run("prune").output
    assert "none" in run("prune", "--dry-run").output
    assert run("costs", "--json").output.count("\n") == spent
    for wrong in ("2999-01-01", "soon", "-5d"):
        assert run("prune", "--older-than", wrong).exit_code == 2
    assert len(filled.observations()) == 301 - number


@pytest.mark.slow
def test_tail_shows_decisions_and_errors_as_they_happen(journal: Any) -> None:
    """`tail` prints existing and then new rows, such as the failure of a running cycle; Ctrl-C gives status 0."""
    one_cycle("EarlyAgent")
    journal.observations()
    with started("tail", "--json") as process:
        first = json.loads(process.stdout.readline())
        assert (first["agent"], first["model"]) == ("EarlyAgent", "claude-haiku-4-5")
        assert first["metadata"]["signal_action"] == "SELL"
        with pytest.raises(ZeroDivisionError):
            a_cycle_that_fails(journal)
        journal.observations()
        late = json.loads(process.stdout.readline())
        assert (late["agent"], late["level"]) == ("LateAgent", "ERROR")
        assert "no liquidity" in late["status_message"]
        process.send_signal(signal.SIGINT)
        assert (process.wait(10), process.stderr.read()) == (0, "")


def a_cycle_that_fails(journal: Any) -> None:
    """Record a cycle that is journalled as open before it fails."""
    with ObservabilityContext.agent_cycle("LateAgent"):
        journal.observations()
        time.sleep(0.6)
        raise ZeroDivisionError("no liquidity")


@pytest.mark.slow
def test_tail_of_one_model_says_who_decided(journal: Any) -> None:
    """`tail --model` prints only the model's decisions; it does not print the escape sequences in their texts."""
    one_cycle("WhaleAgent")
    one_cycle("OtherAgent", model="gpt-4o-mini")
    with ObservabilityContext.agent_cycle("Evil\x1b[2J"):
        ask("x", model="gpt-4o-mini")
        ObservabilityContext.add_trading_signal("BUY", 5, "\x1b]0;owned\x07 \u202etxt", "E\x1bTH")
    journal.observations()
    with started("tail", "--model", "gpt-4o-mini") as process:
        day, *lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert re.fullmatch(r"── 20\d\d-\d\d-\d\d, \w+\n", day)
    assert "OtherAgent" in lines[0]
    assert "📌 SELL 64% ETH" in lines[0]
    assert not set("\x1b\x07\u202e") & set(lines[1])
