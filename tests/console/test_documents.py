"""The commands of README and the lines of docs/notebook.md, run on a filled journal."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from src.observability import settings
from src.observability.console.app import app
from src.observability.journal.store import Journal

pytestmark = pytest.mark.filled(40)
README = (settings.REPO_ROOT / "README.md").read_text(encoding="utf-8")
NOTEBOOK = (settings.REPO_ROOT / "docs/notebook.md").read_text(encoding="utf-8")


def test_every_command_that_it_shows_runs(filled: Journal, tmp_path: Path) -> None:
    """README's commands run on a filled journal, except `tail`, `serve` and `adopt`, which have tests of their own."""
    lines = re.findall(r"^python -m src\.observability ([^#\n]*)", README, re.MULTILINE)
    assert len(lines) >= 12
    for line in lines:
        command, *arguments = shlex.split(line.replace("week.html", str(tmp_path / "week.html")))
        assert "Example: " in CliRunner().invoke(app, [command, "-h"]).stdout
        if command not in ("adopt", "tail", "serve"):
            result = CliRunner().invoke(app, [command, *arguments])
            assert result.exit_code == 0, (line, result.output)


def test_the_journal_in_pandas_in_three_lines(filled: Journal) -> None:
    """The three lines of Python in docs/notebook.md give every decision, with its time, outcome and trace."""
    (code,) = re.findall(r"```python\n(.*?)```", NOTEBOOK, re.DOTALL)
    assert len(code.split("\n")) - code.count("\n\n") - 1 == 3  # without blank lines
    names: dict[str, Any] = {}
    exec(code.replace("src/data/observability/journal.db", str(filled.path)), names)
    decisions = names["decisions"]
    names["db"].close()
    assert len(decisions) == 40
    assert decisions["start_ns"].iloc[0].value == min(
        row["start_ns"] for row in filled.observations() if row["name"] == "trading_signal"
    )
    expression = re.findall(r"`(decisions\.[^`]*)`", NOTEBOOK)[0]
    assert len(eval(expression, names)) == decisions["agent"].nunique()


@pytest.mark.slow
def test_the_journal_in_datasette_in_three_lines(filled: Journal) -> None:
    """Datasette, with the file and the address in docs/notebook.md, shows every decision."""
    pytest.importorskip("datasette", reason="pip install -r requirements-dev.txt")
    (file, path) = re.findall(r"^datasette (\S+)\n# http://127\.0\.0\.1:8001(/\S+):", NOTEBOOK, re.MULTILINE)[0]
    assert file == settings.SETTINGS["OBSERVABILITY_JOURNAL"][1]
    ended = subprocess.run(
        [sys.executable, "-m", "datasette", str(filled.path), "--get", f"{path}.json?_shape=array"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)) == 40
