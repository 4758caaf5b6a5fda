"""Sends pending messages outside the quiet hours. Each channel has its own retries."""

from typing import Any

from .channels import Channel, send
from .messages import Message, joined, message_of, repeated
from .store import AlertStore

_MINUTE_NS = 60 * 10**9
_LONGEST_PAUSE_MINUTES = 60
_MOST_ATTEMPTS = 6 + 3 * 24  # six attempts with growing pauses, then hourly attempts for three days
_SEPARATE = 5  # up to this many messages are sent one by one; more are joined into one
_DUE = """
SELECT m.id AS message, m.kind, m.attempts, m.state, m.due_ns, i.*
FROM messages AS m JOIN incidents AS i ON i.id = m.incident
WHERE m.channel = ? AND m.state IN ('waiting', 'sending') ORDER BY m.id"""


def send_due(store: AlertStore, channels: list[Channel], now_ns: int) -> None:
    """Send all due messages. A failing channel is retried with growing pauses, up to an hour, for three days."""
    _drop_removed(store, channels)
    for channel in channels:
        waiting = store.select(_DUE, channel.key)
        if any(row["attempts"] and row["due_ns"] > now_ns for row in waiting):
            continue  # the last attempt failed, and the pause before the next is not over
        due = _without_merged(store, [row for row in waiting if row["due_ns"] <= now_ns], waiting)
        if due:
            _send_all(store, channel, due, now_ns)


def _without_merged(
    store: AlertStore, due: list[dict[str, Any]], waiting: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Leave out an `opened` message if the incident's `closed` message is pending too: the latter reports both."""
    ended = {row["id"] for row in waiting if row["kind"] == "closed"}
    merged = [row for row in due if row["kind"] == "opened" and row["id"] in ended and row["state"] == "waiting"]
    _mark(store, merged, "merged", 0)
    return [row for row in due if row not in merged]


def _send_all(store: AlertStore, channel: Channel, due: list[dict[str, Any]], now_ns: int) -> None:
    batches = [[row] for row in due] if len(due) <= _SEPARATE else [due]
    for batch in batches:
        if not _sent(store, channel, batch, now_ns):
            return  # the other messages stay pending


def _sent(store: AlertStore, channel: Channel, batch: list[dict[str, Any]], now_ns: int) -> bool:
    message = joined([_message(row) for row in batch])
    # If the process is killed while it sends, the next process sends the message again, marked as a repeat.
    _mark(store, batch, "sending", batch[0]["due_ns"])
    error = send(channel, message)
    if error is None:
        _mark(store, batch, "sent", now_ns)
    else:
        _postpone(store, batch, now_ns)
    note_result(store, channel, error, now_ns)
    return error is None


def _message(row: dict[str, Any]) -> Message:
    message = message_of(row, row["kind"])
    return repeated(message) if row["state"] == "sending" else message


def _postpone(store: AlertStore, batch: list[dict[str, Any]], now_ns: int) -> None:
    pause = min(2 ** min(batch[0]["attempts"], 10), _LONGEST_PAUSE_MINUTES) * _MINUTE_NS
    old = [row for row in batch if row["attempts"] + 1 >= _MOST_ATTEMPTS]
    _mark(store, old, "given up", now_ns)
    _mark(store, [row for row in batch if row not in old], "waiting", now_ns + pause)


def _mark(store: AlertStore, rows: list[dict[str, Any]], state: str, due_ns: int) -> None:
    if rows:
        attempt = 1 if state == "sending" else 0
        with store.transaction() as db:
            db.executemany(
                "UPDATE messages SET state = ?, due_ns = ?, attempts = attempts + ? WHERE id = ?",
                [(state, due_ns, attempt, row["message"]) for row in rows],
            )


def note_result(store: AlertStore, channel: Channel, error: str | None, now_ns: int) -> None:
    """Record whether the channel accepted the message. The command `doctor` reports this."""
    with store.transaction() as db:
        if error is None:
            db.execute("INSERT OR REPLACE INTO channels VALUES (?, ?, 0, NULL, NULL)", (channel.key, channel.label))
        else:
            db.execute(
                "INSERT INTO channels VALUES (?1, ?2, 1, ?3, ?4) ON CONFLICT (channel) DO UPDATE SET label = ?2,"
                " failures = failures + 1, failing_since_ns = ifnull(failing_since_ns, ?3), error = ?4",
                (channel.key, channel.label, now_ns, error),
            )


def _drop_removed(store: AlertStore, channels: list[Channel]) -> None:
    """Delete channels that the settings no longer list, and their messages. If the settings list none, keep all."""
    keys = [channel.key for channel in channels]
    where = f"channel NOT IN ({', '.join('?' * len(keys))})"
    for table in ("messages", "channels") if keys else ():
        if store.select(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1", *keys):  # noqa: S608
            with store.transaction() as db:
                db.execute(f"DELETE FROM {table} WHERE {where}", keys)  # noqa: S608
