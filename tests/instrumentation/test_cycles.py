"""A call of the method that runs an agent once, such as `run_monitoring_cycle`, is recorded as a cycle."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.observability import settings
from src.observability.instrumentation import install, uninstall

AGENT = """
from src.observability import observe_llm
from {folder}.agents.base_agent import BaseAgent

@observe_llm
def ask(question):
    return "SELL"

class ChartAnalysisAgent(BaseAgent):
    def run_monitoring_cycle(self):
        return ask("what now?"), ask("sure?")

    def other(self):
        return ask("alone")
"""
LONE = """
from src.observability import observe_llm

class LoneAgent:
    @observe_llm
    def ask(self):
        return "SELL"

    def run_monitoring_cycle(self):
        return self.ask()

LoneAgent().run_monitoring_cycle()
"""
BASE = "class BaseAgent:\n    pass\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the name of a package with one agent, which is not imported yet; the hooks are installed."""
    name = "fleet_of_the_test"
    agents = tmp_path / name / "agents"
    agents.mkdir(parents=True)
    (agents / "base_agent.py").write_text(BASE)
    (agents / "chartanalysis_agent.py").write_text(AGENT.format(folder=name))
    monkeypatch.syspath_prepend(tmp_path)
    install()
    yield name
    uninstall()
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def shape(journal: Any) -> list[tuple[str, str, str]]:
    """Return type, agent and trace name of each row."""
    return [(row["type"], row["agent"], row["trace_name"]) for row in journal.observations()]


CLASS = "ChartAnalysisAgent"


def test_a_named_method_is_a_cycle(folder: str, journal: Any) -> None:
    """A call of a cycle method is one trace, named like the class, and contains every model call that the method makes.
    A model call in another method is a trace of its own."""
    module = importlib.import_module(f"{folder}.agents.chartanalysis_agent")
    agent = module.ChartAnalysisAgent()
    assert agent.run_monitoring_cycle() == ("SELL", "SELL")
    agent.other()
    rows = journal.observations()
    assert shape(journal) == [
        ("agent", CLASS, CLASS), ("generation", CLASS, CLASS), ("generation", CLASS, CLASS),
        ("generation", CLASS, CLASS),
    ]  # fmt: skip
    assert [row["trace_id"] == rows[0]["trace_id"] for row in rows] == [True, True, True, False]


def test_a_cycle_and_a_call_of_one_file_have_one_agent(folder: str, tmp_path: Path, journal: Any) -> None:
    """All calls in a file belong to the agent that the file names: in `coins_agent.py`, `MultiAgentSystem` is recorded
    as CoinsAgent."""
    source = AGENT.format(folder=folder).replace("ChartAnalysisAgent", "MultiAgentSystem")
    (tmp_path / folder / "agents" / "coins_agent.py").write_text(source)
    system = importlib.import_module(f"{folder}.agents.coins_agent").MultiAgentSystem()
    system.run_monitoring_cycle()
    system.other()
    assert [(row["type"], row["agent"]) for row in journal.observations()] == [
        ("agent", "CoinsAgent"), ("generation", "CoinsAgent"), ("generation", "CoinsAgent"),
        ("generation", "CoinsAgent"),
    ]  # fmt: skip


def test_a_call_during_import_leaves_the_agents_name_open(folder: str, tmp_path: Path, journal: Any) -> None:
    """While its class is not yet defined, an agent is named after the file; for later calls, after the class."""
    source = AGENT.format(folder=folder).replace("class Chart", 'ask("hello")\n\nclass Chart')
    (tmp_path / folder / "agents" / "chartanalysis_agent.py").write_text(source)
    importlib.import_module(f"{folder}.agents.chartanalysis_agent").ChartAnalysisAgent().other()
    assert [row["agent"] for row in journal.observations()] == ["ChartanalysisAgent", CLASS]


def test_a_subclass_of_the_base_agent_has_cycles(folder: str, journal: Any) -> None:
    """A subclass of BaseAgent has cycles wherever it is defined, for example in a script."""
    base = importlib.import_module(f"{folder}.agents.base_agent")

    class ScriptAgent(base.BaseAgent):  # type: ignore[misc, name-defined]
        def run_analysis_cycle(self) -> str:
            return "done"

    assert ScriptAgent().run_analysis_cycle() == "done"
    assert shape(journal) == [("agent", "ScriptAgent", "ScriptAgent")]


def test_the_methods_are_named_by_the_setting(folder: str, journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """OBSERVABILITY_CYCLES names the cycle methods; `Class.method` is a cycle in that class only."""
    monkeypatch.setenv("OBSERVABILITY_CYCLES", "ChartAnalysisAgent.other, Else.run_monitoring_cycle")
    module = importlib.import_module(f"{folder}.agents.chartanalysis_agent")
    agent = module.ChartAnalysisAgent()
    agent.run_monitoring_cycle()
    agent.other()
    assert [row["type"] for row in journal.observations()] == ["generation", "generation", "agent", "generation"]


@pytest.mark.slow
@pytest.mark.parametrize("under_run", [True, False])
def test_a_scripts_classes_have_cycles_under_run(under_run: bool, tmp_path: Path, journal: Any) -> None:
    """Under `run`, a script's class has cycles even if it is not a BaseAgent; otherwise each model call is a trace."""
    repo = tmp_path / "repo"
    shutil.copytree(settings.REPO_ROOT / "src", repo / "src", ignore=shutil.ignore_patterns("data", "__pycache__"))
    (repo / "lone_agent.py").write_text(LONE)
    command = ["-m", "src.observability", "run", "lone_agent.py"] if under_run else ["lone_agent.py"]
    subprocess.run([sys.executable, *command], check=True, cwd=repo, timeout=60)
    assert [row["type"] for row in journal.observations()] == (["agent"] if under_run else []) + ["generation"]
