"""`run SCRIPT` behaves as `python SCRIPT` does, with its calls observed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.observability import settings
from tests.conftest import JournalReader

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, sys, sibling
print(json.dumps([sys.argv, sys.path, __name__, __file__, __package__, __spec__ is None, sys.flags.dev_mode,
    os.environ.get("PYTHONPATH"), os.getcwd(), sibling.X, sorted(set(sys.modules) & {"typer"})]))
"""
FAULTS = {
    "exit": "import sys; sys.exit(7)",
    "message": "import sys; sys.exit('no')",
    "traceback": "def f():\n    raise ValueError('x')\nf()",
    "syntax": "x = (",
    "interrupt": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "spawn": "import multiprocessing as m\ndef f(): print('child')\n"
    "if __name__ == '__main__':\n p = m.get_context('spawn').Process(target=f); p.start(); p.join()",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repo with the package, and a folder of scripts that import nothing of `src`."""
    shutil.copytree(
        settings.REPO_ROOT / "src/observability", tmp_path / "src/observability",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip
    (tmp_path / "src/__init__.py").write_text("")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/sibling.py").write_text("X = 1\n")
    return tmp_path


def both(root: Path, source: str, *arguments: str, **environment: str) -> list[subprocess.CompletedProcess[str]]:
    """Run a script under `python` and under `run`; return both results."""
    (root / "scripts/script.py").write_text(source)
    return [
        subprocess.run(
            [sys.executable, "-X", "dev", "-W", "ignore", *command, "scripts/script.py", *arguments],
            capture_output=True, text=True, cwd=root, timeout=60, check=False, env={**os.environ, **environment},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        for command in ([], ["-m", "src.observability", "run"])
    ]  # fmt: skip


@pytest.mark.parametrize("path", [None, "/nowhere", f"/nowhere{os.pathsep}/else"])
def test_a_script_sees_what_it_would_see(root: Path, path: str | None) -> None:
    """Under `run` a script sees the same arguments, paths, flags, environment and modules as under `python`."""
    environment = {} if path is None else {"PYTHONPATH": path}
    plain, observed = both(root, SCRIPT, "--help", "-x", "--", "a b", **environment)
    assert (observed.returncode, observed.stderr) == (0, "")
    assert json.loads(observed.stdout) == json.loads(plain.stdout)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_script_ends_as_it_would_end(root: Path, fault: str) -> None:
    """A failing script has the same exit status, output and traceback under `run` as under `python`."""
    plain, observed = both(root, FAULTS[fault])
    assert (observed.returncode, observed.stdout, observed.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_the_operators_own_sitecustomize_runs(root: Path) -> None:
    """`run` uses a module `sitecustomize` of its own; the operator's module of that name still runs once."""
    (root / "own").mkdir()
    (root / "own/sitecustomize.py").write_text("import sys\nsys.own = getattr(sys, 'own', 0) + 1\n")
    plain, observed = both(
        root, "import sitecustomize, sys; print(sys.own, sitecustomize.__file__)", PYTHONPATH=str(root / "own")
    )
    assert (observed.stdout, observed.stderr) == (plain.stdout, "")


def test_a_call_is_journalled(root: Path, journal: JournalReader) -> None:
    """A call of the OpenAI SDK in a script under `run` is journalled, although its connection is refused."""
    source = (
        "import openai\nclient = openai.OpenAI(api_key='k', base_url='http://127.0.0.1:9', max_retries=0)\n"
        "try:\n    client.chat.completions.create(model='gpt-4o', messages=[{'role': 'user', 'content': 'Hi'}])\n"
        "except openai.APIConnectionError:\n    print('refused')\n"
    )
    plain, observed = both(root, source)
    assert (observed.stdout, observed.stderr) == (plain.stdout, plain.stderr) == ("refused\n", "")
    (row,) = journal.observations()
    assert (row["type"], row["model"], row["level"]) == ("generation", "gpt-4o", "ERROR")


def test_a_script_of_another_repo_is_refused(tmp_path: Path) -> None:
    """`run` refuses a script of another repo: the script would import this repo's `src` instead of its own."""
    (tmp_path / "script.py").write_text("print(1)")
    ended = subprocess.run(
        [sys.executable, "-m", "src.observability", "run", str(tmp_path / "script.py")],
        capture_output=True, text=True, cwd=settings.REPO_ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "run `adopt` on the script's repo, then run the script there" in ended.stderr
