"""Checks the alert rules. If alert channels are set or `watch` has run, also checks the channels and the last run."""

from collections.abc import Iterator
from typing import Any

from ... import settings
from ...journal import JournalError
from .. import time_range
from ..render.format import duration, how_many, one_line
from .findings import Finding, fault, fine, is_there, warning

_WATCH = "python -m src.observability watch"
_URLS = "OBSERVABILITY_ALERT_URLS"
_UNWATCHED_NS = 2 * 3600 * 10**9
_MAX_INCIDENTS = 3  # one line names at most this many incidents


def alerts() -> Iterator[Finding]:
    """Check the alert rules, the channels for messages, and when `watch` last read the journal."""
    yield from _rules()
    has_channels = bool(settings.setting(_URLS))
    if has_channels:
        yield from _addresses()
    if has_channels or _is_watched():
        yield from _last_pass()
        yield from _channels()


def open_incidents() -> str | None:
    """Return the open incidents as one line; None if no incident is open or the alert store cannot be read."""
    try:
        incidents = _read("SELECT agent, rule FROM incidents WHERE closed_ns IS NULL ORDER BY opened_ns DESC")
    except JournalError:
        return None  # `doctor` reports the error
    if not incidents:
        return None
    names = [f"{one_line(row['agent'], 40)} {row['rule']}" for row in incidents]
    more = f" and {len(names) - _MAX_INCIDENTS} more" if len(names) > _MAX_INCIDENTS else ""
    return f"Open alerts: {', '.join(names[:_MAX_INCIDENTS])}{more}; to see them: python -m src.observability alerts"


def _is_watched() -> bool:
    from ...alerts import path_beside

    return is_there(path_beside(settings.journal_path()))


def _read(query: str) -> list[dict[str, Any]]:
    if not _is_watched():  # if there is no store yet, opening it would create its file
        return []
    from ...alerts import AlertStore, path_beside

    store = AlertStore(path_beside(settings.journal_path()))
    try:
        return store.select(query)
    finally:
        store.close()


def _addresses() -> Iterator[Finding]:
    from ...alerts import malformed

    try:
        wrong = malformed()
    except ModuleNotFoundError:
        yield fault("alerts", f"{_URLS} is set, but the package apprise is missing", "pip install apprise")
        return
    for label in wrong:
        yield fault("alerts", f"{label} is not an address that apprise supports", f"correct the address in {_URLS}")


def _rules() -> Iterator[Finding]:
    from ...alerts import RULE_NAMES

    for name in settings.setting("OBSERVABILITY_ALERT_OFF"):
        if name.split()[-1].casefold() not in RULE_NAMES:
            what = f"OBSERVABILITY_ALERT_OFF contains {one_line(name, 40)}, which is not a rule"
            yield warning("alerts", what, f"the rules are {', '.join(RULE_NAMES)}")


def _last_pass() -> Iterator[Finding]:
    try:
        rows = _read("SELECT value FROM facts WHERE name = 'pass_ns'")
    except JournalError as error:
        yield fault("alerts", str(error), "correct the cause: until then alerts may be missing; agents are unaffected")
        return
    age = time_range.now_ns() - rows[0]["value"] if rows else None
    if age is None:
        yield warning("alerts", "`watch` has never run", f"run {_WATCH}, or from cron {_WATCH} --once")
    elif age > _UNWATCHED_NS:
        yield warning("alerts", f"`watch` last ran {duration(age)} ago", f"run {_WATCH}, or from cron {_WATCH} --once")
    else:
        yield fine("alerts", f"`watch` ran {duration(age)} ago")


def _channels() -> Iterator[Finding]:
    try:
        failing = _read("SELECT * FROM channels WHERE failures > 0")
        lost = _read("SELECT count(*) AS messages FROM messages WHERE state = 'given up'")
    except JournalError:
        return  # `_last_pass` reports the same error
    for row in failing:
        since = duration(time_range.now_ns() - row["failing_since_ns"])
        what = f"{row['label']} has failed {how_many(row['failures'], 'time')} in the last {since}: {row['error']}"
        yield fault("alerts", what, f"correct the address in {_URLS}, then: python -m src.observability alerts test")
    for row in lost:
        if row["messages"]:
            yield warning("alerts", f"{how_many(row['messages'], 'message')} given up after three days of attempts",
                          "to list all incidents: python -m src.observability alerts")  # fmt: skip
