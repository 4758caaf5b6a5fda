"""Exported files, read by the programs that they are made for."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest
from typer.testing import CliRunner

from src.observability import LangFuseTracker, ObservabilityContext, settings
from src.observability.console.app import app
from src.observability.journal.store import Journal
from tests.console.cycles import one_cycle
from tests.langfuse_server import decoded

pytestmark = pytest.mark.filled(100)


def exported(*arguments: str) -> bytes:
    """Run `export` and return its output; check that it succeeds and prints no message."""
    result = CliRunner().invoke(app, ["export", *arguments])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout_bytes


def test_every_format_has_every_row(filled: Journal, tmp_path: Path) -> None:
    """JSON lines, CSV and Parquet contain all values of the journal."""
    rows = sorted(filled.observations(), key=lambda row: row["seq"])
    assert [json.loads(line) for line in exported().splitlines()] == rows
    texts = list(csv.DictReader(exported("--format", "csv").decode().splitlines()))
    assert [text["id"] for text in texts] == [row["id"] for row in rows]
    assert [json.loads(text["input"] or "null") for text in texts] == [row["input"] for row in rows]
    (tmp_path / "all.parquet").write_bytes(exported("--format", "parquet"))
    frame = pandas.read_parquet(tmp_path / "all.parquet")
    assert list(frame["id"]) == [row["id"] for row in rows]
    assert frame["cost_usd"].sum() == pytest.approx(sum(row["cost_usd"] or 0 for row in rows), rel=1e-12)
    assert frame["cost_usd"].isna().sum() == sum(row["cost_usd"] is None for row in rows)
    assert frame["start_ns"].dtype == "int64"
    filled.close()


def test_scores_are_rows_of_their_own(filled: Journal, tmp_path: Path) -> None:
    """Scores have a column for numbers and one for texts, since Parquet has one type per column."""
    (tmp_path / "scores.parquet").write_bytes(exported("--format", "parquet", "--scores"))
    frame = pandas.read_parquet(tmp_path / "scores.parquet")
    assert set(frame["text"].dropna()) == {"SELL"}
    assert set(frame["number"].dropna()) == {64.0}
    assert len(frame) == len(filled.scores())
    filled.close()


def test_otlp_is_what_the_shipper_sends(run: Any, langfuse: Any) -> None:
    """Each line of the OTLP export is a message; decoded by protobuf, it equals the batch that the server received."""
    one_cycle()
    assert LangFuseTracker().flush(10)
    (line,) = run("export", "--format", "otlp").output.splitlines()
    assert decoded(line) == langfuse.batches[0]


def test_it_takes_agent_model_and_time(run: Any) -> None:
    """`export` applies the filters by agent, model and time, and leaves out observations that still run."""
    one_cycle("WhaleAgent")
    one_cycle("FundingAgent", model="gpt-4o-mini")
    with ObservabilityContext.agent_cycle("OpenAgent"):
        assert len(run("export").output.splitlines()) == 6
    assert len(run("export", "--agent", "WhaleAgent").output.splitlines()) == 3
    assert len(run("export", "--model", "gpt-4o-mini").output.splitlines()) == 1
    assert run("export", "--since", "2999-01-01").output == ""
    assert len(run("export", "--scores", "--agent", "WhaleAgent").output.splitlines()) == 2
    assert run("export", "--since", "whenever").exit_code == 2


def test_a_file_is_there_whole_or_not_at_all(run: Any, tmp_path: Path) -> None:
    """An exported file has mode 0600 and appears only when complete; a file that cannot be written is reported."""
    one_cycle()
    file = tmp_path / "out.jsonl"
    result = run("export", "--output", str(file))
    assert "✅ 3 observations in" in result.stderr
    assert (len(file.read_text().splitlines()), file.stat().st_mode & 0o777) == (3, 0o600)
    assert run("export", "--output", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()
    for wrong in (tmp_path / "no" / "folder.csv", tmp_path):
        result = run("export", "--output", str(wrong))
        assert result.exit_code == 1
        assert "cannot be written" in result.stderr
    assert [file for file in tmp_path.iterdir() if file.name.startswith(".out")] == []


def test_a_journal_that_breaks_half_way_leaves_the_old_file(filled: Journal, tmp_path: Path) -> None:
    """If the journal is damaged halfway, `export` exits with 1, keeps the old file and leaves no unfinished one."""
    filled.close()
    with filled.path.open("r+b") as journal:
        journal.seek(filled.path.stat().st_size // 2)
        journal.write(b"\xff" * 100_000)
    file = tmp_path / "out.csv"
    file.write_text("old")
    result = CliRunner().invoke(app, ["export", "--format", "csv", "--output", str(file)])
    assert (result.exit_code, file.read_text()) == (1, "old")
    assert "malformed" in result.stderr
    assert [file for file in tmp_path.iterdir() if file.name.startswith(".out")] == []


@pytest.mark.parametrize("command", ["export --output {}", "report --html {}"])
def test_a_file_planted_under_a_guessed_name_is_neither_followed_nor_taken(
    command: str,
    run: Any,
    tmp_path: Path,
) -> None:
    """A link planted under the name of the temporary file is not followed, and its target is not changed."""
    one_cycle()
    victim, output = tmp_path / "wallet.json", tmp_path / "week"
    victim.write_text("the operator's")
    (tmp_path / f".{output.name}.{os.getpid()}").symlink_to(victim)
    assert run(*command.format(output).split()).exit_code == 0
    assert victim.read_text() == "the operator's"
    assert (output.is_symlink(), output.stat().st_mode & 0o777) == (False, 0o600)


def test_a_spreadsheet_runs_nothing(filled: Journal) -> None:
    """In CSV an apostrophe precedes each formula, also if the formula has leading blanks or a full-width sign."""
    blanks = ("", " ", "\n", "\r\n", "\t", "\xa0", "\u200b", "\ufeff", "\x00")
    formulas = [f"{blank}{sign}HYPERLINK(1)" for blank in blanks for sign in "=+-@＝＋－＠"]
    for seq, formula in enumerate(formulas, 1):
        filled.change("UPDATE observations SET agent = ? WHERE seq = ?", (formula, seq))
    filled.close()
    rows = list(csv.DictReader(io.StringIO(exported("--format", "csv").decode(), newline="")))
    assert [row["agent"] for row in rows][: len(formulas)] == [
        f"'{formula}".replace("\0", "\ufffd") for formula in formulas
    ]


def test_plain_text_stays_as_it_is_in_csv(filled: Journal) -> None:
    """A hyphen or an at sign inside a text is not a formula; a negative number stays a number."""
    text = "Whale-Agent @ 5 = x"
    filled.change("UPDATE observations SET agent = ?, cost_usd = -1.5", (text,))
    filled.close()
    (row,) = csv.DictReader(io.StringIO(exported("--format", "csv", "--limit", "1").decode(), newline=""))
    assert (row["agent"], row["cost_usd"]) == (text, "-1.5")


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_fault(filled: Journal) -> None:
    """`export | head -1` prints one line and no error."""
    filled.close()
    command = f"{sys.executable} -m src.observability export | head -1"
    ended = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=settings.REPO_ROOT, timeout=60, check=False
    )
    assert (len(ended.stdout.splitlines()), ended.stderr) == (1, "")
