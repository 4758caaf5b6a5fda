"""A feature whose package is missing prints one line with the cure, and no traceback."""

import json
import subprocess
import sys

import pytest

from src.observability import LangFuseTracker, autoload, observe_llm, settings
from tests.conftest import JournalReader

pytestmark = pytest.mark.slow

CONSOLE = "pip install -r src/observability/requirements-console.txt"


def run_without(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the console in a process where `module` cannot be imported."""
    code = (
        f"import runpy, sys; sys.modules[{module!r}] = None; sys.argv = {json.dumps(['x', *arguments])}\n"
        "runpy.run_module('src.observability', run_name='__main__', alter_sys=False)"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, cwd=settings.REPO_ROOT, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("module", "command", "cure"),
    [
        ("typer", "status", CONSOLE),
        ("rich", "status", CONSOLE),
        ("termcolor", "status", CONSOLE),
        ("jinja2", "report --html FOLDER/report.html", "pip install jinja2"),
        ("starlette", "serve --port 0", "pip install jinja2 starlette uvicorn"),
        ("uvicorn", "serve --port 0", "pip install jinja2 starlette uvicorn"),
        ("pyarrow", "export --format parquet --output FOLDER/rows.parquet", "pip install pyarrow"),
    ],
)
def test_the_console_names_the_package(module: str, command: str, cure: str, journal: JournalReader) -> None:
    """If a needed package is missing, a command prints the cure, exits with 1, and leaves no unfinished file."""
    observe_llm(lambda: 1)()
    assert journal.observations()
    folder = journal.path.parent
    ended = run_without(module, *command.replace("FOLDER", str(folder)).split())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1] == f"❌ {module} is missing: {cure}"
    assert "Traceback" not in ended.stderr
    assert not [*folder.glob("*report.html*"), *folder.glob("*rows.parquet*")]


def test_a_missing_requirement_is_noticed_at_the_start() -> None:
    """`autoload` checks every requirement except RE2, which only the operator's own patterns need."""
    lines = (settings.REPO_ROOT / "src/observability/requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {line.split(">=")[0] for line in lines if not line.startswith("#")}
    assert {"python-dotenv" if name == "dotenv" else name for name in autoload._REQUIRED} == names - {"google-re2"}


def test_the_client_names_the_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the Langfuse SDK, `LangFuseTracker().client` is None, and a printed line names the package."""
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-x")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-x")
    monkeypatch.setitem(sys.modules, "langfuse", None)
    assert LangFuseTracker().client is None
    assert "pip install 'langfuse>=4.12'" in capsys.readouterr().err
