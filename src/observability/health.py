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
        `failures` (our own), `unprinted` (lines about them that stdout or stderr did not take at once), `last_error`,
        `last_error_at` (Unix seconds), `tracing` and `shipping` (on or off).
    """
    return {
        "tracing": settings.tracing_on(),
        "shipping": settings.destination() is not None,
        "recorded": recorder.journalled + recorder.dropped + recorder.waiting,
        "journalled": recorder.journalled,
        "dropped": recorder.dropped + Retention.deleted_pending,
        **_journal(),
        "failures": failures.total,  # counted last: the lines above may add failures
        "unprinted": printing.dropped,
        **_last_error(shipper),
    }


def _journal() -> dict[str, Any]:
    """Counts of the journal's rows; None if it cannot be read, 0 if there is none yet."""
    counts: dict[str, int] | None = {}
    oldest = None
    try:
        path = path_of_process()
        if path.exists():
            with contextlib.closing(Journal(path, create=False)) as journal:
                counts, oldest = journal.counts(), journal.oldest_pending_ns()
    except OSError as error:
        counts = None
        failures.note("health", f"the journal cannot be read: {error}", cure="Run: python -m src.observability doctor.")
    return {
        **{state: None if counts is None else counts.get(state, 0) for state in _STATES},
        "oldest_pending_seconds": None if oldest is None else max(time.time() - oldest / 1e9, 0.0),
    }


_STATES = ("shipped", "pending", "rejected", "local")


def _last_error(shipper: "Shipper") -> dict[str, Any]:
    ours, theirs = (failures.last_at or 0.0, failures.last), (shipper.last_error_at or 0.0, shipper.last_error)
    at, message = max(ours, theirs, key=lambda error: error[0])
    return {"last_error": message, "last_error_at": at or None}
