"""Measure calls through a model in a process of their own, so that the work of all its threads counts.

    python -m benchmarks.process LIBRARY ADDRESS CALLS PACE [--no-redaction] [--no-pause]

PACE is the pause after each call, in seconds. With PACE 0, the process flushes after every 500 calls, or only at the
end with `--no-pause`. Prints JSON: `first_ms`, CPU of the first 400 calls, imports included; `cpu_us`, CPU of each call
after those, export included; `grown_mb`, the memory that CALLS add; `longest_ms`, the longest call; `stalls`, the
number of calls over 5 ms (Python's switch interval, after which a thread yields).
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from benchmarks import calls
from benchmarks.caller import PACE_SECONDS
from benchmarks.calls import LANGFUSE, LIBRARIES, OURS, PLAIN, SPAN
from benchmarks.table import line, progress, ratios, spread

FIRST = 400  # number of first calls, which include all one-time work
STALL_US = 5_000
NO_REDACTION, NO_PAUSE = "--no-redaction", "--no-pause"  # NO_PAUSE turns off the flush after every 500 calls
BUSY_PACE_SECONDS = 0.0005  # pause between calls, shorter than in any fleet, so that the shipper is always busy
LOOK_EVERY = 500  # calls between two flushes, so few that OpenTelemetry's queue of 2,048 spans does not overflow

Run = dict[str, float]


def flush_of(library: str, call: calls.Call) -> Callable[[], object]:
    """Return the function that waits until every recorded observation is exported."""
    if library == OURS:
        from src.observability import runtime

        return lambda: runtime.flush(60)
    if library == LANGFUSE:
        from langfuse import get_client

        return get_client().flush
    return getattr(call, "flush", lambda: None)  # only a bare span's call has a `flush`


def measured(library: str, address: str, count: int, pace: float, look_every: int) -> Run:
    """Return one library's figures, which the module's docstring explains."""
    before = time.process_time()
    call = calls.call_of("model", library, address)
    call("")
    flush = flush_of(library, call)
    _make(call, FIRST, pace, flush, look_every)
    first, process = time.process_time() - before, psutil.Process()
    rss, cpu = process.memory_info().rss, time.process_time()
    took = _make(call, count, pace, flush, look_every)
    return {
        "first_ms": first * 1000,
        "cpu_us": (time.process_time() - cpu) / count * 1e6,
        "grown_mb": (process.memory_info().rss - rss) / 2**20,
        "longest_ms": max(took) / 1000,
        "stalls": sum(time > STALL_US for time in took),
    }


def _make(call: calls.Call, count: int, pace: float, flush: Callable[[], object], look_every: int) -> "array[float]":
    """Run the calls and return the microseconds of each."""
    took = array("f")  # a list of floats would grow the measured memory
    for number in range(count):
        prompt = f"{calls.PROMPT}{number}"
        began = time.perf_counter_ns()
        call(prompt)
        took.append((time.perf_counter_ns() - began) / 1000)
        if pace:
            time.sleep(pace)
        elif number % look_every == 0:
            flush()
    flush()
    return took


def in_process(library: str, address: str, count: int, pace: float, *options: str) -> Run:
    """Run this module in a new process, and return the figures that it prints."""
    command = [sys.executable, "-m", __name__, library, address, str(count), str(pace), *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def cpu(address: str, count: int, repeats: int) -> None:
    """Measure the CPU time that a call adds to the process, with and without redaction, and the one-time work."""
    for title, pace in (("200 calls a second", PACE_SECONDS), ("as fast as they export", 0.0)):
        runs = _side_by_side(address, count // 2 if pace else count * 3, repeats, pace)
        ours, bare, langfuse, clear = (list(_added(runs, name, "cpu_us")) for name in (OURS, SPAN, LANGFUSE, _CLEAR))
        added, beside = f"process CPU added to a call, {title}", f"{LANGFUSE} {spread(langfuse, 'µs', 0)}"
        line(added, spread(ours, "µs", 0), beside, ratios(ours, langfuse), "1")
        line(f"{added}, without redaction", spread(clear, "µs", 0), beside, ratios(clear, langfuse))
        beside = f"{SPAN} {spread(bare, 'µs', 0)}"
        line(f"{added}, beside a bare span", spread(ours, "µs", 0), beside, ratios(ours, bare))
        if pace:
            _show_first(runs)


_CLEAR = f"{OURS} without redaction"


def _side_by_side(address: str, count: int, repeats: int, pace: float) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in (*LIBRARIES, _CLEAR)}
    for repeat in range(repeats):
        progress(f"process CPU of a call, a pause of {pace * 1000:g} ms, repeat {repeat + 1} of {repeats}")
        for name in runs:
            options = (OURS, (NO_REDACTION,)) if name == _CLEAR else (name, ())
            runs[name].append(in_process(options[0], address, count, pace, *options[1]))
    return runs


def _added(runs: dict[str, list[Run]], name: str, key: str) -> Iterator[float]:
    plain = statistics.median(run[key] for run in runs[PLAIN])
    return (run[key] - plain for run in runs[name])


def _show_first(runs: dict[str, list[Run]]) -> None:
    """Print the CPU time of one-time work (imports, compiling, a new journal): 400 first calls minus 400 later ones."""

    def once(name: str) -> list[float]:
        return [run["first_ms"] - FIRST * run["cpu_us"] / 1000 for run in runs[name]]

    beside = f"{LANGFUSE} {spread(once(LANGFUSE), 'ms', 0)}"
    line("one-time work after a start, CPU", spread(once(OURS), "ms", 0), beside, ratios(once(OURS), once(LANGFUSE)),
         "≤ 120 ms")  # fmt: skip


def memory(address: str, count: int, repeats: int) -> None:
    """Measure memory growth over `count` calls back to back, and stalls while the shipper is busy."""
    progress("memory")
    grown = {
        name: [in_process(name, address, count, 0.0, NO_PAUSE)["grown_mb"] for _ in range(repeats)]
        for name in (OURS, SPAN)
    }
    line(f"memory after {count:,} calls back to back", spread(grown[OURS], "MB"), f"{SPAN} {spread(grown[SPAN], 'MB')}",
         ratios(grown[OURS], grown[SPAN]), "1")  # fmt: skip
    progress("stalls")
    runs = {name: in_process(name, address, count, BUSY_PACE_SECONDS) for name in (OURS, LANGFUSE)}
    text = {name: f"{run['stalls']:.0f}, longest {run['longest_ms']:.1f} ms" for name, run in runs.items()}
    line(f"calls of {count:,} over 5 ms, while it ships", text[OURS], f"{LANGFUSE} {text[LANGFUSE]}", target="0")


def _redact_nothing() -> None:
    """Replace redaction by a function without effect, to measure redaction's share."""
    from src.observability.recording import row

    class Unchanged:
        def redact_all(self, values: list[Any]) -> list[Any]:
            return values

    row.Redactor = Unchanged  # type: ignore[assignment, misc]


if __name__ == "__main__":
    _, which, where, number, seconds, *options = sys.argv
    with tempfile.TemporaryDirectory() as folder:
        calls.configure(where, folder)
        if NO_REDACTION in options:
            _redact_nothing()
        every = int(number) if NO_PAUSE in options else LOOK_EVERY
        print(json.dumps(measured(which, where, int(number), float(seconds), every)), flush=True)
        os._exit(0)  # ends at once: exports at exit are not measured
