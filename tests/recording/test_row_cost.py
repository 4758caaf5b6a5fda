"""The cost of making a row, counted in function calls, because a count is the same on a busy machine.

`python -m benchmarks.bench recorder` measures the microseconds.
"""

import itertools
from collections import Counter
from types import SimpleNamespace

from src.observability.journal.store import Journal
from src.observability.recording import answer, usage
from src.observability.recording.row import row_of
from src.observability.tracing import Observation, Reply
from tests.tracing.counting import counted

MOST_CALLS = 750  # a row of 2 KB takes 534 calls (Python and C); it took 3,800 when usage was read field by field
PROMPT = "Longs liquidated: 12,345,678 USD in fifteen minutes. " * 40
USAGE = {"prompt_tokens": 812, "completion_tokens": 14, "total_tokens": 826}
_numbers = itertools.count()


def generation() -> Observation:
    """Return the observation of a model call, with a prompt that no other observation has."""
    call = Observation("llm_generation", "generation")
    call.model_parameters = {"temperature": 0.3, "max_tokens": 1_000}
    call.metadata = {"model_type": "openai", "model_name": "gpt-4o-mini", "temperature": 0.3, "max_tokens": 1_000}
    call.input = [{"role": "system", "content": "You decide"}, {"role": "user", "content": f"{PROMPT}{next(_numbers)}"}]
    message = SimpleNamespace(role="assistant", content="Wait")
    raw = SimpleNamespace(
        model="gpt-4o-mini", usage=SimpleNamespace(**USAGE), choices=[SimpleNamespace(message=message)]
    )
    call.output = Reply("Wait", USAGE, "gpt-4o-mini", raw)
    call.ended = call.started + 1
    return call


def calls_of(call: Observation) -> Counter[str]:
    """Return how often each function is called while the row of an observation is made, once all caches are filled."""
    for _ in range(3):
        row_of(generation())
    with counted() as calls:
        row_of(call)
    return calls


def test_a_row_takes_few_calls() -> None:
    """To make the row of a model call, with usage, answer, price and redaction, takes few function calls."""
    calls = calls_of(generation())
    assert 200 < calls.total() <= MOST_CALLS, calls.most_common(20)


def test_an_answer_is_read_once_a_row() -> None:
    """To make a row, the answer is read once, and token counts are sorted into usage buckets at most six times."""
    calls = calls_of(generation())
    assert calls[f"{answer.__name__}.read_answer"] == 1
    assert 1 <= calls[f"{usage.__name__}.usage_buckets"] <= 6


def test_a_batch_is_one_statement(made: Journal) -> None:
    """One SQL statement inserts all rows of a batch, and another inserts their tags."""
    rows = [{**row_of(generation()), "process": "1-0", "destination": None, "otlp_destination": None, "state": "local"}
            for _ in range(50)]  # fmt: skip
    with counted() as calls:
        made.append(rows, [])
    assert calls["sqlite3.Connection.execute"] + calls["None.Connection.execute"] < 12, calls
    assert calls["sqlite3.Connection.executemany"] + calls["None.Connection.executemany"] == 2, calls
    assert len(made.observations()) == 50
