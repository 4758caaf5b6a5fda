"""Fills a journal with any number of traces of a fleet of 48 agents, through `Journal.append`:

    python -m tests.million FILE [TRACES] [DAYS]

A trace has three rows: a cycle, a model call and a signal. One call in fifty fails; one in twenty has no known price.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from src.observability.journal.columns import OBSERVATION_COLUMNS
from src.observability.journal.store import Journal, Row

AGENTS = [f"{name}Agent{number}" for name in ("Whale", "Funding", "Liquidation", "Swarm") for number in range(12)]
MODELS = (  # provider, model, USD per million tokens in and out; None: unknown price
    ("claude", "claude-haiku-4-5", (1.0, 5.0)),
    ("openai", "gpt-4o-mini", (0.15, 0.6)),
    ("deepseek", "deepseek-chat", (0.28, 0.42)),
    ("ollama", "llama3.2", (0.0, 0.0)),
    ("openrouter", "nobody-s-model", None),
)
_HOUR_NS = 3_600_000_000_000
_WORDS = "open interest falls while funding stays negative and whales move coins to the exchange before liquidations"
_BATCH = 300  # traces per transaction


def fill(journal: Journal, traces: int, days: float = 14.0, seed: int = 1, until_ns: int | None = None) -> None:
    """Append `traces` traces (three observations and two scores each), evenly over the `days` before `until_ns`."""
    chance = random.Random(seed)
    until_ns = time.time_ns() if until_ns is None else until_ns
    step = int(days * 24 * _HOUR_NS / traces)
    for first in range(0, traces, _BATCH):
        observations: list[Row] = []
        scores: list[Row] = []
        for number in range(first, min(first + _BATCH, traces)):
            rows, its_scores = trace(chance, until_ns - (traces - number) * step)
            observations += rows
            scores += its_scores
        journal.append(observations, scores)


def trace(chance: random.Random, start_ns: int) -> tuple[list[Row], list[Row]]:
    """Return the observations and the scores of one cycle, in which an agent makes a model call and gives a signal."""
    trace_id, agent = f"{chance.getrandbits(128):032x}", chance.choice(AGENTS)
    cycle, call, signal = (f"{chance.getrandbits(64):016x}" for _ in range(3))
    took = int(chance.lognormvariate(7, 0.8) * 1e6)
    shared = {"trace_id": trace_id, "agent": agent, "trace_name": agent, "session_id": f"run-{agent}"}
    rows = [
        observation_row(**shared, **_call(chance, start_ns, took), id=call, parent_id=cycle),
        observation_row(
            **shared, id=signal, parent_id=cycle, type="event", name="trading_signal", start_ns=start_ns + took,
            end_ns=start_ns + took, metadata=json.dumps(_signal(chance)), tags=json.dumps(["signal:SELL"]),
        ),
        observation_row(
            **shared, id=cycle, is_root=1, type="agent", name=agent, start_ns=start_ns - 1_000_000,
            end_ns=start_ns + took + 1_000_000, input=json.dumps({"open_interest": chance.random()}),
        ),
    ]  # fmt: skip
    return rows, list(_scores(trace_id, signal, start_ns + took))


def observation_row(**columns: object) -> Row:
    """Return a journal row with these values; the other columns have a default value or None."""
    plain = dict.fromkeys(OBSERVATION_COLUMNS)
    fixed = {"is_root": 0, "environment": "default", "level": "DEFAULT", "state": "local", "process": "1-million"}
    return {**plain, **fixed, **columns}


def _call(chance: random.Random, start_ns: int, took: int) -> Row:
    provider, model, rates = chance.choices(MODELS, weights=(40, 25, 20, 10, 5))[0]
    failed = chance.random() < 0.02
    usage = {"input": chance.randint(200, 3000), "output": chance.randint(5, 400)}
    if chance.random() < 0.5:
        usage["input_cached_tokens"] = chance.randint(1, 2000)
    cost = None if rates is None else (usage["input"] * rates[0] + usage["output"] * rates[1]) / 1e6
    paid = None if failed or cost is None else {"input": cost, "output": 0.0, "total": cost}
    prompt = [{"role": "system", "content": f"{_WORDS}. " * 4}, {"role": "user", "content": f"{_WORDS}. " * 4}]
    return {
        "type": "generation", "name": "llm_generation", "provider": provider, "model": model,
        "model_requested": model, "start_ns": start_ns, "end_ns": start_ns + took,
        "first_token_ns": start_ns + took // 3 if chance.random() < 0.3 else None,
        "input": json.dumps(prompt), "output": None if failed else json.dumps(f"SELL {_WORDS}"),
        "level": "ERROR" if failed else "DEFAULT", "status_message": "HTTP 503" if failed else None,
        "usage": None if failed else json.dumps(usage), "cost": json.dumps(paid) if paid else None,
        "cost_usd": paid["total"] if paid else None, "cost_source": "genai-prices 0.2.3" if paid else None,
    }  # fmt: skip


def _signal(chance: random.Random) -> Row:
    return {
        "signal_action": chance.choice(("BUY", "SELL", "NOTHING")), "signal_confidence": chance.randint(1, 100),
        "signal_reasoning": _WORDS, "signal_valid": True, "trading_symbol": chance.choice(("BTC", "ETH", "SOL")),
    }  # fmt: skip


def _scores(trace_id: str, signal: str, at_ns: int) -> Iterator[Row]:
    for name, kind, value in (("signal_action", "CATEGORICAL", "SELL"), ("signal_confidence", "NUMERIC", 64.0)):
        yield {
            "id": f"{trace_id[:20]}-{name}", "trace_id": trace_id, "observation_id": signal, "name": name,
            "data_type": kind, "value": value, "comment": None, "environment": "default", "session_id": None,
            "timestamp_ns": at_ns, "destination": None, "state": "local",
        }  # fmt: skip


if __name__ == "__main__":
    began = time.monotonic()
    journal = Journal(Path(sys.argv[1]))
    traces = int(sys.argv[2]) if len(sys.argv) > 2 else 333_334
    fill(journal, traces, float(sys.argv[3]) if len(sys.argv) > 3 else 14.0)
    print(f"{3 * traces:,} observations in {time.monotonic() - began:.1f} s")
