"""Measure console commands on a journal of a million observations, and a writing process's longest append meanwhile.

    python -m benchmarks.console [FILE]

FILE is a journal made by `python -m tests.million FILE`; the benchmark writes to a copy. Without FILE, a
journal is made first.
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from src.observability.journal.store import Journal
from tests import million

COMMANDS = (
    "status", "status --json", "decisions", "decisions --agent WhaleAgent3 --limit 100", "traces", "trace last",
    "costs", "costs --by model", "costs --by session", "costs --what-if gpt-4o", "export --output {folder}/out.jsonl",
    "export --format parquet --output {folder}/out.parquet", "export --format csv --output {folder}/out.csv", "doctor",
    "prune --older-than 13d --dry-run", "prune --older-than 13d --yes",
)  # fmt: skip


def write(path: Path, stop: Event, waits: Any) -> None:
    """Append a trace every 20 ms; on request, send the seconds of the longest append since the last request."""
    journal = Journal(path)
    longest, seed = 0.0, 0
    while not stop.is_set():
        if waits.poll():
            waits.recv()
            waits.send(longest)
            longest = 0.0
        seed += 1
        began = time.perf_counter()
        million.fill(journal, 1, days=0.00001, seed=-seed)
        longest = max(longest, time.perf_counter() - began)
        time.sleep(0.02)
    journal.close()


def measure(path: Path, folder: Path) -> None:
    """Run each command three times beside the writer; print the best time, and the writer's longest append."""
    stop, (ours, theirs) = multiprocessing.Event(), multiprocessing.Pipe()
    writer = multiprocessing.Process(target=write, args=(path, stop, theirs))
    writer.start()
    print(f"{'command':60} {'seconds':>8} {'longest append, ms':>20}")
    for command in ("(nothing)", *COMMANDS):
        ask(ours)
        took = [run(command.format(folder=folder), path) for _ in range(3)]
        print(f"{command:60} {min(took):8.2f} {1000 * ask(ours):20.1f}", flush=True)
    stop.set()
    writer.join()


def ask(pipe: Any) -> float:
    """Return the seconds of the writer's longest append since the last request."""
    pipe.send(None)
    return float(pipe.recv())


def run(command: str, path: Path) -> float:
    """Return the seconds that one command takes, including the start of its process."""
    if command == "(nothing)":
        time.sleep(2)
        return 0.0
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "src.observability", *command.split()],
        check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "OBSERVABILITY_JOURNAL": str(path)},
    )  # fmt: skip
    return time.perf_counter() - began


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as name:
        copy = Path(name) / "journal.db"
        if len(sys.argv) > 1:
            shutil.copy(sys.argv[1], copy)
        else:
            made = Journal(copy)
            million.fill(made, 333_334)
            made.close()
        measure(copy, Path(name))
