"""Records a fleet's calls of a whole day at full speed: `python -m tests.runtime.day_worker OBSERVATIONS`.

The calls come as fast as the recorder and the shipper can take them. Prints the process's memory, threads and file
handles as JSON.
"""

import gc
import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from src.observability import LangFuseTracker, ObservabilityContext, observe_llm, runtime, settings
from src.observability.journal.store import Journal

WARM_UP = 10_000  # number of observations after which memory must not grow any more
THREADS = 8
SIGNAL_EVERY = LOOK_EVERY = 2_000
MOST_QUEUED = 4_000
MOST_PENDING = 20_000


@observe_llm(name="llm_generation")
def ask(prompt: str, temperature: float = 0.3) -> str:
    """Stand in for a model that answers at once."""
    return "NOTHING\nNo clear edge\nConfidence: 40%"


def measured() -> dict[str, float]:
    """Return the memory, threads and file handles of this process."""
    gc.collect()
    process = psutil.Process()
    return {"rss_mb": process.memory_info().rss / 2**20, "threads": threading.active_count(), "fds": process.num_fds()}


def wait_for_room(journal: Journal) -> None:
    """Wait while the queue or the backlog is long: a real day has pauses in which both become empty."""
    recorder = runtime.running().recorder
    while recorder.waiting > MOST_QUEUED or journal.counts().get("pending", 0) > MOST_PENDING:
        time.sleep(0.01)


def largest_mb(so_far: float) -> float:
    """Return the larger of `so_far` and the journal's present size in megabytes."""
    return max(so_far, settings.journal_path().stat().st_size / 2**20)


def retries(seconds: int) -> Iterator[int]:
    """Yield up to `seconds` times, once a second, to let the caller retry `flush` while the server is unavailable."""
    for number in range(seconds):
        time.sleep(min(number, 1))
        yield number


def part(numbers: range) -> None:
    """Make one thread's share of the calls. Signals are rare, since the scores of each signal need a request."""
    for number in numbers:
        ask(f"Longs of {number} USD were liquidated. BTC, ETH, SOL: what now?")
        if number % SIGNAL_EVERY == 0:
            ObservabilityContext.add_trading_signal("BUY", number % 100, "The day goes on")


def day(count: int) -> dict[str, Any]:
    """Record `count` observations from eight threads; return the measurements."""
    ask("the first of the day")
    LangFuseTracker().flush(5)
    journal, journal_mb, warm = Journal(settings.journal_path(), create=False), 0.0, measured()
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(1, count, LOOK_EVERY):
            numbers = range(start, min(start + LOOK_EVERY, count))
            list(pool.map(part, [numbers[thread::THREADS] for thread in range(THREADS)]))
            wait_for_room(journal)
            journal_mb = largest_mb(journal_mb)
            if start <= min(WARM_UP, count // 2):
                warm = measured()
    journal.close()
    all_shipped = any(LangFuseTracker().flush(60) for _ in retries(60))
    return {"all_shipped": all_shipped, "warm": warm, "end": measured(), "journal_mb": largest_mb(journal_mb),
            **LangFuseTracker().health()}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(day(int(sys.argv[1]))))
