"""
🌙 Moon Dev's Process Benchmark
Built with love by Moon Dev 🚀

One library in a process of its own, so that all it does is counted, on whatever thread:

    python -m benchmarks.process LIBRARY ADDRESS CALLS PACE

prints, as JSON, the CPU microseconds of a call (export included), by how many MB the process grew after its first 1,000
calls, how long the longest call took, and how many took more than the 5 ms after which Python has a thread let go of
the interpreter.
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
LOOK_EVERY = 500  # calls, between which no queue overflows
STALL_US = 5_000


def flush_of(library: str) -> Callable[[], object]:
    """What waits until everything recorded is exported."""
    if library == "ours":
        from src.observability import runtime

        return lambda: runtime.flush(60)
    if library == "Langfuse @observe":
        from langfuse import get_client

        return get_client().flush
    return lambda: None


def cpu_seconds() -> float:
    """Of this process so far, all threads, user and system."""
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
        "stalls": sum(each > STALL_US for each in took),
    }


def _make(call: libraries.Call, calls: int, pace: float, flush: Callable[[], object]) -> "array[float]":
    """The calls; how many microseconds each took."""
    took = array("f")  # a list of so many floats would be what grows
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
        os._exit(0)  # what is exported at exit is not what is measured
