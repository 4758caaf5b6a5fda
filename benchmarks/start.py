"""Measures the start of a process: the imports of the package and the factory, and `create_model`."""

import os
import subprocess
import sys

from benchmarks.table import line, progress, spread

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


def import_milliseconds(code: str, repeats: int) -> list[float]:
    """Return, for each repeat, the CPU milliseconds that the code adds to a bare Python process."""
    return [_cpu(code) - _cpu("pass") for _ in range(repeats)]


def _cpu(code: str) -> float:
    program = f"import time\n{code}\nprint(time.process_time())"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(ended.stdout.splitlines()[-1]) * 1000


def imports(repeats: int) -> None:
    """Measure the imports and the `create_model` that an agent runs before its first call."""
    progress("imports")
    taken = import_milliseconds("import src", repeats * 3)
    line("import of the package, CPU", spread(taken, "ms", 0), target="≤ 60 ms")
    for flag in ("true", "false"):
        os.environ["ENABLE_LANGFUSE"] = flag
        taken = import_milliseconds("from src.models.model_factory import ModelFactory", repeats * 2)
        line(f"import of the factory, ENABLE_LANGFUSE={flag}, CPU", spread(taken, "ms", 0), target="≤ 120 ms")
    os.environ["ENABLE_LANGFUSE"] = "true"
    _creations()


def _creations() -> None:
    progress("create_model")
    runs = [
        subprocess.run([sys.executable, "-c", _CREATE], check=True, capture_output=True, text=True).stdout.split()[-2:]
        for _ in range(3)
    ]
    first, later = ([float(run[at]) for run in runs] for at in (0, 1))
    line("create_model: the first, with its SDK's import", spread(first, "ms", 0))
    line("create_model: the slowest of the next nine", spread(later, "ms", 2), target="≤ 1 ms")
