"""What the hooks cost where nothing is observed, and the import of the package: `python -m benchmarks.hooks`.

Both sides of each figure run in turn in one run; the smallest of many is shown, since the machine has other work.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ROUNDS, CALLS = 15, 5_000


def microseconds(call: Callable[[], Any]) -> float:
    """Thread CPU a call."""
    began = time.thread_time_ns()
    for _ in range(CALLS):
        call()
    return (time.thread_time_ns() - began) / CALLS / 1_000


def unobserved_call() -> float:
    """Microseconds that a hooked SDK method adds while tracing is off."""
    os.environ["ENABLE_LANGFUSE"] = "false"
    import openai
    from openai.resources.chat.completions import Completions

    from src.observability import instrumentation

    instrumentation.uninstall()
    plain = Completions.create
    client = openai.OpenAI(api_key="x", base_url="http://127.0.0.1:9")

    def answer(*_: Any, **__: Any) -> None:
        """In place of the request."""

    client.chat.completions._post = answer  # type: ignore[method-assign]
    instrumentation.install()
    hooked = Completions.create
    assert hooked is not plain, "the method is not hooked"
    asked: dict[str, Any] = {"model": "gpt-4o", "messages": []}
    chat = client.chat.completions
    pairs = [
        (microseconds(lambda: hooked(chat, **asked)), microseconds(lambda: plain(chat, **asked))) for _ in range(ROUNDS)
    ]
    return min(pair[0] for pair in pairs) - min(pair[1] for pair in pairs)


def import_milliseconds(code: str) -> float:
    """CPU milliseconds of a Python process that runs the code."""
    program = f"import time\n{code}\nprint(time.process_time())"
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        for _ in range(ROUNDS)
    ]
    return min(float(run.stdout) for run in runs) * 1_000


if __name__ == "__main__":
    importing = import_milliseconds("import src") - import_milliseconds("pass")
    print(f"import of the package: {importing:.0f} ms of CPU over bare Python")
    print(f"an unobserved call with the hooks in: {unobserved_call():.2f} µs more")
