"""The agents call the real classes of `src/models`; a loopback server or the local model answers."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from src.agents import base_agent, liquidation_agent, swarm_agent, whale_agent
from src.agents.liquidation_agent import LiquidationAgent
from src.agents.swarm_agent import SwarmAgent
from src.agents.whale_agent import WhaleAgent
from src.models.local_server import LocalServer
from src.observability import settings
from tests.agents.feed import SAMPLE, row
from tests.cases import cases
from tests.providers.wire import ANSWER, Provider

Serve = Callable[..., None]


@pytest.fixture
def claude(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """A Claude server on loopback that answers with a valid decision."""
    provider = Provider("claude")
    provider.play(httpserver, "answer")
    provider.configure(monkeypatch, httpserver.url_for(""))
    monkeypatch.setenv("AI_MAX_RETRIES", "0")
    return provider


@pytest.fixture
def market(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Serve:
    """Return a function that serves a text at a path of a loopback API; the agents' history files are temporary."""
    monkeypatch.setenv("MOONDEV_API_KEY", "moondev-key-0123456789")
    monkeypatch.setenv("MOONDEV_API_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setattr("src.agents.api._PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(liquidation_agent, "HISTORY_FILE", tmp_path / "liquidation_history.csv")
    monkeypatch.setattr(whale_agent, "HISTORY_FILE", tmp_path / "oi_history.csv")

    def serve(path: str, text: str, status: int = 200) -> None:
        def respond(request: Request) -> Response:
            assert request.headers["X-API-Key"] == "moondev-key-0123456789"
            return Response(text, status)

        httpserver.expect_request(path).respond_with_handler(respond)

    return serve


def types(rows: list[dict[str, Any]]) -> list[str]:
    """Return the types of the observations, in order."""
    return [row["type"] for row in rows]


def test_a_replay_traces_every_decision(claude: Provider, journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In six windows of the sample, liquidations rise by 50 % or more; each causes a cycle, a call and a decision."""
    decisions = LiquidationAgent().replay(SAMPLE)
    assert [decision.action for decision in decisions] == ["BUY"] * 6
    assert capsys.readouterr().out.count("   ✅ BUY (72%) Long liquidations rose by 80 % within fifteen minutes\n") == 6
    rows = journal.observations()
    assert types(rows) == ["agent", "generation", "event"] * 6
    cycle, generation, event = rows[:3]
    assert (cycle["name"], cycle["metadata"]["agent_type"]) == ("LiquidationAgent", "liquidation")
    assert cycle["input"]["longs_change_pct"] == 419
    assert cycle["output"]["action"] == "BUY"
    assert generation["agent"] == "LiquidationAgent"
    assert "Longs: $2,975,089 (+419%)" in generation["input"][1]["content"]
    assert event["metadata"]["signal_confidence"] == 72
    assert len(claude.requests) == 6


def test_a_quiet_window_asks_nothing_and_is_no_trace(
    claude: Provider, journal: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A window without a large change causes a printed line, but no trace; the next trace counts such windows."""
    feed = tmp_path / "feed.csv"
    feed.write_text("\n".join([row(0, 1000), row(10, 1000), row(16, 2900), row(30, 2900), row(45, 9000)]))
    assert len(LiquidationAgent().replay(feed)) == 1
    assert capsys.readouterr().out.count("🌙") == 3
    cycle, *_ = journal.observations()
    assert cycle["input"]["longs_usd"] == 9000
    assert cycle["metadata"]["quiet_passes_before"] == 2
    assert len(claude.requests) == 1


def test_a_rise_by_half_is_the_threshold(claude: Provider, journal: Any, tmp_path: Path) -> None:
    """If liquidated longs or shorts rise by exactly 50 %, the agent calls the model."""
    feed = tmp_path / "feed.csv"
    feed.write_text("\n".join([row(0, 1000), row(1, 1000, "BUY"), row(15, 100), row(16, 1500, "BUY")]))
    assert len(LiquidationAgent().replay(feed)) == 1
    assert len(LiquidationAgent(window_minutes=0.5).replay(feed, once=True)) == 0


@pytest.mark.parametrize("outcome", ["401", "503", "malformed"])
def test_a_model_that_fails_is_no_decision_and_no_end(
    outcome: str, claude: Provider, httpserver: HTTPServer, journal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed call gives an invalid NOTHING; after a 503 the cycle has no decision. Either way the replay goes on."""
    claude.play(httpserver, outcome)
    decisions = LiquidationAgent().replay(SAMPLE)
    rows = journal.observations()
    assert types(rows).count("agent") == 6
    if outcome == "503":
        assert decisions == []
        assert {row["level"] for row in rows} == {"ERROR"}
        assert capsys.readouterr().out.count("❌ LiquidationAgent: this pass failed") == 6
    else:
        assert {decision.valid for decision in decisions} == {False}
        signals = [row for row in rows if row["type"] == "event"]
        assert {row["metadata"]["signal_action"] for row in signals} == {"NOTHING"}
        assert all("signal:invalid" in row["tags"] for row in signals)


def test_an_answer_that_cannot_be_read_is_kept(
    httpserver: HTTPServer, claude: Provider, journal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer that cannot be parsed gives an invalid NOTHING, and the decision's metadata keeps the answer."""
    body = {**claude.recorded["answer"], "content": [{"type": "text", "text": "I would rather not say."}]}
    httpserver.clear()
    httpserver.expect_request(claude.recorded["path"]).respond_with_json(body)
    (decision,) = LiquidationAgent().replay(SAMPLE, once=True)
    assert not decision.valid
    assert f"   ⚠️ NOTHING: {decision.reason}\n" in capsys.readouterr().out
    event = journal.observations()[-1]
    assert event["metadata"]["raw_answer"] == "I would rather not say."
    assert event["metadata"]["signal_valid"] is False


@pytest.mark.slow
@pytest.mark.failures_expected
@pytest.mark.parametrize("outcome", ["answer", "401", "503", "malformed"])
def test_luna_does_the_same_however_she_is_traced(
    outcome: str, claude: Provider, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The agent decides and prints the same with tracing on, with tracing off, and with an unwritable journal."""
    claude.play(httpserver, outcome)

    def run() -> tuple[Any, str]:
        return LiquidationAgent().replay(SAMPLE), capsys.readouterr().out

    on = run()
    assert on[1].count("🌙") == 6
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    off = run()
    monkeypatch.setenv("ENABLE_LANGFUSE", "true")
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(tmp_path / "a file" / "journal.db"))
    assert on == off == run()


def test_broken_rows_are_said(claude: Provider, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a feed with broken rows, a printed line says how many rows were skipped and how many were read."""
    feed = tmp_path / "feed.csv"
    feed.write_text("\n".join([row(0), "broken", "row", row(10), row(16, 5000)]))
    assert len(LiquidationAgent().replay(feed)) == 1
    assert "⚠️ feed.csv: 2 broken rows skipped, 3 liquidations read" in capsys.readouterr().out


def test_luna_live_compares_with_her_last_look(
    claude: Provider, market: Serve, httpserver: HTTPServer, journal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """In live mode the first cycle only records liquidated sums; the second compares its sums with them and decides."""
    now = pd.Timestamp.now(tz="UTC")
    minute = (now - pd.Timestamp("2025-01-01", tz="UTC")).total_seconds() / 60
    market("/files/liq_data.csv", "\n".join([row(minute - 3, 1000), row(minute - 60, 99999)]))
    agent = LiquidationAgent()
    assert agent.look() is None
    assert "No recent liquidations" in capsys.readouterr().out
    httpserver.clear()
    claude.play(httpserver, "answer")
    market("/files/liq_data.csv", row(minute - 2, 5000))
    decision = agent.look()
    assert decision is not None
    assert decision.action == "BUY"
    history = pd.read_csv(liquidation_agent.HISTORY_FILE)
    assert list(history.columns) == ["timestamp", "long_size", "short_size", "total_size"]
    assert list(history["long_size"]) == [1000, 5000]


def oi(btc: float, eth: float) -> str:
    """Return the text of the API's file of open interest, with these amounts of BTC and ETH."""
    return f"symbol,time,openInterest,price\nBTCUSDT,1,{btc},2\nETHUSDT,1,{eth},1\nETHUSDT,0,9,9\n"


def test_dez_asks_when_open_interest_moves_more_than_usual(
    claude: Provider, market: Serve, httpserver: HTTPServer, journal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """After three small changes of open interest, a large one leads to a decision. The history has all values."""
    agent = WhaleAgent()
    for size in (1000, 1010, 1020, 1030, 1200):
        httpserver.clear()
        claude.play(httpserver, "answer")
        market("/files/oi.csv", oi(size, 500))
        decision = agent.look()
    assert decision is not None
    assert "Open interest $2,500 (unknown, usual unknown)" in capsys.readouterr().out
    cycle, generation, _ = journal.observations()
    assert cycle["input"]["btc_oi"] == 2400
    assert cycle["metadata"]["quiet_passes_before"] == 4
    assert "Open interest changed by +13.28% in five minutes; usual is 0.79%." in generation["input"][1]["content"]
    history = pd.read_csv(whale_agent.HISTORY_FILE)
    assert list(history["total_oi"]) == [2500, 2520, 2540, 2560, 2900]
    assert pd.isna(history["total_change_pct"][0])


def test_open_interest_without_a_coin_is_no_fall_to_zero(
    market: Serve, journal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file without a complete row of ETH is an error, since a missing coin would look like a large fall."""
    market("/files/oi.csv", "symbol,time,openInterest,price\nBTCUSDT,1,10,2\nETHUSDT,1,,3\n")
    agent = WhaleAgent()
    agent.run_safely(agent.look)
    out = capsys.readouterr().out
    assert "⚠️ oi.csv: 1 broken rows skipped" in out
    assert "❌ WhaleAgent: this pass failed: oi.csv has no row for ETHUSDT" in out
    (cycle,) = journal.observations()
    assert (cycle["type"], cycle["agent"], cycle["level"]) == ("agent", "WhaleAgent", "ERROR")
    assert not whale_agent.HISTORY_FILE.exists()


def test_a_look_that_failed_is_recorded_and_forgotten(
    claude: Provider, market: Serve, httpserver: HTTPServer, journal: Any
) -> None:
    """If the model answers 503 to a spike, the spike is not kept in the history, so that the next cycle finds it."""
    now = (pd.Timestamp.now(tz="UTC") - pd.Timestamp("2025-01-01", tz="UTC")).total_seconds() / 60
    agent = LiquidationAgent()
    for size, outcome in ((1000, "answer"), (5000, "503"), (5000, "answer")):
        httpserver.clear()
        claude.play(httpserver, outcome)
        market("/files/liq_data.csv", row(now - 2, size))
        decision = agent.run_safely(agent.look)
    assert decision is not None
    assert agent.failed_passes == 1
    assert [row["level"] for row in journal.observations()] == ["ERROR", "ERROR", *["DEFAULT"] * 3]
    assert list(pd.read_csv(liquidation_agent.HISTORY_FILE)["long_size"]) == [1000, 5000]


def join(name: str, status: int, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure a provider on loopback that gives its recorded answer, or an error of this status."""
    provider = Provider(name)
    provider.configure(monkeypatch, httpserver.url_for(f"/{name}"))
    expected = httpserver.expect_request(f"/{name}{provider.recorded['path']}")
    recorded = provider.recorded
    expected.respond_with_json(recorded["answer"] if status == 200 else recorded["errors"][str(status)], status)


@pytest.fixture
def swarm(claude: Provider, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> SwarmAgent:
    """Claude and OpenAI answer, Groq refuses its key, a fourth provider is disabled."""
    join("openai", 200, httpserver, monkeypatch)
    join("groq", 401, httpserver, monkeypatch)
    models = {name: (name != "xai", name, None) for name in ("claude", "openai", "groq", "xai")}
    return SwarmAgent(models)


def test_a_swarm_is_one_trace(swarm: SwarmAgent, journal: Any) -> None:
    """A swarm's calls of three models, one of which fails, and its call for the consensus are all in one cycle."""
    result = swarm.query("Will it hold?")
    assert result["metadata"] | {"total_time": 0} == {
        "total_models": 3, "successful_responses": 2, "failed_responses": 1, "total_time": 0,
    }  # fmt: skip
    assert result["model_mapping"] == {"AI #1": "claude", "AI #2": "openai", "AI #3": "groq"}
    assert result["responses"]["openai"]["response"] == ANSWER
    assert (result["responses"]["groq"]["success"], result["responses"]["groq"]["error"]) == (False, "No answer")
    assert result["consensus_summary"] == ANSWER
    rows = journal.observations()
    assert types(rows) == ["agent", *["generation"] * 4]
    assert {row["parent_id"] for row in rows[1:]} == {rows[0]["id"]}
    assert {row["agent"] for row in rows} == {"SwarmAgent"}
    assert rows[0]["output"] == ANSWER


def test_the_consensus_and_the_mapping_number_the_models_alike(swarm: SwarmAgent, journal: Any) -> None:
    """If the first model fails, the consensus prompt names the others "AI #2" and "AI #3", as `model_mapping` does."""
    swarm.models = {name: swarm.models[name] for name in ("groq", "claude", "openai")}
    result = swarm.query("Will it hold?")
    question = str(journal.observations()[-1]["input"])
    named = {label: name for label, name in result["model_mapping"].items() if label in question}
    assert named == {"AI #2": "claude", "AI #3": "openai"}


@pytest.mark.parametrize("system_prompt", [None, "You trade BTC"])
def test_one_answer_is_the_consensus(system_prompt: str | None, swarm: SwarmAgent, journal: Any) -> None:
    """If only one model answers, its answer is the consensus without another call. A given system prompt replaces the
    swarm's own."""
    swarm.models = {name: swarm.models[name] for name in ("groq", "claude")}
    assert swarm.query("Will it hold?", system_prompt)["consensus_summary"] == ANSWER
    rows = journal.observations()
    assert types(rows) == ["agent", "generation", "generation"]
    assert {row["input"][0]["content"] for row in rows[1:]} == {system_prompt or swarm_agent.SYSTEM_PROMPT}


def test_a_swarm_says_the_same_untraced(
    swarm: SwarmAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A swarm's answers, their order and the printed lines are the same without tracing; only the times differ."""

    def run() -> tuple[Any, str]:
        result = swarm.query("Will it hold?")
        timeless = {name: {**reply, "response_time": 0} for name, reply in result["responses"].items()}
        return {**result, "responses": timeless, "metadata": 0}, capsys.readouterr().out

    capsys.readouterr()
    traced = run()
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    assert run() == traced


def test_a_speaker_that_fails_is_followed_by_the_next(
    claude: Provider, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, journal: Any
) -> None:
    """If Claude answers the question but fails to state the consensus, OpenAI is asked for the consensus."""
    claude.play(httpserver, "503")
    join("openai", 200, httpserver, monkeypatch)
    httpserver.expect_oneshot_request(claude.recorded["path"]).respond_with_json(claude.recorded["answer"])
    result = SwarmAgent({name: (True, name, None) for name in ("claude", "openai")}).query("Will it hold?")
    assert result["consensus_summary"] == ANSWER
    *_, busy, speaker = journal.observations()
    assert (busy["provider"], busy["level"]) == ("claude", "ERROR")
    assert (speaker["provider"], speaker["level"]) == ("openai", "DEFAULT")


@pytest.mark.slow
def test_a_model_that_hangs_holds_up_nobody(
    claude: Provider, monkeypatch: pytest.MonkeyPatch, journal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that exceeds the time limit counts as failed; its call joins the trace when the call ends."""
    monkeypatch.setattr(swarm_agent, "TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OPENAI_KEY", "test-key-0123456789abcdef")
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        result = SwarmAgent({name: (True, name, None) for name in ("openai", "claude")}).query("Will it hold?")
    assert result["responses"]["openai"]["error"] == "No answer within 0.5 s"
    assert result["consensus_summary"] == ANSWER
    assert result["metadata"]["total_time"] < 5
    deadline, late = time.monotonic() + 10, None
    while late is None and time.monotonic() < deadline:
        ended = [row for row in journal.observations() if row["end_ns"]]
        late = next((row for row in ended if row["provider"] == "openai"), None)
    assert late is not None
    root = next(row for row in ended if row["type"] == "agent")
    assert (late["parent_id"], late["level"]) == (root["id"], "ERROR")


def test_a_swarm_of_nobody_says_so(
    claude: Provider, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The swarm calls every provider that has a key; if none of them answers, it exits with 1."""
    claude.play(httpserver, "401")
    assert swarm_agent.main(["Will", "it", "hold?"]) == 1
    out = capsys.readouterr().out
    assert "🤖 claude: No answer" in out
    assert "❌ No model answered" in out


def script(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Start an agent as an operator does, without any key."""
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=cwd, timeout=60, check=False)


@pytest.mark.slow
def test_without_a_key_the_agents_say_what_to_do(tmp_path: Path) -> None:
    """Started from another folder without a key, an agent prints the variable to set, and exits with 0."""
    for name in ("liquidation_agent", "whale_agent"):
        ended = script(str(settings.REPO_ROOT / f"src/agents/{name}.py"), cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert "Set MOONDEV_API_KEY in .env to run live" in ended.stdout


def test_the_swarm_is_not_asked_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Started without a question, the swarm asks for one and builds no model."""
    assert swarm_agent.main([]) == 0
    assert "⚠️ Give the swarm a question" in capsys.readouterr().out


@pytest.mark.parametrize(("outcome", "status"), [("answer", 0), ("503", 1)])
def test_a_look_from_cron_says_by_its_status_whether_it_failed(
    outcome: str, status: int, claude: Provider, market: Serve, httpserver: HTTPServer
) -> None:
    """With `--once`, an agent exits with 1 if its cycle fails, else with 0, both live and in a replay."""
    claude.play(httpserver, outcome)
    assert liquidation_agent.main(["--replay", str(SAMPLE), "--once"]) == status
    market("/files/liq_data.csv", "no such feed" if status else row(9))
    assert liquidation_agent.main(["--once"]) == status
    market("/files/oi.csv", "no such file" if status else oi(1, 2))
    assert whale_agent.main(["--once"]) == status


def test_the_agents_wait_between_their_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between two passes the liquidation agent waits ten minutes and the whale agent five, even after a failed pass."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(base_agent, "time", SimpleNamespace(sleep=wait))
    for agent in (LiquidationAgent(), WhaleAgent()):
        with pytest.raises(KeyboardInterrupt):
            agent.run()
    assert waits == [600, 300]
    printed = capsys.readouterr().out
    assert "🤖 Luna checks every 10 minutes" in printed
    assert "🤖 Dez checks every 5 minutes" in printed
    assert printed.count("this pass failed: Set MOONDEV_API_KEY in .env") == 2


@cases("minutes", ["0", "-5", "nan", "inf", "1e-9"])
def test_a_window_of_no_length_is_refused(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A `--window` out of range is refused with a message that states the range."""
    with pytest.raises(SystemExit):
        liquidation_agent.main([f"--window={minutes}"])
    assert "--window takes minutes, from 0.1 to 1440" in capsys.readouterr().err


@pytest.mark.slow
def test_a_replay_of_no_file_is_status_1(tmp_path: Path) -> None:
    """A replay of a missing file prints the file's name, and exits with 1."""
    ended = script("-m", "src.agents.liquidation_agent", "--replay", "nowhere.csv", cwd=settings.REPO_ROOT)
    assert ended.returncode == 1
    assert "❌ No file nowhere.csv" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(not LocalServer.is_installed(), reason="pip install --no-deps -r requirements-local.txt")
def test_the_main_job_with_the_model_inside_the_process(tmp_path: Path) -> None:
    """`make demo` prints what it will do, then records sensible decisions of the local model, each with a symbol, and
    their outcomes."""
    environment = {**os.environ, "LANGFUSE_SESSION_ID": "demo"}

    def run(*command: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", *command], env=environment, capture_output=True, text=True, cwd=settings.REPO_ROOT,
            timeout=110, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    printed = run("src.agents.demo")
    assert printed.startswith("🌙 Moon Dev's demo: 100 minutes of real liquidations")
    assert "⚠️" not in printed
    assert "The model is tiny" in printed
    assert " 1/12 🌙" in printed
    traces = [
        json.loads(line) for line in run("src.observability", "traces", "--session", "demo", "--json").splitlines()
    ]
    assert len(traces) == 9
    for trace in traces:
        cycle, generation, signal = trace["observations"]
        decision = signal["metadata"]
        assert re.search(SENSE[decision["signal_action"]], decision["signal_reasoning"])
        assert f"Most liquidated: {decision['trading_symbol']} $" in generation["input"][1]["content"]
        assert (cycle["type"], generation["type"], signal["name"]) == ("agent", "generation", "trading_signal")
        assert signal["metadata"]["signal_valid"]
        assert (generation["provider"], generation["cost_usd"]) == ("local", 0.0)
        assert generation["usage"]["output"] > 0
        assert generation["end_ns"] > generation["start_ns"]
    assert f"Recorded {sum(bool(outcomes_of(trace)) for trace in traces)} outcomes" in printed


SENSE = {  # action -> pattern of the reasoning that fits it
    "BUY": r"^(Long .*, so a bounce is|Short .*, so the squeeze) ",
    "SELL": r"^(Short .*, so a pullback is|Long .*, so the fall) ",
    "NOTHING": r", so there is no clear edge\.$",
}


def outcomes_of(trace: dict[str, Any]) -> list[Any]:
    """Return the trace's scores named `pnl_usd`."""
    return [score for score in trace["scores"] if score["name"] == "pnl_usd"]
