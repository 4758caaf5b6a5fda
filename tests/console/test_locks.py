"""No command delays an agent's journalling: while a command runs, an append takes 50 ms at most.

A real process appends a trace every two milliseconds. The time for which a busy machine lets processes wait is not
counted. The journal is in memory, since a slow disk is no fault of the console.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from src.observability import settings
from src.observability.journal.store import Journal
from tests.million import fill
from tests.runtime.busy_machine import Watch

MOST_NS = 50_000_000
LONG_ENOUGH_SECONDS = 5.0  # after this time, Ctrl-C ends `tail` and `ship`
TRIES = 3
MEMORY = Path("/dev/shm")
COMMANDS = (
    "status", "decisions --limit 1000", "decisions --report", "traces --limit 300", "trace last", "tail", "costs",
    "costs --by session", "costs --what-if gpt-4o", "export --format jsonl --output {folder}/all.jsonl",
    "export --format parquet --output {folder}/all.parquet", "report --html {folder}/page.html", "doctor",
    "doctor --fix", "outcome last --pnl-usd 1", "outcomes --import {folder}/trades.csv",
    "prune --older-than 7d --dry-run", "prune --older-than 7d --yes", "ship --include-local --yes",
)  # fmt: skip


def write(path: Path) -> None:
    """Append a trace every two milliseconds; report when each append began and ended (monotonic nanoseconds)."""
    journal = Journal(path)
    for seed in itertools.count(1_000_000):
        began = time.monotonic_ns()
        fill(journal, 1, days=0.00001, seed=seed)
        os.write(1, f"{began} {time.monotonic_ns()}\n".encode())
        time.sleep(0.002)


if __name__ == "__main__":
    write(Path(sys.argv[1]))


@pytest.fixture(scope="module")
def large() -> Iterator[Path]:
    """A journal of 120,000 observations over two weeks, some of them rejected."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        journal = Journal(Path(folder) / "large.db")
        fill(journal, 40_000)
        journal.change("UPDATE observations SET state = 'rejected', destination = 'h|k' WHERE seq % 6 = 0")
        journal.close()
        yield journal.path


@contextmanager
def copied(large: Path) -> Iterator[Path]:
    """A folder with a copy of the journal, and a file of 3,000 trades."""
    with tempfile.TemporaryDirectory(dir=large.parent) as folder:
        shutil.copy(large, Path(folder) / "journal.db")
        journal = Journal(Path(folder) / "journal.db", create=False)
        ids = [row["trace_id"] for row in journal.select("SELECT DISTINCT trace_id FROM observations LIMIT 3000")]
        journal.close()
        (Path(folder) / "trades.csv").write_text("trace_id,pnl_usd\n" + "".join(f"{trace_id},1\n" for trace_id in ids))
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_append_waits_for_the_console(
    command: str, large: Path, langfuse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command delays an append, however long the command runs. A measurement over the limit is repeated."""
    waited = []
    while not waited or (waited[-1] > MOST_NS and len(waited) < TRIES):
        with copied(large) as folder:
            monkeypatch.setenv("OBSERVABILITY_JOURNAL", f"{folder}/journal.db")
            waited.append(longest_wait(command.format(folder=folder)))
    assert waited[-1] <= MOST_NS, [f"{nanoseconds / 1e6:.0f} ms" for nanoseconds in waited]


def longest_wait(command: str) -> int:
    """Return how long (ns) the slowest append took while the command ran, minus the wait that a busy machine caused."""
    with Watch() as watch, writing() as appends:
        output = run(command)
    assert "Traceback" not in output
    assert len(appends) > 50
    return max(ended - began - watch.kept_waiting_ns(began, ended) for began, ended in appends)


def run(command: str) -> str:
    """Return a command's stderr; a command that does not end in time is ended by Ctrl-C."""
    with subprocess.Popen(
        [sys.executable, "-m", "src.observability", *command.split()], cwd=settings.REPO_ROOT, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            return process.communicate(timeout=LONG_ENOUGH_SECONDS if command.startswith(("tail", "ship")) else 60)[1]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            return process.communicate(timeout=10)[1]


@contextmanager
def writing() -> Iterator[list[tuple[int, int]]]:
    """Run a process that appends during the block; after the block, the list has each append's begin and end (ns)."""
    intervals: list[tuple[int, int]] = []
    with tempfile.TemporaryFile("w+") as file:
        command = [sys.executable, "-m", __name__, str(settings.journal_path())]
        with subprocess.Popen(command, cwd=settings.REPO_ROOT, stdout=file) as writer:
            while not os.fstat(file.fileno()).st_size:
                time.sleep(0.01)
            yield intervals
            writer.kill()
        file.seek(0)
        intervals += [(int(began), int(ended)) for began, ended in map(str.split, file)]
