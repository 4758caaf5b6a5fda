"""The commands `watch` and `alerts`, and the lines of `status` and `doctor` about alerts."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from src.observability import settings
from src.observability.alerts import Watcher, only_watch
from src.observability.console.app import app
from src.observability.journal.store import Journal
from tests.alerts.agents import HOUR_NS, MINUTE_NS, T0, append, cycle
from tests.alerts.conftest import Webhook


def run(*arguments: str) -> Result:
    """Run a console command."""
    return CliRunner().invoke(app, [*arguments])


@pytest.fixture
def failing(made: Journal) -> None:
    """An agent that has run every five minutes for a day; its last ten calls failed."""
    now = time.time_ns()
    cycles = [cycle(now - number * 5 * MINUTE_NS, failed=number < 10) for number in range(288, -1, -1)]
    append(made, cycles)


def test_a_watch_from_cron(failing: None, webhook: Webhook) -> None:
    """Two runs of `watch --once` send one message. `alerts` and `status` show the incident; `doctor` shows the last
    run, and the number of messages that were given up after three days of failed attempts."""
    first, second = run("watch", "--once"), run("watch", "--once")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout.startswith("❌ ")
    assert "WhaleAgent: failing" in first.stdout
    assert second.stdout == ""
    assert webhook.titles == ["❌ WhaleAgent: failing"]
    assert "WhaleAgent  failing" in run("alerts").stdout
    (row,) = (json.loads(line) for line in run("alerts", "--json").stdout.splitlines())
    assert (row["agent"], row["rule"], row["closed_ns"]) == ("WhaleAgent", "failing", None)
    assert "🔔 Open alerts: WhaleAgent failing; to see them: python -m src.observability alerts" in run("status").stdout
    assert "alerts: `watch` ran " in run("doctor").stdout
    with closing(
        sqlite3.connect(settings.journal_path().with_name("journal.alerts.db"), isolation_level=None)
    ) as store:
        store.execute("UPDATE facts SET value = value - ? WHERE name = 'pass_ns'", (3 * HOUR_NS,))
        store.execute("UPDATE messages SET state = 'given up'")
    report = " ".join(run("doctor").stdout.split())
    assert "alerts: `watch` last ran 3 hours ago; 1 message given up after three days of attempts" in report


def test_a_test_message(webhook: Webhook, made: Journal) -> None:
    """`alerts test` sends a message, or prints the cure and exits with 1; `doctor` then names the failing channel."""
    sent = run("alerts", "test")
    assert (sent.exit_code, sent.stdout, webhook.titles) == (0, "✅ channel 1 (JSON): sent\n", ["🔔 Test"])
    webhook.status = 503
    failed = run("alerts", "test")
    assert failed.exit_code == 1
    assert "correct the address in OBSERVABILITY_ALERT_URLS" in failed.stderr
    assert "alerts: channel 1 (JSON) has failed 1 time in the last" in run("doctor").stdout


@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [
        ("OBSERVABILITY_ALERT_URLS", "nonsense://x", "channel 1 (nonsense) is not an address that apprise supports"),
        ("OBSERVABILITY_ALERT_URLS", "json://127.0.0.1:9", "`watch` has never run"),
        ("OBSERVABILITY_ALERT_URLS", "trader@example.com", "OBSERVABILITY_ALERT_URLS must be notification addresses"),
        ("OBSERVABILITY_ALERT_QUIET", "22-7", "OBSERVABILITY_ALERT_QUIET must be hours like 22:00-07:00"),
        ("OBSERVABILITY_ALERT_QUIET", "22:00-07:00 Mars/Base", "OBSERVABILITY_ALERT_QUIET names an unknown time zone"),
        (
            "OBSERVABILITY_ALERT_OFF",
            "flips, whale slowly",
            "OBSERVABILITY_ALERT_OFF contains whale slowly, which is not a rule",
        ),
    ],
)
def test_settings_that_do_not_work(
    name: str, value: str, finding: str, made: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a setting of the alerts is wrong, `doctor` names the setting and the cure, and quotes no address."""
    monkeypatch.setenv(name, value)
    assert finding in run("doctor").stdout


def test_alerts_that_are_switched_off(failing: None, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that OBSERVABILITY_ALERT_OFF switches off for an agent causes no alerts for that agent."""
    monkeypatch.setenv("OBSERVABILITY_ALERT_OFF", "whaleagent FAILING")
    assert run("watch", "--once").stdout == ""
    assert webhook.titles == []


def test_rows_that_are_not_delivered(made: Journal, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows pending for half an hour cause one incident, which ends when none is pending. Langfuse is not contacted."""
    for name, value in (("HOST", "http://127.0.0.1:9"), ("PUBLIC_KEY", "pk-lf-x"), ("SECRET_KEY", "sk-lf-x")):
        monkeypatch.setenv(f"LANGFUSE_{name}", value)
    to = settings.destination()
    assert to is not None
    append(made, [cycle(time.time_ns() - 50 * MINUTE_NS, state="pending", destination=to.label)])
    assert "rows for http://127.0.0.1:9 are undelivered, the oldest for 50 minutes" in run("watch", "--once").stdout
    run("watch", "--once")
    made.change("UPDATE observations SET state = 'rejected', reason = 'no such project'")
    assert "rejected 3 rows in the last hour: no such project" in run("watch", "--once").stdout
    assert webhook.titles == [
        "❌ fleet: unshipped",
        "❌ fleet: rejected",
        "✅ fleet: unshipped, recovered after 50 minutes",
    ]


def test_late_rows_are_one_incident_until_delivery_is_prompt(
    made: Journal, watcher: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Incident `unshipped` begins when the oldest pending row is over 30 minutes old, and ends when none is over 10."""
    for name, value in (("HOST", "http://127.0.0.1:9"), ("PUBLIC_KEY", "pk-lf-x"), ("SECRET_KEY", "sk-lf-x")):
        monkeypatch.setenv(f"LANGFUSE_{name}", value)
    to = settings.destination()
    assert to is not None
    running = watcher()
    changes = []
    for ended, now in ((0, 30), (0, 31), (20, 40), (55, 65), (55, 66)):  # minutes
        made.change("UPDATE observations SET state = 'local'")
        append(made, [cycle(T0 + ended * MINUTE_NS, seconds=0, state="pending", destination=to.label)])
        changes.append([incident.closing for incident in running.run_pass(T0 + now * MINUTE_NS)])
    assert changes == [[], [""], [], ["recovered"], []]


def test_a_budget_at_85_and_at_100_percent(
    made: Journal, watcher: Callable[[], Watcher], webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When 85 % of a budget is spent, an incident begins, and at 100 % a second one; both end with the budget's period.
    If spending goes from below 85 % to over 100 % in one step, only the second incident begins."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "WhaleAgent 10 calls/day UTC; fleet 5 USD/day UTC")
    add = "INSERT OR REPLACE INTO budget_periods VALUES (?, ?, ?, 0)"
    running, now = watcher(), T0 + 5 * HOUR_NS
    for spent in (8.4, 8.5, 9.0, 10.0, 10.0):
        made.change(add, ("whaleagent calls/day UTC", T0, spent))
        running.run_pass(now := now + MINUTE_NS)
    made.change(add, ("fleet USD/day UTC", T0, 7.0))
    running.run_pass(now + MINUTE_NS)
    assert webhook.titles == [
        "❌ budget whaleagent calls/day UTC: budget",
        "❌ budget whaleagent calls/day UTC: budget_full",
        "❌ budget fleet USD/day UTC: budget_full",
    ]
    assert "8.5 of 10 calls spent (85%)" in webhook.received[0]["message"]
    assert "First bad trace" not in webhook.received[0]["message"]
    assert {row["since_ns"] for row in running.store.incidents()} == {T0}
    running.run_pass(T0 + 25 * HOUR_NS)
    assert len(webhook.titles) == 6
    assert running.store.incidents(only_open=True) == []


def test_one_watch_at_a_time(made: Journal) -> None:
    """If a `watch` is running, a second one prints that and exits with 0: cron may start it before the first ends."""
    with only_watch(made.path):
        second = run("watch", "--once")
    assert (second.exit_code, second.stderr) == (0, "🤖 another `watch` is running on this journal\n")


def test_before_the_first_call() -> None:
    """Before the first call there is no journal: `watch` and `alerts` print that, exit with 0 and create no file."""
    for command in (("watch", "--once"), ("alerts",)):
        result = run(*command)
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.startswith("🤖 No ")
    assert not settings.journal_path().parent.exists()


def test_a_damaged_file_of_alerts_names_its_cure(failing: None) -> None:
    """If the alerts' file is damaged, `watch` exits with 1 and prints the cure; `status` still works."""
    path = settings.journal_path().with_name("journal.alerts.db")
    path.write_bytes(b"not a database" * 100)
    result = run("watch", "--once")
    assert result.exit_code == 1
    assert "if it is damaged, delete it" in " ".join(result.stderr.split())
    assert run("status").exit_code == 0
    assert "alerts: " in run("doctor").stdout


def test_a_machine_that_slept_has_no_silent_agents(made: Journal, watcher: Callable[[], Watcher]) -> None:
    """If the machine slept, `watch` counts an agent's silence from the time the machine woke up."""
    at = time.time_ns()
    append(made, [cycle(at - number * 15 * MINUTE_NS) for number in range(15 * 96, -1, -1)])
    running = watcher()
    running.run_pass(at)
    running.run_pass(at + MINUTE_NS)
    assert running.run_pass(at + 9 * HOUR_NS) == []  # the machine woke up
    append(made, [cycle(at + 9 * HOUR_NS + MINUTE_NS)])
    assert running.run_pass(at + 9 * HOUR_NS + 2 * MINUTE_NS) == []
    assert [incident.rule for incident in running.run_pass(at + 9 * HOUR_NS + 14 * MINUTE_NS)] == []
    for minutes in range(20, 200, 10):
        if changes := running.run_pass(at + 9 * HOUR_NS + minutes * MINUTE_NS):
            break
    assert [incident.rule for incident in changes] == ["silent"]
    assert minutes <= 90


def test_the_file_is_the_operators_alone(failing: None) -> None:
    """The alerts' file and its lock have the mode 0600, like the journal."""
    run("watch", "--once")
    files = [*Path(settings.journal_path()).parent.glob("journal.alerts.db*")]
    assert {"journal.alerts.db", "journal.alerts.db.lock"} <= {path.name for path in files}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
