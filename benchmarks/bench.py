"""Measure the time that tracing adds to a call on the caller's thread, and print a Markdown table.

Ours runs beside a bare OpenTelemetry SDK span and Langfuse's `@observe`, interleaved in one process; all export to
one loopback sink. Absolute times differ between machines; compare the ratios of one run.

    python -m benchmarks.bench [--quick]
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, NamedTuple

from benchmarks.libraries import PROMPT, Call, answer, configure, named

PACE_SECONDS = 0.005  # 200 calls a second
BUSY_PACE_SECONDS = 0.0005  # faster than any fleet, so that the shipper is busy meanwhile
LONG_PROMPT = PROMPT * 100
MESSAGES = [{"role": "user", "content": PROMPT[:1000]} for _ in range(200)]


class Times(NamedTuple):
    """Added microseconds: medians of the repeats' medians and percentiles, the medians' spread, the longest."""

    median: float
    p95: float
    p99: float
    low: float
    high: float
    longest: float

    @classmethod
    def of(cls, repeats: Sequence[Sequence[float]]) -> "Times":
        """Summarise the microseconds of every repeat."""
        medians = [statistics.median(times) for times in repeats]
        ranks = [statistics.quantiles(times, n=100) for times in repeats]
        p95, p99 = (statistics.median(rank[at] for rank in ranks) for at in (94, 98))
        return cls(statistics.median(medians), p95, p99, min(medians), max(medians), max(map(max, repeats)))


def measured(calls: dict[str, Call], prompt: Any, count: int, repeats: int, pace: float) -> dict[str, Times]:
    """Microseconds that each library adds to the plain call, interleaved in random order."""
    names = [*calls, "plain"]
    taken: dict[str, list[list[float]]] = {name: [] for name in names}
    for _ in range(repeats):
        flush()
        one = _round({**calls, "plain": answer}, prompt, count, pace)
        for name in names:
            taken[name].append(one[name])
    plain = statistics.median(statistics.median(times) for times in taken["plain"])
    return {name: Times.of([[value - plain for value in times] for times in taken[name]]) for name in calls}


def _round(calls: dict[str, Call], prompt: Any, count: int, pace: float) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    for _ in range(count):
        random.shuffle(order)
        for name in order:
            call = calls[name]
            began = time.perf_counter_ns()
            call(prompt)
            taken[name].append((time.perf_counter_ns() - began) / 1000)
            if pace:
                time.sleep(pace / len(order))
    return taken


def show(title: str, results: dict[str, Times]) -> None:
    """One row per library, with its ratio to the bare span and to Langfuse."""
    span, langfuse = results["OpenTelemetry span"].median, results["Langfuse @observe"].median
    for name, times in results.items():
        print(
            f"| {title} | {name} | {times.median:.1f} ({times.low:.1f}–{times.high:.1f}) | {times.p95:.0f} |"
            f" {times.p99:.0f} | {times.longest:.0f} | {times.median / span:.2f} | {times.median / langfuse:.3f} |",
            flush=True,
        )


def throughput(call: Call, threads: int, count: int) -> float:
    """Calls per second of several threads at once."""

    def work(_: int) -> None:
        for _ in range(count // threads):
            call(PROMPT)

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    return count / (time.perf_counter() - began)


def import_milliseconds(statement: str, repeats: int) -> float:
    """Time of a new process that runs `statement`, less that of an empty one; the median."""

    def once(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - began) * 1000

    return statistics.median(once(statement) - once("pass") for _ in range(repeats))


def stream_microseconds(chunks: int) -> float:
    """Time that tracing adds to each piece of a streamed answer."""
    from src.observability import observe_llm

    def pieces(_: Any) -> Any:
        yield from ("piece" for _ in range(chunks))

    def once(call: Call) -> float:
        began = time.perf_counter()
        for _ in call(PROMPT):
            pass
        return (time.perf_counter() - began) * 1e6 / chunks

    traced = observe_llm(pieces)
    return statistics.median(once(traced) - once(pieces) for _ in range(20))


def in_processes(address: str, calls: int, repeats: int, pace: float) -> dict[str, dict[str, float]]:
    """CPU microseconds of a call and growth in MB, per library in its own processes; medians."""
    names = ["plain", "ours", "OpenTelemetry span", "Langfuse @observe"]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            runs[name].append(_process(name, address, calls, pace))
    return {
        name: {key: statistics.median(run[key] for run in repeats) for key in repeats[0]}
        for name, repeats in runs.items()
    }


def _process(name: str, address: str, calls: int, pace: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.process", name, address, str(calls), str(pace)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


_CREATE = """
import os, time
os.environ["ANTHROPIC_KEY"] = "sk-ant-api03-" + "0" * 95
from src.models.model_factory import ModelFactory
taken = []
for _ in range(10):
    began = time.perf_counter()
    ModelFactory.create_model("anthropic")
    taken.append((time.perf_counter() - began) * 1000)
print("\\n", taken[0], max(taken[1:]))
"""


def create_milliseconds() -> tuple[float, float]:
    """`create_model("anthropic")` in a new process: the first call, and the slowest of the next nine."""
    done = subprocess.run([sys.executable, "-c", _CREATE], check=True, capture_output=True, text=True)
    first, later = done.stdout.splitlines()[-1].split()
    return float(first), float(later)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="under a minute, for a first look")
    quick = parser.parse_args().quick
    repeats, count = (2, 200) if quick else (5, 1000)
    sink = subprocess.Popen([sys.executable, "-m", "benchmarks.sink"], stdout=subprocess.PIPE, text=True)
    assert sink.stdout is not None
    address = f"http://127.0.0.1:{sink.stdout.readline().strip()}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            configure(address, folder)
            _report(address, repeats, count)
    finally:
        sink.terminate()


def _report(address: str, repeats: int, count: int) -> None:
    calls = {name: make() for name, make in named(address).items() if name != "plain"}
    for call in calls.values():
        call(PROMPT)  # imports
    time.sleep(1)
    print(
        f"Python {platform.python_version()}, langfuse {version('langfuse')}, opentelemetry-sdk"
        f" {version('opentelemetry-sdk')}, {platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n"
    )
    print("| added to a call, µs | library | median (spread) | p95 | p99 | longest | of a bare span | of Langfuse |")
    print("|---|---|---|---|---|---|---|---|")
    show("2 KB, 200 calls a second", measured(calls, PROMPT, count // 2, repeats, PACE_SECONDS))
    short = measured(calls, PROMPT, count, repeats, 0)
    show("2 KB, back to back", short)
    long = measured(calls, LONG_PROMPT, count // 5, repeats, 0)
    show("200 KB of text, back to back", long)
    show("200 KB as 200 messages, back to back", measured(calls, MESSAGES, count // 5, repeats, 0))
    print("\n| what | measured | target |\n|---|---|---|")
    _row("200 KB against 2 KB of text", f"{long['ours'].median / short['ours'].median:.2f} times", "1.3")
    _row("tracing off, added to a call", f"{_off(calls['ours'], count * 5, repeats):.2f} µs", "2")
    _row("a piece of a stream of 2,000", f"{stream_microseconds(2000):.2f} µs", "1")
    flush()
    rate = {name: throughput(calls[name], 48, count * 20) for name in ("ours", "Langfuse @observe")}
    times = rate["ours"] / rate["Langfuse @observe"]
    _row(f"48 threads, {count * 20:,} calls, throughput against Langfuse", f"{times:.1f} times", "3")
    _show_health()
    _show_processes(address, repeats if repeats > 2 else 1, count)
    for flag in ("true", "false"):
        os.environ["ENABLE_LANGFUSE"] = flag
        took = import_milliseconds("from src.models.model_factory import ModelFactory", repeats * 2)
        _row(f"importing the factory, ENABLE_LANGFUSE={flag}", f"{took:.0f} ms", "120")
    first, later = create_milliseconds()
    _row("create_model: the first, with its SDK's import", f"{first:.0f} ms", "–")
    _row("create_model: the slowest of the next nine", f"{later:.2f} ms", "1")


def _row(title: str, value: str, target: str) -> None:
    print(f"| {title} | {value} | {target} |", flush=True)


def _off(call: Call, count: int, repeats: int) -> float:
    os.environ["ENABLE_LANGFUSE"] = "false"
    times = measured({"ours": call}, PROMPT, count, repeats, 0)["ours"]
    os.environ["ENABLE_LANGFUSE"] = "true"
    return times.median


def flush() -> None:
    """Wait until everything is journalled and shipped, so that a measurement begins with an empty queue."""
    from src.observability import LangFuseTracker

    LangFuseTracker().flush(60)


def _show_health() -> None:
    from src.observability import LangFuseTracker

    flush()
    health = LangFuseTracker().health()
    _row(f"dropped of {health['recorded']:,} recorded", f"{health['dropped']:,}", "0")


def _show_processes(address: str, repeats: int, count: int) -> None:
    for title, pace in (("200 calls a second", PACE_SECONDS), ("as fast as they export", 0.0)):
        results = in_processes(address, count if pace else count * 5, repeats, pace)
        plain = results["plain"]["cpu_us"]
        added = {name: result["cpu_us"] - plain for name, result in results.items() if name != "plain"}
        text = ", ".join(f"{name} {us:.0f} µs" for name, us in added.items())
        ratio = added["ours"] / added["Langfuse @observe"]
        _row(f"CPU of the whole process added to a call, {title}: {text}", f"{ratio:.2f} of Langfuse", "1")
    results = in_processes(address, count * 20, 1, BUSY_PACE_SECONDS)
    text = ", ".join(f"{name} {run['stalls']:.0f} ({run['longest_ms']:.1f} ms)" for name, run in results.items())
    _row(f"calls of {count * 20:,} that took over 5 ms, while it ships, and the longest: {text}", "ours", "0")
    grown = _process("ours", address, count * 100, 0.0)["grown_mb"]
    _row(f"memory after {count * 100:,} calls", f"{grown:+.1f} MB", "30")


if __name__ == "__main__":
    main()
