"""Whole screens of `status`, `doctor`, `tail`, `prune`, `ship` and `outcome` on 2026-11-18, at 80 and 160 columns.

The journal's path has the same length in each run. Text that differs between machines, such as versions, is replaced.
"""
# ruff: noqa: E501 - screens of 160 columns

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from rich.cells import cell_len

from src.observability import settings
from src.observability.console import time_range
from src.observability.journal.store import Journal, Row
from tests.console.printed import START_NS, invoke
from tests.langfuse_server import settings_for
from tests.million import fill, observation_row

pytestmark = pytest.mark.usefixtures("in_utc")
MINUTE_NS = 60_000_000_000
CHANGES = (
    (r"/tmp/moon-\w{8}", "/tmp/moon-journal"),
    (r"127\.0\.0\.1:\d{5}", "127.0.0.1:30000"),
    (r"localhost:\d{5}", "localhost:30000"),
    (r"[\d,.]+ GB free", "50.0 GB free"),
    (r"\b0\.[12] MB", "0.1 MB"),  # the size grows with each migration
    (r"genai-prices [\d.]+", "genai-prices 0.2.3"),
    (r"as of 20\d\d-\d\d-\d\d", "as of 2026-11-09"),
    (r"package: version [\d.]+", "package: version 1.0.0"),
    (r"the SDK is [\d.]+", "the SDK is 5.0.4"),
    (r"✅ calls: [^✅]*", ""),  # depends on the installed SDKs
)


def seen(command: str, columns: int, status: int = 0) -> str:
    """Return the normalised output of a command, and check that the command ends with this status."""
    result = invoke(command, columns)
    assert result.exit_code == status, result.output
    return normalised(result.output, columns)


def normalised(output: str, columns: int) -> str:
    """Check that all lines fit; return the output with placeholders for whatever differs between machines."""
    lines = [line.rstrip() for line in output.strip("\n").splitlines()]
    assert max(cell_len(line) for line in lines) <= columns
    text = "\n".join(lines)
    for pattern, instead in CHANGES:
        text = re.sub(pattern, instead, text)
    return text


def unwrapped(screen: str) -> str:
    """Return the screen with its wrapped lines joined, as a wide terminal shows them."""
    return re.sub(r"\n   (?!→)", " ", screen)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """Six traces and a failed call of 2026-11-18; the console's clock always shows ten minutes after START_NS."""
    monkeypatch.setattr(time_range, "now_ns", lambda: START_NS + 10 * MINUTE_NS)
    monkeypatch.setenv("OBSERVABILITY_MAX_MB", "10")
    with tempfile.TemporaryDirectory(prefix="moon-", dir="/tmp") as folder:
        monkeypatch.setenv("OBSERVABILITY_JOURNAL", f"{folder}/journal.db")
        made = Journal(Path(folder) / "journal.db")
        fill(made, 6, days=0.01, until_ns=START_NS)
        made.append([failed_call()], [])
        yield made
        made.close()


def failed_call() -> Row:
    """Return the row of a failed call outside a cycle."""
    return observation_row(
        id="f" * 16, trace_id="f" * 32, type="generation", name="llm_generation", trace_name="WhaleAgent4",
        agent="WhaleAgent4", model="claude-haiku-4-5", provider="claude", level="ERROR", start_ns=START_NS,
        end_ns=START_NS + MINUTE_NS, status_message="APIStatusError: HTTP 503: upstream connect error, try again later",
    )  # fmt: skip


def test_status(journal: Journal) -> None:
    """Without keys, `status` prints that records are kept here, and which settings to add."""
    assert seen("status", 80) == snapshot("""\
🤖 Tracing is on, records are kept here; no keys are set
   → for Langfuse set LANGFUSE_SECRET_KEY and LANGFUSE_PUBLIC_KEY in .env
   2026-11-18 11:16:40 UTC
📒 /tmp/moon-journal/journal.db
   0.1 MB, oldest row 24 min old, 31 local

💰 The last 24 hours: 7 calls, 1 failed, $0.0091
agent              calls  errors  decisions     spend  no price
───────────────────────────────────────────────────────────────────────
FundingAgent6          1       –          1   $0.0034         –  ██████
WhaleAgent4            2     50%          1   $0.0029         –  █████
FundingAgent8          1       –          1   $0.0017         –  ███
LiquidationAgent8      1       –          1  $0.00099         –  ██
WhaleAgent1            1       –          1  $0.00018         –
LiquidationAgent5      1       –          1      free         –

📌 The last decisions
time (UTC)   trace     agent              decision         reason
────────────────────────────────────────────────────────────────────────────────
11-18 10:54  1a2b8f1f  FundingAgent8      NOTHING 30% ETH  open interest falls …
11-18 10:57  f3c64af7  FundingAgent6      BUY 39% ETH      open interest falls …
11-18 10:59  f0dfb4a5  LiquidationAgent8  BUY 100% BTC     open interest falls …
11-18 11:01  bb968a43  WhaleAgent1        NOTHING 30% ETH  open interest falls …
11-18 11:04  5a702cfa  LiquidationAgent5  SELL 8% ETH      open interest falls …\
""")
    assert seen("status", 160) == snapshot("""\
🤖 Tracing is on, records are kept here; no keys are set
   → for Langfuse set LANGFUSE_SECRET_KEY and LANGFUSE_PUBLIC_KEY in .env
   2026-11-18 11:16:40 UTC
📒 /tmp/moon-journal/journal.db
   0.1 MB, oldest row 24 min old, 31 local

💰 The last 24 hours: 7 calls, 1 failed, $0.0091
agent              calls  errors  decisions     spend  no price
───────────────────────────────────────────────────────────────────────
FundingAgent6          1       –          1   $0.0034         –  ██████
WhaleAgent4            2     50%          1   $0.0029         –  █████
FundingAgent8          1       –          1   $0.0017         –  ███
LiquidationAgent8      1       –          1  $0.00099         –  ██
WhaleAgent1            1       –          1  $0.00018         –
LiquidationAgent5      1       –          1      free         –

📌 The last decisions
time (UTC)      trace     agent              decision         reason
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
11-18 10:54:42  1a2b8f1f  FundingAgent8      NOTHING 30% ETH  open interest falls while funding stays negative and whales move coins to the exchange before liq…
11-18 10:57:06  f3c64af7  FundingAgent6      BUY 39% ETH      open interest falls while funding stays negative and whales move coins to the exchange before liq…
11-18 10:59:29  f0dfb4a5  LiquidationAgent8  BUY 100% BTC     open interest falls while funding stays negative and whales move coins to the exchange before liq…
11-18 11:01:53  bb968a43  WhaleAgent1        NOTHING 30% ETH  open interest falls while funding stays negative and whales move coins to the exchange before liq…
11-18 11:04:17  5a702cfa  LiquidationAgent5  SELL 8% ETH      open interest falls while funding stays negative and whales move coins to the exchange before liq…\
""")


def test_status_of_what_waits(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """With keys, `status` prints the numbers of shipped, pending and rejected rows."""
    for name, value in settings_for("https://langfuse.example.com").items():
        monkeypatch.setenv(name, value)
    deliver(journal)
    narrow, wide = (seen("status", columns).partition("\n\n")[0] for columns in (80, 160))
    assert narrow == snapshot("""\
🤖 Tracing is on, records are shipped to https://langfuse.example.com; the
   oldest row has been pending for 22 min
   → run python -m src.observability doctor
   2026-11-18 11:16:40 UTC
📒 /tmp/moon-journal/journal.db
   0.1 MB, oldest row 24 min old, 12 local, 4 pending, 2 rejected, 13 shipped,
   oldest pending row 22 min old
   12 rows from before the Langfuse keys were set are not sent; to send them:
   python -m src.observability ship --include-local\
""")
    assert wide == snapshot("""\
🤖 Tracing is on, records are shipped to https://langfuse.example.com; the oldest row has been pending for 22 min
   → run python -m src.observability doctor
   2026-11-18 11:16:40 UTC
📒 /tmp/moon-journal/journal.db
   0.1 MB, oldest row 24 min old, 12 local, 4 pending, 2 rejected, 13 shipped, oldest pending row 22 min old
   12 rows from before the Langfuse keys were set are not sent; to send them: python -m src.observability ship --include-local\
""")


def deliver(journal: Journal) -> None:
    """Mark rows as shipped, pending or rejected for the configured destination or, if none is, for an example host."""
    to = settings.destination()
    label = to.label if to is not None else "https://langfuse.example.com|pk-lf-0123456789"
    journal.change("UPDATE observations SET state = 'shipped', destination = ?", (label,))
    journal.change("UPDATE observations SET state = 'pending' WHERE seq % 4 = 0")
    reason = "HTTP 400: Invalid request data: tags.3 must be a string, not a number"
    journal.change("UPDATE observations SET state = 'rejected', reason = ? WHERE seq % 9 = 0", (reason,))


def test_doctor(journal: Journal, langfuse: Any) -> None:
    """If nothing is wrong, every finding of `doctor` is fine."""
    journal.change("DELETE FROM observations WHERE level = 'ERROR'")
    narrow = seen("doctor", 80)
    assert narrow == snapshot("""\
✅ package: version 1.0.0
✅ tracing: on, according to the default
✅ keys: set in the environment; accepted by the server
✅ disk: 50.0 GB free at /tmp/moon-journal
✅ journal: readable, writable and sound: /tmp/moon-journal/journal.db, 0.1 MB
✅ pending: no rows are pending
✅ rejected: no rows were rejected
✅ own failures: none; every call of the last 7 days was recorded
✅ outcomes: all of the last 7 days match a trace
✅ prices: genai-prices 0.2.3, newest price of 2026-11-09
✅ server: http://localhost:30000 is Langfuse 4.60.0, the SDK is 5.0.4
✅ clock: within a minute of the server's clock
✅ reading: only the new read APIs answer (server mode events_only)\
""")
    assert seen("doctor", 160) == narrow


def test_doctor_of_what_is_wrong(journal: Journal) -> None:
    """`doctor` reports missing keys, rows of another project, rejected rows, a mistyped id and an unknown price."""
    deliver(journal)
    unknown = {"model": "nobody-s-model", "provider": "openrouter", "level": "DEFAULT"}
    journal.append([{**failed_call(), "id": "e" * 16, **unknown}], [])
    journal.change("INSERT INTO scores SELECT seq + 100, 'x', 'deadbeef', NULL, 'pnl_usd', 'NUMERIC', 1, NULL,"
                   " NULL, NULL, ?, NULL, 'local', NULL FROM scores LIMIT 1", (START_NS,))  # fmt: skip
    narrow = seen("doctor", 80, status=1)
    assert narrow == snapshot("""\
❌ rejected: Langfuse rejected 2 rows: HTTP 400: Invalid request data: tags.3
   must be a string, not a number
   → correct the cause; then, to send the rows again: python -m
   src.observability doctor --fix
⚠️ keys: no keys are set
   → for Langfuse set LANGFUSE_SECRET_KEY and LANGFUSE_PUBLIC_KEY in .env
⚠️ pending: 4 rows for the project of pk-lf-0123456789 at
   https://langfuse.example.com, which is not a configured destination
   → to send them, run once with its keys and host in the environment: python -m
   src.observability ship
⚠️ outcomes: 1 outcome of the last 7 days without a trace in this journal:
   deadbeef
   → ignore ids from other machines; if an id is mistyped, record the outcome
   again under the right id; to list the ids: python -m src.observability
   decisions
⚠️ prices: unknown for openrouter/nobody-s-model: 1 call of the last 7 days
   → pip install -U genai-prices && python -m
   src.observability.recording.make_prices
✅ package: version 1.0.0
✅ tracing: on, according to the default
✅ disk: 50.0 GB free at /tmp/moon-journal
✅ journal: readable, writable and sound: /tmp/moon-journal/journal.db, 0.1 MB
✅ own failures: none; every call of the last 7 days was recorded
""")
    assert seen("doctor", 160, status=1) == unwrapped(narrow)


@pytest.mark.slow
def test_tail(journal: Journal) -> None:
    """`tail` prints decisions and errors until Ctrl-C."""
    narrow, wide = (tail(columns) for columns in (80, 160))
    assert until_ctrl_c(narrow, 80) == snapshot("""\
── 2026-11-18, UTC
10:52:18  cd613e30  WhaleAgent4         📌 NOTHING 58% ETH    open interest fal…
10:54:42  1a2b8f1f  FundingAgent8       📌 NOTHING 30% ETH    open interest fal…
10:57:06  f3c64af7  FundingAgent6       📌 BUY 39% ETH        open interest fal…
10:59:29  f0dfb4a5  LiquidationAgent8   📌 BUY 100% BTC       open interest fal…
11:01:53  bb968a43  WhaleAgent1         📌 NOTHING 30% ETH    open interest fal…
11:04:17  5a702cfa  LiquidationAgent5   📌 SELL 8% ETH        open interest fal…
11:06:40  ffffffff  WhaleAgent4         ❌ llm_generation     APIStatusError: H…\
""")
    assert until_ctrl_c(wide, 160) == snapshot("""\
── 2026-11-18, UTC
10:52:18  cd613e30  WhaleAgent4         claude-haiku-4-5          📌 NOTHING 58% ETH    open interest falls while funding stays negative and whales move coins…
10:54:42  1a2b8f1f  FundingAgent8       claude-haiku-4-5          📌 NOTHING 30% ETH    open interest falls while funding stays negative and whales move coins…
10:57:06  f3c64af7  FundingAgent6       claude-haiku-4-5          📌 BUY 39% ETH        open interest falls while funding stays negative and whales move coins…
10:59:29  f0dfb4a5  LiquidationAgent8   deepseek-chat             📌 BUY 100% BTC       open interest falls while funding stays negative and whales move coins…
11:01:53  bb968a43  WhaleAgent1         gpt-4o-mini               📌 NOTHING 30% ETH    open interest falls while funding stays negative and whales move coins…
11:04:17  5a702cfa  LiquidationAgent5   llama3.2                  📌 SELL 8% ETH        open interest falls while funding stays negative and whales move coins…
11:06:40  ffffffff  WhaleAgent4         claude-haiku-4-5          ❌ llm_generation     APIStatusError: HTTP 503: upstream connect error, try again later\
""")


def tail(columns: int) -> subprocess.Popen[str]:
    """Start `tail` in a new process."""
    return subprocess.Popen(
        [sys.executable, "-m", "src.observability", "tail"], cwd=settings.REPO_ROOT, text=True, stdout=subprocess.PIPE,
        env={**os.environ, "COLUMNS": str(columns)},
    )  # fmt: skip


def until_ctrl_c(process: subprocess.Popen[str], columns: int, lines: int = 8) -> str:
    """Return the first lines that the process prints, as many as `lines`, and its output after Ctrl-C."""
    assert process.stdout is not None
    with process, process.stdout as stdout:
        first = [stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGINT)
        return normalised("".join([*first, stdout.read()]), columns)


def test_prune(journal: Journal) -> None:
    """`prune --dry-run` counts old rows, and `prune` deletes them; pending rows are kept."""
    deliver(journal)
    assert seen("prune --older-than 2026-11-18T11:00 --dry-run", 80) == snapshot("""\
🧹 Would delete 9 observations from before 2026-11-18 11:00:00 UTC
   1 rejected, 8 shipped
⚠️ Kept observations: 3, because Langfuse has not received them yet
   → to send them: python -m src.observability ship\
""")
    assert seen("prune --older-than 2026-11-18T11:00 --yes", 80) == snapshot("""\
🧹 Deleted 9 observations from before 2026-11-18 11:00:00 UTC
   1 rejected, 8 shipped, 0.0 MB freed
⚠️ Kept observations: 3, because Langfuse has not received them yet
   → to send them: python -m src.observability ship\
""")
    assert seen("prune --older-than 2026-11-18T11:00", 160).startswith("🧹 Deleted 0 observations from before ")


def test_ship(journal: Journal, langfuse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ship` reports that no row is pending, sends local rows if asked, and reports a wrong or missing key."""
    assert seen("ship", 80) == snapshot("""\
✅ No rows are pending for http://localhost:30000
🤖 31 rows from before Langfuse keys were set: --include-local sends them\
""")
    assert seen("ship --include-local --yes", 80) == snapshot("✅ 31 rows delivered to http://localhost:30000")
    deliver(journal)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-another")
    narrow = seen("ship", 80, status=1)
    assert narrow == snapshot("""\
❌ 4 rows still pending: HTTP 401: {"message":"Invalid credentials. Check the
   host."}
   → correct LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY or LANGFUSE_HOST in .env,
   then run python -m src.observability doctor\
""")
    assert seen("ship", 160, status=1) == unwrapped(narrow)
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    assert seen("ship", 80, status=1) == snapshot("""\
❌ Nothing can be sent (keys: one of two keys is missing: LANGFUSE_SECRET_KEY)
   → set LANGFUSE_SECRET_KEY in .env\
""")


def test_outcome(journal: Journal) -> None:
    """For a trace with only a NOTHING or a failed call, `outcome` warns that there is no trade to evaluate."""
    trade, none = "1a2b8f1f", "fffffff"
    assert seen(f"outcome {trade} --pnl-usd -12.5 --pnl-pct 0.8 --note slipped", 80) == snapshot("""\
✅ 1a2b8f1f: pnl_usd -$12.50, pnl_pct +0.80%
⚠️ Recorded, but the trace has no valid BUY or SELL to evaluate\
""")
    assert seen(f"outcome {none} --pnl-usd 3", 80) == snapshot("""\
✅ ffffffff: pnl_usd +$3.00
⚠️ Recorded, but the trace has no valid BUY or SELL to evaluate\
""")
