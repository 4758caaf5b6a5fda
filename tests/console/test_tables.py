"""Printed tables have the right cells, drop columns in a narrow terminal, and never show an unknown value as 0."""

import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text
from typer.testing import CliRunner, Result

from src.observability import ObservabilityContext, observe_llm, settings
from src.observability.console.app import app
from src.observability.console.render.format import both_ends, gain, gain_percent, one_line, padded, signed
from src.observability.console.render.layout import Column, table
from src.observability.journal.store import Journal
from tests.console.cycles import ask, one_cycle
from tests.million import observation_row


def printed(command: str, columns: int = 80) -> list[str]:
    """Check that a command succeeds, and return the lines that it prints."""
    result: Result = CliRunner().invoke(app, command.split(), env={"COLUMNS": str(columns)})
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def json_lines(command: str) -> list[Any]:
    """Return the objects that a command prints with --json, one per line."""
    return [json.loads(line) for line in printed(f"{command} --json")]


def test_a_cost_is_known_where_every_call_has_a_price(run: Any) -> None:
    """An unpriced call makes its trace's cost unknown; a failed call costs nothing. Without calls no cost is shown."""
    with ObservabilityContext.agent_cycle("HalfAgent"):
        ask("x")
        ask("x", model="nobody-s-model")
        ObservabilityContext.add_trading_signal("BUY", 5, "r")
    with ObservabilityContext.agent_cycle("RetryAgent"):
        with pytest.raises(ZeroDivisionError):
            observe_llm(name="llm_generation")(lambda: 1 / 0)()
        ask("x")
        ObservabilityContext.add_trading_signal("BUY", 5, "r")
    with ObservabilityContext.agent_cycle("RuleAgent"):
        ObservabilityContext.add_trading_signal("BUY", 5, "r")
    rows = [json.loads(line) for line in run("decisions", "--json").stdout.splitlines()]
    assert [(row["calls"], row["cost_usd"]) for row in rows] == [(2, None), (2, pytest.approx(0.00015)), (0, None)]
    for command in ("decisions", "traces"):
        lines = {line.split()[3]: line.split() for line in run(command, columns=160).stdout.splitlines()[2:]}
        assert "unknown" in lines["HalfAgent"]
        assert "$0.00015" in lines["RetryAgent"]
        assert not [cell for cell in lines["RuleAgent"] if cell.startswith(("$", "unknown", "free"))]


def test_cost_and_outcome_stand_once_a_trace(run: Any, journal: Any) -> None:
    """A trace's cost and outcome are shown only beside its last valid BUY or SELL; its other decisions show ″."""
    with ObservabilityContext.agent_cycle("SwarmAgent") as cycle:
        ask("x")
        ObservabilityContext.add_trading_signal("BUY", 5, "one")
        ObservabilityContext.add_trading_signal("SELL", 6, "two")
        ObservabilityContext.add_trading_signal("NOTHING", 7, "three")
        ObservabilityContext.add_trading_signal("SELL", "very", "four")
    journal.observations()
    ObservabilityContext.record_outcome(cycle.trace_id or "", pnl_usd=3.0)
    lines = run("decisions", columns=160).stdout.splitlines()[2:]
    assert [("″" in line, "+$3.00" in line, "$0.00015" in line) for line in lines] == [
        (True, False, False), (False, True, True), (True, False, False), (True, False, False),
    ]  # fmt: skip
    assert [row["stands"] for row in map(json.loads, run("decisions", "--json").stdout.splitlines())] == [
        False, True, False, False,
    ]  # fmt: skip


def test_a_decision_tells_its_trace(filled: Journal) -> None:
    """A line of `decisions` has the first eight digits of the trace id, and the command `trace` accepts them. At 80
    columns the line shows model and cost, and the reason follows on a line of its own."""
    head, _, *lines = printed("decisions --limit 3")
    assert head.split()[2:] == ["trace", "agent", "model", "decision", "cost"]
    rows = json_lines("decisions --limit 3")
    for line, reason, row in zip(lines[::2], lines[1::2], rows, strict=True):
        assert line.split()[2] == row["trace_id"][:8]
        assert reason.startswith("  open interest falls")
        assert printed(f"trace {line.split()[2]}")[0].endswith(row["trace_id"][:8])


def test_traces_are_a_line_each(filled: Journal) -> None:
    """`traces` prints one line per trace; only --tree prints trees."""
    head, _, *lines = printed("traces --limit 40", 160)
    assert head.split()[2:] == ["trace", "agent", "model", "decision", "tokens", "cost", "took", "level"]
    assert len(lines) == 40
    traces = json_lines("traces --limit 40")
    for line, trace in zip(lines, traces, strict=True):
        (call,) = [row for row in trace["observations"] if row["type"] == "generation"]
        assert trace["id"][:8] in line
        assert call["model"] in line
        assert ("ERROR" in line) == (call["level"] == "ERROR")
        if call["usage"]:
            assert f"→ {call['usage']['output']:,}" in line
    assert sum(line.startswith("🤖") for line in printed("traces --tree --limit 4")) == 4


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120, 160, 500])
def test_narrow_terminals_lose_columns_not_digits(columns: int, filled: Journal) -> None:
    """In a narrow terminal, every table line fits the width, and each number is printed as in a wide terminal."""
    for command in ("costs --by model", "traces --limit 30", "decisions --limit 30", "costs --what-if gpt-4o"):
        lines = [
            line for line in printed(command, columns) if not line.startswith(("💰", "💱", "   ", "A rough", "  "))
        ]
        assert max(map(cell_len, lines[:-1])) <= columns
        whole = set(" ".join(printed(command, 500)).split())
        cells = {cell for line in lines for cell in line.split() if any(map(str.isdigit, cell)) and "…" not in cell}
        assert {cell for cell in cells if not re.match(r"\d\d[-:]\d\d", cell)} <= whole  # narrow tables omit seconds


def test_the_column_that_matters_least_goes_first() -> None:
    """A narrow table first shortens the cells of a name column, then drops the column of the lowest priority."""
    columns = [
        Column("name", ["a-long-name-1", "a-long-name-2"], 9, 8),
        Column("much", ["1,000", "2"], 5, right=True),
        Column("little", ["3", "4,000"], 1, right=True),
    ]
    assert [line.plain for line in table(columns, 28)][:1] == ["name            much  little"]
    assert [line.plain for line in table(columns, 23)] == [
        "name       much  little", "───────────────────────", "a-lo…e-1  1,000       3", "a-lo…e-2      2   4,000",
    ]  # fmt: skip
    assert [line.plain for line in table(columns, 20)][2:] == ["a-long-name-1  1,000", "a-long-name-2      2"]
    assert [line.plain for line in table(columns, 3)][2:] == ["a-lo…e-1", "a-lo…e-2"]
    assert [line.plain for line in table(columns[:1], 20, [Text("x"), Text("y")])][2:] == [
        "a-long-name-1", "x", "a-long-name-2", "y",
    ]  # fmt: skip


def test_sessions_differ_and_can_be_copied(filled: Journal) -> None:
    """Session names are complete at 80 columns, whatever columns are dropped. `--session` takes a name, or `last`."""
    for number in range(3):
        at = time.time_ns()
        row = observation_row(
            id=f"{number:016x}", trace_id=f"{number:032x}", type="generation", name="g", trace_name="g", start_ns=at,
            end_ns=at, session_id=f"2026-11-24T08-04-3{number}Z-ab12",
        )  # fmt: skip
        filled.append([row], [])
    for columns in (40, 80):
        lines = printed("costs --by session", columns)
        assert {line.split()[0] for line in lines if line.startswith("2026-11-24")} == {
            f"2026-11-24T08-04-3{number}Z-ab12" for number in range(3)
        }
    for session, number in (("2026-11-24T08-04-31Z-ab12", 1), ("last", 2)):
        assert [trace["id"] for trace in json_lines(f"traces --session {session}")] == [f"{number:032x}"]


def test_costs_have_a_total(filled: Journal) -> None:
    """The total line of `costs` covers even groups hidden by --limit, but shows no latencies; JSON has no total."""
    everything = json_lines("costs")
    line = printed("costs --limit 2", 160)[-1].split()
    assert (line[0], line[1]) == ("total", f"{sum(line['calls'] for line in everything):,}")
    assert line[3] == f"${sum(line['cost_usd'] or 0 for line in everything):.2f}"
    assert line[5:8] == ["–", "–", "–"]
    assert "total" not in {line["group"] for line in everything}


def test_what_if_by_day_shows_the_last_days(filled: Journal) -> None:
    """With `--what-if --by day`, --limit keeps the latest days. A note counts the calls whose tokens are unknown."""
    days = [line["group"] for line in json_lines("costs --by day")]
    assert [line["group"] for line in json_lines("costs --what-if gpt-4o --by day")] == days
    assert [line["group"] for line in json_lines("costs --what-if gpt-4o --by day --limit 1")] == days[-1:]
    untold = filled.select("SELECT count(*) AS n FROM observations WHERE type = 'generation' AND usage IS NULL")[0]["n"]
    assert untold > 0
    assert printed("costs --what-if gpt-4o")[-1] == f"Not included: {untold} calls whose number of tokens is unknown."
    assert {line["calls_without_tokens"] for line in json_lines("costs --what-if gpt-4o")} == {untold}


def test_status_of_a_fleet_is_one_screen(filled: Journal) -> None:
    """`status` takes at most thirty lines at 80 columns, with one line per decision."""
    lines = printed("status")
    assert len(lines) <= 30
    assert sum("open interest falls" in line for line in lines) == 5
    assert "more agents: python -m src.observability costs --since 24h" in "".join(lines)


@pytest.mark.slow
def test_a_pipe_gets_whole_cells(filled: Journal) -> None:
    """If output goes to a pipe and COLUMNS is not set, nothing is cut to 80 columns, and no line ends in spaces."""
    for command in ("decisions", "traces", "costs", "status", "doctor"):
        done = subprocess.run(
            [sys.executable, "-m", "src.observability", command], capture_output=True, text=True, check=True,
            cwd=settings.REPO_ROOT, timeout=60,
        )  # fmt: skip
        assert "…" not in done.stdout
        assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]
        if command == "decisions":
            assert done.stdout.count("before liquidations") == 20


@pytest.mark.slow
def test_times_tell_their_zone(filled: Journal) -> None:
    """The header of a table has the offset of the operator's time zone."""
    for command in ("decisions", "traces", "status"):
        done = subprocess.run(
            [sys.executable, "-m", "src.observability", command], capture_output=True, text=True, check=True,
            cwd=settings.REPO_ROOT, timeout=60, env={**os.environ, "TZ": "Asia/Tokyo"},
        )  # fmt: skip
        assert re.search(r"^(time|began) \(\+09:00\)", done.stdout, re.MULTILINE)
    assert printed("costs --by day")[1].startswith("day (UTC)")


def test_wide_characters_take_two_columns(run: Any) -> None:
    """Lines with Chinese names and reasons, whose characters take two columns, fit the terminal too."""
    assert one_line("鯨魚離開資金池", 7) == "鯨魚離…"
    assert padded("鯨魚", 6) == "鯨魚  "
    assert both_ends("鯨魚離開資金池", 8) == "鯨魚…池"
    with ObservabilityContext.agent_cycle("鯨魚觀察員代理程式第一號" * 3):
        ask("x", model="模型" * 20)
        ObservabilityContext.add_trading_signal("SELL", 64, "鯨魚離開資金池" * 40, "以太")
    for command in (["decisions"], ["traces"], ["traces", "--tree"], ["costs"], ["status"]):
        for columns in (60, 80, 130):
            lines = run(*command, columns=columns).stdout.splitlines()
            assert (
                max(cell_len(line) for line in lines if "journal.db" not in line and "LANGFUSE" not in line) <= columns
            )


def test_names_are_matched_without_case(run: Any) -> None:
    """--agent ignores upper and lower case. If no agent or model has the name, stderr lists the known names."""
    one_cycle("WhaleAgent")
    one_cycle("FundingAgent", model="gpt-4o-mini")
    for command in ("decisions", "traces", "costs", "export"):
        assert run(command, "--agent", "whaleagent").stdout.count("WhaleAgent") >= 1
        assert "FundingAgent" not in run(command, "--agent", "WHALEAGENT").stdout
        result = run(command, "--agent", "DolphinAgent")
        assert result.exit_code == 1
        assert result.stderr == "❌ No agent named 'DolphinAgent'. Known agents: FundingAgent, WhaleAgent\n"
        result = run(command, "--model", "gpt-9")
        assert result.stderr == "❌ No model named 'gpt-9'. Known models: claude-haiku-4-5, gpt-4o-mini\n"
    with ObservabilityContext.agent_cycle("QuietAgent"):
        pass
    assert "QuietAgent" in run("traces", "--agent", "quietagent").stdout


def test_nothing_has_no_sign() -> None:
    """A number that rounds to zero is printed without a sign."""
    assert [gain(-0.001), gain(0.0), gain(2.5), gain(-2.5)] == ["$0.00", "$0.00", "+$2.50", "-$2.50"]
    assert [gain_percent(-0.0001), gain_percent(-1.5)] == ["0.00%", "-1.50%"]
    assert [signed(-0.001, "+.0%"), signed(0.001, "+.0%"), signed(-0.5, "+.0%")] == ["0%", "0%", "-50%"]


def test_a_call_of_no_known_model_says_so(run: Any) -> None:
    """The line of a call without a model begins with `unknown model`, not with blanks."""
    observe_llm(name="llm_generation")(lambda: "x")()
    assert run("trace", "last").stdout.splitlines()[1].startswith("🧠 unknown model  tokens unknown")
