"""Measure one library in a process of its own, so that the work of all its threads counts.

    python -m benchmarks.process LIBRARY ADDRESS CALLS PACE

Prints, as JSON, the CPU microseconds of a call (export included), the growth in MB after the first 1,000 calls, the
longest call, and the number of calls over 5 ms (Python's switch interval, after which a thread yields).
"""

import json
import os
import resource
import sys
import tempfile
import time
from array import array
from collections.abc import Callable

import psutil

from benchmarks import libraries

WARM_UP = 1_000  # calls
LOOK_EVERY = 500  # calls; no queue overflows between two looks
STALL_US = 5_000


def flush_of(library: str) -> Callable[[], object]:
    """The function that waits until everything recorded is exported."""
    if library == "ours":
        from src.observability import runtime

        return lambda: runtime.flush(60)
    if library == "Langfuse @observe":
        from langfuse import get_client

        return get_client().flush
    return lambda: None


def cpu_seconds() -> float:
    """CPU seconds of this process so far: all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(library: str, address: str, calls: int, pace: float) -> dict[str, float]:
    """CPU microseconds of a call; MB of growth; the longest call in milliseconds, and how many stalled."""
    call = libraries.named(address)[library]()
    flush = flush_of(library)
    process = psutil.Process()
    _make(call, WARM_UP, pace, flush)
    rss, cpu = process.memory_info().rss, cpu_seconds()
    took = _make(call, calls, pace, flush)
    return {
        "cpu_us": (cpu_seconds() - cpu) / calls * 1e6,
        "grown_mb": (process.memory_info().rss - rss) / 2**20,
        "longest_ms": max(took) / 1000,
        "stalls": sum(time > STALL_US for time in took),
    }


def _make(call: libraries.Call, calls: int, pace: float, flush: Callable[[], object]) -> "array[float]":
    """Run the calls and return the microseconds of each."""
    took = array("f")  # a list of floats would itself be the growth measured
    for number in range(calls):
        prompt = f"{libraries.PROMPT}{number}"
        began = time.perf_counter_ns()
        call(prompt)
        took.append((time.perf_counter_ns() - began) / 1000)
        if pace:
            time.sleep(pace)
        elif number % LOOK_EVERY == 0:
            flush()
    flush()
    return took


if __name__ == "__main__":
    _, which, where, count, seconds = sys.argv
    with tempfile.TemporaryDirectory() as folder:
        libraries.configure(where, folder)
        print(json.dumps(measured(which, where, int(count), float(seconds))), flush=True)
        os._exit(0)  # exports at exit are not measured
