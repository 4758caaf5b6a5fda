"""Finds the reasons why records are not sent, or why no text is recorded. Several commands use these checks."""

import re
from collections.abc import Iterator

from ... import settings
from .. import time_range
from ..render.format import duration
from .findings import DOCTOR, Finding, fault, warning

NO_KEYS = warning("keys", "no keys are set", "for Langfuse set LANGFUSE_SECRET_KEY and LANGFUSE_PUBLIC_KEY in .env")
LONG_NS = 600 * 10**9  # a row that waits longer than this to be sent needs attention


def obstacles() -> Iterator[Finding]:
    """Yield the reasons why records are not sent to a configured destination; nothing if records are sent."""
    yield from _flag()
    yield from _keys()
    yield from _unreadable()
    for destination in settings.destinations():
        yield from _plain_http(destination)


def is_blocked(destination: settings.AnyDestination) -> bool:
    """Return True if plain HTTP to this destination's host is refused, so that nothing is sent to the destination."""
    return any(_plain_http(destination))


def refused_patterns() -> Iterator[Finding]:
    """Yield a fault if the operator's redaction patterns are invalid. No text is recorded until they are corrected."""
    if not settings.setting("OBSERVABILITY_REDACT_PATTERNS"):
        return  # to skip the import below, which `status` rarely needs
    from ...redaction import check_patterns, redact_line

    try:
        check_patterns()
    except settings.SettingError as error:
        cure = f"fix the patterns in {settings.origin('OBSERVABILITY_REDACT_PATTERNS')}: until then no text is recorded"
        yield fault("settings", redact_line(str(error)), cure)


def stuck(oldest_pending_ns: int | None) -> Iterator[Finding]:
    """Yield a warning if the oldest row has been waiting to be sent for longer than `LONG_NS`."""
    age = 0 if oldest_pending_ns is None else time_range.now_ns() - oldest_pending_ns
    if age > LONG_NS:
        yield warning("pending", f"the oldest row has been pending for {duration(age)}", f"run {DOCTOR}")


def _flag() -> Iterator[Finding]:
    origin = settings.origin("ENABLE_LANGFUSE")
    if not settings.tracing_on():
        yield warning(
            "tracing", f"off, according to {origin}: calls are not recorded", f"set ENABLE_LANGFUSE=true in {origin}"
        )
    elif not settings.setting("ENABLE_LANGFUSE"):  # the setting is malformed: calls are recorded, but not sent
        errors = (error for error in settings.malformed() if error.startswith("ENABLE_LANGFUSE "))
        what = next(errors, "ENABLE_LANGFUSE is neither true nor false")
        yield fault("settings", f"{what}; it is set in {origin}", f"correct the setting in {origin}")


def _keys() -> Iterator[Finding]:
    missing = settings.missing_langfuse_keys()
    if len(missing) == 1:
        yield fault("keys", f"one of two keys is missing: {missing[0]}", f"set {missing[0]} in .env")
    elif missing and settings.otlp_destination() is None:
        yield warning("keys", "no keys are set", f"for Langfuse set {' and '.join(missing)} in .env")


_NEEDED = ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_BASE_URL", "LANGFUSE_HOST")
_NEEDED_FOR_OTLP = ("OBSERVABILITY_OTLP_ENDPOINT", "OBSERVABILITY_OTLP_HEADERS")


def _unreadable() -> Iterator[Finding]:
    """Yield a fault for each malformed setting of the OTLP destination.

    If no Langfuse destination is usable, also yield faults for a malformed Langfuse key or host.
    """
    needed = () if settings.destination() else _NEEDED
    for error in settings.malformed():
        if (name := error.partition(" ")[0]) in (*needed, *_NEEDED_FOR_OTLP):
            yield fault("settings", error, f"correct the setting in {settings.origin(name)}")


_CLEARLY_ALLOWED = re.compile(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/|$)", re.IGNORECASE)


def _plain_http(destination: settings.AnyDestination) -> Iterator[Finding]:
    if settings.setting("LANGFUSE_ALLOW_HTTP") or _CLEARLY_ALLOWED.match(destination.host):
        return  # to skip the import below, which takes longer than the rest of `status`
    from ...shipping import is_refused_plain_http

    if is_refused_plain_http(destination):
        what = f"{destination.host} has no TLS, so the keys would travel unencrypted: nothing is sent"
        yield fault("server", what, "use https://, or set LANGFUSE_ALLOW_HTTP=true on a trusted network")
