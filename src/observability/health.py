"""The report of `LangFuseTracker().health()`: whether tracing itself works."""

import contextlib
import time
from typing import TYPE_CHECKING, Any

from . import printing, settings
from .internal_errors import failures
from .interruption import is_interruption
from .journal import Journal, Retention, path_of_process

if TYPE_CHECKING:
    from .recording import Recorder
    from .shipping import Shipper


def report(recorder: "Recorder", shipper: "Shipper") -> dict[str, Any]:
    """Return counts of this process and of the journal.

    Returns:
        A dict with these entries:
        `tracing` and `shipping`: whether each is on.
        `recorded`, `journalled` and `dropped`: how many observations this process recorded, wrote to the journal and
        lost. `dropped` includes rows that this process deleted from the journal before a destination received them.
        `shipped`, `pending`, `rejected` and `local` (recorded while no destination was configured): how many of the
        journal's rows, scores included, are in each state; None if the journal cannot be read.
        `oldest_pending_seconds`: the age of the oldest pending row.
        `destinations`: for each configured destination, its `shipped`, `pending` and `rejected` rows, its
        `oldest_pending_seconds` and its `last_error`; None if the journal cannot be read.
        `failures`: how many failures this package had.
        `unprinted`: how many lines could not be printed.
        `last_error` and `last_error_at`: the last error, and its time in Unix seconds.
    """
    return {
        "tracing": settings.tracing_on(),
        "shipping": bool(settings.destinations()),
        "recorded": recorder.journalled + recorder.dropped + recorder.waiting,
        "journalled": recorder.journalled,
        "dropped": recorder.dropped + Retention.deleted_pending,
        **_journal(shipper),
        "failures": failures.total,  # counted after the journal is read, since reading may add failures
        "unprinted": printing.dropped,
        **_last_error(shipper),
    }


def _journal(shipper: "Shipper") -> dict[str, Any]:
    """Count the journal's rows by state. The counts are None if the journal is unreadable, and 0 if it is missing."""
    counts: dict[str, int] | None = {}
    oldest, by_destination = None, {}
    try:
        path = path_of_process()
        if path.exists():
            with contextlib.closing(Journal(path, create=False)) as journal:
                counts, oldest = journal.counts(), journal.oldest_pending_ns()
                by_destination = delivered(journal, counts)
    except OSError as error:
        if is_interruption(error):
            raise
        counts = None
        failures.note("health", f"the journal cannot be read: {error}", cure="Run: python -m src.observability doctor.")
    return {
        **{state: None if counts is None else counts.get(state, 0) for state in _STATES},
        "oldest_pending_seconds": _age(oldest),
        "destinations": None
        if counts is None
        else {
            to.label: {**_in_seconds(by_destination.get(to.label, {})), "last_error": worker.last_error}
            for worker in shipper.workers
            if (to := worker.configured()) is not None
        },
    }


_STATES = ("shipped", "pending", "rejected", "local")


def delivered(journal: Journal, counts: dict[str, int]) -> dict[str, dict[str, Any]]:
    """The row counts of each configured destination, keyed by the destination's label.

    Args:
        counts: `journal.counts()`. For Langfuse, `shipped` and `rejected` include rows of every project in the journal.
    """
    waiting, further = {row["destination"]: row for row in journal.waiting()}, journal.further_counts()
    result = {}
    for to in settings.destinations():
        pending = waiting.get(to.label, {})
        states = counts if isinstance(to, settings.Destination) else further.get(to.label, {})
        result[to.label] = {
            "shipped": states.get("shipped", 0),
            "pending": pending.get("rows", 0),
            "rejected": states.get("rejected", 0),
            "oldest_pending_ns": pending.get("oldest_ns"),
        }
    return result


def _in_seconds(rows: dict[str, Any]) -> dict[str, Any]:
    counts = {name: count for name, count in rows.items() if name != "oldest_pending_ns"}
    return {**counts, "oldest_pending_seconds": _age(rows.get("oldest_pending_ns"))}


def _age(at_ns: int | None) -> float | None:
    return None if at_ns is None else max(time.time() - at_ns / 1e9, 0.0)


def _last_error(shipper: "Shipper") -> dict[str, Any]:
    ours, theirs = (failures.last_at or 0.0, failures.last), (shipper.last_error_at or 0.0, shipper.last_error)
    at, message = max(ours, theirs, key=lambda error: error[0])
    return {"last_error": message, "last_error_at": at or None}
