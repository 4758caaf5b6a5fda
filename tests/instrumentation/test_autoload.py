"""The line in `src/__init__.py` that starts observing: if it fails, stderr has one line, and the program goes on."""

import subprocess
import sys

import pytest

from src.observability import settings

pytestmark = pytest.mark.slow  # each test starts a process

BLOCK = "import sys\nsys.modules['termcolor'] = None  # as if it were not installed\n"


def ran(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=settings.REPO_ROOT,
        timeout=60,
        env={"PATH": "/usr/bin", "PYTHON_DOTENV_DISABLED": "1", **environment},
    )


def test_any_import_of_src_observes_an_sdk() -> None:
    """After any module of `src` is imported, before or after an SDK, the SDK's calls are observed; stderr is empty."""
    code = "import src.agents\nimport openai\nopenai.OpenAI(api_key='k').chat.completions\n"
    code += "from src.observability.instrumentation import observed\nprint(observed()['openai'])"
    for program in (code, f"import openai\n{code}"):
        ended = ran(program)
        assert "'chat.completions.create'" in ended.stdout
        assert ended.stderr == ""


def test_no_sdk_is_imported() -> None:
    """`import src` imports neither an SDK nor another slow module."""
    ended = ran(
        "import sys, src\nprint({'openai', 'anthropic', 'groq', 'httpx', 'sqlite3', 'pandas'} & set(sys.modules))"
    )
    assert ended.stdout == "set()\n"


def test_a_missing_requirement_is_one_line_with_its_cure() -> None:
    """If a required package is missing, stderr has one line, and the agent runs."""
    ended = ran(f"{BLOCK}import src.agents\nprint('traded')")
    assert ended.stdout == "traded\n"
    (line,) = ended.stderr.splitlines()
    assert "❌" in line
    assert "termcolor is missing" in line
    assert "pip install -r src/observability/requirements.txt" in line


def test_a_malformed_setting_is_one_line_with_its_cure() -> None:
    """A malformed setting prints one line with the variable and the accepted values."""
    ended = ran("import src\nprint('traded')", OBSERVABILITY_INSTRUMENT="opnai")
    assert ended.stdout == "traded\n"
    (line,) = ended.stderr.splitlines()
    assert "must be true, false, or a comma-separated list of some of openai, anthropic, groq, google, ollama" in line


def test_it_can_be_turned_off() -> None:
    """With OBSERVABILITY_INSTRUMENT=false no SDK is patched."""
    code = "import src\nimport openai\nopenai.OpenAI(api_key='k').chat.completions\n"
    code += "from src.observability.instrumentation import observed\nprint(observed())"
    assert ran(code, OBSERVABILITY_INSTRUMENT="false").stdout == "{}\n"
