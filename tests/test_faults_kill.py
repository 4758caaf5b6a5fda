"""
🌙 Moon Dev's Kill Tests
Built with love by Moon Dev 🚀

Processes that are killed in the middle of their work, one of them or two of a whole fleet: what had returned is there,
what was in flight is shown, and the next one ships it.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from src import config
from src.observability import LangFuseTracker, observe_llm, runtime
from src.observability.delivery import BATCH_ROWS
from src.observability.journal import INTERRUPTED, Journal, Row
from tests.langfuse_server import Backend

WITHIN_NS = 50_000_000  # an observation is on disk so long after its call's end


class Told(NamedTuple):
    """What a worker said of its calls: name ▸ monotonic nanoseconds."""

    begun: dict[str, int]
    returned: dict[str, int]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """A Langfuse server that is away; the settings name it."""
    backend = Backend()
    for name, value in backend.environment.items():
        monkeypatch.setenv(name, value)
    yield backend
    runtime.close()
    backend.stop()


def start(count: int, way: str, **environment: str) -> "subprocess.Popen[str]":
    """A worker of which `done` was heard."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.worker", str(count), way], cwd=config.REPO_ROOT,
        env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    assert worker.stdout is not None
    assert worker.stdout.readline() == "done\n"
    return worker


def kill(worker: "subprocess.Popen[str]") -> int:
    """SIGKILL; when, at the latest, on the monotonic clock."""
    worker.kill()
    worker.wait()
    return time.monotonic_ns()


def told_by(worker: "subprocess.Popen[str]") -> Told:
    """Everything it said until its end."""
    told = Told({}, {})
    for line in worker.communicate()[0].splitlines():
        what, name, when = line.split("|")
        getattr(told, what)[name] = int(when)
    return told


def opened_cleanly(path: Path) -> list[Row]:
    """Every generation of the journal, which a new process has opened, found whole, and put in order."""
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    db.close()
    journal = Journal(path, create=False)
    rows = journal.observations("type = 'generation'")
    journal.close()
    return rows


def prompt_of(row: Row) -> str:
    """What was asked."""
    prompt: str = row["model_parameters"]["prompt"]
    return prompt


def next_start() -> None:
    """This process records something: the first thing its recorder does is to look after the dead."""

    @observe_llm(name="next_start")
    def ask(number: int) -> str:
        return "BUY"

    runtime.close()
    ask(1)
    assert runtime.running().recorder.flush(10)


@pytest.mark.parametrize(
    ("durability", "count"),
    [
        pytest.param("async", 200, id="async, 200 calls"),
        pytest.param("sync", 50, id="sync, 50 calls"),
        pytest.param("async", 1000, id="async, 1,000 calls", marks=pytest.mark.slow),
        pytest.param("sync", 1000, id="sync, 1,000 calls", marks=pytest.mark.slow),
    ],
)
def test_a_kill_after_the_last_call_loses_none(durability: str, count: int, backend: Backend) -> None:
    """SIGKILL 100 ms after the last call returned, or at once with `sync`, the backend away: all arrive later, once."""
    worker = start(count, "wait", OBSERVABILITY_DURABILITY=durability)
    time.sleep(0.1 if durability == "async" else 0)
    kill(worker)
    told_by(worker)
    langfuse = backend.start()
    next_start()
    assert LangFuseTracker().flush(30)
    ids = [span.id for span in langfuse.spans]
    assert len(ids) == len(set(ids)) == count + 2  # the worker's cycle and our own call
    rows = [row for row in opened_cleanly(config.journal_path()) if row["name"] == "llm_generation"]
    assert sorted(map(prompt_of, rows)) == sorted(f"first {number}" for number in range(count))
    assert {row["level"] for row in rows} == {"DEFAULT"}


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_at_random_moments(kills: int, journal: Any) -> None:
    """Four threads of calls: what had returned 50 ms before is there whole; the others as interrupted, with input."""
    lost = interrupted = 0
    for _ in range(kills):
        worker = start(0, "four threads")
        time.sleep(random.uniform(0.3, 1.0))
        before = time.monotonic_ns()
        kill(worker)
        told = told_by(worker)
        next_start()
        rows = {prompt_of(row): row for row in opened_cleanly(journal.path) if row["name"] == "answer_slowly"}
        for name, when in told.returned.items():
            if when < before - WITHIN_NS:
                assert rows[name]["output"] == "BUY", f"{name} returned {(before - when) / 1e6:.0f} ms before the kill"
        for name in told.begun.keys() - told.returned.keys():
            if told.begun[name] < before - WITHIN_NS:
                ended = rows[name]["output"] == "BUY"  # and was killed before it could tell
                assert ended or rows[name]["status_message"] == INTERRUPTED, rows[name]
                interrupted += not ended
        lost += len(told.returned.keys() - rows.keys())
        assert not [row for row in rows.values() if row["state"] == "open"]
    print(f"{kills} kills: {interrupted} interrupted, {lost} of the last 50 ms lost")
    assert interrupted


def shipper_of(path: Path) -> int | None:
    """The process that holds the lease of the destination now."""
    db = sqlite3.connect(path, timeout=10)
    found = db.execute("SELECT owner FROM leases WHERE name <> 'tidy'").fetchone()
    db.close()
    return int(found[0].split("-")[0]) if found else None


def wait_for_rows(path: Path, count: int) -> None:
    """Until the fleet is under way."""
    deadline = time.monotonic() + 60
    while len(opened_cleanly(path)) < count:
        assert time.monotonic() < deadline, "the fleet does not get under way"
        time.sleep(0.2)


def kill_shippers(path: Path, fleet: "list[subprocess.Popen[str]]", seconds: float) -> dict[int, int]:
    """Kill two processes of the fleet, each while it ships; when, by process id."""
    killed: dict[int, int] = {}
    deadline = time.monotonic() + seconds
    while len(killed) < 2:
        assert time.monotonic() < deadline, "nobody was caught shipping"
        pid = shipper_of(path)
        if pid is not None and pid not in killed and any(worker.pid == pid for worker in fleet):
            killed[pid] = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
    return killed


@pytest.mark.parametrize(
    ("processes", "calls"),
    [pytest.param(6, 25, id="6 x 25"), pytest.param(48, 200, id="48 x 200", marks=pytest.mark.slow)],
)
def test_a_fleet_with_two_killed_while_they_ship(processes: int, calls: int, backend: Backend) -> None:
    """One journal, one shipper at a time: every call but the last 50 ms of the killed, on the wire once; what a killed
    shipper had under way, one batch at the most, may come twice."""
    langfuse = backend.start()
    path = config.journal_path()
    Journal(path).close()
    fleet = [start(0, "fleet", FLEET_CALLS=str(calls)) for _ in range(processes)]
    for worker in fleet:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    try:
        wait_for_rows(path, processes * calls // 5)
        killed = kill_shippers(path, fleet, 20)
        told = {worker.pid: told_by(worker) for worker in fleet}
    finally:
        for worker in fleet:
            worker.kill()
    next_start()
    assert LangFuseTracker().flush(60)
    rows = {prompt_of(row): row for row in opened_cleanly(path) if row["name"] == "answer_slowly"}
    for pid, its in told.items():
        assert (len(its.returned) == calls) == (pid not in killed)
        for name, when in its.returned.items():
            if pid not in killed or when < killed[pid] - WITHIN_NS:
                assert rows[name]["output"] == "BUY", (name, (killed[pid] - when) / 1e6)
    repeated = len(langfuse.spans) - len({span.id for span in langfuse.spans})
    print(f"{len(rows)} rows, {repeated} sent twice")
    assert repeated <= 2 * BATCH_ROWS
    assert {span.id for span in langfuse.spans} >= {row["id"] for row in rows.values()}
