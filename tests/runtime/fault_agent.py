"""An agent that calls every provider once per outcome, under one fault: `python -m tests.runtime.fault_agent FAULT`.

It prints one line of JSON for each call (result or exception, and a random number), so that runs can be compared.
"""

import asyncio
import contextlib
import importlib
import json
import os
import random
import resource
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_kept: list[Any] = []  # connection and files that stay open until the process ends


class StalledImports:
    """An import finder that delays each import on this package's threads by two seconds, and finds nothing."""

    def find_spec(self, *_: Any) -> None:
        """Wait two seconds if called on one of this package's threads; find nothing."""
        if threading.current_thread().name.startswith("moondev-observability"):
            time.sleep(2)


def lock_journal() -> None:
    """Lock the journal from another connection, until the process ends."""
    path = Path(os.environ["OBSERVABILITY_JOURNAL"])
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE IF NOT EXISTS other (x)")
    connection.execute("BEGIN EXCLUSIVE")
    _kept.append(connection)


def fill_disk() -> None:
    """Limit all files to one block, so that larger writes fail."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))


def refuse_threads() -> None:
    """Make the start of any thread fail."""

    def refused(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    threading._start_new_thread = refused  # type: ignore[attr-defined]
    if hasattr(threading, "_start_joinable_thread"):
        threading._start_joinable_thread = refused


def take_descriptors() -> None:
    """Use up all file descriptors, so that no file or connection can be opened."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    with contextlib.suppress(OSError):
        while True:
            _kept.append(os.open("/dev/null", os.O_RDONLY))


def break_journal() -> None:
    """Replace the journal's folder by a file."""
    folder = Path(os.environ["OBSERVABILITY_JOURNAL"]).parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file, not a folder")


FAULTS: dict[str, Callable[[], object]] = {
    "none": lambda: None,
    "broken journal": break_journal,
    "locked journal": lock_journal,
    "full disk": fill_disk,
    "no threads": refuse_threads,
    "no descriptors": take_descriptors,
    "closed stderr": lambda: os.close(2),
    "stalled imports": lambda: sys.meta_path.insert(0, StalledImports()),  # type: ignore[arg-type]
    "ASCII locale": lambda: None,  # the test sets this locale in the agent's environment
}


async def _collected(pieces: Any) -> str:
    return "".join([piece async for piece in pieces])


def _asked(model: Any, asked: str) -> str | None:
    outcome, _, way = asked.partition(" by ")
    prompt = ("You are a liquidation analyst", f"OUTCOME:{outcome}", 0.3, 200)
    if way == "stream":
        return "".join(model.stream_response(*prompt))
    if way == "astream":
        return asyncio.run(_collected(model.astream_response(*prompt)))
    response = model.generate_response(*prompt)
    return response and response.content


def outcome_of(model: Any, outcome: str) -> list[Any]:
    """Call the model; return "answer" and the answer's text, or the exception's type and text."""
    try:
        return ["answer", _asked(model, outcome)]
    except Exception as error:  # noqa: BLE001 - any exception is compared
        return [type(error).__name__, str(error)]


def main(fault: str, providers: list[str], outcomes: list[str]) -> None:
    """Activate the fault, then make every call and print its outcome."""
    factory = importlib.import_module("src.models.model_factory").ModelFactory
    models = {name: factory.create_model(name) for name in providers}
    FAULTS[fault]()
    random.seed(42)
    for name, model in models.items():
        for outcome in outcomes:
            print(json.dumps([name, outcome, outcome_of(model, outcome), random.random()]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]))
