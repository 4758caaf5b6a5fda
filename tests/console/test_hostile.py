"""Whatever names and values an agent records, no screen breaks and no decision is overwritten."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from src.observability import ObservabilityContext, settings
from src.observability.console.app import app
from src.observability.console.signal import Signal, signal_of
from src.observability.journal.store import Journal
from tests.console.cycles import ask
from tests.million import observation_row

FIELDS = ("signal_action", "signal_confidence", "signal_reasoning", "signal_valid", "trading_symbol")
VALUES = ('"high"', "[1, 2]", '{"a": 1}', "true", "false", "1e400", "-1e400", "null", "7", "1" + "0" * 400)
WHOLE = {"signal_action": "SELL", "signal_confidence": 64, "signal_reasoning": "why", "signal_valid": True}
SCREENS = (
    "status", "status --json", "decisions", "decisions --json", "decisions --report", "decisions --report --json",
    "traces", "traces --tree", "traces --full", "traces --json", "costs", "costs --by model", "export", "doctor",
    "export --scores", "prune --dry-run",
)  # fmt: skip


def run(command: str) -> Result:
    """Run a command in a pipe of 100 columns."""
    return CliRunner().invoke(app, command.split(), env={"COLUMNS": "100"})


@pytest.fixture
def hostile() -> int:
    """Record a signal, call and outcome for each hostile value in each field; return the number of traces."""
    texts = [json.dumps({**WHOLE, field: "@"}).replace('"@"', value) for field in FIELDS for value in VALUES]
    texts += ["[]", '"text"', "5", "null", "{}"]
    settings.journal_path().parent.mkdir()
    journal = Journal(settings.journal_path())
    for number, text in enumerate(texts):
        journal.append(*_decided(number, text))
    journal.close()
    return len(texts)


def _decided(number: int, metadata: str) -> tuple[list[Any], list[Any]]:
    at = (1_795_000_000 + number) * 10**9
    shared = {"trace_id": f"{number:032x}", "agent": "Evil", "trace_name": "Evil", "start_ns": at, "end_ns": at}
    call = observation_row(id=f"{number:015x}c", type="generation", name="llm_generation", model="m", **shared)
    event = observation_row(id=f"{number:015x}e", type="event", name="trading_signal", metadata=metadata, **shared)
    score = {
        "id": f"{number}-pnl", "trace_id": shared["trace_id"], "observation_id": None, "name": "pnl_usd",
        "data_type": "NUMERIC", "value": 1.5, "comment": None, "environment": "default", "session_id": None,
        "timestamp_ns": at, "destination": None, "state": "local",
    }  # fmt: skip
    return [call, event], [score]


def _strictly(line: str) -> Any:
    def no_json(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(line, parse_constant=no_json)


@pytest.mark.slow
@pytest.mark.parametrize("command", SCREENS)
def test_no_screen_ends_by_what_a_signal_holds(command: str, hostile: int) -> None:
    """Text, lists, objects, booleans and infinity in any field of a signal break no screen; JSON output stays valid."""
    result = run(command + (" --limit 1000" if command.startswith("traces") else ""))
    assert result.exception is None, result.exception
    assert result.exit_code == 0
    if "--json" in command or command.startswith("export"):
        assert [_strictly(line) for line in result.stdout.splitlines()]


@pytest.mark.slow
def test_a_trace_and_the_page_survive_it_too(hostile: int, tmp_path: Path) -> None:
    """With hostile values, each trace can be shown by its id, and the report has no number `inf` or `nan`."""
    for number in range(hostile):
        assert run(f"trace {number:032x}").exit_code == 0
    file = tmp_path / "report.html"
    assert run(f"report --html {file}").exit_code == 0
    assert not re.search(r"\binf\b|\bnan\b", file.read_text(encoding="utf-8").split("<body>")[1].split("<script>")[0])


@pytest.mark.slow
def test_tail_survives_it(hostile: int) -> None:
    """`tail` prints one line for each hostile signal, below a line with the date."""
    command = [sys.executable, "-m", "src.observability", "tail", "--limit", "1000"]
    with subprocess.Popen(command, cwd=settings.REPO_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(hostile + 1)]
        process.send_signal(signal.SIGINT)
        assert (process.wait(10), process.stderr.read()) == (0, b"")
    assert all(lines)


def test_a_keyword_overwrites_nothing(journal: Any) -> None:
    """A keyword argument named like a field of the signal is dropped, so that action, confidence and validity stay."""
    with ObservabilityContext.agent_cycle("A"):
        ask("x")
        ObservabilityContext.add_trading_signal(
            "SELL", 50, "r", signal_confidence="high", signal_valid="yes", signal_action="BUY", venue="dydx"
        )
    (metadata,) = [row["metadata"] for row in journal.observations() if row["name"] == "trading_signal"]
    assert metadata == {
        "signal_action": "SELL", "signal_confidence": 50.0, "signal_reasoning": "r", "signal_valid": True,
        "venue": "dydx",
    }  # fmt: skip


def test_what_has_not_its_type_is_unknown() -> None:
    """If a field of a signal has the wrong type, a text is read as `?`, and a number as None."""
    assert signal_of({**WHOLE, "trading_symbol": "ETH"}) == Signal("SELL", 64.0, "why", "ETH", True, False)
    odd = {"signal_action": [1], "signal_confidence": True, "signal_reasoning": {}, "signal_valid": "yes"}
    assert signal_of(odd) == Signal("?", None, "?", "", False, False)
    for nothing in (None, [], "text", 5, {}):
        assert signal_of(nothing) == Signal("?", None, "", "", True, False)


def test_a_note_forges_no_trace(journal: Any) -> None:
    """A line break in an outcome's note starts no new line, neither in shortened nor in full trees."""
    with ObservabilityContext.agent_cycle("A") as cycle:
        ObservabilityContext.add_trading_signal("SELL", 50, "r")
    forged = "2026-11-24 00:00:00 UTC  trace deadbeef"
    journal.observations()
    assert cycle.trace_id is not None
    ObservabilityContext.record_outcome(cycle.trace_id, pnl_usd=-1.0, note=f"stopped\n\n{forged}\n🤖 B  1 ms")
    journal.observations()
    for command in ("traces --tree", "traces --full", f"trace {cycle.trace_id} --full"):
        lines = run(command).stdout.splitlines()
        assert sum(line.startswith("20") for line in lines) == 1
        assert any(line.startswith("⚖️ -$1.00 stopped 2026-11-24") for line in lines)
