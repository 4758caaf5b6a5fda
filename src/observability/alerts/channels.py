"""The channels of OBSERVABILITY_ALERT_URLS, by apprise: Telegram, Discord, Slack, ntfy, mail, webhooks and others."""

import logging
import re
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import unquote

from .. import (
    redaction,  # its rules load on first use: every command of the console imports this module
    settings,
)
from .messages import Message

_MAX_ERROR = 200  # characters
_TOKEN = 8  # characters


class Channel(NamedTuple):
    """One address that messages are sent to. Its `key` names it in the alerts' file, and is no secret."""

    url: str
    key: str
    label: str


def configured_channels() -> list[Channel]:
    """The channels that the settings name.

    Raises:
        ModuleNotFoundError: apprise is not installed.
    """
    return [_channel(url, number) for number, url in enumerate(settings.setting("OBSERVABILITY_ALERT_URLS"), 1)]


def malformed() -> list[str]:
    """The labels of the addresses that apprise cannot read."""
    return [channel.label for channel in configured_channels() if _target(channel.url) is None]


def send(channel: Channel, message: Message) -> str | None:
    """Send a message; return the error, without the address, or None once the service has accepted it."""
    import apprise  # loaded lazily: only a watch that has something to send needs it

    target = _target(channel.url)
    if target is None:
        return "not an address that apprise knows"
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:
        try:
            sent = target.notify(title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT)
        except Exception as error:  # noqa: BLE001  # a service's plug-in may raise anything; the others must be served
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
    """An error as one line. Parts of the address may be its token: those of a token's length are left out."""
    line = " ".join(filter(None, map(str.strip, error.splitlines())))
    parts = [channel.url, *(part for part in re.split(r"[/:@?&=#]+", channel.url) if len(part) >= _TOKEN)]
    for part in parts:
        line = line.replace(part, "[address]").replace(unquote(part), "[address]")
    return redaction.redact_line(line)[:_MAX_ERROR]
