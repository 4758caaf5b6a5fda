"""The numbers that `prune`, `ship` and `export` print are those that pandas counts in exports made before and after."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from werkzeug import Response

from src.observability.journal.store import Journal
from tests.console.exported import exported
from tests.console.fleet import judge
from tests.console.printed import invoke
from tests.langfuse_server import LangfuseServer
from tests.million import fill


@pytest.fixture
def delivered(varied: Journal) -> Journal:
    """A journal in which many rows are shipped, some rejected and some pending."""
    for state, every in (("shipped", 2), ("rejected", 21), ("pending", 25)):
        for table in ("observations", "scores"):
            varied.change(f"UPDATE {table} SET state = ?, destination = 'h|k' WHERE seq % ? = 0", (state, every))
    return varied


def size(path: Path) -> int:
    """Return the size of the used pages of the database, in bytes."""
    with closing(sqlite3.connect(path)) as db:
        pages, free, page_size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in _PAGES)
    return int((pages - free) * page_size)


_PAGES = ("page_count", "freelist_count", "page_size")


@pytest.mark.slow
def test_prune(delivered: Journal, tmp_path: Path) -> None:
    """`prune` prints the right numbers of rows by state and of freed bytes, and keeps pending and newer rows."""
    before = exported(tmp_path)
    for share, form in ((0.3, "--json"), (0.6, "")):
        starts = before.observations["start_ns"]
        cut = pd.Timestamp(int(starts.quantile(share))).floor("us")
        old = before.observations[starts < cut.value]
        states, used = old["state"].value_counts().to_dict(), size(delivered.path)
        would = invoke(f"prune --older-than {cut.isoformat()} --dry-run --json")
        output = invoke(f"prune --older-than {cut.isoformat()} --yes {form}").stdout
        freed, waiting = used - size(delivered.path), states.pop("pending")
        if form:
            numbers = {
                "before_ns": cut.value,
                "before": f"{cut.isoformat()}+00:00",
                "found": states,
                "waiting": waiting,
                "undelivered": 0,
            }
            assert json.loads(would.stdout) == {**numbers, "dry_run": True, "gone": 0, "freed_bytes": 0}
            gone = {"dry_run": False, "gone": sum(states.values()), "freed_bytes": freed}
            assert json.loads(output) == {**numbers, **gone}
        else:
            counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            assert output.splitlines() == [
                f"🧹 Deleted {sum(states.values())} observations from before {cut:%Y-%m-%d %H:%M:%S} UTC",
                f"   {counts}, {freed / 2**20:.1f} MB freed",
                f"⚠️ Kept observations: {waiting}, because Langfuse has not received them yet",
                "   → to send them: python -m src.observability ship",
            ]
        after = exported(tmp_path)
        stays = before.observations[(starts >= cut.value) | (before.observations["state"] == "pending")]
        assert list(after.observations["seq"]) == list(stays["seq"])
        of_those = before.scores["trace_id"].isin(stays["trace_id"]) | (before.scores["state"] == "pending")
        assert list(after.scores["seq"]) == list(before.scores[of_those]["seq"])
        before = after


@pytest.mark.slow
def test_ship(made: Journal, langfuse: LangfuseServer, tmp_path: Path) -> None:
    """The numbers of rows that `ship` prints match what the server received and what the journal holds."""
    fill(made, 20)
    judge(made, 10)
    before = exported(tmp_path)
    rows = sum(map(len, before))
    assert json.loads(invoke("ship --json").stdout)["local"] == rows
    assert f"🤖 {rows} rows from before Langfuse keys were set: --include-local sends them" in invoke("ship").stdout
    bad = before.scores["trace_id"].iloc[-1]
    langfuse.answer = lambda _, body: refusal if bytes.fromhex(bad) in body or bad.encode() in body else None
    refusal = Response("bad tags", 400)
    result = json.loads(invoke("ship --include-local --yes --json").stdout)
    after = pd.concat(exported(tmp_path))
    assert result["refused"] == (after["state"] == "rejected").sum() == (pd.concat(before)["trace_id"] == bad).sum()
    arrived = len(langfuse.spans) + len(langfuse.journalled_scores)
    assert result["delivered"] == (after["state"] == "shipped").sum() == arrived
    assert (result["delivered"] + result["refused"], result["waiting"], result["local"]) == (rows, 0, 0)


@pytest.mark.slow
def test_ship_counts_what_waits(
    made: Journal, langfuse: LangfuseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the server fails halfway, `ship` prints the right numbers, and again when it sends the rest later."""
    monkeypatch.setattr("src.observability.shipping.delivery.BATCH_ROWS", 15)
    fill(made, 20)
    rows = sum(map(len, exported(tmp_path)))
    langfuse.answer = lambda *_: Response("busy", 503) if langfuse.scores else None
    result = json.loads(invoke("ship --include-local --yes --json").stdout)
    waiting = (pd.concat(exported(tmp_path))["state"] == "pending").sum()
    assert (result["waiting"], result["delivered"], result["refused"]) == (waiting, rows - waiting, 0)
    assert rows - waiting == len(langfuse.spans) + len(langfuse.journalled_scores) == 60 + 15
    assert f"❌ {waiting} rows still pending: HTTP 503: busy" in invoke("ship").stderr
    langfuse.answer = lambda *_: None
    assert invoke("ship").stdout.startswith(f"✅ {waiting} rows delivered to http://")


@pytest.mark.slow
def test_export(varied: Journal, tmp_path: Path) -> None:
    """For each format, `export` prints how many rows it wrote: those that pandas selects with the same filters."""
    journal = exported(tmp_path)
    rows, scores = journal
    middle = pd.Timestamp(int(rows["start_ns"].median())).floor("us")
    agent = rows["agent"].mode()[0]
    for options, wanted in (
        ("", rows),
        (f"--agent {agent} --model gpt-4o-mini", rows.query("agent == @agent and model == 'gpt-4o-mini'")),
        (f"--since {middle.isoformat()}", rows[rows["start_ns"] >= middle.value]),
        ("--limit 100", rows.tail(100)),
        ("--scores", scores),
        (f"--scores --agent {agent}", scores[scores["trace_id"].isin(rows.query("agent == @agent")["trace_id"])]),
    ):
        what = "scores" if "scores" in options else "observations"
        for form in ("jsonl", "csv", "parquet"):
            file = tmp_path / f"some.{form}"
            assert invoke(f"export --format {form} --output {file} {options}").stderr == (
                f"✅ {len(wanted):,} {what} in {file}\n"
            )
            assert list(_READERS[form](file)["seq"]) == list(wanted["seq"])


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "jsonl": lambda file: pd.DataFrame([json.loads(line) for line in file.read_text().splitlines()]),
    "csv": pd.read_csv,
    "parquet": pd.read_parquet,
}
