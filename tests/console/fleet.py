"""Adds second calls and outcomes to the traces that `tests.million.fill` wrote."""

import random
from itertools import pairwise

from src.observability.journal.store import Journal
from src.observability.recording.outcome import rows_of_outcome, scores_of_outcome


def ask_others(journal: Journal, traces: int) -> None:
    """Append a second call to this number of traces: a copy of the next trace's call that ends after the first one."""
    calls = journal.select("SELECT * FROM observations WHERE type = 'generation' LIMIT ?", (traces + 1,))
    own = ("trace_id", "parent_id", "agent", "session_id", "trace_name")
    second = [
        {**other, **{name: call[name] for name in own}, "id": f"{number:016x}", "start_ns": call["start_ns"] + 1000,
         "end_ns": call["end_ns"] + 2_000_000_000}
        for number, (call, other) in enumerate(pairwise(calls), start=10**9)
    ]  # fmt: skip
    journal.append(second, [])


def judge(journal: Journal, traces: int) -> None:
    """Append outcomes to this number of traces, in USD and percent or in percent only; correct one in four of them."""
    chance = random.Random(6)
    ids = [row["trace_id"] for row in journal.select("SELECT trace_id FROM observations WHERE is_root")]
    for trace_id in chance.sample(ids, traces):
        for _ in range(1 + (chance.random() < 0.25)):
            usd = chance.gauss(1, 10)
            outcome = scores_of_outcome(trace_id, *((None, usd) if trace_id[0] in "012" else (usd, usd / 7)))
            journal.append([], rows_of_outcome(journal, trace_id, outcome, None))
