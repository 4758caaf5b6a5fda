"""Retention deletes old rows, hourly sums and backups. If the sums are too large, no row is deleted to make room."""

import json
import os
import time
from collections.abc import Iterator

import pytest

from src.observability import settings
from src.observability.journal import retention
from src.observability.journal.retention import Retention
from src.observability.journal.store import Journal
from src.observability.recording import JournalSink
from src.observability.recording.row import row_of
from src.observability.tracing import Observation
from tests.million import fill, observation_row

HOUR_NS = 3_600_000_000_000
NOW_HOUR = time.time_ns() // HOUR_NS


@pytest.fixture
def store() -> Iterator[Journal]:
    """An empty journal."""
    settings.journal_path().parent.mkdir()
    journal = Journal(settings.journal_path())
    yield journal
    journal.close()


def add_sums(journal: Journal, hours: int, since_hour: int, an_hour: int = 500) -> None:
    """Add sums for `hours` hours from `since_hour` on: in each hour, `an_hour` models with names of 194 characters."""
    models = [
        (hour, f"{number:04}" + "m" * 190)
        for hour in range(since_hour, since_hour + hours)
        for number in range(an_hour)
    ]
    with journal.transaction() as db:
        db.executemany(f"INSERT INTO hourly VALUES (?, 'agent', 'p', ?, {', '.join('1' * 11)})", models)


@pytest.mark.slow
def test_no_row_is_deleted_for_the_sums(store: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the hourly sums exceed the size limit, they are deleted down to a tenth of it; every row stays."""
    monkeypatch.setenv("OBSERVABILITY_MAX_MB", "1")
    fill(store, 50)
    add_sums(store, 20, NOW_HOUR - 20)
    assert store.used_bytes() > 2 * 1024 * 1024
    retention = Retention()
    assert not retention.is_due(store)
    while retention.tidy(store):
        pass
    assert len(store.observations()) == 150
    assert store.sums_bytes() <= 0.1 * 1024 * 1024
    assert store.used_bytes() < 1024 * 1024


def test_sums_go_after_400_days(store: Journal) -> None:
    """Sums older than 400 days are deleted, younger ones stay."""
    add_sums(store, 3, NOW_HOUR - 400 * 24 - 3, an_hour=2)
    add_sums(store, 1, NOW_HOUR - 400 * 24 + 1, an_hour=2)
    retention = Retention()
    while retention.tidy(store):
        pass
    assert store.select("SELECT DISTINCT hour FROM hourly") == [{"hour": NOW_HOUR - 400 * 24 + 1}]


def test_rows_still_go_at_the_limit(store: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """If rows exceed the size limit, they are deleted down to nine tenths of it. If the limit is below an empty
    journal's size, every row is deleted; no loss is reported, since no row was pending."""
    monkeypatch.setenv("OBSERVABILITY_MAX_MB", "1")
    call = observation_row(
        trace_id="b" * 32, type="generation", name="x", trace_name="x", input=json.dumps("x" * 10_000)
    )
    store.append([{**call, "id": str(number), "start_ns": time.time_ns()} for number in range(200)], [])
    retention = Retention()
    assert retention.is_due(store)
    while retention.tidy(store):
        pass
    assert 0.8 * 1024 * 1024 < store.used_bytes() < 0.95 * 1024 * 1024
    monkeypatch.setenv("OBSERVABILITY_MAX_MB", "0.01")
    while retention.tidy(store):
        pass
    assert store.observations() == []


def test_a_backup_goes_with_the_rows_of_its_time(store: Journal) -> None:
    """A backup holds prompts, so it is deleted at the same age as rows. The operator's own file beside it stays."""
    backup, other = (store.path.with_name(f"{store.path.name}.{end}") for end in ("before-7", "before-summer"))
    for file in (backup, other):
        file.touch()
    Retention().tidy(store)
    assert backup.exists()
    for file in (backup, other):
        os.utime(file, (1, 1))
    Retention().tidy(store)
    assert [file.exists() for file in (backup, other)] == [False, True]


def test_a_name_in_a_row_has_200_characters_at_most() -> None:
    """Names are cut to 200 characters, because a provider may answer with any text as its `model`."""
    call = Observation("name " * 200, "generation")
    call.model = "a model " * 10_000
    row = row_of(call)
    assert {len(row[name]) for name in ("name", "trace_name", "model", "model_requested")} == {200}


def test_old_rows_go_with_the_next_writes(store: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write of the recorder deletes a few old rows, until none is left; then none is deleted for 30 seconds."""
    monkeypatch.setattr(retention, "STEP_ROWS", 10)
    call = observation_row(trace_id="b" * 32, type="generation", name="x", trace_name="x", start_ns=1, end_ns=2)
    store.append([{**call, "id": str(number)} for number in range(90)], [])
    sink = JournalSink(lambda: None)
    left = []
    for _ in range(6):
        sink.write([], [])
        left.append(len(store.observations()))
    assert left == [70, 50, 30, 10, 0, 0]
    store.append([call | {"id": "late"}], [])
    sink.write([], [])
    assert len(store.observations()) == 1
    sink.close()
