"""
🌙 Moon Dev's Observability Health
Built with love by Moon Dev 🚀

What `LangFuseTracker().health()` reports: whether tracing itself is well.
"""

import contextlib
import time
from typing import TYPE_CHECKING, Any

from src import config
from src.observability.guard import failures
from src.observability.journal import Journal
from src.observability.retention import Retention

if TYPE_CHECKING:
    from src.observability.recorder import Recorder
    from src.observability.shipper import Shipper


def report(recorder: "Recorder", shipper: "Shipper") -> dict[str, Any]:
    """Counts of this process and of the journal.

    Returns:
        `recorded`, `journalled`, `dropped` (observations of this process; also those deleted unshipped for room),
        `shipped`, `pending`, `rejected`, `local` (rows of the journal, scores included), `oldest_pending_seconds`,
        `failures` (our own), `last_error`, `last_error_at` (Unix seconds), `tracing` and `shipping` (on or off).
    """
    return {
        "tracing": config.tracing_on(),
        "shipping": config.destination() is not None,
        "recorded": recorder.journalled + recorder.dropped + recorder.waiting,
        "journalled": recorder.journalled,
        "dropped": recorder.dropped + Retention.deleted_pending,
        **_journal(),
        "failures": failures.total,
        **_last_error(shipper),
    }


def _journal() -> dict[str, Any]:
    counts: dict[str, int] = {}
    oldest = None
    with contextlib.suppress(OSError), contextlib.closing(Journal(config.journal_path(), create=False)) as journal:
        counts, oldest = journal.counts(), journal.oldest_pending_ns()
    return {
        **{state: counts.get(state, 0) for state in ("shipped", "pending", "rejected", "local")},
        "oldest_pending_seconds": None if oldest is None else max(time.time() - oldest / 1e9, 0.0),
    }


def _last_error(shipper: "Shipper") -> dict[str, Any]:
    ours, theirs = (failures.last_at or 0.0, failures.last), (shipper.last_error_at or 0.0, shipper.last_error)
    at, what = max(ours, theirs, key=lambda error: error[0])
    return {"last_error": what, "last_error_at": at or None}
