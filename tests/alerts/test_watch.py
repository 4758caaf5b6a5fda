"""The whole path of an alert: from rows of the journal to one message per incident at a webhook."""

from collections.abc import Callable

import pytest

from src.observability.alerts import Watcher
from src.observability.journal.store import Journal, JournalError
from tests.alerts.agents import DAY_NS, HOUR_NS, MINUTE_NS, T0, append, cycle, trace_of
from tests.alerts.conftest import Webhook

Start = Callable[[], Watcher]
QUARTER = 15 * MINUTE_NS


def usual_days(journal: Journal, days: float) -> int:
    """Append cycles of an agent, one every 15 minutes for this many days from T0; return the time of the next cycle."""
    cycles = int(days * DAY_NS / QUARTER)
    append(journal, [cycle(T0 + number * QUARTER, failed=number % 100 == 99) for number in range(cycles)])
    return T0 + cycles * QUARTER


def test_an_incident_is_one_message_and_its_end_another(made: Journal, watcher: Start, webhook: Webhook) -> None:
    """The message names the last good and the first bad trace; a restarted watch does not send it again."""
    at = usual_days(made, 3)
    good = cycle(at)
    failing = [cycle(at + number * QUARTER, failed=True) for number in range(1, 9)]
    append(made, [good, *failing])
    watcher().run_pass(at + 8 * QUARTER)
    watcher().run_pass(at + 8 * QUARTER + MINUTE_NS)
    assert webhook.titles == ["❌ WhaleAgent: failing"]
    body = webhook.received[0]["message"]
    assert "8 of 8 calls failed" not in body  # the incident began before the eighth failure
    assert f"Last good trace: {trace_of(good)[:8]}" in body
    assert f"trace {trace_of(failing[0])[:8]}" in body
    append(made, [cycle(at + number * QUARTER) for number in range(9, 20)])
    watcher().run_pass(at + 20 * QUARTER)
    assert webhook.titles[1:] == ["✅ WhaleAgent: failing, recovered after 2 hours"]


def test_a_silent_agent_is_reported_by_its_own_cadence(made: Journal, watcher: Start, webhook: Webhook) -> None:
    """An agent that runs every 15 minutes is reported as silent after an hour; its next trace ends the incident."""
    at = usual_days(made, 15)
    running = watcher()
    running.run_pass(at)
    assert webhook.titles == []
    running.run_pass(at + HOUR_NS)
    running.run_pass(at + 2 * HOUR_NS)
    assert webhook.titles == ["❌ WhaleAgent: silent"]
    append(made, [cycle(at + 2 * HOUR_NS + QUARTER)])
    running.run_pass(at + 2 * HOUR_NS + 2 * QUARTER)
    assert webhook.titles[1:] == ["✅ WhaleAgent: silent, active again after 2 hours"]


def test_the_past_is_learned_without_messages(made: Journal, watcher: Start, webhook: Webhook) -> None:
    """An incident that was over before the watch began is listed as past, and not announced."""
    at = usual_days(made, 3)
    append(made, [cycle(at + number * QUARTER, failed=number < 12) for number in range(96)])
    running = watcher()
    running.run_pass(at + 96 * QUARTER)
    assert webhook.titles == []
    assert [(row["rule"], row["closing"]) for row in running.store.incidents()] == [("failing", "recovered")]


def test_a_broken_channel_is_tried_again_and_holds_up_no_other(
    made: Journal, watcher: Start, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message is retried with growing pauses, until the channel accepts it."""
    at = usual_days(made, 3)
    append(made, [cycle(at + number * QUARTER, failed=True) for number in range(9)])
    now, webhook.status = at + 9 * QUARTER, 500
    running = watcher()
    running.run_pass(now)
    running.run_pass(now + 1)  # too early for a retry
    (channel,) = running.store.select("SELECT * FROM channels")
    assert (channel["failures"], channel["failing_since_ns"]) == (1, now)
    webhook.status = 200
    running.run_pass(now + 2 * MINUTE_NS)
    assert webhook.titles == ["❌ WhaleAgent: failing"]
    assert running.store.select("SELECT failures, error FROM channels") == [{"failures": 0, "error": None}]
    assert running.store.path.stat().st_mode & 0o777 == 0o600


def test_a_pass_that_fails_counts_nothing(made: Journal, watcher: Start, webhook: Webhook) -> None:
    """After an error in `watch`, the same rows are read again, so that their incident is not lost."""
    at = usual_days(made, 3)
    append(made, [cycle(at + number * QUARTER, failed=True) for number in range(7)])
    running = watcher()
    with running.store.transaction() as db:
        db.execute("DROP TABLE messages")
    with pytest.raises(JournalError, match="no such table"):
        running.run_pass(at + 7 * QUARTER)
    assert running.store.incidents() == []
    watcher()  # opening the file creates the table again
    running.run_pass(at + 7 * QUARTER)
    assert webhook.titles == ["❌ WhaleAgent: failing"]
    assert "7 of 7 calls failed" in webhook.received[0]["message"]


def test_an_agent_that_is_gone_is_forgotten(made: Journal, watcher: Start) -> None:
    """An agent that has not run for sixty days is deleted from the alerts' file."""
    append(made, [cycle(T0, "Gone"), cycle(T0 + DAY_NS, "Gone"), cycle(T0 + 59 * DAY_NS)])
    watcher().run_pass(T0 + 60 * DAY_NS)
    assert watcher().store.monitors().keys() == {"Gone", "WhaleAgent"}
    running = watcher()
    running.run_pass(T0 + 62 * DAY_NS)
    assert running.store.monitors().keys() == {"WhaleAgent"}
    assert running.store.select("SELECT agent FROM days WHERE agent = 'Gone'") == []


def test_a_watch_of_every_hour_is_no_machine_that_sleeps(made: Journal, watcher: Start, webhook: Webhook) -> None:
    """A `watch` that runs hourly finds a silent agent, although its first two runs were only a minute apart."""
    at = usual_days(made, 15)
    running = watcher()
    running.run_pass(at)
    running.run_pass(at + MINUTE_NS)
    for hours in range(1, 5):
        running.run_pass(at + hours * HOUR_NS)
    assert webhook.titles == ["❌ WhaleAgent: silent"]
