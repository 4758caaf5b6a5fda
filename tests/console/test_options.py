"""Common parts of all commands: options, help, messages about a missing journal, and the reason why nothing is sent."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.main import get_command
from typer.testing import CliRunner, Result

from src.observability import ObservabilityContext, observe_llm, settings
from src.observability.console.app import app
from src.observability.journal.store import Journal
from tests.cases import cases
from tests.console.cycles import one_cycle
from tests.langfuse_server import settings_for
from tests.million import observation_row

pytestmark = pytest.mark.filled(20)

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
FILTERED = ("decisions", "traces", "costs", "tail", "export", "report")
READING = (
    "status", "decisions", "decisions --report", "traces", "trace last", "costs", "costs --what-if gpt-4o", "export",
    "prune", "report --html {folder}/r.html", "outcome last --pnl-usd 1",
)  # fmt: skip
FIX = "to set it aside and start a new journal: python -m src.observability doctor --fix"


def run(command: str, **environment: str) -> Result:
    """Run a command in a pipe of 80 columns."""
    return CliRunner().invoke(app, command.split(), env={"COLUMNS": "80", **environment})


@pytest.fixture
def closed(filled: Journal) -> Path:
    """The path of a journal to which this process has no open connection."""
    filled.close()
    return filled.path


def _options(name: str) -> dict[str, Any]:
    return {option: parameter for parameter in COMMANDS[name].params for option in parameter.opts}


@cases("name", COMMANDS)
def test_every_command_has_an_example_and_the_options_that_mean_something(name: str) -> None:
    """Every command has an example; all but five have --json; the filters of listing commands are the same."""
    assert f"Example: python -m src.observability {name}" in inspect.cleandoc(COMMANDS[name].help)
    options = _options(name)
    assert ("--json" in options) or name in ("report", "run", "serve", "watch", "completion")
    assert ("--utc" in options) or name in ("run", "serve")
    if name in FILTERED:
        assert {"--since", "--until", "--agent", "--model", "--action", "--symbol", "--failed", "--text"} <= set(
            options
        )
        assert options["--since"].default == "all"
        assert "[default: all]" in " ".join(run(f"{name} --help").stdout.replace("│", " ").split())
    if name in ("decisions", "traces", "costs", "tail", "export"):
        assert options["--limit"] is options["-n"]


def test_the_help_lists_what_an_exit_status_means() -> None:
    """The help explains the statuses 0, 1, 2 and 130."""
    output = " ".join(run("--help").stdout.split())
    assert "Exit status: 0 success; 1 an error, printed with its cure; 2 a wrong command or option; 130" in output


@cases("name", ["decisions", "traces", "costs", "tail", "export"])
@cases("limit", ["99999999999999999999", "1000001", "0", "-1", "x"])
def test_a_limit_is_a_number_up_to_a_million(name: str, limit: str, closed: Path) -> None:
    """A `--limit` that is not a number from 1 to a million gives status 2, without a traceback."""
    result = run(f"{name} --limit {limit}")
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@cases("arguments", ["", "--pnl-usd abc", "--pnl-usd 1_000", "--pnl-pct 1e10", "--note x"])
def test_an_outcome_that_is_none(arguments: str, closed: Path) -> None:
    """An outcome without a valid value ends with status 2; the message names the options."""
    result = run(f"outcome last {arguments}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for --pnl-usd, --pnl-pct: " in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "costs", "traces --tree", "decisions", "doctor", "trace last --json"])
def test_a_reader_that_leaves_at_once_is_no_fault(command: str, closed: Path) -> None:
    """If the reader of a pipe ends without reading, the status is 0 and stderr is empty."""
    script = f"{sys.executable} -m src.observability {command} | true; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=settings.REPO_ROOT, timeout=60, check=False
    )
    assert (ended.stdout, ended.stderr) == ("0\n", "")


def test_a_report_of_all_takes_no_limit(closed: Path) -> None:
    """`decisions --report` covers all decisions, so that `--limit` is refused rather than ignored."""
    result = run("decisions --report --limit 5")
    assert result.exit_code == 2
    assert "--report covers all" in result.stderr


def test_export_takes_the_newest(closed: Path) -> None:
    """`export --limit` prints the newest of the selected rows, in order of arrival."""
    everything = [json.loads(line)["seq"] for line in run("export").stdout.splitlines()]
    assert [json.loads(line)["seq"] for line in run("export --limit 7").stdout.splitlines()] == everything[-7:]
    agent = json.loads(run("export --limit 1").stdout)["agent"]
    of_agent = [json.loads(line)["seq"] for line in run(f"export --agent {agent}").stdout.splitlines()]
    assert [json.loads(line)["seq"] for line in run(f"export --agent {agent} --limit 2").stdout.splitlines()] == (
        of_agent[-2:]
    )
    assert len(run("export --scores --limit 5").stdout.splitlines()) == 5
    assert len(run("export --limit 1000").stdout.splitlines()) == len(everything)


@pytest.mark.parametrize("command", READING)
def test_a_journal_that_is_missing(command: str, tmp_path: Path) -> None:
    """Each command reports a missing journal with the path and what to do."""
    result = run(command.format(folder=tmp_path))
    where = settings.journal_path()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"❌ No journal at {where} yet: run an agent first\n"


@pytest.mark.parametrize("command", READING)
def test_a_journal_that_is_damaged(command: str, closed: Path, tmp_path: Path) -> None:
    """Each command reports a journal overwritten from its beginning, with the path and the cure."""
    closed.write_bytes(b"\xff" * 50_000)
    result = run(command.format(folder=tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"❌ The journal at {closed} is damaged (file is not a database); {FIX}\n"


@pytest.mark.failures_expected
def test_a_journal_that_is_damaged_in_the_middle_is_repaired(closed: Path) -> None:
    """The message about a journal damaged in the middle has a cure that sets the journal aside; then `status` works."""
    whole = closed.read_bytes()
    with closed.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (len(whole) - 8192))
    result = run("costs --what-if gpt-4o")
    assert result.exit_code == 1
    assert result.stderr == f"❌ The journal at {closed} is damaged (database disk image is malformed); {FIX}\n"
    assert run("doctor --fix").exit_code == 0
    assert run("status").exit_code == 0


@pytest.mark.parametrize("command", READING)
def test_a_journal_that_is_newer(command: str, closed: Path, tmp_path: Path) -> None:
    """For a journal of a newer version, the message asks to update this repo; the journal is not changed."""
    journal = Journal(closed)
    journal.change("PRAGMA user_version = 99")
    journal.close()
    result = run(command.format(folder=tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"❌ {closed} was written by a newer version of this repo: update it (git pull)\n"


@pytest.mark.parametrize("command", [*READING, "tail"])
def test_a_folder_in_its_place(command: str, tmp_path: Path) -> None:
    """A folder at the journal's path is reported with a cure for this case, not with `run an agent`."""
    settings.journal_path().mkdir(parents=True)
    result = run(command.format(folder=tmp_path))
    message = f"{settings.journal_path()} is a folder: set OBSERVABILITY_JOURNAL to a file in this folder"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"❌ {message}\n")
    (finding,) = [finding for finding in _findings() if finding["about"] == "journal"]
    assert (finding["weight"], finding["cure"]) == ("fault", "set OBSERVABILITY_JOURNAL to a file in this folder")


def _findings() -> list[Any]:
    return [json.loads(line) for line in run("doctor --json").stdout.splitlines()]


NO_KEYS = "for Langfuse set LANGFUSE_SECRET_KEY and LANGFUSE_PUBLIC_KEY in .env"
BOOLEAN = "ENABLE_LANGFUSE must be true or false (or 1/0, yes/no, on/off); it is set in the environment"
NO_TLS = "http://langfuse.example.com has no TLS, so the keys would travel unencrypted: nothing is sent"
NO_ADDRESS = (
    "LANGFUSE_HOST must be an address like https://cloud.langfuse.com, without user name or ?query,"
    " and with at most 19 characters between two slashes of the path"
)
SWAPPED = "LANGFUSE_PUBLIC_KEY holds a secret key: swap the secret and the public key in .env"
KEYS = settings_for("https://langfuse.example.com")
REASONS = {
    "no keys": ({}, "kept here", "no keys are set", NO_KEYS),
    "one key": (
        {"LANGFUSE_SECRET_KEY": "sk-lf-0123456789"}, "kept here", "one of two keys is missing: LANGFUSE_PUBLIC_KEY",
        "set LANGFUSE_PUBLIC_KEY in .env",
    ),
    "malformed": ({**KEYS, "ENABLE_LANGFUSE": "maybe"}, "kept here", BOOLEAN, "correct the setting in the environment"),
    "no address": ({**KEYS, "LANGFUSE_HOST": "foo"}, "kept here", NO_ADDRESS, "correct the setting in the environment"),
    "swapped keys": (
        {**KEYS, "LANGFUSE_PUBLIC_KEY": "sk-lf-0123456789"}, "kept here", SWAPPED,
        "correct the setting in the environment",
    ),
    "no TLS": (
        {**KEYS, "LANGFUSE_HOST": "http://langfuse.example.com"}, "kept here", NO_TLS,
        "use https://, or set LANGFUSE_ALLOW_HTTP=true on a trusted network",
    ),
}  # fmt: skip


@cases("case", REASONS)
def test_status_and_doctor_say_why_nothing_is_sent(case: str, closed: Path) -> None:
    """If nothing is sent, `status` and `doctor` print the same reason and cure, as text and as JSON."""
    environment, shipping, reason, cure = REASONS[case]
    lines = run("status", COLUMNS="200", **environment).stdout.splitlines()
    assert lines[:2] == [f"🤖 Tracing is on, records are {shipping}; {reason}", f"   → {cure}"]
    status = json.loads(run("status --json", **environment).stdout)
    assert (status["shipping"], status["reason"], status["cure"]) == (shipping, reason, cure)
    findings = [json.loads(line) for line in run("doctor --json", **environment).stdout.splitlines()]
    assert [finding["cure"] for finding in findings if finding["what"] == reason] == [cure]


@cases("case", [case for case in REASONS if case != "no TLS"])
@cases("command", ["ship", "ship --include-local --yes"])
def test_ship_says_why_there_is_nowhere_to_ship_to(case: str, command: str, closed: Path) -> None:
    """If nothing can be sent, `ship` prints the reason and cure that `status` prints, and sends nothing."""
    environment, _, reason, cure = REASONS[case]
    result = run(command, COLUMNS="200", **environment)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "❌ Nothing can be sent (" in result.stderr
    assert f": {reason})\n   → {cure}\n" in result.stderr
    result = json.loads(run(f"{command} --json", **environment).stdout)
    assert (result["delivered"], result["waiting"], result["cure"]) == (0, None, cure)
    assert reason in result["why"]


def test_tracing_that_is_off_says_who_says_so(closed: Path) -> None:
    """While tracing is off, `status` names the source of that setting, and states that calls are not recorded."""
    lines = run("status", ENABLE_LANGFUSE="false", **KEYS).stdout.splitlines()
    assert lines[:2] == [
        "🤖 Tracing is off, according to the environment: calls are not recorded",
        "   → set ENABLE_LANGFUSE=true in the environment",
    ]


@cases(
    ("host", "allowed", "sent"),
    [
        ("https://langfuse.example.com", "false", True),
        ("http://localhost:3000", "false", True),
        ("http://127.0.0.1", "false", True),
        ("http://127.0.0.2:3000/path", "false", True),
        ("http://[::1]:3000", "false", True),
        ("http://langfuse.example.com", "true", True),
        ("http://localhost.example.com", "false", False),
        ("http://127.0.0.1.example.com", "false", False),
    ],
)
def test_what_is_sent_has_no_reason(host: str, allowed: str, sent: bool, closed: Path) -> None:
    """With keys, rows are sent to a host with TLS, to this machine, or to any host if LANGFUSE_ALLOW_HTTP is true."""
    settings = {**KEYS, "LANGFUSE_HOST": host, "LANGFUSE_ALLOW_HTTP": allowed}
    status = json.loads(run("status --json", **settings).stdout)
    assert (status["shipping"] == f"to be shipped to {host}", status["reason"] is None) == (sent, sent)
    assert (status["cure"] is None) == sent


def test_what_was_interrupted_took_nobody_knows_how_long(closed: Path) -> None:
    """An interrupted call is shown with an unknown duration, counts as a call, and counts in no latency."""
    journal, trace_id = Journal(closed), "b" * 32
    row = observation_row(
        id="a" * 16, trace_id=trace_id, type="generation", name="llm_generation", trace_name="x", agent="DeadAgent",
        start_ns=time.time_ns(), model="m", state="open", process="1-dead",
    )  # fmt: skip
    journal.append([row], [])
    assert journal.interrupt("1-dead") == 1
    journal.close()
    assert "m  tokens unknown  duration unknown  price unknown" in run(f"trace {trace_id}").stdout
    assert "  unknown  WARNING" in run("traces --agent DeadAgent", COLUMNS="200").stdout
    total = json.loads(run("costs --agent DeadAgent --json").stdout)
    assert (total["calls"], total["p50_ms"], total["p99_ms"]) == (1, None, None)
    assert "💰 The last 24 hours: " in run("status").stdout


def test_an_empty_result_names_the_cure(closed: Path) -> None:
    """If nothing is found, the message states what to do; for a session it names the command that lists sessions."""
    names = "🤖 No traces found: list the sessions with `python -m src.observability costs --by session`"
    assert run("traces --session nosuch").stderr == f"{names}\n"
    assert run("traces --session nosuch --since 1h").stderr == f"{names}, or widen --since\n"
    assert run("decisions --since 2099-01-01").stderr == ("🤖 No decisions found: run an agent, or widen --since\n")


def test_one_is_no_plural_and_export_says_that_it_replaces(closed: Path, tmp_path: Path) -> None:
    """A count of one is printed in the singular; the help of `export` states that it replaces an existing file."""
    assert run(f"export --limit 1 --output {tmp_path}/x.jsonl").stderr.startswith("✅ 1 observation in ")
    assert run(f"export --limit 2 --output {tmp_path}/x.jsonl").stderr.startswith("✅ 2 observations in ")
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 2
    assert "replaces an existing file" in run("export --help", COLUMNS="200").stdout


def test_ship_names_the_local_rows_that_it_leaves(closed: Path, langfuse: Any) -> None:
    """If no row is pending, `ship` prints how many rows were recorded without keys, and does not send them."""
    line = "🤖 100 rows from before Langfuse keys were set: --include-local sends them"
    assert run("ship").stdout.splitlines()[1] == line
    result = json.loads(run("ship --json").stdout)
    assert result == {
        "host": settings.setting("LANGFUSE_HOST"), "delivered": 0, "refused": 0, "waiting": 0, "why": None,
        "cure": None, "local": 100,
    }  # fmt: skip
    result = json.loads(run("ship --include-local --yes --json").stdout)
    assert (result["delivered"], result["local"]) == (100, 0)


def test_prune_counts_for_scripts(closed: Path) -> None:
    """The JSON output of `prune` has the numbers of rows to delete and of deleted rows."""
    would = json.loads(run("prune --older-than 1h --dry-run --json").stdout)
    assert (would["found"], would["gone"], would["dry_run"]) == ({"local": 60}, 0, True)
    went = json.loads(run("prune --older-than 1h --json --yes").stdout)
    assert (went["found"], went["gone"], went["waiting"]) == ({"local": 60}, 60, 0)


@pytest.mark.slow
def test_tail_waits_for_a_journal(journal: Any) -> None:
    """While there is no journal, `tail` prints that it waits. Later, a failed call and its cycle are one line."""
    journal.path.unlink()
    with subprocess.Popen(
        [sys.executable, "-m", "src.observability", "tail"], cwd=settings.REPO_ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "80"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == f"🤖 No journal at {settings.journal_path()} yet: waiting for an agent\n"
        _fail_in_a_cycle()
        one_cycle("LateAgent")
        journal.observations()
        lines = [process.stdout.readline() for _ in range(3)]
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(10) == 0
    assert lines[0].startswith("── ")
    assert [line.split()[2] for line in lines[1:]] == ["FailAgent", "LateAgent"]
    assert "ZeroDivisionError" in lines[1]
    assert rest == ""


def _tail(*arguments: str, columns: int, lines: int) -> list[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "src.observability", "tail", *arguments], cwd=settings.REPO_ROOT, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "COLUMNS": str(columns)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGINT)
        return [*first, *process.stdout.read().splitlines(keepends=True)]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80, 130])
def test_lines_of_tail_fit(columns: int, journal: Any) -> None:
    """Lines of `tail` fit the terminal also with Chinese texts, whose characters take two columns; the date is printed
    on a line of its own."""
    with ObservabilityContext.agent_cycle("鯨魚觀察員代理程式第一號"):
        ObservabilityContext.add_trading_signal("SELL", 64, "鯨魚離開資金池" * 40, "以太")
    journal.observations()
    day, line = _tail(columns=columns, lines=2)
    assert day.startswith("── 20")
    assert cell_len(line.rstrip("\n")) <= columns
    assert "SELL 64%" in line


@pytest.mark.slow
def test_tail_begins_at_since_and_limit(closed: Path) -> None:
    """`tail` begins with the rows that --since and --limit select; an agent's name matches in upper or lower case."""
    journal = Journal(closed, create=False)
    signals = journal.select("SELECT start_ns, agent FROM observations WHERE name = 'trading_signal' ORDER BY seq")
    journal.close()
    since = f"{datetime.fromtimestamp(signals[15]['start_ns'] / 1e9 - 1, timezone.utc):%Y-%m-%dT%H:%M:%S}"
    lines = _tail("--since", since, "--limit", "100", "--json", columns=130, lines=5)
    assert [json.loads(line)["start_ns"] for line in lines] == [signal["start_ns"] for signal in signals[15:]]
    agent = signals[-1]["agent"]
    lines = _tail("--agent", agent.upper(), "--limit", "1", columns=130, lines=2)
    assert (len(lines), agent in lines[1]) == (2, True)


def _fail_in_a_cycle() -> None:
    @observe_llm(name="llm_generation")
    def fail() -> None:
        raise ZeroDivisionError("no liquidity")

    with pytest.raises(ZeroDivisionError), ObservabilityContext.agent_cycle("FailAgent"):
        fail()


def test_digits_that_several_traces_share_list_them(closed: Path) -> None:
    """If several traces share the given digits, they are listed on stderr, with status 1; eight digits select one."""
    journal = Journal(closed)
    journal.change("UPDATE observations SET trace_id = 'abc' || substr(trace_id, 4) WHERE seq <= 6")
    journal.change("UPDATE observations SET trace_id = 'def' || substr(trace_id, 4) WHERE seq > 6")
    ids = [row["trace_id"] for row in journal.select("SELECT trace_id FROM observations WHERE seq IN (1, 4)")]
    journal.close()
    result = run("trace abc")
    assert (result.exit_code, result.stdout) == (1, "")
    listed = [line.split()[2] for line in result.stderr.splitlines() if line[:2].isdigit()]
    assert sorted(listed) == sorted(trace_id[:8] for trace_id in ids)
    assert "Several trace ids start with 'abc'" in result.stderr
    assert run(f"trace {ids[0][:8]}").exit_code == 0
    assert "`python -m src.observability trace abc` lists them" in run("outcome abc --pnl-usd 1").stderr


def test_short_options(closed: Path) -> None:
    """-h is --help, for the console and for a command; -n is --limit."""
    for command in ("", "decisions "):
        assert run(f"{command}-h").stdout == run(f"{command}--help").stdout
    assert run("decisions -n 3").stdout == run("decisions --limit 3").stdout
