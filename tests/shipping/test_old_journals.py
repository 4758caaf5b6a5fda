"""Tests with a journal of older code: pending rows are shipped once, and scores stay where old code attached them."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.observability import LangFuseTracker, ObservabilityContext, settings
from src.observability.journal import Journal
from tests.journal.old_code import OLD_INSERT, OLD_SCORE, of_before
from tests.langfuse_server import LangfuseServer

ROWS = json.loads((Path(__file__).parent / "rows.json").read_text(encoding="utf-8"))
TRACE, EVENT = ROWS[0]["trace_id"], "00f067aa0ba902b9"


@pytest.fixture
def old(langfuse: LangfuseServer) -> Iterator[sqlite3.Connection]:
    """A journal written by commit 89c35a9: a trace and a signal's scores are pending, an outcome was shipped."""
    path, label = settings.journal_path(), settings.destination().label
    path.parent.mkdir()
    db = of_before(path)
    for row in ROWS:
        tags = json.dumps(row["tags"]) if row["tags"] else None
        db.execute(OLD_INSERT, {**row, "tags": tags, "destination": label, "state": "pending"})
        db.executemany("INSERT OR IGNORE INTO trace_tags VALUES (?, ?)", [(TRACE, tag) for tag in row["tags"]])
    for name, kind, value, place, state in (
        ("signal_action", "CATEGORICAL", "BUY", EVENT, "pending"),
        ("signal_confidence", "NUMERIC", 85.0, EVENT, "pending"),
        ("pnl_usd", "NUMERIC", -12.5, None, "shipped"),
    ):
        score_id = outcome_id() if name == "pnl_usd" else f"id of {name}"
        db.execute(OLD_SCORE, (score_id, TRACE, place, name, kind, value, None, "paper", None, 10**18, label, state))
    yield db
    db.close()


def outcome_id() -> str:
    """Return the fixed id of the trace's `pnl_usd` score."""
    from src.observability.recording import scores_of_outcome

    return scores_of_outcome(TRACE, pnl_usd=1.0)[0].id


def test_pending_rows_are_shipped_once(old: sqlite3.Connection, langfuse: LangfuseServer) -> None:
    """Pending rows of an old journal are shipped once, unchanged; scores stay on the observation that they name."""
    old.close()
    assert LangFuseTracker().flush(10)
    spans = {span.id: span for span in langfuse.spans}
    assert len(langfuse.spans) == len(ROWS) == len(spans)
    for row in ROWS:
        span = spans[row["id"]]
        assert (span.trace_id, span.parent_id, span.start_ns) == (row["trace_id"], row["parent_id"], row["start_ns"])
        assert span.attributes["langfuse.observation.level"] == row["level"]
        assert set(span.attributes["langfuse.trace.tags"]) == {"signal:buy", "confidence:85"}
    assert {score["id"]: (score["observationId"], score["value"]) for score in langfuse.scores} == {
        "id of signal_action": (EVENT, "BUY"), "id of signal_confidence": (EVENT, 85.0),
    }  # fmt: skip
    assert LangFuseTracker().flush(10)
    assert len(langfuse.spans) == len(ROWS)


def test_a_correction_of_a_shipped_outcome_stays_on_the_trace(
    old: sqlite3.Connection, langfuse: LangfuseServer
) -> None:
    """A shipped outcome, once corrected, is still a score of the trace; a new outcome is a score of the generation."""
    ObservabilityContext.record_outcome(TRACE, pnl_usd=-10.5, pnl_pct=-0.5)
    assert LangFuseTracker().flush(10)
    scores = {score["name"]: score for score in langfuse.scores if score["name"].startswith("pnl")}
    assert (scores["pnl_usd"]["id"], scores["pnl_usd"]["value"]) == (outcome_id(), -10.5)
    assert "observationId" not in scores["pnl_usd"]
    assert scores["pnl_pct"]["observationId"] in {row["id"] for row in ROWS if row["type"] == "generation"}


def test_code_of_before_goes_on_beside_it(old: sqlite3.Connection, langfuse: LangfuseServer, journal: Any) -> None:
    """A row that old code adds to the migrated journal is shipped, with both model names (requested, answering)."""
    Journal(settings.journal_path()).close()
    label = settings.destination().label
    row = next(row for row in ROWS if row["type"] == "generation")
    old.execute(OLD_INSERT, {**row, "id": "0" * 15 + "7", "tags": None, "destination": label, "state": "pending"})
    assert LangFuseTracker().flush(10)
    assert "0" * 15 + "7" in {span.id for span in langfuse.spans}
    names = journal._read(lambda reader: reader.select("SELECT requested, answered FROM model_names"))
    assert names == [{"requested": row["model_requested"], "answered": row["model"]}]
