"""The hourly sums of calls, tokens and cost: they equal those of the rows, and do not shrink when rows are deleted."""

import json
import multiprocessing
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from src.observability import ObservabilityContext, observe_llm, settings
from src.observability.journal.migration import backups_of
from src.observability.journal.schema import APPLICATION_ID, COUNTED, MIGRATIONS
from src.observability.journal.store import INTERRUPTED, Journal, Mark, Row
from tests.million import fill, observation_row

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def journal_file() -> Path:
    """The path of the test's journal."""
    settings.journal_path().parent.mkdir()
    return settings.journal_path()


def kept(journal: Journal) -> dict[Any, Any]:
    """Return the sums in the journal by hour, agent, provider and model, without sums of zero."""
    rows = journal.select("SELECT * FROM hourly")
    found = {tuple(row[key] for key in ("hour", "agent", "provider", "model")): row for row in rows}
    return {key: _values(row) for key, row in found.items() if any(row[name] for name in COUNTED)}


def _values(row: Any) -> Row:
    return {name: round(row[name], 9) for name in COUNTED if row[name]}


def summed(journal: Journal) -> dict[Any, Any]:
    """Return the sums that `hourly` should have, computed from the journal's rows."""
    sums: dict[Any, Counter[str]] = {}
    for row in journal.observations("state <> 'open'"):
        key = (row["start_ns"] // HOUR_NS, row["agent"] or "", row["provider"] or "", row["model"] or "")
        if row["type"] == "generation":
            failed, priced = row["level"] == "ERROR", row["cost_usd"] is not None
            counts = Counter({"calls": 1, "errors": failed, "priced": priced, "unpriced": not priced and not failed})
            counts.update(row["usage"] or {})
            counts["cost_usd"] += row["cost_usd"] or 0
            sums.setdefault(key, Counter()).update(counts)
        elif row["name"] == "trading_signal":
            sums.setdefault(key, Counter()).update(decisions=1)
    return {key: _values(counts) for key, counts in sums.items()}


def test_they_are_the_sums_of_the_rows(journal_file: Path) -> None:
    """For 300 traces over two days, the sums of tokens, cost, errors, unpriced calls and decisions are right."""
    journal = Journal(journal_file)
    fill(journal, 300, days=2)
    assert kept(journal) == summed(journal)
    assert sum(each.get("calls", 0) for each in kept(journal).values()) == 300
    journal.close()


def test_a_call_counts_once_it_has_ended(journal: Any) -> None:
    """A running call is not counted, and a row that is written twice is counted once."""
    with ObservabilityContext.agent_cycle("A"):

        @observe_llm(name="llm_generation")
        def ask() -> str:
            journal.observations()
            reader = Journal(journal.path, create=False)
            assert kept(reader) == {}
            reader.close()
            return "BUY"

        ask()
    rows = [{**row, "input": json.dumps(row["input"])} for row in journal.observations()]
    writer = Journal(journal.path)
    assert sum(each["calls"] for each in kept(writer).values()) == 1
    plain = [{name: json.dumps(v) if isinstance(v, dict | list) else v for name, v in row.items()} for row in rows]
    writer.append(plain, [])
    assert kept(writer) == summed(writer)
    writer.close()


def test_an_interrupted_call_counts_until_its_true_end_comes(journal_file: Path) -> None:
    """An interrupted call counts as a call without a price. Once its real end is known, its tokens and cost count."""
    call = observation_row(
        id="a" * 16, trace_id="b" * 32, type="generation", name="x", trace_name="x", start_ns=time.time_ns()
    )
    ended = {
        **call, "end_ns": call["start_ns"] + 5, "usage": json.dumps({"input": 7, "output": 2}), "cost_usd": 0.5,
    }  # fmt: skip
    journal = Journal(journal_file)
    journal.append([{**call, "end_ns": None, "state": "open", "process": "1-dead"}], [])
    assert kept(journal) == {}
    assert journal.interrupt("1-dead") == 1
    assert list(kept(journal).values()) == [{"calls": 1, "unpriced": 1}]
    assert journal.observations()[0]["status_message"] == INTERRUPTED
    journal.mark(Mark("observations", [(journal.newest()[0], call["id"])], "shipped"))
    journal.append([ended], [])
    assert list(kept(journal).values()) == [{"calls": 1, "priced": 1, "input": 7, "output": 2, "cost_usd": 0.5}]
    assert kept(journal) == summed(journal)
    journal.close()


def test_what_was_spent_stays_spent(journal_file: Path) -> None:
    """Neither shipping a row nor deleting it changes a sum, even if the row's call was interrupted."""
    journal = Journal(journal_file)
    fill(journal, 50)
    call = observation_row(id="a" * 16, trace_id="b" * 32, type="generation", name="x", trace_name="x", start_ns=1)
    journal.append([{**call, "end_ns": None, "state": "open", "process": "1-dead"}], [])
    journal.interrupt("1-dead")
    before = kept(journal)
    journal.mark(Mark("observations", [(row["seq"], row["id"]) for row in journal.observations()[:40]], "shipped"))
    while journal.delete_done(20):
        pass
    assert journal.observations() == []
    assert kept(journal) == before
    journal.close()


def named(model: str, number: int = 0) -> Row:
    """Return the row of a call to this model, which starts `number` seconds after 2026-04-22 00:00 UTC."""
    return observation_row(
        id=f"{number}-{model[:20]}", trace_id="b" * 32, type="generation", name="x", trace_name="x", model=model,
        start_ns=493_560 * HOUR_NS + number * 10**9,
    )  # fmt: skip


def test_an_hour_holds_500_sums_and_one_for_all_others(journal_file: Path) -> None:
    """If an hour has calls to 700 models, 500 models get sums of their own, and one sum counts all other calls."""
    journal = Journal(journal_file)
    journal.append([named(f"model {number}", number) for number in range(700)], [])
    assert len(kept(journal)) == 501
    assert kept(journal)[493_560, "(other)", "(other)", "(other)"]["calls"] == 200
    journal.append([named("model 3", 800), named("a new one", 801)], [])
    assert kept(journal)[493_560, "", "", "model 3"]["calls"] == 2
    assert kept(journal)[493_560, "(other)", "(other)", "(other)"]["calls"] == 201
    journal.append([{**named("late", 900), "state": "open", "process": "1-dead"}], [])
    journal.interrupt("1-dead")
    journal.append([{**named("late", 900), "cost_usd": 0.5}], [])
    assert kept(journal)[493_560, "(other)", "(other)", "(other)"]["calls"] == 202
    journal.close()


def test_an_alias_and_other_events_change_no_other_sum(journal_file: Path) -> None:
    """Once an answer tells which model an alias means, that provider's sums for the alias become sums of the model.
    Only events named `trading_signal` count as decisions: other events, and tools of that name, do not."""
    models = (("p", "alias"), ("p", "other"), ("q", "alias"))
    calls = [named(model, number) | {"provider": provider} for number, (provider, model) in enumerate(models)]
    others = [named("", 10) | {"type": "event"}, named("", 11) | {"type": "tool", "name": "trading_signal"}]
    with closing(Journal(journal_file)) as journal:
        journal.append([*calls, *others], [])
        journal.append([named("full", 12) | {"provider": "p", "model_requested": "alias"}], [])
        found = {(provider, model): sums for (_, _, provider, model), sums in kept(journal).items()}
        assert {key: sums["calls"] for key, sums in found.items()} == {
            ("p", "full"): 2, ("p", "other"): 1, ("q", "alias"): 1,
        }  # fmt: skip
        assert not any("decisions" in sums for sums in found.values())
        assert journal.select("SELECT * FROM decisions") == journal.select("SELECT * FROM decided") == []


@pytest.mark.slow
def test_a_name_is_cut_to_200_characters(journal_file: Path) -> None:
    """Long names are cut in existing sums, and in the sums of rows that older code writes."""
    before = sqlite3.connect(journal_file, isolation_level=None)
    for released in MIGRATIONS[:2]:
        before.executescript(released.script)
    before.executescript(
        f"PRAGMA journal_mode = WAL; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 2"
    )
    keys = [(493_560, "", "", f"{number % 3}" + "x" * 5_000 + str(number)) for number in range(450)]
    before.executemany(f"INSERT INTO hourly VALUES (?, ?, ?, ?, {', '.join('1' for _ in COUNTED)})", keys)
    journal = Journal(journal_file)
    assert {key[3]: sums["calls"] for key, sums in kept(journal).items()} == {f"{n}" + "x" * 199: 150 for n in range(3)}
    assert journal.sums_bytes() < 2_000
    assert [file.name for file in backups_of(journal_file)] == ["journal.db.before-6"]  # migration 6 cuts names
    before.execute(
        "INSERT INTO observations (id, trace_id, is_root, type, name, trace_name, start_ns, level, state, process,"
        " model) VALUES ('z', 'z', 1, 'generation', 'x', 'x', ?, 'DEFAULT', 'local', 'old', ?)",
        (493_560 * HOUR_NS, "2" + "x" * 5_000),
    )
    assert kept(journal)[493_560, "", "", "2" + "x" * 199]["calls"] == 151
    before.close()
    journal.close()


def _write(path: Path, seed: int) -> None:
    journal = Journal(path)
    fill(journal, 400, days=1, seed=seed, until_ns=1_790_000_000_000_000_000)
    journal.close()


@pytest.mark.slow
def test_several_processes_add_up(journal_file: Path) -> None:
    """If four processes write to the same hours at once, the sums count the rows of all four."""
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(journal_file, seed)) for seed in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    journal = Journal(journal_file, create=False)
    assert kept(journal) == summed(journal)
    assert sum(each.get("calls", 0) for each in kept(journal).values()) == 1600
    journal.close()


@pytest.mark.parametrize("create", [True, False], ids=["by a recorder", "by the console"])
def test_a_journal_of_version_1_gets_them(journal_file: Path, tmp_path: Path, create: bool) -> None:
    """A migration keeps the rows and fills the sums. Rows that old code writes afterwards are counted too."""
    new = Journal(tmp_path / "new.db")
    fill(new, 100, days=1)
    rows, sums = new.observations(), kept(new)
    new.close()
    old = sqlite3.connect(journal_file)
    old.executescript(f"PRAGMA journal_mode = WAL; {MIGRATIONS[0].script}")
    old.execute("ATTACH ? AS new", (str(tmp_path / "new.db"),))
    for table in ("observations", "scores", "trace_tags"):
        columns = ", ".join(column for _, column, *_ in old.execute(f"PRAGMA main.table_info({table})"))
        old.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
    old.commit()
    old.execute("DETACH new")
    old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    migrated = Journal(journal_file, create=create)
    assert migrated.observations() == rows
    assert kept(migrated) == sums
    columns = "id, trace_id, is_root, type, name, trace_name, start_ns, level, state, process, agent"
    old.execute(f"INSERT INTO observations ({columns}) VALUES ('z', 'z', 1, 'generation', 'x', 'x', 1, 'DEFAULT',"
                " 'local', 'old', 'OldAgent')")  # fmt: skip
    old.commit()
    assert kept(migrated) == summed(migrated)
    assert (0, "OldAgent", "", "") in kept(migrated)
    old.close()
    migrated.close()
