"""
🌙 Moon Dev's Architecture Tests
Built with love by Moon Dev 🚀

The layers, what is imported where and when, and that settings are read in one place.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from src import config
from src import observability as menu

SRC = config.REPO_ROOT / "src"
# config ◀ observability ◀ models ◀ agents: what each layer may import of the others.
LAYERS = {
    "config": set(),
    "observability": {"config", "observability"},
    "models": {"config", "observability", "models"},
    "agents": {"config", "observability", "models", "agents"},
}
# One library, one file.
HOMES = {
    "langfuse": {"observability/langfuse_tracker.py"},
    "openai": {"models/openai_compatible.py"},
    "anthropic": {"models/claude_model.py"},
    "genai_prices": {"observability/recording/cost.py"},
    "xllamacpp": {"models/local_server.py"},
    "opentelemetry": {
        "observability/shipping/otlp.py", "observability/tracing/otel.py", "observability/langfuse_tracker.py",
    },
}  # fmt: skip
HEAVY = ("langfuse", "opentelemetry", "openai", "anthropic", "genai_prices", "pandas", "httpx", "sqlite3", "rich")


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "src")


def test_the_arrows_point_one_way() -> None:
    """Observability knows nothing of models or agents, models nothing of agents."""
    for file in SRC.rglob("*.py"):
        layer = file.relative_to(SRC).parts[0].removesuffix(".py")
        for module in imports(file):
            if layer in LAYERS and module.startswith("src."):
                assert module.split(".")[1] in LAYERS[layer], f"{file} imports {module}"


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    """Who replaces it knows where to look."""
    found = {
        str(file.relative_to(SRC))
        for file in SRC.rglob("*.py")
        if any(module.split(".")[0] == library for module in imports(file))
    }
    assert found == HOMES[library]


def test_only_config_reads_the_environment() -> None:
    """So that a setting has one name, one parser and one default."""
    for file in SRC.rglob("*.py"):
        if file.name != "config.py":
            assert not re.search(r"os\.(environ|getenv)", file.read_text(encoding="utf-8")), file


def test_the_package_is_a_menu() -> None:
    """Three names, sorted, and nothing else."""
    assert menu.__all__ == ["LangFuseTracker", "ObservabilityContext", "observe_llm"]
    assert all(hasattr(menu, name) for name in menu.__all__)


def test_every_setting_is_in_env_example() -> None:
    """And the other way round: no variable there that nobody reads."""
    text = (config.REPO_ROOT / ".env_example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", text, re.MULTILINE))
    code = "".join(file.read_text(encoding="utf-8") for file in SRC.rglob("*.py"))
    assert set(config._SETTINGS) <= listed
    assert {name for name in listed if f'"{name}"' not in code} == set()


def modules_after(code: str) -> set[str]:
    """What a fresh process has imported after running `code`."""
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=config.REPO_ROOT, timeout=60
    )
    return {name.split(".")[0] for name in json.loads(ended.stdout.splitlines()[-1])}


@pytest.mark.parametrize("flag", ["true", "false"])
def test_nothing_heavy_is_imported_before_it_is_needed(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The factory, an agent's context and a call that is not traced load no SDK, no database, no pandas."""
    monkeypatch.setenv("ENABLE_LANGFUSE", flag)
    loaded = modules_after(
        "from src.models.model_factory import ModelFactory\nfrom src.observability import observe_llm, LangFuseTracker"
    )
    assert loaded.isdisjoint(HEAVY)


def test_tracing_off_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls and signals with the flag off: not even sqlite3."""
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    code = (
        "from src.observability import observe_llm, ObservabilityContext\n"
        "observe_llm(lambda: 1)()\n"
        "with ObservabilityContext.agent_cycle('A'): ObservabilityContext.add_trading_signal('BUY', 1, 'x')\n"
    )
    assert modules_after(code).isdisjoint(HEAVY)


def test_what_is_printed_with_anything_put_into_it_is_redacted() -> None:
    """`cprint` prints our own words alone; a line with a name, a reason or an error in it goes through `say`.

    `config` is below redaction and quotes no value; the console shows what was redacted before it was journalled.
    """
    for file in (*SRC.glob("models/*.py"), *SRC.glob("agents/*.py"), *SRC.glob("observability/*.py")):
        if file.name == "say.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "cprint":
                assert isinstance(node.args[0], ast.Constant), f"{file}:{node.lineno}: say() it"


def test_what_we_say_at_the_start_loads_no_redaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys the start-up line is our own words, and nothing has to be searched for secrets."""
    code = "from src.models.model_factory import ModelFactory\nassert 'src.observability.redaction.redactor' not in sys.modules"
    assert "termcolor" in modules_after(code)
