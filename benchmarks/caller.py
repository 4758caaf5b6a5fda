"""Measures the time that tracing adds to a call on the caller's thread, beside an OpenTelemetry span and Langfuse.

The libraries' calls alternate in random order in one process: compare the ratios.
"""

import os
import random
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.calls import KINDS, LANGFUSE, LIBRARIES, OURS, PLAIN, PROMPT, SPAN, Call, call_of, empty_method
from benchmarks.table import line, progress, ratios, spread

PACE_SECONDS = 0.005  # pause between calls, in which the CPU's caches fill with other code
LONG_PROMPTS = {
    "200 KB of text": PROMPT * 100,
    "200 KB as 200 messages": [{"role": "user", "content": PROMPT[:1000]} for _ in range(200)],
}
_ARTICLES = {"model": "a", "function": "a", "SDK": "an"}
TARGETS = {
    ("model", PACE_SECONDS): ("0.4", "0.06"),
    ("model", 0.0): ("0.25", "0.03"),
}  # (kind of call, pause) -> highest allowed ratio of our added time to an OpenTelemetry span's, and to Langfuse's

Repeats = dict[str, list[float]]  # library -> the median of each repeat, in added microseconds


def added(calls: dict[str, Call], prompt: Any, count: int, repeats: int, pace: float = 0.0) -> Repeats:
    """Return the median microseconds that each library adds to the plain call, for each repeat."""
    medians: Repeats = {name: [] for name in calls if name != PLAIN}
    for _ in range(repeats):
        flush()
        taken = _one_round(calls, prompt, count, pace)
        for name in medians:
            medians[name].append(statistics.median(taken[name]) - statistics.median(taken[PLAIN]))
    return medians


def _one_round(calls: dict[str, Call], prompt: Any, count: int, pace: float) -> dict[str, list[float]]:
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
                time.sleep(pace)
    return taken


def show(title: str, medians: Repeats, targets: tuple[str, str] = ("–", "–")) -> None:
    """Print two lines: our times compared with an OpenTelemetry span's, and compared with Langfuse's."""
    for name, target in zip((SPAN, LANGFUSE), targets, strict=True):
        beside = f"{name} {spread(medians[name], 'µs')}"
        line(title, spread(medians[OURS], "µs"), beside, ratios(medians[OURS], medians[name]), target)


def flush() -> None:
    """Wait until everything is journalled and shipped, so that a measurement begins with an empty queue."""
    from src.observability import runtime

    runtime.flush(60)


def paths(address: str, count: int, repeats: int) -> None:
    """Measure each kind of call on the caller's thread: after a pause, back to back, and with long prompts."""
    for kind in KINDS:
        calls = {library: call_of(kind, library, address) for library in LIBRARIES}
        _one_round(calls, PROMPT, 400, 0.0)  # one-time work: imports, compiling
        for title, pace in (("after a pause", PACE_SECONDS), ("back to back", 0.0)):
            progress(f"a call through {_ARTICLES[kind]} {kind}, {title}")
            medians = added(calls, PROMPT, count // 8 if pace else count // 2, repeats, pace)
            show(
                f"added to a call through {_ARTICLES[kind]} {kind}, {title}",
                medians,
                TARGETS.get((kind, pace), ("–", "–")),
            )
        if kind == "function":
            for title, prompt in LONG_PROMPTS.items():
                show(f"added to a call through a function, {title}", added(calls, prompt, count // 10, repeats))


def off(address: str, count: int, repeats: int) -> None:
    """Measure calls with tracing off: through a model, a function, and an SDK's client."""
    os.environ["ENABLE_LANGFUSE"] = "false"
    pairs = {kind: {library: call_of(kind, library, address) for library in (PLAIN, OURS)} for kind in KINDS[:2]}
    pairs["hooked method of an SDK"] = empty_method()
    for (kind, calls), target in zip(pairs.items(), ("≤ 0.5 µs", "–", "≤ 1 µs"), strict=True):
        batches = [_of_batches(calls, count) for _ in range(repeats * 3)]
        line(f"tracing off, added to a call through a {kind}", spread(batches, "µs", 2), target=target)
    os.environ["ENABLE_LANGFUSE"] = "true"


_BATCH = 50  # calls between two readings of the clock, as the readings take time too


def _of_batches(calls: dict[str, Call], count: int) -> float:
    """Return the microseconds that our code adds to a call: tenth percentile with our code, less that without it."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(count // _BATCH):
        for name, call in calls.items():
            began = time.perf_counter_ns()
            for _ in range(_BATCH):
                call(PROMPT)
            taken[name].append((time.perf_counter_ns() - began) / 1000 / _BATCH)
    return _quick(taken[OURS]) - _quick(taken[PLAIN])


def _quick(values: Sequence[float]) -> float:
    """Return the tenth percentile, since other processes can only add time."""
    return statistics.quantiles(values, n=10)[0]


def stream(chunks: int, repeats: int) -> None:
    """Measure the time that tracing adds to each piece of a streamed answer."""
    from src.observability import observe_llm

    def pieces(_: Any) -> Any:
        yield from ("piece" for _ in range(chunks))

    def once(call: Call) -> float:
        began = time.perf_counter()
        for _ in call(PROMPT):
            pass
        return (time.perf_counter() - began) * 1e6 / chunks

    traced = observe_llm(pieces)
    taken = [once(traced) - once(pieces) for _ in range(repeats * 4)]
    line(f"added to each piece of a stream of {chunks:,}", spread(taken, "µs", 2), target="≤ 1 µs")


def throughput(address: str, threads: int, count: int, repeats: int) -> None:
    """Measure the calls per second of many threads at once."""

    def once(call: Call) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: [call(PROMPT) for _ in range(count // threads)], range(threads)))
        flush()
        return count / (time.perf_counter() - began)

    progress(f"{threads} threads")
    calls = {library: call_of("function", library, address) for library in (OURS, LANGFUSE)}
    rates = {library: [once(call) for _ in range(repeats)] for library, call in calls.items()}
    beside = f"{LANGFUSE} {spread(rates[LANGFUSE], 'a second', 0)}"
    line(f"{threads} threads, calls until all are on disk", spread(rates[OURS], "a second", 0), beside,
         ratios(rates[OURS], rates[LANGFUSE]))  # fmt: skip


def dropped() -> None:
    """Print how many observations this process has lost."""
    from src.observability import runtime

    flush()
    health = runtime.health()
    line(f"dropped of {health['recorded']:,} recorded", f"{health['dropped']:,}", target="0")
