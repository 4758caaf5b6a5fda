"""The output of console commands, over a journal filled by traced calls."""

import json
import time
from contextlib import closing
from typing import Any

import pytest

from src.observability import LangFuseTracker, ObservabilityContext, observe_llm, settings
from src.observability.console.render.format import money, one_line, safe
from src.observability.console.time_range import parse_time
from src.observability.journal.store import Journal
from tests.cases import cases
from tests.console.cycles import ask, one_cycle
from tests.million import observation_row


def test_a_trace_is_a_tree(run: Any) -> None:
    """`trace` prints a tree: the cycle, its call with tokens and cost, the decision and its reason. `last` or the first
    digits of the id select a trace."""
    one_cycle()
    output = run("trace", "last").output
    lines = output.splitlines()
    assert lines[1].startswith("🤖 WhaleAgent  ")
    assert "├── in:  oi: 5" in output
    assert "├── 🧠 claude-haiku-4-5  100 → 10 tokens" in output
    assert "$0.00015" in output
    assert "└── 📌 SELL 64% ETH" in output
    assert "    └── Whales leave the pool" in output
    (trace,) = [json.loads(line) for line in run("traces", "--json").output.splitlines()]
    assert run("trace", trace["id"][:6]).output == output
    assert [row["type"] for row in trace["observations"]] == ["agent", "generation", "event"]
    assert len(trace["scores"]) == 2


def test_a_trace_shows_prompt_and_outcome(run: Any) -> None:
    """`trace` shows the prompt's version beside the model, and the outcome, recorded as a score, below the tree."""
    with ObservabilityContext.agent_cycle("WhaleAgent") as cycle:
        ObservabilityContext.use_prompt("whale", 7)
        ask("x")
        ObservabilityContext.add_trading_signal("SELL", 64, "Whales leave the pool", "ETH")
    ObservabilityContext.record_outcome(str(cycle.trace_id), pnl_usd=3.0)
    output = run("trace", "last").output
    assert "🧠 claude-haiku-4-5  whale v7  100 → 10 tokens" in output
    assert [line for line in output.splitlines() if line.startswith("⚖️")] == ["⚖️ +$3.00"]


def test_folded_lines_fit_and_full_ones_are_whole(run: Any) -> None:
    """Lines of a tree fit 80 and 160 columns, without colour in a pipe; with --full no text is cut."""
    with ObservabilityContext.agent_cycle("WhaleAgent"):
        ask("x", answer="a long answer " * 30)
    for columns in (80, 160):
        lines = run("traces", "--tree", columns=columns).output.splitlines()
        assert max(map(len, lines)) <= columns
        assert "\x1b" not in "".join(lines)
    full = run("trace", "last", "--full").output
    assert "…" not in full
    assert full.count("answer") == 30 + 30 + 1  # in the output, in the argument, and in the argument's name


def test_a_running_trace_is_shown(run: Any, made: Journal) -> None:
    """An observation that has not ended has no duration yet; a call with a name of its own is shown under that name."""
    shared = {"trace_id": "a" * 32, "trace_name": "t", "start_ns": time.time_ns(), "state": "open"}
    kinds = (("a" * 16, None, "agent", "WhaleAgent"), ("b" * 16, "a" * 16, "generation", "forecast"))
    rows = [
        observation_row(id=row, parent_id=parent, type=kind, name=name, **shared) for row, parent, kind, name in kinds
    ]
    made.append(rows, [])
    assert run("trace", "last").output.rstrip().splitlines()[1:] == [
        "🤖 WhaleAgent  still running",
        "└── 🧠 forecast  unknown model  tokens unknown  still running  price unknown",
    ]
    assert run("traces").output.splitlines()[2].endswith("still running")


def test_a_decision_replaces_the_output_above_it(run: Any, made: Journal) -> None:
    """An output is shown unless a decision below it repeats the output; with --full every output is shown."""
    shared = {"trace_id": "a" * 32, "trace_name": "t", "start_ns": 1, "end_ns": 1}
    made.append([observation_row(id="a" * 16, type="agent", name="A", output='"SELL"', **shared)], [])
    for number, name in enumerate(("step", "trading_signal")):
        row = observation_row(id=f"{number:016x}", parent_id="a" * 16, type="event", name=name, **shared)
        made.append([row], [])
        assert ("out: SELL" in run("trace", "last").output) == (name == "step")
    assert "out: SELL" in run("trace", "last", "--full").output


def test_unknown_is_unknown_and_free_is_free(run: Any) -> None:
    """An unknown price is shown as unknown in trees and sums, never as 0."""
    ask("x", model="nobody-s-model")
    assert "price unknown" in run("traces", "--tree").output
    (figures,) = [json.loads(line) for line in run("costs", "--by", "model", "--json").output.splitlines()]
    assert (figures["cost_usd"], figures["unpriced"]) == (None, 1)
    assert "unknown" in run("costs", "--by", "model").output
    assert (money(None), money(0.0), money(0.000015), money(1234.5)) == (
        "unknown", "free", "$0.000015", "$1,234.50",
    )  # fmt: skip


def test_costs_are_the_sums_of_the_calls(run: Any, journal: Any) -> None:
    """The figures of `costs` equal sums over the journal's calls."""
    for number in range(12):
        one_cycle("WhaleAgent" if number % 3 else "FundingAgent", tokens=100 * number)
    with pytest.raises(ZeroDivisionError):
        observe_llm(name="llm_generation")(lambda: 1 / 0)()
    rows = [row for row in journal.observations() if row["type"] == "generation"]
    for by, column in (("agent", "agent"), ("model", "model")):
        by_group = {
            line["group"]: line for line in map(json.loads, run("costs", "--by", by, "--json").output.splitlines())
        }
        assert sum(line["calls"] for line in by_group.values()) == len(rows) == 13
        for group, line in by_group.items():
            mine = [row for row in rows if (row[column] or "unknown") == group]
            assert line["calls"] == len(mine)
            assert line["errors"] == sum(row["level"] == "ERROR" for row in mine)
            costs = [row["cost_usd"] for row in mine if row["cost_usd"] is not None]
            assert line["cost_usd"] == (pytest.approx(sum(costs)) if costs else None)
            assert line["input_tokens"] == sum(row["usage"]["input"] for row in mine if row["usage"])
            took = sorted((row["end_ns"] - row["start_ns"]) / 1e6 for row in mine)
            assert line["p50_ms"] == took[(len(took) + 1) // 2 - 1]
    assert {"WhaleAgent", "FundingAgent"} <= set(run("costs").output.split())


def test_every_decision_is_listed(run: Any) -> None:
    """`decisions` lists NOTHING and invalid decisions too, newest last, with the called model."""
    one_cycle()
    ObservabilityContext.add_trading_signal("NOTHING", 0, "no edge")
    ObservabilityContext.add_trading_signal("HODL", "very", "unclear")
    rows = [json.loads(line) for line in run("decisions", "--json").output.splitlines()]
    assert [row["metadata"]["signal_action"] for row in rows] == ["SELL", "NOTHING", "HODL"]
    assert rows[0]["model"] == "claude-haiku-4-5"
    assert rows[0]["cost_usd"] == pytest.approx(0.00015)
    output = run("decisions", columns=160).output
    assert "HODL ?" in output
    assert "Whales leave the pool" in output
    assert len(run("decisions", "--agent", "WhaleAgent", "--json").output.splitlines()) == 1


def test_status_is_one_screen(run: Any, langfuse: Any) -> None:
    """`status` shows tracing, shipping, the journal, the last day's calls and the last decisions."""
    for _ in range(10):
        one_cycle()
    assert LangFuseTracker().flush(10)
    output = run("status").output
    assert f"🤖 Tracing is on, records are shipped to {langfuse_host(output)}" in output
    assert "50 shipped" in output
    assert "10 calls" in output
    assert output.count("SELL 64%") == 5
    assert len(output.splitlines()) <= 40


def langfuse_host(output: str) -> str:
    """Return the host that the first line of `status` names."""
    return output.split("shipped to ")[1].split()[0]


def test_the_langfuse_address_is_shown_once_it_is_there(run: Any, langfuse: Any) -> None:
    """`trace` shows the trace's address in Langfuse, unless a row is pending or the project's id is unknown."""
    trace_id = one_cycle()
    assert LangFuseTracker().flush(10)
    page = f"{settings.setting('LANGFUSE_HOST')}/project/{langfuse.project}/traces/{trace_id}"
    assert run("trace", "last", columns=200).output.splitlines()[0].endswith(page)
    assert json.loads(run("trace", "last", "--json").output)["address"] == page
    with closing(Journal(settings.journal_path())) as journal:
        journal.change("DELETE FROM projects")
    assert "http" not in run("trace", "last", columns=200).output.splitlines()[0]


@cases("name", ["' OR 1=1 --", "g" * 32, "", "../../etc", "a" * 33, "%", "deadbeef"])
def test_a_strange_id_is_answered_with_what_to_do(name: str, run: Any) -> None:
    """SQL, a path or another strange text as an id matches no trace; an error is printed, and the status is 1."""
    one_cycle()
    result = run("trace", name)
    assert result.exit_code == 1
    assert "❌" in result.stderr


def test_what_a_model_writes_does_not_reach_the_terminal(run: Any) -> None:
    """Escape sequences, control characters and bidirectional overrides in recorded texts are escaped."""
    evil = "\x1b]0;owned\x07\x1b[2J\u202etxt.exe\u2066 \r\n\x9b31m[bold]markup[/bold]"
    with ObservabilityContext.agent_cycle(f"Agent{evil}"):
        ask(evil, answer=evil)
        ObservabilityContext.add_trading_signal(f"BUY{evil}", 5, evil, evil)
    for command in (
        ["traces"],
        ["traces", "--tree"],
        ["trace", "last", "--full"],
        ["decisions"],
        ["status"],
        ["costs"],
        ["traces", "--json"],
    ):
        output = run(*command, columns=160).output
        assert not any(character in output for character in "\x1b\x07\x9b\u202e\u2066\r"), command
    assert "[bold]" in run("trace", "last", "--full").output
    assert safe("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"
    assert one_line("one\ntwo", 20) == one_line("one\ntwo", 7) == "one two"


def test_an_empty_and_a_missing_journal_say_what_to_do(run: Any, monkeypatch: Any, tmp_path: Any) -> None:
    """A missing journal is reported with the cure, exit status 1, and is not created."""
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(tmp_path / "none.db"))
    for command in ("status", "traces", "decisions", "costs"):
        result = run(command)
        assert result.exit_code == 1
        assert "run an agent first" in result.stderr
    assert not (tmp_path / "none.db").exists()


@cases(("text", "seconds"), [("24h", 86400), ("7d", 604800), ("2w", 1209600), ("30m", 1800), (" 1H ", 3600)])
def test_since_is_a_span_or_a_time(text: str, seconds: int) -> None:
    """A duration counts back from now; a date is in the operator's zone, here UTC, unless it has an offset."""
    assert parse_time(text) == pytest.approx(time.time_ns() - seconds * 10**9, abs=10**9)
    assert parse_time("2026-11-01") == 1_793_491_200 * 10**9
    assert parse_time("2026-11-01T01:00+01:00") == parse_time("2026-11-01")
    for wrong in ("tomorrow", "-1h", "7", "2026-13-01", "h", "1e3d"):
        with pytest.raises(ValueError, match="is not a time: use 24h"):
            parse_time(wrong)
