"""
🌙 Moon Dev's Sending
Built with love by Moon Dev 🚀

Why nothing is sent to Langfuse, or no text is recorded: said once, for all commands.
"""

import re
from collections.abc import Iterator

from ... import settings
from .. import clock
from ..options import DOCTOR
from ..render.format import duration
from .findings import Finding, fault, warning

LONG_NS = 600 * 10**9  # what a row may wait


def obstacles() -> Iterator[Finding]:
    """What keeps observations recorded now from being sent, the first reason first; nothing where they are sent."""
    yield from _flag()
    yield from _keys()
    yield from _unreadable()
    yield from _plain_http()


def refused_patterns() -> Iterator[Finding]:
    """What is wrong with the operator's patterns: until that is corrected no text is recorded."""
    if not settings.setting("OBSERVABILITY_REDACT_PATTERNS"):
        return  # without the import below, which `status` does not need
    from ...redaction import check_patterns, redact_line

    try:
        check_patterns()
    except settings.SettingError as error:
        cure = f"correct it in {settings.origin('OBSERVABILITY_REDACT_PATTERNS')}: until then no text is recorded"
        yield fault("settings", redact_line(str(error)), cure)


def stuck(oldest_pending_ns: int | None) -> Iterator[Finding]:
    """What was to be sent has waited for long, whatever the settings say; Unix nanoseconds. Why, the server knows."""
    waited = 0 if oldest_pending_ns is None else clock.now_ns() - oldest_pending_ns
    if waited > LONG_NS:
        yield warning("pending", f"the oldest row has waited for {duration(waited)}", f"{DOCTOR} asks the server why")


def _flag() -> Iterator[Finding]:
    origin = settings.origin("ENABLE_LANGFUSE")
    if not settings.tracing_on():
        what = f"off, says {origin}: calls are not recorded"
        yield warning("tracing", what, f"set ENABLE_LANGFUSE=true ({origin})")
    elif not settings.setting("ENABLE_LANGFUSE"):  # neither on nor off
        what = next(
            (error for error in settings.malformed() if error.startswith("ENABLE_LANGFUSE ")),
            "the flag is neither on nor off",
        )
        yield fault("settings", f"{what}; it comes from {origin}", f"correct it in {origin}")


def _keys() -> Iterator[Finding]:
    missing = settings.missing_langfuse_keys()
    if len(missing) == 1:
        yield fault("keys", f"{missing[0]} is not set, the other one is", f"set {missing[0]} in .env")
    elif missing:
        yield warning("keys", "no keys are set", f"for Langfuse set {' and '.join(missing)} in .env")


_NEEDED = ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_BASE_URL", "LANGFUSE_HOST")


def _unreadable() -> Iterator[Finding]:
    """A key or a host whose text is none; nothing where another variable has the host."""
    if settings.destination() is None:
        for error in settings.malformed():
            if (name := error.partition(" ")[0]) in _NEEDED:
                yield fault("settings", error, f"correct it in {settings.origin(name)}")


_SURELY_TAKEN = re.compile(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/|$)", re.IGNORECASE)


def _plain_http() -> Iterator[Finding]:
    to = settings.destination()
    if to is None or settings.setting("LANGFUSE_ALLOW_HTTP") or _SURELY_TAKEN.match(to.host):
        return  # without the import below, which takes longer than all the rest of `status`
    from ...shipping import is_refused_plain_http

    if is_refused_plain_http(to):
        what = f"{to.host} has no TLS, and your keys would travel in the open: nothing is sent"
        yield fault("server", what, "use https://, or set LANGFUSE_ALLOW_HTTP=true if the way there is safe")
