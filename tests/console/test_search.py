"""A search finds the same traces with and without the index. Searches fill the index; deleted rows vanish from it."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from src.observability.console.queries import text as queries
from src.observability.console.queries.decisions import newest_decisions
from src.observability.console.queries.filter import Filter
from src.observability.journal import search
from src.observability.journal.retention import Retention
from src.observability.journal.store import Journal
from tests.console.printed import invoke, run
from tests.million import fill, observation_row


def traces_with(journal: Journal, text: str, **rows: int) -> set[str]:
    """Return the traces that a search finds."""
    return set(json.loads(queries.with_traces(journal, Filter(text=text, **rows)).traces or "[]"))


def indexed(journal: Journal) -> dict[str, int]:
    """Return the number of rows in each table of the index."""
    with closing(sqlite3.connect(search.path_of(journal.path))) as db:
        return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("parts", "rows")}


def words_in(file: Path) -> bytes:
    """Return the content of a file of the index in lower case."""
    return file.read_bytes().lower()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each part of the index hold 16 rows, so that the index of a small journal has many parts."""
    monkeypatch.setattr(search, "PART_ROWS", 16)


def test_a_search_finds_the_same_with_an_index_and_without(
    filled: Journal, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first search, the second, which uses the index, and a third without an index find the same traces."""
    path = search.path_of(filled.path)
    texts = ("FUNDING stays", "503", "sell open", "nowhere", "exchange before liquid", "0")
    first = [traces_with(filled, text) for text in texts]
    assert indexed(filled) == {"parts": 900 // 16 + 1, "rows": 900}
    second = [traces_with(filled, text) for text in texts]
    monkeypatch.setenv("OBSERVABILITY_SEARCH", "false")
    assert first == second == [traces_with(filled, text) for text in texts]
    assert not path.exists()
    assert {len(traces) for traces in first} >= {0, 300}


words = st.text(st.sampled_from("aB1éß鯨_-.,\n\"'{ "), max_size=8)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, min_size=1, max_size=6), words.filter(lambda text: bool(search.words_of(text))))
def test_the_index_and_the_rows_agree_on_what_a_word_is(made: Journal, texts: list[str], wanted: str) -> None:
    """The first search, which reads the rows, and the second, which uses the index, find the same traces."""
    made.change("DELETE FROM observations")
    search.path_of(made.path).unlink(missing_ok=True)
    rows = [
        observation_row(
            id=f"{number:016x}", trace_id=f"{number:032x}", type="event", name="x", trace_name="x", start_ns=1,
            input=json.dumps([{"content": text}]),
        )
        for number, text in enumerate(texts)
    ]  # fmt: skip
    made.append(rows, [])
    assert traces_with(made, wanted) == traces_with(made, wanted)


@pytest.mark.filled(100)
def test_new_rows_are_found_and_added(filled: Journal, small_parts: None) -> None:
    """A search finds rows that are newer than the index, and adds them to the index."""
    assert len(traces_with(filled, "funding")) == 100
    fill(filled, 10, seed=2)
    assert len(traces_with(filled, "funding")) == 110
    assert indexed(filled)["rows"] == 330


@pytest.mark.filled(100)
def test_an_old_journal_is_filled_in_pieces(
    filled: Journal, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search finds every match, even if it has no time to index rows, or if an earlier search indexed only some."""
    monkeypatch.setattr(queries, "_FILL_SECONDS", -1.0)
    assert len(traces_with(filled, "funding")) == 100
    assert indexed(filled)["rows"] == 0
    monkeypatch.setattr(queries, "_FILL_SECONDS", 5.0)
    assert len(newest_decisions(filled, Filter(text="funding"), 1)) == 1  # stops early, with one decision
    assert 0 < indexed(filled)["rows"] < 150
    assert len(traces_with(filled, "funding")) == 100


@pytest.mark.filled(100)
def test_no_word_outlives_its_row(filled: Journal, small_parts: None) -> None:
    """Deletion and pruning remove words from the index; other rows are still found."""
    secret, path = "halibut", search.path_of(filled.path)
    filled.change("UPDATE observations SET input = ? WHERE seq IN (1, 100)", (json.dumps(f"the {secret} sings"),))
    old, young = (filled.select("SELECT trace_id FROM observations WHERE seq = ?", (seq,)) for seq in (1, 100))
    assert traces_with(filled, secret) == {old[0]["trace_id"], young[0]["trace_id"]}
    assert secret.encode() in words_in(path)
    run(f"delete {young[0]['trace_id']} --yes")
    assert traces_with(filled, secret) == {old[0]["trace_id"]}
    assert len(traces_with(filled, "funding")) == 99
    filled.delete_done(3, before_ns=time.time_ns())
    assert secret.encode() not in words_in(path)
    assert traces_with(filled, secret) == set()
    assert len(traces_with(filled, "funding")) == 98


@pytest.mark.filled(100, days=90)
def test_retention_drops_words_too(filled: Journal, small_parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """When retention deletes old rows from the journal, their words are removed from the index too."""
    traces_with(filled, "funding")
    retention = Retention()
    while retention.tidy(filled):
        pass
    left = {row["trace_id"] for row in filled.observations()}
    assert 0 < len(left) < 40
    with closing(sqlite3.connect(search.path_of(filled.path))) as db:
        assert {trace_id for (trace_id,) in db.execute("SELECT trace_id FROM rows")} <= left
    assert traces_with(filled, "funding") == left


@pytest.mark.filled(20)
@pytest.mark.parametrize("spoil", ["damage", "another journal's", "remove"])
def test_an_index_that_is_spoilt_is_made_anew(spoil: str, filled: Journal, tmp_path: Path) -> None:
    """An index that is damaged, missing or another journal's is rebuilt from the journal."""
    path = search.path_of(filled.path)
    traces_with(filled, "funding")
    if spoil == "damage":
        path.write_bytes(b"\xff" * 50_000)
    elif spoil == "remove":
        path.unlink()
    else:
        other = Journal(tmp_path / "other.db")
        fill(other, 3)
        traces_with(other, "funding")
        search.path_of(other.path).replace(path)
        other.close()
    assert len(traces_with(filled, "funding")) == 20
    assert indexed(filled)["rows"] == 60
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.filled(20)
def test_another_search_that_writes_is_not_waited_for_by_a_deletion(filled: Journal) -> None:
    """If another search locks the index, a deletion deletes the index file without waiting: no deleted word stays."""
    traces_with(filled, "funding")
    with closing(sqlite3.connect(search.path_of(filled.path), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        filled.delete_done(3, before_ns=time.time_ns())
        assert time.monotonic() - began < 2
        assert not search.path_of(filled.path).exists()
    assert len(traces_with(filled, "funding")) == 19


@pytest.mark.filled(20)
def test_sqlite_without_fts5_reads_the_rows(filled: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """If SQLite lacks FTS5, searches read the rows as if the index were switched off."""
    monkeypatch.setattr(search, "_CREATE_PART", search._CREATE_PART.replace("fts5", "fts99"))
    assert len(traces_with(filled, "funding")) == 20
    assert len(traces_with(filled, "funding")) == 20


@pytest.mark.filled(20)
def test_a_period_is_searched_alone(filled: Journal) -> None:
    """Traces outside the given period are not found, even if they contain the text."""
    starts = sorted({row["start_ns"] for row in filled.observations() if row["is_root"]})
    rows = newest_decisions(filled, Filter(starts[5], starts[9], text="funding"), 100)
    assert len(rows) == 4
    assert all(starts[5] <= row["start_ns"] < starts[9] for row in rows)


def test_many_rows_without_an_index_are_reported(filled: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that reads many rows without the index prints the number of rows and the reason."""
    monkeypatch.setattr(queries, "_MANY_ROWS", 100)
    assert "🔎 Read 900 rows not yet in the search index. Some are in it now, so the next search is faster" in (
        invoke("costs --text nowhere").stderr
    )
    assert "🔎" not in invoke("costs --text nowhere").stderr
    monkeypatch.setenv("OBSERVABILITY_SEARCH", "false")
    assert "🔎 Read 900 rows without a search index: OBSERVABILITY_SEARCH is off" in (
        invoke("costs --text nowhere").stderr
    )
