"""Measure what tracing costs, and print a Markdown table: each figure with its spread, and its target.

Our calls run beside a bare OpenTelemetry SDK span and Langfuse's `@observe`; all export to one loopback server.
Absolute times differ between machines and with their load; compare the ratios of one run.

    python -m benchmarks.bench [--quick] [PART ...]

A full run takes about five minutes. Progress is printed on stderr.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version

from benchmarks import caller, process, recorder, start
from benchmarks.calls import configure
from benchmarks.table import HEAD

_PROCESSES = 3  # number of repeats if each repeat starts a process, which takes seconds
Part = Callable[[str, int, int], None]  # arguments: address of the sink, number of calls, number of repeats


def _caller(address: str, count: int, repeats: int) -> None:
    caller.paths(address, count, repeats)
    caller.off(address, count * 5, repeats)
    caller.stream(2_000, repeats)
    caller.throughput(address, 48, count * 4, repeats)
    caller.dropped()


def _process(address: str, count: int, _: int) -> None:
    process.cpu(address, count, _PROCESSES)
    process.memory(address, 10_000, _PROCESSES)


def _recorder(_: str, count: int, repeats: int) -> None:
    recorder.rows(count, repeats)
    recorder.disk(_PROCESSES)
    recorder.kills(repeats)


def _start(_: str, __: int, repeats: int) -> None:
    start.imports(repeats)


PARTS: dict[str, Part] = {"caller": _caller, "recorder": _recorder, "process": _process, "start": _start}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="repeat less, for a first look in less time")
    parser.add_argument("part", nargs="*", help=f"some of {', '.join(PARTS)}; all unless given")
    arguments = parser.parse_args()
    repeats, count = (3, 300) if arguments.quick else (5, 1_000)
    sink = subprocess.Popen([sys.executable, "-m", "benchmarks.sink"], stdout=subprocess.PIPE, text=True)
    assert sink.stdout is not None
    address = f"http://127.0.0.1:{sink.stdout.readline().strip()}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            configure(address, folder)
            _report(arguments.part or list(PARTS), address, count, repeats)
    finally:
        sink.terminate()


def _report(parts: list[str], address: str, count: int, repeats: int) -> None:
    print(f"{_machine()}\n\n{HEAD}", flush=True)
    began = time.monotonic()
    for part in parts:
        PARTS[part](address, count, repeats)
    print(f"\nLoad after: {_load()}; took {time.monotonic() - began:.0f} s")


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("langfuse", "opentelemetry-sdk", "openai"))
    when = time.strftime("%Y-%m-%d %H:%M")
    system = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"Python {platform.python_version()}, {libraries}, {system}, {when}, load {_load()}"


def _load() -> str:
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


if __name__ == "__main__":
    main()
