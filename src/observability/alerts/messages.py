"""Formats incidents as messages: agent, rule, text, start, last good and first bad trace. Secrets are masked."""

import platform
from datetime import datetime, timezone
from typing import Any, NamedTuple

# Imported as a module, so that the redaction rules load on first use, not in every command.
from .. import redaction

_SHORT_ID = 8  # this many digits of a trace id are enough for the command `trace`


class Message(NamedTuple):
    """The title and body of a message."""

    title: str
    body: str


def message_of(incident: dict[str, Any], kind: str) -> Message:
    """The message for an incident's start (kind `opened`) or end (kind `closed`)."""
    name = redaction.redact_line(incident["agent"])
    if kind == "closed":
        length = _duration(incident["closed_ns"] - incident["since_ns"])
        title = f"✅ {name}: {incident['rule']}, {incident['closing']} after {length}"
        return Message(title, _body(incident, f"{moment(incident['since_ns'])} to {moment(incident['closed_ns'])}"))
    return Message(f"❌ {name}: {incident['rule']}", _body(incident, f"Since {moment(incident['since_ns'])}"))


def joined(messages: list[Message]) -> Message:
    """Join several messages into one."""
    if len(messages) == 1:
        return messages[0]
    return Message(
        f"🔔 {len(messages)} alerts", "\n\n".join(f"{message.title}\n{message.body}" for message in messages)
    )


def repeated(message: Message) -> Message:
    """Mark a message as a possible repeat: an earlier attempt to send it was interrupted, but may have succeeded."""
    return message._replace(body=f"{message.body}\n(This message may be a repeat.)")


def _body(incident: dict[str, Any], when: str) -> str:
    lines = [redaction.redact_line(incident["text"]), f"{when}, on {platform.node()}"]
    if incident["last_good"]:
        lines.append(f"Last good trace: {incident['last_good'][:_SHORT_ID]}")
    if incident["first_bad"]:
        first = incident["first_bad"][:_SHORT_ID]
        lines.append(f"First bad trace: {first}. To see it: python -m src.observability trace {first}")
    return "\n".join(lines)


def moment(nanoseconds: int) -> str:
    """Format a time in this machine's zone, to the minute."""
    return f"{datetime.fromtimestamp(nanoseconds / 1e9, timezone.utc).astimezone():%Y-%m-%d %H:%M %Z}"


def _duration(nanoseconds: int) -> str:
    minutes = nanoseconds / 60e9
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 2880 else f"{minutes / 1440:.0f} days"
