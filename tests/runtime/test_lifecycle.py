"""Real processes end in every possible way: their calls are in the journal, and reach Langfuse."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from src.observability import settings
from src.observability.journal.store import Journal
from tests.langfuse_server import reset, silence, trickle

pytestmark = pytest.mark.slow
Start = Callable[..., "subprocess.Popen[str]"]
NOWHERE = "http://127.0.0.1:9"  # no server listens at this address


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return a function that starts a worker in this test's environment and waits until its calls have returned."""
    started: list[subprocess.Popen[str]] = []

    def begin(calls: int, way: str, **environment: str) -> "subprocess.Popen[str]":
        worker = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.runtime.worker", str(calls), way],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=settings.REPO_ROOT,
            env={**os.environ, **environment},
        )  # fmt: skip
        started.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "done\n", worker.communicate()[1]
        return worker

    yield begin
    for worker in started:
        worker.kill()
        worker.communicate()


def ended(worker: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for the worker's end; return its exit status and stderr."""
    _, errors = worker.communicate(timeout=30)
    return worker.returncode, errors


def prompts(rows: list[dict[str, Any]]) -> Counter[str]:
    """Return the number of model calls by prompt."""
    return Counter(row["model_parameters"]["prompt"] for row in rows if row["type"] == "generation")


def recorded(journal: Any) -> list[dict[str, Any]]:
    """Return the rows of the journal, and of the separate journals of forked children."""
    rows = journal.observations()
    for path in journal.path.parent.glob("journal.forked-*.db"):
        with contextlib.closing(Journal(path, create=False)) as own:
            rows += own.observations()
    return rows


def expected(label: str, count: int) -> Counter[str]:
    """Return a count of 1 for each prompt of the `count` calls that a worker makes with this label."""
    return Counter(f"{label} {number}" for number in range(count))


@pytest.mark.parametrize(
    ("way", "status"), [("return", 0), ("sys.exit", 3), ("exception", 1), ("os._exit", 4), ("pool", 0)]
)
def test_a_process_that_ends_by_itself_loses_nothing(way: str, status: int, start: Start, journal: Any) -> None:
    """However a process ends by itself, its calls are journalled, its exit status stays, and we print no line."""
    found, errors = ended(start(50, way))
    assert found == status
    assert "Observability" not in errors
    assert ("Traceback" in errors) == (way == "exception")
    rows = journal.observations()
    assert prompts(rows) - Counter({"from the pool": 1}) == expected("first", 50)
    assert ("from the pool" in prompts(rows)) == (way == "pool")
    assert {row["state"] for row in rows} == {"local"}


def test_ctrl_c_loses_nothing(start: Start, journal: Any) -> None:
    """After Ctrl-C, the process dies of SIGINT, as its parent expects, and every call is journalled."""
    worker = start(50, "wait")
    worker.send_signal(signal.SIGINT)
    status, errors = ended(worker)
    assert status == -signal.SIGINT, errors
    assert prompts(journal.observations()) == expected("first", 50)


def test_sigterm_is_the_systems(start: Start, journal: Any) -> None:
    """This package installs no SIGTERM handler: the process ends at once, and its last 50 ms of calls may be lost."""
    worker = start(50, "SIGTERM's handler")
    assert worker.stdout is not None
    assert worker.stdout.readline() == f"{signal.SIG_DFL!r} -1\n"
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    status, errors = ended(worker)
    assert (status, errors) == (-signal.SIGTERM, "")
    assert time.monotonic() - began < 1
    assert prompts(journal.observations()) == expected("first", 50)


@pytest.mark.parametrize("way", ["fork", "multiprocessing fork", "multiprocessing spawn"])
def test_both_sides_of_a_fork_are_recorded(way: str, start: Start, journal: Any) -> None:
    """After a fork, parent and child each journal their own calls, once."""
    status, errors = ended(start(20, way))
    assert status == 0, errors
    asked = expected("first", 20) + expected("child", 20) + (expected("parent", 20) if way == "fork" else Counter())
    assert prompts(recorded(journal)) == asked


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_applications_own_handler_is_called(when: str, start: Start, journal: Any) -> None:
    """An application's SIGTERM handler, set before or after our first call, ends the process; no call is lost."""
    worker = start(0, f"own handler {when}")
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    worker.send_signal(signal.SIGTERM)
    out, errors = worker.communicate(timeout=30)
    assert (worker.returncode, out, errors) == (7, "own handler\n", "")
    assert prompts(journal.observations())["a call"] == 1


def returned(worker: "subprocess.Popen[str]") -> tuple[set[str], str]:
    """Return the calls that the worker reported as returned, and its stderr."""
    out, errors = worker.communicate(timeout=30)
    told = [line.split("|") for line in out.splitlines()]
    return {name for what, name, _ in told if what == "returned"}, errors


def test_threads_that_call_to_the_end_lose_nothing(start: Start, journal: Any) -> None:
    """A daemon thread's calls that return while the process ends are journalled, and nothing is printed."""
    worker = start(0, "daemon thread")
    asked, errors = returned(worker)
    assert (worker.returncode, errors) == (0, "")
    assert len(asked) > 10  # enough calls that some were made while the process ended
    found = {row["model_parameters"]["prompt"] for row in journal.observations() if row["output"]}
    assert asked <= found


def test_a_terminated_child_of_multiprocessing_loses_nothing(start: Start, journal: Any) -> None:
    """`Process.terminate` sends SIGTERM to a child: only calls of the child's last 50 ms may be lost."""
    _, errors = ended(start(5, "terminated child"))
    assert prompts(recorded(journal)) == expected("first", 5) + expected("child", 20), errors


def test_multiprocessing_may_be_imported_after_the_first_call(journal: Any) -> None:
    """If multiprocessing is imported after the first call, a forked child, which skips atexit, journals its calls."""
    code = (
        "from tests.calls import ask\n"
        "import sys\n"
        "for name in [name for name in sys.modules if name.startswith('multiprocessing')]: del sys.modules[name]\n"
        "ask('parent')\n"
        "import multiprocessing\n"
        "child = multiprocessing.get_context('fork').Process(target=ask, args=('child',))\n"
        "child.start(); child.join(); sys.exit(child.exitcode)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=settings.REPO_ROOT, timeout=30)
    assert prompts(recorded(journal)) == Counter(parent=1, child=1)


@pytest.mark.parametrize("backend", [silence, reset, trickle, None])
def test_an_end_during_an_outage_keeps_to_its_budget(backend: Any, start: Start, raw_server: Any, journal: Any) -> None:
    """While the server hangs or is unavailable, a process ends at most a second after its time budget; rows stay
    pending."""
    raw_server(backend or silence)
    worker = start(20, "return", OBSERVABILITY_EXIT_SECONDS="0.5", **({} if backend else {"LANGFUSE_HOST": NOWHERE}))
    began = time.monotonic()
    status, errors = ended(worker)
    took = time.monotonic() - began
    assert (status, "Traceback" in errors) == (0, False)
    assert took < 0.5 + 1
    assert Counter(row["state"] for row in journal.observations()) == {"pending": 21}


_LAST_CALLS = """
import sys
from src.observability import observe_llm, runtime
ask = observe_llm(lambda prompt: "BUY")
ask("first")
assert runtime.running().recorder.flush(30)
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    ask(f"last {number}")
print("done", flush=True)
"""


@contextmanager
def ending_while_locked(journal: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Yield a process that is ending with 50 unwritten calls, while this process holds the journal's write lock."""
    worker = subprocess.Popen(
        [sys.executable, "-c", _LAST_CALLS], cwd=settings.REPO_ROOT, env={**os.environ, **environment}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    with contextlib.closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        worker.stdin.write("\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == "done\n"
        yield worker
        worker.kill()
        worker.communicate()


@pytest.mark.parametrize("budget", [0.0, 1.0])
def test_an_end_while_the_journal_is_locked_keeps_to_its_budget(budget: float, journal: Any) -> None:
    """At exit, writing and sending share OBSERVABILITY_EXIT_SECONDS; calls not written in time are reported as lost."""
    with ending_while_locked(journal.path, OBSERVABILITY_EXIT_SECONDS=str(budget)) as worker:
        began = time.monotonic()
        status, errors = ended(worker)
        took = time.monotonic() - began
    assert status == 0
    assert took < budget + 1
    assert "observations are lost: 50" in errors


def test_ctrl_c_while_the_end_waits_says_how_many_calls_are_lost(journal: Any) -> None:
    """Ctrl-C while the exit waits for a locked journal prints the number of lost calls, without our traceback."""
    with ending_while_locked(journal.path, OBSERVABILITY_EXIT_SECONDS="20") as worker:
        time.sleep(0.5)
        worker.send_signal(signal.SIGINT)
        began = time.monotonic()
        status, errors = ended(worker)
        took = time.monotonic() - began
    assert status == 0
    assert took < 2
    assert errors == (
        "⚠️ Observability: the shutdown was interrupted, observations are lost: 50."
        " They will be missing from the journal; the agent is not affected.\n"
    )


BACKLOG = """
import time
from pathlib import Path
from src.observability import observe_llm, runtime

def resident():  # MB
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

ask = observe_llm(lambda prompt: "BUY")
ask("the first")
runtime.flush(60)
before = resident()
for number in range(4000):
    ask(f"{number} " * 2000)
most = resident()
runtime.flush(60)
time.sleep(0.5)  # more than one poll of the empty queue
print(most - before, resident() - before)
"""


@pytest.mark.skipif(not Path("/lib/x86_64-linux-gnu/libc.so.6").exists(), reason="only glibc returns free memory")
def test_the_memory_of_a_backlog_is_returned() -> None:
    """After about 35 MB of prompts have waited for the disk, at least half of their memory is returned."""
    ended = subprocess.run([sys.executable, "-c", BACKLOG], capture_output=True, text=True, check=True, timeout=100)
    most, left = map(float, ended.stdout.split())
    assert most > 20
    assert left < most / 2
