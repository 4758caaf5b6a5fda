"""Messages arrive by mail and webhook, once, outside the quiet hours, and without secrets."""

import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from email import message_from_bytes, policy
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller

from src.observability.alerts import Message, Watcher, configured_channels, delivery, malformed, send
from src.observability.alerts.monitor import Incident
from src.observability.alerts.quiet import end_of_quiet
from src.observability.alerts.store import AlertStore, path_beside
from src.observability.journal.store import Journal
from tests.alerts.agents import DAY_NS, HOUR_NS, MINUTE_NS, T0
from tests.alerts.conftest import Webhook
from tests.cases import cases

Start = Callable[[], Watcher]
TOKEN = "abcdefgh-token-of-a-chat"
KEY = "sk-proj-" + "A1b2C3d4" * 6


class Mailbox:
    """Keeps the mails that a server on loopback receives."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        """Keep one mail."""
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """A mail server on loopback, and its address for apprise."""
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, f"mailto://127.0.0.1:{port}?from=watch@example.com&to=trader@example.com"
    server.stop()


@pytest.fixture
def store(made: Journal) -> Iterator[AlertStore]:
    """The alerts' file of the test's journal."""
    opened = AlertStore(path_beside(made.path))
    yield opened
    opened.close()


def incident(rule: str = "failing", **fields: Any) -> Incident:
    """An incident that begins at T0."""
    return Incident("WhaleAgent", rule, "9 of 9 calls failed", T0, T0, **fields)


def announce(store: AlertStore, change: Incident, now_ns: int) -> None:
    """Save one change of an incident and send the due messages, as `watch` does."""
    due = dict.fromkeys((channel.key for channel in configured_channels()), end_of_quiet(now_ns))
    store.save({}, [], [change], due)
    delivery.send_due(store, configured_channels(), now_ns)


def test_mail_and_webhook_get_the_same_message(
    store: AlertStore, webhook: Webhook, mailbox: tuple[Mailbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If OBSERVABILITY_ALERT_URLS has a mail address and a webhook, both receive the message."""
    box, address = mailbox
    monkeypatch.setenv("OBSERVABILITY_ALERT_URLS", f"{address}, {webhook.url}")
    announce(store, incident(last_good="a" * 32, first_bad="b" * 32), T0)
    (mail,) = box.mails
    assert (mail["to"], mail["subject"]) == ("trader@example.com", "❌ WhaleAgent: failing")
    assert "First bad trace: bbbbbbbb" in mail.get_body(("plain", "html")).get_content()
    assert webhook.titles == ["❌ WhaleAgent: failing"]


def test_a_dead_channel_holds_up_no_other(store: AlertStore, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two channels, the working one gets the message at once. The failing one's failures are counted; its message
    is retried with growing pauses, and given up in the end."""
    monkeypatch.setenv("OBSERVABILITY_ALERT_URLS", f"json://127.0.0.1:9/hook {webhook.url}")
    announce(store, incident(), T0)
    assert webhook.titles == ["❌ WhaleAgent: failing"]
    for minute in range(1, 60):
        delivery.send_due(store, configured_channels(), T0 + minute * MINUTE_NS)
    (failing,) = store.select("SELECT * FROM channels WHERE failures > 0")
    assert (failing["label"], failing["failures"]) == ("channel 1 (JSON)", 6)  # tried after 0, 1, 3, 7, 15, 31 minutes
    for hour in range(2, 80):
        delivery.send_due(store, configured_channels(), T0 + hour * HOUR_NS)
    assert store.select("SELECT state FROM messages ORDER BY id") == [{"state": "given up"}, {"state": "sent"}]


def test_quiet_hours_hold_messages_back(store: AlertStore, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """An incident that begins and ends within the quiet hours is sent as one message when these hours end."""
    monkeypatch.setenv("OBSERVABILITY_ALERT_QUIET", "22:00-07:00 Europe/Berlin")  # in winter 21:00 to 06:00 UTC
    night = T0 + 60 * DAY_NS + 23 * HOUR_NS
    announce(store, incident(), night)
    announce(store, incident(closed_ns=night + HOUR_NS, closing="recovered"), night + HOUR_NS)
    announce(store, incident("slow"), night + 2 * HOUR_NS)
    assert webhook.titles == []
    delivery.send_due(store, configured_channels(), night + 7 * HOUR_NS)
    assert [title.partition(",")[0] for title in webhook.titles] == ["✅ WhaleAgent: failing", "❌ WhaleAgent: slow"]


@cases(
    ("text", "now", "end"),
    [
        ("22:00-07:00 Europe/Berlin", "2026-03-29T01:30+01:00", "2026-03-29T07:00+02:00"),  # the clock goes forward
        ("22:00-07:00 Europe/Berlin", "2026-10-25T00:30+02:00", "2026-10-25T07:00+01:00"),  # the clock goes back
        ("22:00-07:00 Europe/Berlin", "2026-07-01T07:00+02:00", "2026-07-01T07:00+02:00"),
        ("22:00-07:00 Europe/Berlin", "2026-07-01T22:00+02:00", "2026-07-02T07:00+02:00"),
        ("12:30-13:00 America/New_York", "2026-07-01T16:45+00:00", "2026-07-01T17:00+00:00"),
    ],
)
def test_the_end_of_quiet_hours(text: str, now: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quiet hours end at the set local time of their time zone, also on days when clocks change."""
    monkeypatch.setenv("OBSERVABILITY_ALERT_QUIET", text)
    now_ns, end_ns = (int(datetime.fromisoformat(time).timestamp()) * 10**9 for time in (now, end))
    assert end_of_quiet(now_ns) == end_ns, datetime.fromtimestamp(end_of_quiet(now_ns) / 1e9, ZoneInfo("UTC"))


def test_a_message_cut_off_by_a_kill_is_sent_again_and_says_so(store: AlertStore, webhook: Webhook) -> None:
    """If `watch` is killed while it sends a message, the message is sent again, marked as a possible repeat."""
    announce(store, incident(), T0)
    with store.transaction() as db:
        db.execute("UPDATE messages SET state = 'sending'")  # the state after a kill before the server's answer
    delivery.send_due(store, configured_channels(), T0 + MINUTE_NS)
    delivery.send_due(store, configured_channels(), T0 + 2 * MINUTE_NS)
    assert len(webhook.received) == 2
    assert "may be a repeat" in webhook.received[1]["message"]


def test_many_incidents_are_one_message(store: AlertStore, webhook: Webhook) -> None:
    """Incidents of twenty agents at once are sent as one message."""
    due = {configured_channels()[0].key: T0}
    store.save({}, [], [Incident(f"Agent{number}", "failing", "text", T0, T0) for number in range(20)], due)
    delivery.send_due(store, configured_channels(), T0)
    assert webhook.titles == ["🔔 20 alerts"]
    assert webhook.received[0]["message"].count("❌ Agent") == 20


def test_secrets_are_masked(store: AlertStore, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in an incident's text is not sent, and a token in a channel's address is not stored in the alerts' file."""
    announce(store, Incident(f"Agent {KEY}", "failing", f"HTTP 401: key {KEY}", T0, T0), T0)
    assert KEY not in str(webhook.received)
    monkeypatch.setenv("OBSERVABILITY_ALERT_URLS", f"json://trader:hunter22@localhost.{TOKEN}:9/{TOKEN}?token={TOKEN}")
    announce(store, incident("slow"), T0)
    (failing,) = store.select("SELECT * FROM channels WHERE failures > 0")
    assert "[address]" in failing["error"]
    assert TOKEN.encode() not in store.path.read_bytes()


def test_addresses_that_cannot_be_read_are_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid address is named by its position in the setting, since its text may contain a token."""
    monkeypatch.setenv("OBSERVABILITY_ALERT_URLS", "json://127.0.0.1:1/a,nonsense://token,\n  json://127.0.0.1:2/b,")
    assert [channel.label for channel in configured_channels()] == [
        "channel 1 (JSON)", "channel 2 (nonsense)", "channel 3 (JSON)",
    ]  # fmt: skip
    assert malformed() == ["channel 2 (nonsense)"]
    assert send(configured_channels()[1], Message("🔔 Test", "")) == "not an address that apprise supports"


def test_messages_of_a_removed_channel_are_dropped(
    store: AlertStore, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pending messages wait while the settings list no channel. They are deleted once other channels are listed."""
    webhook.status = 500
    announce(store, incident(), T0)
    for urls, left in (("", 1), ("json://127.0.0.1:9/other", 0)):
        monkeypatch.setenv("OBSERVABILITY_ALERT_URLS", urls)
        delivery.send_due(store, configured_channels(), T0 + MINUTE_NS)
        assert len(store.select("SELECT * FROM messages")) == len(store.select("SELECT * FROM channels")) == left
