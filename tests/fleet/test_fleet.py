"""In a trading repo changed by `adopt`, every agent behaves as before, and each of its requests is recorded once.

Each agent of `repo/` runs as a script in two copies of that repo, one unchanged and one adopted. FLEET_PYTHON, set by
`make test-fleet`, is the Python that runs the agents; without FLEET_PYTHON nothing runs.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from src.observability.journal.store import Journal, Row
from tests.fleet.providers import OTHERWISE, THREE_LINES, Providers, Request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("FLEET_PYTHON" not in os.environ, reason="make test-fleet makes its environments"),
]

REPO = Path(__file__).with_name("repo")
PYTHON = os.environ.get("FLEET_PYTHON", "")
NAMES = [path.stem for path in sorted((REPO / "src/agents").glob("*_agent.py")) if path.stem != "base_agent"]
AGENTS = [f"{name} under run" if name == "alone_agent" else name for name in NAMES]
CLASSES = {"chartvision_agent": "ChartVisionAgent"}  # the class of any other agent is named like its file
KEYS = ("ANTHROPIC_KEY", "OPENAI_KEY", "DEEPSEEK_KEY", "GROK_API_KEY", "OPENROUTER_API_KEY", "GROQ_API_KEY")


class Run(NamedTuple):
    """The result of one agent's run."""

    status: int
    stdout: str
    stderr: str
    requests: list[Request]
    files: dict[str, bytes]  # files that the run wrote to src/data


class Both(NamedTuple):
    """The runs of one agent in the untouched and in the adopted repo."""

    plain: Run
    adopted: Run
    rows: list[Row]

    def of_type(self, *types: str) -> list[Row]:
        """Return the rows of these types, in order."""
        return [row for row in self.rows if row["type"] in types]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two copies of the repo: one unchanged, and one changed by `adopt`."""
    plain, adopted = (shutil.copytree(REPO, tmp_path_factory.mktemp(name) / "desk") for name in ("plain", "adopted"))
    subprocess.run([sys.executable, "-m", "src.observability", "adopt", str(adopted), "--yes"], check=True)
    return plain, adopted


def run(root: Path, command: tuple[str, ...]) -> Run:
    """Run an agent to its end, while the proxy on loopback answers for every provider."""
    with Providers() as providers:
        environment = {
            "PYTHONWARNINGS": "ignore::DeprecationWarning",  # hides warnings about models that will be retired
            "PATH": os.environ["PATH"],
            "HTTP_PROXY": providers.url, "http_proxy": providers.url,
            "ANTHROPIC_BASE_URL": "http://api.anthropic.com", "OPENAI_BASE_URL": "http://api.openai.com/v1",
            "GROQ_BASE_URL": "http://api.groq.com", **dict.fromkeys(KEYS, "test-key-0123456789"),
        }  # fmt: skip
        done = subprocess.run(
            [PYTHON, *command], cwd=root, env=environment, capture_output=True, timeout=100, check=False
        )
    data = root / "src/data"
    files = {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*")
             if path.is_file() and "observability" not in path.parts}  # fmt: skip
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode(), sorted(providers.requests), files)


@pytest.fixture(scope="module")
def both(copies: tuple[Path, Path], request: pytest.FixtureRequest) -> Both:
    """Return the runs of one agent in the unchanged and in the adopted copy of the repo."""
    agent, _, under_run = request.param.partition(" under ")
    script = f"src/agents/{agent}.py"
    command = ("-m", "src.observability", "run", script) if under_run else (script,)
    for root in copies:
        shutil.rmtree(root / "src/data", ignore_errors=True)
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(run, copies, ((script,), command)))
    return Both(*runs, rows_in(copies[1] / "src/data/observability/journal.db"))


def rows_in(path: Path) -> list[Row]:
    """Return the observations of a journal; none if nothing was recorded."""
    if not path.exists():
        return []
    journal = Journal(path, create=False)
    try:
        return journal.observations()
    finally:
        journal.close()


def of(agent: str) -> Any:
    """Mark a test to get the two runs of this agent."""
    return pytest.mark.parametrize("both", [agent], indirect=True, scope="module")


def class_of(agent: str) -> str:
    """Return the agent's name in the journal."""
    file = agent.partition(" ")[0]
    return CLASSES.get(file) or "".join(word.title() for word in file.split("_"))


def tokens(row: Row) -> tuple[int, int]:
    """Return two counts: a row's input tokens, including cached ones, and its output tokens, including reasoning."""
    usage = row["usage"] or {}
    sums = {kind: sum(count for name, count in usage.items() if name.startswith(kind)) for kind in ("input", "output")}
    return sums["input"], sums["output"]


@pytest.mark.parametrize("both", AGENTS, indirect=True, scope="module")
def test_an_agent_does_what_it_did(both: Both) -> None:
    """Adoption changes no agent's status, stdout, files or requests; stderr is empty, or ends in the same error."""
    plain, adopted, _ = both
    assert plain.stdout, plain.stderr
    assert (adopted.status, adopted.stdout, adopted.files) == (plain.status, plain.stdout, plain.files)
    assert adopted.requests == plain.requests
    if plain.status == 0:
        assert (plain.stderr, adopted.stderr) == ("", "")
    else:
        assert adopted.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1] != ""


@pytest.mark.parametrize("both", AGENTS, indirect=True, scope="module")
def test_each_request_is_recorded_once(both: Both, request: pytest.FixtureRequest) -> None:
    """Each answered request has a row with its provider, model and tokens. Each failed request has an ERROR row, even
    if the SDK refused to send the request."""
    answered = [row for row in both.of_type("generation") if row["level"] != "ERROR"]
    recorded = Counter((row["provider"], row["model"], *tokens(row)) for row in answered)
    assert recorded == Counter(sent[:4] for sent in both.adopted.requests if sent.status == 200)
    failed = [row for row in both.of_type("generation") if row["level"] == "ERROR"]
    assert len(failed) == both.adopted.stdout.count("❌")
    assert all(row["cost_usd"] and row["cost_source"] for row in answered), [row["model"] for row in answered]
    agent = class_of(request.node.callspec.params["both"])
    assert {row["agent"] for row in both.rows} <= {agent, "SwarmAgent"}
    assert {row["agent"] for row in both.rows if row["is_root"]} == {agent}


@of("spread_agent")
def test_three_lines_are_an_inferred_signal(both: Both) -> None:
    """The action, confidence and reason of a three-line answer are recorded as an event below the answer."""
    answer, event = both.rows
    assert (event["type"], event["parent_id"], event["trace_id"]) == ("event", answer["id"], answer["trace_id"])
    assert event["output"]["action"] == "BUY"
    assert event["output"]["confidence"] == 72
    assert event["output"]["reasoning"] == "The spread is wide"
    assert event["metadata"]["signal_inferred"] is True
    assert "symbol" not in event["output"]


@of("retry_agent")
def test_two_requests_of_one_call_are_two(both: Both) -> None:
    """If a model sends a second request after an empty answer, each is recorded with its messages and its answer."""
    first, second = both.of_type("generation")
    assert (first["output"], second["output"]) == (None, OTHERWISE)
    assert [message["role"] for message in first["input"]] == ["system", "user"]
    assert [message["role"] for message in second["input"]] == ["user"]


@of("squeeze_agent")
def test_a_cycle_is_one_trace(both: Both) -> None:
    """Each of two cycles is one trace, with two requests and two signals."""
    cycles = both.of_type("agent")
    assert len(cycles) == 2
    for cycle in cycles:
        below = [row["type"] for row in both.rows if row["trace_id"] == cycle["trace_id"]]
        assert sorted(below) == ["agent", "event", "event", "generation", "generation"]
    assert {row["output"]["action"] for row in both.of_type("event")} == {THREE_LINES.split("\n")[0]}


@of("desk_agent")
def test_one_swarm_query_is_one_trace_of_its_caller(both: Both) -> None:
    """A query to SwarmAgent is one trace. The answers of its four models are votes; the majority becomes the signal."""
    queries = both.of_type("agent")
    assert [(query["name"], query["agent"], query["is_root"]) for query in queries] == [
        ("SwarmAgent", "DeskAgent", 1)
    ] * 2
    for query in queries:
        assert query["metadata"]["votes"] == {"SELL": 3, "NOTHING": 1}
        assert query["metadata"]["winner"] == "SELL"
        answers = [row for row in both.of_type("generation") if row["trace_id"] == query["trace_id"]]
        assert {(row["parent_id"], row["agent"], row["trace_name"]) for row in answers} == {
            (query["id"], "SwarmAgent", "DeskAgent")
        }
        assert len(answers) == 4
        signals = [row for row in both.of_type("event") if row["trace_id"] == query["trace_id"]]
        assert [(row["output"]["action"], row["output"]["reasoning"]) for row in signals] == [("SELL", "3 of 4 votes")]


@of("desk_agent under run")
def test_under_run_a_scripts_own_cycle_is_one_trace(both: Both) -> None:
    """Under `run`, both queries to SwarmAgent are children of the single call of `run_trading_cycle`."""
    cycle, *queries = both.of_type("agent")
    assert (cycle["name"], cycle["agent"], cycle["is_root"]) == ("DeskAgent", "DeskAgent", 1)
    assert [query["parent_id"] for query in queries] == [cycle["id"]] * 2
    assert {row["trace_id"] for row in both.rows} == {cycle["trace_id"]}
    assert len(both.of_type("generation")) == 8


@of("chartvision_agent")
def test_an_image_is_not_recorded_whole(both: Both) -> None:
    """If a question contains an image, its text and the image's type and size are recorded, but not the bytes."""
    for row in both.of_type("generation"):
        recorded = json.dumps(row["input"])
        assert "Chart of" in recorded
        assert "[image/png, 72 bytes]" in recorded
        assert "iVBOR" not in recorded  # how the base64 of a PNG file begins


@of("guard_agent")
def test_errors_are_recorded_that_an_agent_swallows(both: Both) -> None:
    """If the agent swallows an error, the row names the error. The greeting that Groq's model sends has a row too."""
    refused, calm, broken, hello, words = both.of_type("generation")
    assert "BadRequestError" in refused["status_message"]
    assert "AuthenticationError" in broken["status_message"]
    assert calm["output"] == OTHERWISE
    assert [hello["provider"], words["provider"]] == ["groq", "groq"]


@of("busy_agent")
def test_a_repetition_by_the_sdk_is_no_request_of_its_own(both: Both) -> None:
    """A request that the SDK retries is one row, which lasts from the first try to the last answer."""
    (row,) = both.of_type("generation")
    assert row["end_ns"] - row["start_ns"] > 100_000_000  # the SDK waits before its retry
