"""Outcomes of decisions: recorded, corrected, imported and shipped."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from src.observability import LangFuseTracker, ObservabilityContext, internal_errors, runtime, settings
from src.observability.console.app import app
from src.observability.journal.columns import SCORE_COLUMNS
from src.observability.journal.store import Journal, JournalError
from src.observability.recording.outcome import append_in_steps
from tests.langfuse_server import LangfuseServer
from tests.million import observation_row


def decide(confidence: float = 70, action: str = "BUY", agent: str = "WhaleAgent") -> str:
    """Record one decision; return the id of its trace."""
    with ObservabilityContext.agent_cycle(agent) as cycle:
        ObservabilityContext.add_trading_signal(action, confidence, "because")
    assert cycle.trace_id is not None
    return cycle.trace_id


def run(*arguments: str) -> Result:
    """Write all queued rows to the journal, then run a console command and return its result."""
    runtime.flush(5)
    return CliRunner().invoke(app, arguments)


def outcomes(journal: Any) -> list[tuple[str, str, float, str | None]]:
    """Return trace, name, value and note of each outcome."""
    journal.observations()
    reader = Journal(settings.journal_path(), create=False)
    found = reader.scores("name LIKE 'pnl_%'", ())
    reader.close()
    return [(row["trace_id"], row["name"], row["value"], row["comment"]) for row in found]


def test_an_outcome_is_two_scores_and_a_correction_replaces(journal: Any) -> None:
    """An outcome in USD and percent is two scores. Correcting one of them leaves the other. Notes are redacted."""
    trace = decide()
    runtime.flush(5)
    ObservabilityContext.record_outcome(trace, pnl_usd=-12.5, pnl_pct=-0.8, note="stopped out")
    assert outcomes(journal) == [(trace, "pnl_usd", -12.5, "stopped out"), (trace, "pnl_pct", -0.8, "stopped out")]
    told = run("outcome", trace[:8], "--pnl-usd", "3", "--note", "key sk-ant-api03-" + "x" * 90)
    assert told.exit_code == 0, told.output
    assert "pnl_usd +$3.00\n" in told.output
    assert sorted(outcomes(journal)) == [
        (trace, "pnl_pct", -0.8, "stopped out"), (trace, "pnl_usd", 3.0, "key [REDACTED:anthropic-key]"),
    ]  # fmt: skip
    assert len(journal.observations()) == 2  # an outcome adds no observation
    shown = run("trace", "last").output
    assert "⚖️ +$3.00 key [REDACTED:anthropic-key]\n" in shown
    assert "⚖️ -0.80% stopped out\n" in shown


def test_with_sync_it_is_on_disk_when_the_call_returns(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `sync`, an outcome is on disk when the call returns."""
    monkeypatch.setenv("OBSERVABILITY_DURABILITY", "sync")
    ObservabilityContext.record_outcome(decide(), pnl_usd=1)
    reader = Journal(settings.journal_path(), create=False)
    assert [row["value"] for row in reader.scores("name = 'pnl_usd'", ())] == [1.0]
    reader.close()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "an outcome needs pnl_usd, pnl_pct or both"),
        ({"pnl_usd": math.nan}, "pnl_usd must be a finite number, not 'nan'"),
        ({"pnl_usd": math.inf}, "pnl_usd must be a finite number, not 'inf'"),
        ({"pnl_usd": 1e300}, "pnl_usd must be between -1e+12 and 1e+12, not 1e+300"),
        ({"pnl_pct": "much"}, "pnl_pct must be a finite number, not 'much'"),
        ({"trace_id": "x' OR 1=1"}, '"x\' OR 1=1" is not a trace id: give 32 hex digits'),
    ],
)
@pytest.mark.failures_expected
def test_a_bad_outcome_is_said_and_disturbs_nobody(given: dict[str, Any], why: str, journal: Any, capfd: Any) -> None:
    """An invalid outcome is not recorded, but reported once, with the reason; the agent goes on."""
    ObservabilityContext.record_outcome(**{"trace_id": decide(), **given})
    assert outcomes(journal) == []
    assert internal_errors.failures.total == 1
    assert f"an outcome is not recorded: {why}" in capfd.readouterr().err


def test_outcomes_are_shipped_where_their_trace_went(langfuse: LangfuseServer, journal: Any) -> None:
    """Outcomes are shipped to the server of their trace. A correction has the id of the score that it corrects."""
    trace = decide()
    assert LangFuseTracker().flush(5)
    ObservabilityContext.record_outcome(trace, pnl_usd=1)
    assert LangFuseTracker().flush(5)
    assert run("outcome", "last", "--pnl-usd", "2").exit_code == 0
    assert LangFuseTracker().flush(5)
    sent = [score for score in langfuse.scores if score["name"] == "pnl_usd"]
    assert [(score["traceId"], score["value"]) for score in sent] == [(trace, 1.0), (trace, 2.0)]
    assert len({score["id"] for score in sent}) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["ffffffff", "--pnl-usd", "1"], 1, "❌"),
        (["last"], 2, "Invalid value for --pnl-usd, --pnl-pct"),
        (["last", "--pnl-usd", "nan"], 2, "Invalid value for --pnl-usd, --pnl-pct"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], status: int, words: str, journal: Any) -> None:
    """The command ends with status 1 for an unknown trace, and 2 for a missing or malformed value."""
    decide()
    told = run("outcome", *arguments)
    assert (told.exit_code, words in told.output) == (status, True)
    assert outcomes(journal) == []


def table(folder: Path, *lines: str, header: str = "trace_id,pnl_usd,note") -> str:
    """Write a file of trades, whose first line below the header is line 2; return its name."""
    file = folder / "trades.csv"
    file.write_text("\n".join([header, *lines]), encoding="utf-8")
    return str(file)


def broken_lines(told: Result) -> dict[int, str]:
    """Return a dict of each bad line's number and error, read from the JSON output of an import."""
    said = [json.loads(line) for line in told.stdout.splitlines()]
    return {each["line"]: each["error"] for each in said if "line" in each}


def test_a_file_is_imported_its_broken_lines_named(journal: Any, tmp_path: Path) -> None:
    """An import accepts a BOM, semicolons, quoted line breaks and id prefixes. A second import adds no outcomes."""
    first, second, third = decide(), decide(), decide()
    file = tmp_path / "trades.csv"
    lines = [
        "Trace;PnL_USD;note", f'{first[:12]};-12.5;"stopped\nout"', f"{third};nan;", f"{third};1e400;",
        "nobody;1;", ";1;", f"{third};\x1b[2J;", f"{second};7;x" + "y" * 200,
    ]  # fmt: skip
    file.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    dry = run("outcomes", "--import", str(file), "--column", "trace", "--dry-run")
    assert outcomes(journal) == []
    told = run("outcomes", "--import", str(file), "--column", "trace")
    assert told.exit_code == dry.exit_code == 1
    assert [(trace, value) for trace, _, value, _ in outcomes(journal)] == [(first, -12.5), (second, 7.0)]
    assert outcomes(journal)[0][3] == "stopped\nout"
    assert [line for line in range(2, 11) if f"Line {line}:" in told.output] == [4, 5, 6, 7, 8]
    assert "\x1b[2J" not in told.output
    assert "Outcomes of 2 traces were recorded" in told.output
    run("outcomes", "--import", str(file), "--column", "trace")
    assert len(outcomes(journal)) == 2


@pytest.mark.parametrize(
    "broken", ['{},2,"bro"ken', "{},2," + "x" * (16 * 2**20 + 1), "{},1,2,3"],
    ids=["text after a quote", "a cell of 16 MB", "too many cells"],
)  # fmt: skip
def test_broken_csv_costs_one_line(broken: str, journal: Any, tmp_path: Path) -> None:
    """If one line of a CSV file is broken, the lines above and below it are imported."""
    first, second, third = decide(), decide(), decide()
    lines = (f'{first},1,"two\nlines"', broken.format(second), f"{third},3", f'{second},4,"fine"')
    told = run("outcomes", "--json", "--import", table(tmp_path, *lines))
    assert list(broken_lines(told)) == [4]
    assert json.loads(told.stdout.splitlines()[-1]) == {"taken": 3, "broken": 1, "unjudged": 0, "dry_run": False}
    assert {(trace, value) for trace, _, value, _ in outcomes(journal)} == {(first, 1.0), (third, 3.0), (second, 4.0)}
    assert told.exit_code == 1


def test_an_open_quote_costs_the_lines_below_it(journal: Any, tmp_path: Path) -> None:
    """If a quote is never closed, no line from the open quote on is imported, and the message has the line numbers."""
    first, second, third = decide(), decide(), decide()
    told = run("outcomes", "--json", "--import", table(tmp_path, f"{first},1", f'{second},2,"open', f"{third},3"))
    assert broken_lines(told) == {
        3: "not valid CSV from here to line 4 (unexpected end of data): check the quotes"
    }  # fmt: skip
    assert [(trace, value) for trace, _, value, _ in outcomes(journal)] == [(first, 1.0)]
    assert told.exit_code == 1


@pytest.mark.parametrize("name", ["b", "7", "last", "0x12345678", "12_34567", "abcdefg8"])
def test_a_file_names_traces_beyond_doubt(name: str, journal: Any, tmp_path: Path) -> None:
    """In a file, a trace id with fewer than eight hex digits is refused; so is `last`."""
    traces = [decide() for _ in range(20)]
    short = traces[0][:7]
    told = run(
        "outcomes", "--json", "--import", table(tmp_path, f"{name},1", f"{short},1", f"{traces[1][:8].upper()},2")
    )
    assert list(broken_lines(told)) == [2, 3]
    assert [(trace, value) for trace, _, value, _ in outcomes(journal)] == [(traces[1], 2.0)]


@pytest.mark.parametrize(
    ("option", "stored"), [([], []), (["--last"], [-2.0]), (["--sum"], [7.5])], ids=["neither", "last", "sum"]
)
def test_partial_fills_are_added_up_where_that_is_said(
    option: list[str], stored: list[float], journal: Any, tmp_path: Path
) -> None:
    """Several lines of one trace are imported only with --sum or --last, else refused; other lines are imported."""
    fills, other = decide(), decide()
    file = table(tmp_path, f"{fills},9.5,one", f"{other},1", f"{fills[:10]},-2,two")
    told = run("outcomes", "--json", "--import", file, *option)
    assert list(broken_lines(told)) == ([] if option else [2, 4])
    assert all("lines 2 and 4 are for the same trace: use --sum" in why for why in broken_lines(told).values())
    assert [value for trace, _, value, _ in outcomes(journal) if trace == fills] == stored
    assert [value for trace, _, value, _ in outcomes(journal) if trace == other] == [1.0]
    run("outcomes", "--import", file, *option)
    assert [value for trace, _, value, _ in outcomes(journal) if trace == fills] == stored


def test_a_message_lists_at_most_five_lines(journal: Any, tmp_path: Path) -> None:
    """If many lines of one trace are refused, the message lists the numbers of the first five."""
    lines = [f"{decide()},1"] * 6
    for rows, numbers in ((lines[1:], "2, 3, 4, 5, 6"), (lines, "2, 3, 4, 5, 6, …")):
        why = broken_lines(run("outcomes", "--json", "--import", table(tmp_path, *rows)))[2]
        assert why.startswith(f"lines {numbers} are for the same trace")


def test_a_trade_is_taken_whole_or_not_at_all(journal: Any, tmp_path: Path) -> None:
    """With --sum, a bad line rejects all lines of its trace, and so does a percentage, which cannot be added up."""
    first, second = decide(), decide()
    lines = (f"{first},1,", f"{second},2,3", f"{first},x,", f"{second},2,3")
    told = run("outcomes", "--sum", "--json", "--import", table(tmp_path, *lines, header="trace_id,pnl_usd,pnl_pct"))
    assert list(broken_lines(told)) == [2, 3, 4, 5]
    assert outcomes(journal) == []
    assert "no line of this trace is imported, as line 4 is invalid" in broken_lines(told)[2]
    assert "percents cannot be added" in broken_lines(told)[3]
    assert run("outcomes", "--sum", "--last", "--import", "trades.csv").exit_code == 2


@pytest.mark.parametrize("value", ["1_000", "1e13", "-1e300", "1,5"])
def test_a_slip_of_the_keyboard_is_no_profit(value: str, journal: Any, tmp_path: Path) -> None:
    """A huge or malformed value, in a file or a command, is reported and not recorded."""
    trace = decide()
    told = run("outcomes", "--json", "--import", table(tmp_path, f"{trace};{value}", header="trace_id;pnl_usd"))
    assert list(broken_lines(told)) == [2]
    assert run("outcome", "last", "--pnl-usd", value).exit_code == 2
    assert run("outcome", "last", "--pnl-pct", "1e10").exit_code == 2
    assert outcomes(journal) == []
    assert run("outcome", "last", "--pnl-usd", "-1e12").exit_code == 0
    assert "-$1.00 T" in run("decisions").stdout


@pytest.mark.parametrize("lines", [[], ["x,1", "y,2"]], ids=["nothing below the header", "all of it broken"])
def test_an_import_of_nothing_is_a_failure(lines: list[str], journal: Any, tmp_path: Path) -> None:
    """An import without any good line ends with an error."""
    decide()
    told = run("outcomes", "--import", table(tmp_path, *lines))
    assert told.exit_code == 1
    assert told.stdout == ""
    assert "❌ No outcome was recorded" in told.stderr


def many(traces: int) -> list[str]:
    """Record this number of traces, each with a decision, and return their ids."""
    runtime.flush(5)
    names = [f"{number:032x}" for number in range(traces)]
    signal_ = '{"signal_action": "BUY", "signal_valid": true}'
    made = Journal(settings.journal_path())
    rows = [
        observation_row(
            id=name[16:], trace_id=name, type="event", name="trading_signal", trace_name="A", start_ns=1,
            metadata=signal_,
        )
        for name in names
    ]  # fmt: skip
    made.append(rows, [])
    made.close()
    return names


def importing(file: Path, *options: str) -> subprocess.Popen[str]:
    """Start an import in a new process."""
    return subprocess.Popen(
        [sys.executable, "-m", "src.observability", "outcomes", "--import", str(file), *options],
        cwd=settings.REPO_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_while_the_file_is_read_imports_nothing(journal: Any, tmp_path: Path) -> None:
    """Ctrl-C while a file is read, even after a thousand good lines, ends the import before anything is recorded."""
    names = many(3_000)
    pipe = tmp_path / "trades.csv"
    os.mkfifo(pipe)
    importer = importing(pipe)
    with pipe.open("w") as file:
        file.write("trace_id,pnl_usd\n" + "".join(f"{name},1\n" for name in names))
        file.flush()  # returns once the import has read many of the lines, since a pipe cannot hold all
        importer.send_signal(signal.SIGINT)
        said, _ = importer.communicate(timeout=30)
    assert importer.returncode != 0
    assert "recorded" not in said
    assert outcomes(journal) == []


@pytest.mark.slow
def test_ctrl_c_while_it_is_written_waits_for_the_rest(journal: Any, tmp_path: Path) -> None:
    """Ctrl-C while outcomes are written does not stop the import, as the whole file has been checked."""
    names = many(5_000)
    importer = importing(Path(table(tmp_path, *(f"{name},1" for name in names))))
    reader = Journal(settings.journal_path(), create=False)
    while not (first := reader.select("SELECT count(*) AS written FROM scores")[0]["written"]):
        time.sleep(0.001)
    importer.send_signal(signal.SIGINT)
    said, _ = importer.communicate(timeout=30)
    assert first < 5_000
    assert importer.returncode == 0
    assert "Finishing the import first" in said
    assert "Outcomes of 5,000 traces were recorded" in said
    assert reader.select("SELECT count(*) AS written FROM scores")[0]["written"] == 5_000
    reader.close()


def rows_of_outcomes(notes: list[str]) -> list[list[dict[str, Any]]]:
    """Return one list per note, with two score rows of the form that the journal takes."""
    empty = dict.fromkeys(SCORE_COLUMNS)
    fixed = {"name": "pnl_usd", "data_type": "NUMERIC", "value": 1.0, "timestamp_ns": 1, "state": "local"}
    return [
        [{**empty, **fixed, "id": f"{number}-{name}", "trace_id": str(number), "comment": note} for name in "ab"]
        for number, note in enumerate(notes)
    ]


def test_an_import_lets_others_write_every_200_rows(journal: Any) -> None:
    """An import begins a new transaction every 200 rows, or earlier after long notes, so that others can write."""
    many(1)
    writer, statements = Journal(settings.journal_path()), list[str]()
    writer._db.set_trace_callback(statements.append)
    append_in_steps(writer, rows_of_outcomes(["x"] * 450 + ["x" * 900_000] * 3))
    written = [statement for statement, _ in groupby(statements)]  # triggers make SQLite report a statement repeatedly
    verbs = "".join({"BEGIN": "|", "INSERT": "+"}.get(each.split()[0], "") for each in written)
    assert [len(step) for step in verbs.split("|")[1:]] == [200, 200, 200, 200, 100, 2, 2, 2]
    writer.close()


def test_an_import_that_fails_half_way_says_how_far_it_came(journal: Any) -> None:
    """If the disk gets full, the message has the number of recorded outcomes; a second import adds the rest."""
    many(1)
    writer, lines = Journal(settings.journal_path()), rows_of_outcomes(["x" * 1_000] * 350)
    writer.select(f"PRAGMA max_page_count = {writer.used_bytes() // 4096 + 100}")
    with pytest.raises(JournalError, match=r"full.* 100 of 350 outcomes were written: run the same command again"):
        append_in_steps(writer, lines)
    assert len(writer.scores()) == 200
    writer.select("PRAGMA max_page_count = 100000")
    append_in_steps(writer, lines)
    assert len(writer.scores()) == 700
    writer.close()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("trace_id,profit", "has no column pnl_usd or pnl_pct"),
        ("id,pnl_usd", "has no column 'trace_id'"),
        ("", "has no column 'trace_id'"),
        ("trace_id,pnl_usd,PnL_USD", "has 2 columns 'pnl_usd'"),
    ],
)
def test_a_file_without_its_columns_says_so(header: str, said: str, tmp_path: Path, journal: Any) -> None:
    """A file that lacks a column is refused before its lines are read; the message names the file and the column."""
    trace = decide()
    file = table(tmp_path, f"{trace},1,2", header=header)
    told = run("outcomes", "--import", file)
    assert told.exit_code == 1
    assert told.stderr.startswith(f"❌ {file} {said}")
    assert outcomes(journal) == []


def test_an_outcome_of_no_decision_is_stored_and_said(journal: Any, tmp_path: Path) -> None:
    """An outcome of a trace without a valid BUY or SELL is stored, with a warning."""
    trace = decide(50, "NOTHING")
    told = run("outcome", "last", "--pnl-usd", "2")
    assert told.exit_code == 0
    assert "⚠️ Recorded, but the trace has no valid BUY or SELL" in told.stderr
    assert [row[:3] for row in outcomes(journal)] == [(trace, "pnl_usd", 2.0)]
    imported = run("outcomes", "--import", table(tmp_path, f"{trace},3"))
    assert "⚠️ 1 of these traces have no valid BUY or SELL" in imported.stderr
    decide()
    assert run("outcome", "last", "--pnl-usd", "2").stderr == ""


def test_an_outcome_is_told_to_scripts(journal: Any) -> None:
    """The JSON output is one object on one line, even if a note has line breaks."""
    trace = decide()
    told = run("outcome", "last", "--pnl-usd", "-2", "--pnl-pct", "0.5", "--note", "a\nb", "--json")
    assert json.loads(told.stdout) == {
        "trace_id": trace, "pnl_usd": -2.0, "pnl_pct": 0.5, "note": "a\nb", "judges": True,
    }  # fmt: skip
    assert outcomes(journal)[0][3] == "a\nb"


def test_a_name_that_fits_several_traces_is_refused_in_words(journal: Any) -> None:
    """If a prefix fits no trace id or several, the command is refused, and the message says which."""
    many(2)
    assert "❌ Several trace ids start with '0000':" in run("outcome", "0000", "--pnl-usd", "1").stderr
    assert "❌ No trace id starts with 'ffff':" in run("outcome", "ffff", "--pnl-usd", "1").stderr
