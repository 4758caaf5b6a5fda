"""The table `decided` agrees with the view `decisions` after writes and deletions in any order."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from src.observability import settings
from src.observability.console.queries.decisions import decisions_with_outcome
from src.observability.console.queries.filter import Filter
from src.observability.console.render.format import profit_of
from src.observability.journal.migration import MIGRATIONS
from src.observability.journal.store import Journal
from tests.million import observation_row

ACTIONS = ("BUY", "SELL", "NOTHING", "HODL", None, 7)


@pytest.fixture
def journal() -> Iterator[Journal]:
    """An empty journal."""
    settings.journal_path().parent.mkdir()
    made = Journal(settings.journal_path())
    yield made
    made.close()


def rows_of(chance: random.Random, number: int) -> tuple[list[Any], list[Any]]:
    """Return one random row of one of eight traces, as (observations, scores): a call, a signal or an outcome."""
    trace = f"{chance.randrange(8):032x}"
    shared = {"trace_id": trace, "trace_name": "A", "agent": chance.choice(["A", "B", None]),
              "start_ns": chance.randrange(100), "end_ns": 100, "id": f"{number:016x}"}  # fmt: skip
    kind = chance.choice(["call", "signal", "outcome"])
    if kind == "call":
        return [observation_row(**shared, type="generation", name="g", model=chance.choice(["m", "n"]))], []
    if kind == "signal":
        signal = {"signal_action": chance.choice(ACTIONS), "signal_confidence": chance.choice([70, "high", 20.5]),
                  "signal_valid": chance.random() < 0.8, "trading_symbol": chance.choice(["BTC", [1]])}  # fmt: skip
        inferred = {"signal_inferred": True} if chance.random() < 0.3 else {}
        return [observation_row(**shared, type="event", name="trading_signal",
                                metadata=json.dumps({**signal, **inferred}))], []  # fmt: skip
    name, value = chance.choice([("pnl_usd", 2.5), ("pnl_usd", -1), ("pnl_pct", 3.0), ("pnl_usd", "text")])
    return [], [{
        "id": f"{trace[-4:]}-{name}", "trace_id": trace, "observation_id": None, "name": name, "data_type": "NUMERIC",
        "value": value, "comment": None, "environment": "default", "session_id": None, "timestamp_ns": 1,
        "destination": None, "state": "local",
    }]  # fmt: skip


def assert_same(journal: Journal) -> None:
    """Check that the table has the view's rows and columns; a value of the wrong type is NULL in the table."""
    kept = {row["seq"]: row for row in journal.select("SELECT * FROM decided")}
    view = journal.select("SELECT * FROM decisions")
    assert kept.keys() == {row["seq"] for row in view}
    for row in view:
        for name in ("start_ns", "trace_id", "agent", "model", "stands"):
            assert kept[row["seq"]][name] == row[name]
        for name, kind in (("action", str), ("symbol", str), ("confidence", (int, float)), ("pnl_usd", (int, float))):
            assert kept[row["seq"]][name] == (row[name] if isinstance(row[name], kind) else None)
    judged = decisions_with_outcome(journal, Filter())
    profits = {row["trace_id"]: profit_of(row) for row in judged if profit_of(row) is not None}
    assert {row["trace_id"]: bool(row["hit"]) for row in kept.values() if row["hit"] is not None} == {
        trace_id: profit > 0 for trace_id, profit in profits.items() if profit is not None
    }


@pytest.mark.parametrize("seed", range(6))
def test_the_table_is_the_view(seed: int, journal: Journal) -> None:
    """While random rows are added, replaced and deleted, some with values of the wrong type, table and view agree."""
    chance = random.Random(seed)
    for number in range(60):
        journal.append(*rows_of(chance, number))
        if chance.random() < 0.1:
            table = chance.choice(["observations", "scores"])
            journal.change(f"DELETE FROM {table} WHERE trace_id = ?", (f"{chance.randrange(8):032x}",))
        assert_same(journal)


def test_an_old_journal_is_filled_in_pieces(journal: Journal) -> None:
    """When an old journal is migrated, the table `decided` is filled in pieces, and gets rows written meanwhile."""
    chance = random.Random(9)
    for number in range(60):
        journal.append(*rows_of(chance, number))
    journal.change("DELETE FROM decided")
    journal.change("UPDATE cursors SET seq = 0 WHERE name = 'decided'")
    journal.append(*rows_of(chance, 60))
    (filling,) = (step for step in MIGRATIONS if "UPDATE cursors" in step.script and "decided" in step.script)
    assert filling.in_pieces
    for _ in range(2):
        journal.script(filling.script)
    assert_same(journal)
