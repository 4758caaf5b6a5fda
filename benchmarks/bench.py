"""
🌙 Moon Dev's Benchmark
Built with love by Moon Dev 🚀

What tracing adds to a call on the caller's thread: ours beside a bare OpenTelemetry SDK span and Langfuse's own
`@observe`, interleaved in one process, all three exporting to one loopback sink. Prints a Markdown table. Absolute
figures move with the machine; the ratios of one run are what counts.

    python -m benchmarks.bench [--quick]
"""

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, NamedTuple

PACE_SECONDS = 0.005  # 200 calls a second
Call = Callable[[Any], Any]


class Times(NamedTuple):
    """Added microseconds: medians of the repeats' medians, 95th and 99th percentiles, and the medians' spread."""

    median: float
    p95: float
    p99: float
    low: float
    high: float

    @classmethod
    def of(cls, repeats: Sequence[Sequence[float]]) -> "Times":
        """Of the microseconds of each repeat."""
        medians = [statistics.median(each) for each in repeats]
        ranks = [statistics.quantiles(each, n=100) for each in repeats]
        p95, p99 = (statistics.median(rank[at] for rank in ranks) for at in (94, 98))
        return cls(statistics.median(medians), p95, p99, min(medians), max(medians))


def answer(prompt: Any) -> str:  # noqa: ARG001 - what a model would be asked
    """What is called: as little as can be."""
    return "BUY\nLongs flushed out\nConfidence: 72%"


def ours() -> Call:
    """`@observe_llm`."""
    from src.observability import observe_llm

    return observe_llm(name="llm_generation")(answer)


def bare_span(address: str) -> Call:
    """A span of the OpenTelemetry SDK with ten attributes, batched and exported as OTLP."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{address}/v1/traces")))
    tracer = provider.get_tracer("bench")

    def call(prompt: Any) -> Any:
        with tracer.start_as_current_span("llm_generation") as span:
            result = answer(prompt)
            span.set_attribute("input", prompt if isinstance(prompt, str) else str(prompt))
            span.set_attribute("output", result)
            for number in range(8):
                span.set_attribute(f"attribute.{number}", number)
            return result

    return call


def langfuse_observe(address: str) -> Call:
    """Langfuse's `@observe`, with a tracer provider of its own."""
    from langfuse import Langfuse, observe
    from opentelemetry.sdk.trace import TracerProvider

    Langfuse(public_key="pk-lf-bench", secret_key="sk-lf-bench", base_url=address, tracer_provider=TracerProvider())
    decorated: Call = observe(name="llm_generation", as_type="generation")(answer)
    return decorated


def measured(calls: dict[str, Call], prompt: Any, count: int, repeats: int, pace: float) -> dict[str, Times]:
    """Microseconds that each adds to the plain call: interleaved in random order, so that all meet the same machine."""
    names = [*calls, "plain"]
    taken: dict[str, list[list[float]]] = {name: [] for name in names}
    for _ in range(repeats):
        one = _round({**calls, "plain": answer}, prompt, count, pace)
        for name in names:
            taken[name].append(one[name])
    plain = statistics.median(statistics.median(each) for each in taken["plain"])
    return {name: Times.of([[value - plain for value in each] for each in taken[name]]) for name in calls}


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


def show(title: str, found: dict[str, Times]) -> None:
    """One row a library, with its ratio to the bare span and to Langfuse."""
    span, langfuse = found["OpenTelemetry span"].median, found["Langfuse @observe"].median
    for name, each in found.items():
        print(
            f"| {title} | {name} | {each.median:.1f} ({each.low:.1f}–{each.high:.1f}) | {each.p95:.0f} |"
            f" {each.p99:.0f} | {each.median / span:.2f} | {each.median / langfuse:.3f} |",
            flush=True,
        )


def throughput(call: Call, threads: int, count: int) -> float:
    """Calls a second of so many threads at once."""

    def work(_: int) -> None:
        for _ in range(count // threads):
            call(PROMPT)

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    return count / (time.perf_counter() - began)


def import_milliseconds(statement: str, repeats: int) -> float:
    """A fresh process that runs `statement`, less one that does nothing; the median."""

    def once(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - began) * 1000

    return statistics.median(once(statement) - once("pass") for _ in range(repeats))


def stream_microseconds(chunks: int) -> float:
    """What tracing adds to each piece of a streamed answer."""
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


PROMPT = "Longs liquidated: 12,345,678 USD in fifteen minutes. " * 40  # 2 KB
LONG_PROMPT = PROMPT * 100
MESSAGES = [{"role": "user", "content": PROMPT[:1000]} for _ in range(200)]


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
            _settings(address, folder)
            _report(address, repeats, count)
    finally:
        sink.terminate()


def _settings(address: str, folder: str) -> None:
    os.environ.update(
        PYTHON_DOTENV_DISABLED="1", ENABLE_LANGFUSE="true", LANGFUSE_HOST=address, LANGFUSE_PUBLIC_KEY="pk-lf-bench",
        LANGFUSE_SECRET_KEY="sk-lf-bench-0123456789", OBSERVABILITY_JOURNAL=f"{folder}/journal.db",
        LANGFUSE_FLUSH_INTERVAL="5",
    )  # fmt: skip


def _report(address: str, repeats: int, count: int) -> None:
    calls = {
        "ours": ours(),
        "OpenTelemetry span": bare_span(address),
        "Langfuse @observe": langfuse_observe(address),
    }
    for call in calls.values():
        call(PROMPT)  # imports
    time.sleep(1)
    print(
        f"Python {platform.python_version()}, langfuse {version('langfuse')}, opentelemetry-sdk"
        f" {version('opentelemetry-sdk')}, {platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n"
    )
    print("| added to a call, µs | library | median (spread of repeats) | p95 | p99 | of a bare span | of Langfuse |")
    print("|---|---|---|---|---|---|---|")
    show("2 KB, 200 calls a second", measured(calls, PROMPT, count // 2, repeats, PACE_SECONDS))
    short = measured(calls, PROMPT, count, repeats, 0)
    show("2 KB, back to back", short)
    long = measured(calls, LONG_PROMPT, count // 5, repeats, 0)
    show("200 KB of text, back to back", long)
    show("200 KB as 200 messages, back to back", measured(calls, MESSAGES, count // 5, repeats, 0))
    print("\n| what | measured |")
    print("|---|---|")
    print(f"| 200 KB against 2 KB of text, ours | {long['ours'].median / short['ours'].median:.2f} times |")
    os.environ["ENABLE_LANGFUSE"] = "false"
    off = measured({"ours": calls["ours"]}, PROMPT, count * 5, repeats, 0)["ours"]
    os.environ["ENABLE_LANGFUSE"] = "true"
    print(f"| tracing off, added to a call | {off.median:.2f} µs |")
    print(f"| a piece of a stream of 2,000 | {stream_microseconds(2000):.2f} µs |")
    rate = {name: throughput(calls[name], 48, count * 20) for name in ("ours", "Langfuse @observe")}
    print(
        f"| 48 threads, {count * 20:,} calls, against Langfuse | {rate['ours'] / rate['Langfuse @observe']:.1f} times |"
    )
    for flag in ("true", "false"):
        os.environ["ENABLE_LANGFUSE"] = flag
        took = import_milliseconds("from src.models.model_factory import ModelFactory", repeats * 2)
        print(f"| importing the factory, ENABLE_LANGFUSE={flag} | {took:.0f} ms |")
    os.environ["ENABLE_LANGFUSE"] = "true"
    from src.observability import LangFuseTracker

    LangFuseTracker().flush(60)
    health = LangFuseTracker().health()
    print(f"| dropped of {health['recorded']:,} recorded | {health['dropped']:,} |")


if __name__ == "__main__":
    main()
