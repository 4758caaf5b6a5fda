"""Measures the recorder: time per row beside bare `sqlite3`, time from a call's end to the disk, calls lost by a kill.

python -m benchmarks.recorder disk|burst FOLDER      one measurement in a process of its own
"""

import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import calls
from benchmarks.table import line, progress, ratios, spread

BATCHES = (4, 50)  # rows per poll of the queue: 4 at 200 calls a second, 50 in a burst
BURST = 1_000
KILL_SECONDS = 0.5  # time from a burst's end to the kill
_FIRST = 50  # rows written before the measurement, so that one-time work is not measured
NOWHERE = "http://127.0.0.1:9"


class _Collector:
    """A processor that keeps the ended observations."""

    def __init__(self) -> None:
        self.ended: list[Any] = []

    def on_start(self, observation: Any) -> None:
        """Do nothing: this benchmark writes only calls that have ended."""

    def on_end(self, observation: Any) -> None:
        """Keep the observation."""
        self.ended.append(observation)


def observations(count: int) -> list[Any]:
    """Return the observations of `count` calls through a model, as the recorder gets them."""
    from src.observability import runtime, tracing

    call, collector = calls.our_model(), _Collector()
    tracing.set_processor(collector)
    for number in range(count):
        call(f"{calls.PROMPT}{number}")
    tracing.set_processor(runtime._starter)
    return collector.ended


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[at : at + size] for at in range(0, len(items), size))


def row_microseconds(count: int, size: int) -> tuple[float, float, float]:
    """Return this thread's CPU microseconds per row: of the recorder's sink, of the journal's insert alone, and of
    `sqlite3` inserting the same bytes."""
    from src.observability import settings
    from src.observability.recording import JournalSink

    with tempfile.TemporaryDirectory() as folder:
        os.environ["OBSERVABILITY_JOURNAL"] = f"{folder}/journal.db"
        sink = JournalSink(lambda: None)
        sink.write([], observations(_FIRST))
        batches = list(_chunks(observations(count), size))
        began = time.thread_time_ns()
        for batch in batches:
            sink.write([], batch)
        ours = time.thread_time_ns() - began
        sink.close()
        inserted = _insert(settings.journal_path(), size, Path(folder))
        bare = _bare_sqlite(settings.journal_path(), size, Path(folder))
    return ours / count / 1000, inserted / count / 1000, bare / count / 1000


def _insert(path: Path, size: int, folder: Path) -> int:
    from src.observability.journal import Journal

    journal, other = Journal(path), Journal(folder / "other.db")
    rows = journal.select("SELECT * FROM observations ORDER BY seq")
    other.append(rows[:_FIRST], [])
    began = time.thread_time_ns()
    for batch in _chunks(rows[_FIRST:], size):
        other.append(batch, [])
    return time.thread_time_ns() - began


def _bare_sqlite(journal: Path, size: int, folder: Path) -> int:
    rows = sqlite3.connect(journal).execute(f"SELECT * FROM observations WHERE seq > {_FIRST}").fetchall()
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(f"CREATE TABLE bare ({', '.join(f'c{at}' for at in range(len(rows[0])))})")
    insert = f"INSERT INTO bare VALUES ({', '.join('?' * len(rows[0]))})"
    began = time.thread_time_ns()
    for batch in _chunks(rows, size):
        db.execute("BEGIN")
        db.executemany(insert, batch)
        db.execute("COMMIT")
    return time.thread_time_ns() - began


def rows(count: int, repeats: int) -> None:
    """Measure the CPU time per row, and the rows per second."""
    for size in BATCHES:
        progress(f"rows, {size} per transaction")
        taken = [row_microseconds(count, size) for _ in range(repeats)]
        ours, inserted, bare = ([figures[at] for figures in taken] for at in (0, 1, 2))
        line(f"the recorder's CPU time per row of 2 KB, {size} rows per transaction", spread(ours, "µs", 0),
             f"sqlite3 alone {spread(bare, 'µs')}", ratios(ours, bare), "5")  # fmt: skip
        line("the line above, as rows per second", spread([1e6 / value for value in ours], digits=0),
             f"sqlite3 alone {spread([1e6 / value for value in bare], digits=0)}")  # fmt: skip
        line(f"of that time, the journal's insert, {size} rows per transaction", spread(inserted, "µs", 0),
             f"sqlite3 alone {spread(bare, 'µs')}", ratios(inserted, bare))  # fmt: skip


def _until_on_disk(ended: int) -> float:
    """Return the milliseconds from now until `ended` observations are committed."""
    from src.observability import runtime

    began = time.perf_counter()
    while runtime.running().recorder.journalled < ended:
        time.sleep(0.0005)
    return (time.perf_counter() - began) * 1000


def to_disk() -> dict[str, Any]:
    """Return the milliseconds from a call's end to the disk: for the first call, for paced calls, and for a burst."""
    call = calls.our_model()
    began = time.perf_counter()
    call(calls.PROMPT)
    returned = (time.perf_counter() - began) * 1000
    first = _until_on_disk(1)
    paced = []
    for number in range(100):
        time.sleep(random.uniform(0.01, 0.03))  # at a fixed pause, the calls would be in step with the recorder's polls
        call(f"{calls.PROMPT}{number}")
        paced.append(_until_on_disk(number + 2))
    for number in range(BURST):
        call(f"{calls.PROMPT}{number}")
    return {"first_call": returned, "first": first, "paced": paced, "burst": _until_on_disk(101 + BURST)}


def disk(repeats: int) -> None:
    """Measure in several new processes how long an ended call takes to reach the disk."""
    progress("the time to the disk")
    runs = [json.loads(_in_process("disk").stdout.splitlines()[-1]) for _ in range(repeats)]
    line("the first call of a process: its return", spread([run["first_call"] for run in runs], "ms", 0))
    line("the first call, from return to disk", spread([run["first"] for run in runs], "ms", 0), target="≤ 200 ms")
    medians, longest = ([of(run["paced"]) for run in runs] for of in (statistics.median, max))
    line("from a paced call's end to the disk", spread(medians, "ms", 0), target="50 ms")
    line("the longest of 100 paced calls", spread(longest, "ms", 0), target="50 ms")
    line(f"a burst of {BURST:,} in a warm process, to the disk", spread([run["burst"] for run in runs], "ms", 0),
         target="≤ 200 ms")  # fmt: skip


def burst() -> None:
    """Make a burst of calls in a new process, then wait to be killed."""
    call = calls.our_model()
    for number in range(BURST):
        call(f"{calls.PROMPT}{number}")
    print("done", flush=True)
    time.sleep(60)


def kills(repeats: int) -> None:
    """Count the lost calls of a new process that is killed half a second after a burst."""
    progress("kills")
    lost = [float(BURST - _killed()) for _ in range(repeats)]
    line(f"SIGKILL {KILL_SECONDS * 1000:.0f} ms after a burst of {BURST:,} in a new process: lost",
         spread(lost, digits=0), target="0")  # fmt: skip


def _killed() -> int:
    """Return the number of calls in the journal of a killed process."""
    with tempfile.TemporaryDirectory() as folder:
        worker = subprocess.Popen(_command("burst", folder), stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(KILL_SECONDS)
        worker.kill()
        worker.wait()
        db = sqlite3.connect(f"{folder}/journal.db")
        return int(db.execute("SELECT count(*) FROM observations WHERE state <> 'open'").fetchone()[0])


def _command(what: str, folder: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.recorder", what, folder]


def _in_process(what: str) -> "subprocess.CompletedProcess[str]":
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(_command(what, folder), check=True, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    _, which, where = sys.argv
    calls.configure(NOWHERE, where)
    print(json.dumps({"disk": to_disk, "burst": burst}[which]()), flush=True)
    os._exit(0)
