"""The report of `LangFuseTracker().health()`: whether tracing itself works."""

import contextlib
import time
from typing import TYPE_CHECKING, Any

from . import printing, settings
from .internal_errors import failures
from .journal import Journal, Retention, path_of_process

if TYPE_CHECKING:
    from .recording import Recorder
    from .shipping import Shipper


def report(recorder: "Recorder", shipper: "Shipper") -> dict[str, Any]:
    """Counts of this process and of the journal.

    Returns:
        `recorded`, `journalled`, `dropped` (observations of this process; also those deleted unshipped for room),
        `shipped`, `pending`, `rejected`, `local` (rows of the journal, scores included; None where it cannot be read),
        `oldest_pending_seconds`,
        `destinations` (each that is configured: its `shipped`, `pending`, `rejected` rows, `oldest_pending_seconds`
        and `last_error`; None where the journal cannot be read),
        `failures` (our own), `unprinted` (lines about them that stdout or stderr did not take at once), `last_error`,
        `last_error_at` (Unix seconds), `tracing` and `shipping` (on or off).
    """
    return {
        "tracing": settings.tracing_on(),
        "shipping": bool(settings.destinations()),
        "recorded": recorder.journalled + recorder.dropped + recorder.waiting,
        "journalled": recorder.journalled,
        "dropped": recorder.dropped + Retention.deleted_pending,
        **_journal(shipper),
        "failures": failures.total,  # counted last: the lines above may add failures
        "unprinted": printing.dropped,
        **_last_error(shipper),
    }


def _journal(shipper: "Shipper") -> dict[str, Any]:
    """Counts of the journal's rows; None if it cannot be read, 0 if there is none yet."""
    counts: dict[str, int] | None = {}
    oldest, by_destination = None, {}
    try:
        path = path_of_process()
        if path.exists():
            with contextlib.closing(Journal(path, create=False)) as journal:
                counts, oldest = journal.counts(), journal.oldest_pending_ns()
                by_destination = {to.label: _delivered(journal, to, counts) for to in settings.destinations()}
    except OSError as error:
        counts = None
        failures.note("health", f"the journal cannot be read: {error}", cure="Run: python -m src.observability doctor.")
    return {
        **{state: None if counts is None else counts.get(state, 0) for state in _STATES},
        "oldest_pending_seconds": _age(oldest),
        "destinations": None
        if counts is None
        else {
            to.label: {**by_destination.get(to.label, {}), "last_error": worker.last_error}
            for worker in shipper.workers
            if (to := worker.configured()) is not None
        },
    }


_STATES = ("shipped", "pending", "rejected", "local")


def _delivered(journal: Journal, to: settings.AnyDestination, counts: dict[str, int]) -> dict[str, Any]:
    """Counts of one destination's rows. Of Langfuse's, `shipped` and `rejected` count every project in the journal."""
    waiting = next((row for row in journal.waiting() if row["destination"] == to.label), {})
    of_rows = counts if isinstance(to, settings.Destination) else journal.further_counts().get(to.label, {})
    return {
        "shipped": of_rows.get("shipped", 0),
        "pending": waiting.get("rows", 0),
        "rejected": of_rows.get("rejected", 0),
        "oldest_pending_seconds": _age(waiting.get("oldest_ns")),
    }


def _age(at_ns: int | None) -> float | None:
    return None if at_ns is None else max(time.time() - at_ns / 1e9, 0.0)


def _last_error(shipper: "Shipper") -> dict[str, Any]:
    ours, theirs = (failures.last_at or 0.0, failures.last), (shipper.last_error_at or 0.0, shipper.last_error)
    at, message = max(ours, theirs, key=lambda error: error[0])
    return {"last_error": message, "last_error_at": at or None}
