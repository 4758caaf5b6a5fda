"""Tests that kill one process, or two processes of a fleet, in the middle of their work.

Calls that had returned are in the journal, unfinished calls are marked as interrupted, and the next process ships them.
"""

import contextlib
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

from src.observability import LangFuseTracker, observe_llm, runtime, settings
from src.observability.journal.store import INTERRUPTED, Journal, Row
from tests.langfuse_server import Backend, LangfuseServer
from tests.runtime.busy_machine import Watch

pytestmark = pytest.mark.slow
WITHIN_NS = 50_000_000  # on an idle machine, the longest time from a call's end until its row is on disk


class Told(NamedTuple):
    """The monotonic nanoseconds at which a worker's calls began and returned, by the name of the call."""

    begun: dict[str, int]
    returned: dict[str, int]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """A Langfuse server that has not been started; the settings name its address."""
    backend = Backend()
    for name, value in backend.environment.items():
        monkeypatch.setenv(name, value)
    yield backend
    runtime.close()
    backend.stop()


def start(count: int, way: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a worker, wait until it has printed `done`, and return it."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.runtime.worker", str(count), way], cwd=settings.REPO_ROOT,
        env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    heard(worker, "done")
    return worker


def heard(worker: "subprocess.Popen[str]", word: str) -> None:
    """Wait until the worker prints this line."""
    assert worker.stdout is not None
    assert worker.stdout.readline() == f"{word}\n"


def kill(worker: "subprocess.Popen[str]") -> int:
    """Send SIGKILL and wait for the worker's end; return a monotonic time just after the kill."""
    worker.kill()
    worker.wait()
    return time.monotonic_ns()


def told_by(worker: "subprocess.Popen[str]") -> Told:
    """Wait for the worker's end; return the calls that it reported."""
    told = Told({}, {})
    for line in worker.communicate()[0].splitlines():
        what, name, when = line.split("|")
        getattr(told, what)[name] = int(when)
    return told


def opened_cleanly(path: Path) -> list[Row]:
    """Let SQLite repair and check the file; return the rows of all model calls in the journal."""
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    db.close()
    journal = Journal(path, create=False)
    rows = journal.observations("type = 'generation'")
    journal.close()
    return rows


def prompt_of(row: Row) -> str:
    """Return the prompt of a row."""
    prompt: str = row["model_parameters"]["prompt"]
    return prompt


def had_time(machine: Watch, since: int, killed: int) -> bool:
    """Return whether `since` was over 50 ms before the kill, not counting the time the machine was too busy."""
    return killed - since - machine.kept_waiting_ns(since, killed) > WITHIN_NS


def next_start() -> None:
    """Record a call, so that this process's recorder marks the unfinished calls of dead processes as interrupted."""

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
        pytest.param("async", 1000, id="async, 1,000 calls"),
        pytest.param("sync", 1000, id="sync, 1,000 calls"),
    ],
)
def test_a_kill_after_the_last_call_loses_none(durability: str, count: int, backend: Backend) -> None:
    """While the server is unavailable, a worker is killed 100 ms after its last call, or at once if durability
    is `sync`. Later, every call is delivered once."""
    worker = start(0, "warm calls", WARM_CALLS=str(count), OBSERVABILITY_DURABILITY=durability)
    with Watch() as machine:
        heard(worker, "called")
        machine.rest(0.1 if durability == "async" else 0)
        kill(worker)
    told_by(worker)
    langfuse = backend.start()
    next_start()
    assert LangFuseTracker().flush(30)
    ids = [span.id for span in langfuse.spans]
    assert len(ids) == len(set(ids)) == count + 3  # 3 = the worker's cycle, its warm-up call, and `next_start`'s call
    rows = [row for row in opened_cleanly(settings.journal_path()) if row["name"] == "llm_generation"]
    assert sorted(map(prompt_of, rows)) == sorted(["warm-up", *(f"first {number}" for number in range(count))])
    assert {row["level"] for row in rows} == {"DEFAULT"}


@pytest.mark.parametrize("kills", [2, 20])
def test_kills_at_random_moments(kills: int, journal: Any) -> None:
    """Four threads make calls until a kill. Calls that returned more than 50 ms before the kill are complete; calls in
    flight are marked as interrupted, with their input."""
    lost = interrupted = 0
    for _ in range(kills):
        worker = start(0, "four threads")
        with Watch() as machine:
            heard(worker, "warm")
            machine.rest(random.uniform(0.1, 0.8))
            before = time.monotonic_ns()
            kill(worker)
        told = told_by(worker)
        next_start()
        rows = {prompt_of(row): row for row in opened_cleanly(journal.path) if row["name"] == "answer_slowly"}
        for name, when in told.returned.items():
            if had_time(machine, when, before):
                assert rows[name]["output"] == "BUY", f"{name} returned {(before - when) / 1e6:.0f} ms before the kill"
        for name in told.begun.keys() - told.returned.keys():
            if had_time(machine, told.begun[name], before):
                ended = rows[name]["output"] == "BUY"  # true if the call ended, but was not reported before the kill
                assert ended or rows[name]["status_message"] == INTERRUPTED, rows[name]
        interrupted += sum(row["status_message"] == INTERRUPTED for row in rows.values())
        lost += len(told.returned.keys() - rows.keys())
        assert not [row for row in rows.values() if row["state"] == "open"]
    print(f"{kills} kills: {interrupted} interrupted, {lost} of the last 50 ms lost")
    assert interrupted


def shipper_of(path: Path) -> int | None:
    """Return the id of the process that holds the destination's lease, or None if no process holds it."""
    db = sqlite3.connect(path, timeout=10)
    found = db.execute("SELECT owner FROM leases WHERE name <> 'tidy'").fetchone()
    db.close()
    return int(found[0].split("-")[0]) if found else None


def set_going(fleet: "list[subprocess.Popen[str]]") -> None:
    """Wait for the first call of every process in the fleet; then let all of them start their calls at once."""
    for worker in fleet:
        heard(worker, "warm")
    for worker in fleet:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()


def wait_for_rows(path: Path, count: int) -> None:
    """Wait until the fleet has written this many rows."""
    deadline = time.monotonic() + 60
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as db:
        while db.execute("SELECT count(*) FROM observations").fetchone()[0] < count:
            assert time.monotonic() < deadline, "the fleet does not get under way"
            time.sleep(0.2)


def kill_shippers(path: Path, fleet: "list[subprocess.Popen[str]]", seconds: float) -> dict[int, int]:
    """Kill two processes of the fleet, each while it is shipping; return the kill's time by process id."""
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


def batches_that_repeat(langfuse: LangfuseServer) -> int:
    """Return the number of batches that repeat a span of an earlier batch."""
    seen: set[bytes] = set()
    repeating = 0
    for batch in langfuse.batches:
        ids = {span.span_id for span in batch.resource_spans[0].scope_spans[0].spans}
        repeating += bool(ids & seen)
        seen |= ids
    return repeating


@pytest.mark.parametrize(
    ("processes", "calls"),
    [pytest.param(6, 25, id="6 x 25"), pytest.param(48, 200, id="48 x 200")],
)
def test_a_fleet_with_two_killed_while_they_ship(processes: int, calls: int, backend: Backend) -> None:
    """One process ships at a time. Every call arrives, except that a killed process may lose its last 50 ms; only
    the batch that it was sending may arrive twice."""
    langfuse = backend.start()
    path = settings.journal_path()
    Journal(path).close()
    fleet = [start(0, "fleet", FLEET_CALLS=str(calls)) for _ in range(processes)]
    try:
        with Watch() as machine:
            set_going(fleet)
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
            if pid not in killed or had_time(machine, when, killed[pid]):
                assert rows[name]["output"] == "BUY", (name, (killed[pid] - when) / 1e6)
    repeated = batches_that_repeat(langfuse)
    busy = [machine.kept_waiting_ns(when - 2 * WITHIN_NS, when) // 1_000_000 for when in killed.values()]
    print(f"{len(rows)} rows, {repeated} batches sent twice; of its last 100 ms the machine was too busy for {busy} ms")
    assert repeated <= 2 * len(killed)  # one batch for each kill, which the next process may send as two
    assert {span.id for span in langfuse.spans} >= {row["id"] for row in rows.values()}
