"""A fault of the disk, the network or the system changes no result, exception, output or random number of an agent."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request

from src.observability import settings
from tests.providers.wire import KEY, PROVIDERS, Provider
from tests.runtime.fault_agent import FAULTS

pytestmark = pytest.mark.slow
OUTCOMES = ("answer", "429", "503", "malformed", "not json", "answer by stream", "answer by astream")
_SECONDS_MORE = 10.0  # time that tracing may add; 63 calls that each waited for 2 s would add 126 s


@pytest.fixture
def providers(httpserver: HTTPServer) -> dict[str, str]:
    """Serve all providers: each answers with the outcome that the prompt names. Return the agent's settings."""
    variables = {"AI_MAX_RETRIES": "0", "PYTHON_DOTENV_DISABLED": "1"}
    for name in PROVIDERS:
        provider = Provider(name)

        def respond(request: Request, provider: Provider = provider) -> object:
            asked = re.search(rb"OUTCOME:([\w ]+?)_", request.get_data())
            assert asked is not None
            return provider._respond(request, asked[1].decode())

        httpserver.expect_request(f"/{name}{provider.recorded['path']}", method="POST").respond_with_handler(respond)  # type: ignore[arg-type]
        address = httpserver.url_for(f"/{name}") + provider.recorded["base"]
        variables[provider.recorded["base_url_name"]] = address
        if provider.recorded["key_name"]:
            variables[provider.recorded["key_name"]] = KEY
    return variables


def run(fault: str, variables: dict[str, str], *, traced: bool, folder: Path) -> tuple[int, str, float]:
    """Run the agent under the fault; return its exit status, its output and its duration in seconds."""
    environment = {
        **os.environ, **variables, "ENABLE_LANGFUSE": str(traced).lower(),
        "OBSERVABILITY_JOURNAL": str(folder / str(traced) / "journal" / "journal.db"),
        "LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-1", "LANGFUSE_HOST": "http://127.0.0.1:9",
        "OBSERVABILITY_EXIT_SECONDS": "1",
    }  # fmt: skip
    if fault == "ASCII locale":
        environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "tests.runtime.fault_agent", fault, json.dumps(PROVIDERS), json.dumps(OUTCOMES)]
    began = time.monotonic()
    ended = subprocess.run(
        command, cwd=settings.REPO_ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    lines = [
        line for line in ended.stdout.splitlines() if "LangFuse" not in line
    ]  # all but the start-up line of LangFuseTracker
    assert sum(line.startswith('["') for line in lines) == len(PROVIDERS) * len(OUTCOMES), ended.stderr
    assert "src/observability" not in ended.stdout  # the exceptions come from the providers, not from this package
    return ended.returncode, "\n".join(lines), time.monotonic() - began


@pytest.mark.parametrize("fault", FAULTS)
def test_an_agent_sees_no_difference_under_a_fault(fault: str, providers: dict[str, str], tmp_path: Path) -> None:
    """Under any fault, an agent's exit status and output are the same with tracing on and off."""
    off_status, off_output, off_seconds = run(fault, providers, traced=False, folder=tmp_path)
    status, output, seconds = run(fault, providers, traced=True, folder=tmp_path)
    assert (status, output) == (off_status, off_output)
    assert seconds < off_seconds + _SECONDS_MORE
