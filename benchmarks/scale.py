"""Simulates a thousand machines that ship to one Langfuse: the load of a day, and of the hour after an outage.

The simulation runs the shipper's own code for back-off and pauses, on a simulated clock. It measures the size of a row
in messages made by the shipper's encoder. The simulated server answers 503 above its capacity in rows a second.

    python -m benchmarks.scale
"""

import argparse
import heapq
import json
import os
import random
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("PYTHON_DOTENV_DISABLED", "1")

from src.observability.shipping import delivery, otlp, shipper
from tests.million import trace

ROOT = Path(__file__).resolve().parents[1]

FLUSH_SECONDS = 30.0
OUTAGE_SECONDS = 3600.0


class Clock:
    """A simulated clock, in seconds, that replaces the module `time` in the shipper."""

    now = 0.0

    def monotonic(self) -> float:
        """Return the simulated time."""
        return self.now


class Run(NamedTuple):
    """The server's load after an outage."""

    peak_rows: int  # rows accepted in the busiest second
    peak_requests: int  # requests in the busiest second
    refused: int  # number of refused requests
    half_seconds: float  # seconds until half of the machines had no backlog
    drained_seconds: float  # seconds until no machine had a backlog


def simulated(machines: int, rows_a_second: float, capacity: float, rate: float, seed: int) -> Run:
    """Simulate an outage, and the time after it until each machine has sent its backlog."""
    os.environ["OBSERVABILITY_CATCH_UP_RATE"] = str(rate)
    chance = random.Random(seed)
    clock, shipper._random, delivery._random = Clock(), chance, chance  # type: ignore[assignment]
    shipper.time = clock  # type: ignore[assignment]
    backoffs = [shipper.Backoff() for _ in range(machines)]
    sent_until = [0.0] * machines  # for each machine, the time up to which its rows have been sent
    events = [(chance.uniform(0.0, FLUSH_SECONDS), machine) for machine in range(machines)]
    heapq.heapify(events)
    rows_in, requests_in = Counter[int](), Counter[int]()
    refused, done = 0, dict[int, float]()
    while len(done) < machines:
        clock.now, machine = heapq.heappop(events)
        second, backoff = int(clock.now), backoffs[machine]
        pending = (clock.now - sent_until[machine]) * rows_a_second
        is_backlog = clock.now - sent_until[machine] > delivery._BACKLOG_NS / 1e9
        batch = delivery.catch_up_rows() if is_backlog else delivery.BATCH_ROWS
        rows = min(batch, pending)
        is_up = clock.now >= OUTAGE_SECONDS
        requests_in[second] += is_up
        if not is_up or rows_in[second] + rows > capacity:
            refused += is_up
            backoff.fail(None)
            heapq.heappush(events, (clock.now + backoff.seconds(), machine))
            continue
        backoff.reset()
        rows_in[second] += round(rows)
        sent_until[machine] += rows / rows_a_second
        if pending <= batch:
            done.setdefault(machine, clock.now - OUTAGE_SECONDS)
        pause = delivery.catch_up_pause(round(rows)) if is_backlog else 0.0
        wait = pause if pending > batch else FLUSH_SECONDS
        heapq.heappush(events, (clock.now + max(wait, 0.05), machine))  # 0.05: a request takes 50 ms
    finished = sorted(done.values())
    return Run(max(rows_in.values()), max(requests_in.values()), refused, finished[machines // 2], finished[-1])


def bytes_of_a_row() -> tuple[float, float]:
    """Return an observation's size in bytes, as JSON and gzipped; its input has 2,000 characters, its output 400."""
    chance = random.Random(1)
    text = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "docs").glob("*.md")))
    rows = [{**row, "tags": []} for number in range(1, 101) for row in trace(chance, number * 10**9)[0]]
    for row in rows:
        at = chance.randrange(len(text) - 2000)
        row["input"], row["output"] = (json.dumps(text[at : at + length]) for length in (2000, 400))
    message = b"".join(otlp.message_of(rows, "pk-lf-0123456789"))
    return len(message) / len(rows), len(zlib.compress(message, 1)) / len(rows)


def main() -> None:
    """Print the load of a day and the hour after an outage."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--machines", type=int, default=1000)
    options.add_argument("--capacity", type=float, default=5000.0, help="rows a second that the server takes")
    chosen = options.parse_args()
    plain, packed = bytes_of_a_row()
    print(f"per row: {plain:,.0f} bytes of JSON, {packed:,.0f} gzipped\n")
    print("| rows per machine and day | rows per second, all machines | MB per second, gzipped | GB of JSON per day |")
    print("|---|---|---|---|")
    for rows in (15_000, 150_000):
        every = rows * chosen.machines / 86_400
        print(f"| {rows:,} | {every:,.0f} | {every * packed / 1e6:,.2f} | {every * 86_400 * plain / 1e9:,.0f} |")
    for capacity in (float("inf"), chosen.capacity):
        takes = "queues every row" if capacity == float("inf") else f"refuses more than {capacity:,.0f} rows a second"
        print(f"\nafter an outage of an hour; the server {takes}\n")
        _print_outages(chosen.machines, capacity)


def _print_outages(machines: int, capacity: float) -> None:
    print("| rows a day | rate | backlog | peak rows/s | peak requests/s | refused | half sent, s | all sent, s |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in (15_000, 150_000):
        for rate in (0, 100, 25, 5):
            a_second = rows / 86_400
            run = simulated(machines, a_second, capacity, rate, seed=7)
            figures = (a_second * OUTAGE_SECONDS * machines, *run)
            print(f"| {rows:,} | {rate or 'none'} | {' | '.join(f'{figure:,.0f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
