"""Whole screens as an operator sees them, at 80 and 160 columns, and the same commands over journals that are empty,
missing, damaged, of another version or being written.
"""

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from src.observability import settings
from src.observability.journal.store import Journal
from tests.cases import cases
from tests.console.printed import START_NS, invoke
from tests.million import observation_row

pytestmark = [pytest.mark.usefixtures("in_utc"), pytest.mark.filled(4, days=0.01, until_ns=START_NS)]
LOOKING = ("status", "decisions", "traces", "traces --tree", "trace last", "costs", "costs --what-if gpt-4o")
ALL = (*LOOKING, "export", "prune --dry-run", "doctor")


def screen(command: str, columns: int) -> str:
    """Return the output of a command, without spaces at the ends of lines."""
    result = invoke(command, columns)
    assert (result.exit_code, result.stderr) == (0, "")
    return "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines())


def test_decisions(filled: Journal) -> None:
    """`decisions` prints the reason on a second line at 80 columns, and in a column of its own at 160."""
    assert screen("decisions", 80) == snapshot("""\
time (UTC)   trace     agent           model           decision             cost
────────────────────────────────────────────────────────────────────────────────
11-18 10:52  cd613e30  WhaleAgent4     claude-…ku-4-5  NOTHING 58% ETH   $0.0029
  open interest falls while funding stays negative and whales move coins to the…
11-18 10:55  1a2b8f1f  FundingAgent8   claude-…ku-4-5  NOTHING 30% ETH   $0.0017
  open interest falls while funding stays negative and whales move coins to the…
11-18 10:59  f3c64af7  FundingAgent6   claude-…ku-4-5  BUY 39% ETH       $0.0034
  open interest falls while funding stays negative and whales move coins to the…
11-18 11:03  f0dfb4a5  Liquida…Agent8  deepseek-chat   BUY 100% BTC     $0.00099
  open interest falls while funding stays negative and whales move coins to the…\
""")
    assert screen("decisions", 160) == snapshot("""\
time (UTC)      trace     agent              model             decision             cost  reason
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
11-18 10:52:18  cd613e30  WhaleAgent4        claude-haiku-4-5  NOTHING 58% ETH   $0.0029  open interest falls while funding stays negative and whales move coin…
11-18 10:55:54  1a2b8f1f  FundingAgent8      claude-haiku-4-5  NOTHING 30% ETH   $0.0017  open interest falls while funding stays negative and whales move coin…
11-18 10:59:30  f3c64af7  FundingAgent6      claude-haiku-4-5  BUY 39% ETH       $0.0034  open interest falls while funding stays negative and whales move coin…
11-18 11:03:05  f0dfb4a5  LiquidationAgent8  deepseek-chat     BUY 100% BTC     $0.00099  open interest falls while funding stays negative and whales move coin…\
""")


def test_a_trace(filled: Journal) -> None:
    """`trace` prints a trace as a tree."""
    assert screen("trace last", 80) == snapshot("""\
2026-11-18 11:03:03 UTC  trace f0dfb4a5
🤖 LiquidationAgent8  1.9 s
├── in:  open_interest: 0.5209384176131452
├── 🧠 deepseek/deepseek-chat  3,861 → 382 tokens (899 cached)  1.9 s  $0.00099
│   └── out: SELL open interest falls while funding stays negative and whal…
└── 📌 BUY 100% BTC
    └── open interest falls while funding stays negative and whales move co…\
""")
    assert screen("trace last", 160) == snapshot("""\
2026-11-18 11:03:03 UTC  trace f0dfb4a5
🤖 LiquidationAgent8  1.9 s
├── in:  open_interest: 0.5209384176131452
├── 🧠 deepseek/deepseek-chat  3,861 → 382 tokens (899 cached)  1.9 s  $0.00099
│   └── out: SELL open interest falls while funding stays negative and whales move coins to the exchange before liquidations
└── 📌 BUY 100% BTC
    └── open interest falls while funding stays negative and whales move coins to the exchange before liquidations\
""")


def test_traces(filled: Journal) -> None:
    """`traces` has a line per trace, newest last."""
    assert screen("traces", 80) == snapshot("""\
began (UTC)  trace     agent       model        decision             cost   took
────────────────────────────────────────────────────────────────────────────────
11-18 10:52  cd613e30  Whale…ent4  claud…u-4-5  NOTHING 58% ETH   $0.0029  2.9 s
11-18 10:55  1a2b8f1f  Fundi…ent8  claud…u-4-5  NOTHING 30% ETH   $0.0017  2.9 s
11-18 10:59  f3c64af7  Fundi…ent6  claud…u-4-5  BUY 39% ETH       $0.0034  2.1 s
11-18 11:03  f0dfb4a5  Liqui…ent8  deeps…-chat  BUY 100% BTC     $0.00099  1.9 s\
""")
    assert screen("traces", 160) == snapshot("""\
began (UTC)     trace     agent              model             decision              tokens      cost   took
────────────────────────────────────────────────────────────────────────────────────────────────────────────
11-18 10:52:15  cd613e30  WhaleAgent4        claude-haiku-4-5  NOTHING 58% ETH  1,796 → 226   $0.0029  2.9 s
11-18 10:55:51  1a2b8f1f  FundingAgent8      claude-haiku-4-5  NOTHING 30% ETH  1,215 → 275   $0.0017  2.9 s
11-18 10:59:27  f3c64af7  FundingAgent6      claude-haiku-4-5  BUY 39% ETH      2,251 → 221   $0.0034  2.1 s
11-18 11:03:03  f0dfb4a5  LiquidationAgent8  deepseek-chat     BUY 100% BTC     3,861 → 382  $0.00099  1.9 s\
""")


def test_the_report_on_decisions(filled: Journal) -> None:
    """With four outcomes, only two of them for a BUY or SELL, `decisions --report` marks each group as `few`."""
    for number, row in enumerate(filled.observations("is_root")):
        invoke(f"outcome {row['trace_id']} --pnl-usd {[12.5, -3, 8, -1.25][number]}")
    narrow = screen("decisions --report", 80)
    assert narrow == snapshot("""\
⚖️ 2 BUY and SELL decisions with a known outcome (indented: 95 % intervals)
agent              cases  hits  mean PnL  Brier
───────────────────────────────────────────────
FundingAgent6      1 few  100%    +$8.00   0.37
  hits 21 to 100%, mean ?, Brier ?
LiquidationAgent8  1 few    0%    -$1.25   1.00
  hits 0 to 79%, mean ?, Brier ?

model             cases  hits  mean PnL  Brier
──────────────────────────────────────────────
claude-haiku-4-5  1 few  100%    +$8.00   0.37
  hits 21 to 100%, mean ?, Brier ?
deepseek-chat     1 few    0%    -$1.25   1.00
  hits 0 to 79%, mean ?, Brier ?

confidence  cases  profitable    interval
─────────────────────────────────────────
       39%  1 few        100%  21 to 100%
      100%  1 few          0%    0 to 79%

💰 Profit or loss, minus the cost of all calls, also those that led to NOTHING
agent                 PnL  cases  all calls  no price     net
─────────────────────────────────────────────────────────────
FundingAgent6      +$8.00      1    $0.0034         –  +$8.00
LiquidationAgent8  -$1.25      1   $0.00099         –  -$1.25
FundingAgent8           –      0    $0.0017         –       –
WhaleAgent4             –      0    $0.0029         –       –

model                PnL  cases  all calls  no price     net
────────────────────────────────────────────────────────────
claude-haiku-4-5  +$8.00      1    $0.0080         –  +$7.99
deepseek-chat     -$1.25      1   $0.00099         –  -$1.25

⚠️ few: fewer than 30 cases; trust the intervals, not the means\
""")
    assert screen("decisions --report", 160) == narrow


def test_costs(filled: Journal) -> None:
    """At 160 columns, `costs` prints more figures than at 80, such as tokens, p99 and the time to the first token."""
    assert screen("costs --by model --since 2026-11-01", 80) == snapshot("""\
💰 Since 2026-11-01 00:00:00 UTC
model             calls  errors     spend  no price    p50    p95
─────────────────────────────────────────────────────────────────────────
claude-haiku-4-5      3       –   $0.0080         –  2.9 s  2.9 s  ██████
deepseek-chat         1       –  $0.00099         –  1.9 s  1.9 s  █
total                 4       –   $0.0090         –      –      –\
""")
    assert screen("costs --by model --since 2026-11-01", 160) == snapshot("""\
💰 Since 2026-11-01 00:00:00 UTC
model             calls  errors     spend  no price    p50    p95    p99  1st token  decisions      each  cached  tokens in    out  thinking
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
claude-haiku-4-5      3       –   $0.0080         –  2.9 s  2.9 s  2.9 s          –          3   $0.0027     17%      5,262    722         0  ██████
deepseek-chat         1       –  $0.00099         –  1.9 s  1.9 s  1.9 s          –          1  $0.00099     23%      3,861    382         0  █
total                 4       –   $0.0090         –      –      –      –          –          4   $0.0022     20%      9,123  1,104         0\
""")


def test_agent_and_model_choose(filled: Journal) -> None:
    """--model selects the traces with a call of this model, and their decisions; --agent combines with it."""
    for command in ("decisions", "traces"):
        assert len(invoke(f"{command} --model claude-haiku-4-5 --json").stdout.splitlines()) == 3
        assert len(invoke(f"{command} --model deepseek-chat --json").stdout.splitlines()) == 1
        assert len(invoke(f"{command} --agent WhaleAgent4 --model deepseek-chat --json").stdout.splitlines()) == 0
        assert len(invoke(f"{command} --agent WhaleAgent4 --limit 1 --json").stdout.splitlines()) == 1


@cases("command", ALL)
def test_a_pipe_gets_no_colour(command: str, filled: Journal) -> None:
    """A pipe gets no colour and no other escape sequence."""
    result = invoke(command)
    assert result.exit_code == 0
    assert "\x1b" not in result.output


@pytest.mark.slow
def test_a_terminal_gets_colour(filled: Journal) -> None:
    """A real pseudo-terminal gets colours."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "src.observability", "decisions"]
    subprocess.run(command, stdout=slave, check=True, cwd=settings.REPO_ROOT, timeout=30,
                   env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": ""})  # fmt: skip
    os.close(slave)
    output = os.read(master, 100_000).decode(errors="replace")
    os.close(master)
    assert re.search(r"\x1b\[1;3[123]m(BUY|SELL|NOTHING)", output)


@cases("command", [*ALL, "traces --session last"])
def test_an_empty_journal(command: str, made: Journal) -> None:
    """An empty journal is not a fault, unless the last trace is requested."""
    result = invoke(command)
    assert result.exit_code == int(command == "trace last")
    assert "Traceback" not in result.output


def _spoil(journal: Journal, what: str) -> None:
    journal.change("PRAGMA user_version = 99" if what == "newer" else "PRAGMA user_version = 2")
    journal.change("PRAGMA application_id = 1" if what == "another program's" else "PRAGMA user_version")
    journal.close()
    if what == "damaged":
        journal.path.write_bytes(b"\xff" * 50_000)
    elif what in ("missing", "a folder"):
        journal.path.unlink()
    if what == "a folder":
        journal.path.mkdir()


@pytest.mark.parametrize("what", ["missing", "damaged", "newer", "another program's", "a folder"])
def test_a_journal_that_is_none(what: str, filled: Journal) -> None:
    """A missing or unusable journal is reported in one line, with exit status 1; the file, if any, is not changed."""
    path = filled.path
    _spoil(filled, what)
    before = path.read_bytes() if path.is_file() else None
    for command in ALL:
        if command != "doctor":
            result = invoke(command)
            assert (result.exit_code, result.stdout) == (1, ""), command
            assert result.stderr.startswith("❌ "), command
            assert len(result.stderr.splitlines()) == 1, command
            assert (path.read_bytes() if path.is_file() else None) == before, command


@pytest.mark.slow
def test_a_journal_that_is_being_written(filled: Journal) -> None:
    """Every command works beside two writing processes, without an error about a lock."""
    before = filled.newest()[0]
    writers = [subprocess.Popen([sys.executable, "-c", _WRITES, str(filled.path), seed]) for seed in ("100", "9000")]
    try:
        while filled.newest()[0] == before:
            time.sleep(0.02)
        for command in (*ALL, "prune --older-than 1d --yes", "doctor --fix"):
            result = invoke(command)
            assert (result.exit_code, "locked" in result.output) == (0, False), result.output
        assert all(writer.poll() is None for writer in writers)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


_WRITES = """
import itertools, pathlib, sys
from src.observability.journal.store import Journal
from tests.million import fill
journal = Journal(pathlib.Path(sys.argv[1]))
for seed in itertools.count(int(sys.argv[2])):
    fill(journal, 5, days=0.001, seed=seed)
"""


@pytest.mark.slow
def test_a_prompt_of_ten_megabytes(filled: Journal, tmp_path: Path) -> None:
    """A huge prompt is cut to one line in trees and tables, and whole in every export."""
    text = "price " * 1_700_000
    row = observation_row(id="1" * 16, trace_id="a" * 32, type="generation", name="llm_generation", trace_name="x",
                          start_ns=START_NS, end_ns=START_NS + 1, model="m" * 1000, agent="A" * 1000,
                          input=f'"{text}"', output=f'"{text}"', status_message=text, level="ERROR")  # fmt: skip
    filled.append([row], [])
    for command in ("trace last", "traces", "traces --tree", "costs", "status"):
        assert max(map(len, invoke(command, columns=80).output.splitlines())) <= max(80, len(str(filled.path)) + 3)
    for form in ("jsonl", "csv", "parquet"):
        assert invoke(f"export --format {form} --output {tmp_path / form}").exit_code == 0
        assert (tmp_path / form).stat().st_size > 1000
    assert text in (tmp_path / "csv").read_text()


HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J", "\u202egnp.exe\u2066", "\x9b31m", "\r\nfake line", "[bold red]markup[/]", "مرحبا שלום",
    "'; DROP TABLE observations; --", "\x00", "😀\u200d🚀", "\ud7ff\ue000",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_every_column(text: str, filled: Journal) -> None:
    """Neither escape sequences nor bidirectional overrides reach the terminal, and no row is lost."""
    row = observation_row(id="1" * 16, trace_id="a" * 32, type="event", name="trading_signal", trace_name=text,
                          start_ns=START_NS, end_ns=START_NS, agent=text, session_id=text, status_message=text,
                          level="ERROR", metadata=_json(text), provider=text, model=text)  # fmt: skip
    call = {**row, "id": "2" * 16, "type": "generation", "name": text, "input": _json(text), "output": _json(text)}
    filled.append([row, call], [])
    for command in (*LOOKING, "trace last --full", "costs --by session", "costs --by model", "doctor"):
        output = invoke(command).output
        assert not set("\x1b\x07\x9b\r\x00\u202e\u2066\ue000") & set(output), command
    assert len(filled.observations()) == 14


def _json(text: str) -> str:
    return json.dumps({"signal_action": text, "signal_confidence": 5, "signal_reasoning": text, "trading_symbol": text})


@pytest.mark.parametrize("name", ["agent", "model", "session"])
def test_options_are_values_not_sql(name: str, filled: Journal) -> None:
    """Option values are bound parameters, never part of the SQL."""
    evil = "x'OR'1'='1"
    if name == "session":
        assert invoke(f"traces --session {evil}").stdout == ""
    else:
        assert invoke(f"costs --{name} {evil} --json").stdout == ""
        assert invoke(f"export --{name} {evil}").stdout == ""
    assert len(filled.observations()) == 12


@cases(
    "since", ["2026-02-30", "0", "-1", "99999999d", "24", "h24", "2026-11-01T25:00", "now", "1e9d", "٣d", "'", "24h;"]
)
def test_strange_times_are_refused(since: str, filled: Journal) -> None:
    """A malformed time is refused with the accepted forms, exit status 2."""
    for command in ("costs", "decisions", "traces", "export"):
        result = invoke(f"{command} --since {since}")
        assert result.exit_code == 2
        assert "use 24h" in result.stderr


@cases("since", ["0001-01-01", "1969-12-31", "9999-12-31T23:59:59", "2026-11-18T12:06+01:00", "999999w"])
def test_times_far_away_are_times(since: str, filled: Journal) -> None:
    """Times before 1970, in the far future, and with an offset are accepted."""
    for command in ("costs", "decisions", "traces", "export"):
        result = invoke(f"{command} --since {since}")
        assert result.exit_code == 0, (command, result.output, result.exception)
