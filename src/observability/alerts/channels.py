"""Sends messages to OBSERVABILITY_ALERT_URLS with apprise: Telegram, Discord, Slack, ntfy, mail, webhooks and more."""

import logging
import re
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import unquote

from .. import (
    redaction,  # imported as a module, so that the redaction rules load on first use, not in every command
    settings,
)
from .messages import Message

_MAX_ERROR = 200  # longest error text, in characters
_TOKEN = 8  # shortest part of an address that may be a token, in characters


class Channel(NamedTuple):
    """An address that alerts are sent to. `key` identifies the address in the alerts' file without revealing it."""

    url: str
    key: str
    label: str


def configured_channels() -> list[Channel]:
    """The channels in the setting OBSERVABILITY_ALERT_URLS.

    Raises:
        ModuleNotFoundError: apprise is not installed.
    """
    return [_channel(url, number) for number, url in enumerate(settings.setting("OBSERVABILITY_ALERT_URLS"), 1)]


def malformed() -> list[str]:
    """The labels of the addresses that apprise cannot parse."""
    return [channel.label for channel in configured_channels() if _target(channel.url) is None]


def send(channel: Channel, message: Message) -> str | None:
    """Send a message; return None if the service accepted it, else the error without the address."""
    import apprise  # loaded lazily, as only sending needs it

    target = _target(channel.url)
    if target is None:
        return "not an address that apprise supports"
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:
        try:
            sent = target.notify(title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT)
        except Exception as error:  # noqa: BLE001  # a plug-in may raise anything; other channels must not suffer
            return _without_address(f"{type(error).__name__}: {error}", channel)
        return None if sent else _without_address(log.getvalue().strip() or "not sent", channel)


def _channel(url: str, number: int) -> Channel:
    target = _target(url)
    service = str(target.service_name) if target is not None else url.partition(":")[0][:20]
    return Channel(url, blake2b(url.encode(), digest_size=8).hexdigest(), f"channel {number} ({service})")


def _target(url: str) -> Any:
    import apprise

    return apprise.Apprise.instantiate(url, suppress_exceptions=True)


def _without_address(error: str, channel: Channel) -> str:
    """The error as one line, without any part of the address that is long enough to be a token."""
    line = " ".join(filter(None, map(str.strip, error.splitlines())))
    parts = [channel.url, *(part for part in re.split(r"[/:@?&=#]+", channel.url) if len(part) >= _TOKEN)]
    for part in parts:
        line = line.replace(part, "[address]").replace(unquote(part), "[address]")
    return redaction.redact_line(line)[:_MAX_ERROR]
