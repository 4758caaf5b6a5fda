"""Deletes rows beyond the journal's age or size limit, in short steps, by one process at a time.

`recording/writer.py` decides when to delete. The rules:

- Finished rows (shipped, local, rejected) are deleted by age; at the size limit, the oldest first.
- Pending rows are deleted only at the size limit, once no other rows are left; they are counted and reported.
- Rows that a second destination has not received are deleted like all others; they are counted and reported.
- Hourly sums (of calls, tokens and costs) are deleted after 400 days; the oldest also when the sums fill a tenth of
  the size limit. Sums do not count towards the limit, so no row is ever deleted to make room for them.
- A migration's backup is deleted at the same age as rows.
"""

import contextlib
import time

from .. import settings
from ..internal_errors import failures
from .migration import backups_of
from .store import Journal

STEP_ROWS = 200
_STEPS = 2  # `tidy` runs at most this many steps; during each, about 15 ms, the recorder writes nothing
_DAY_NS = 86_400_000_000_000
_HOUR_NS = 3_600_000_000_000
_FULL, _ROOM = 0.95, 0.9  # shares of the size limit: above `_FULL`, rows are deleted until `_ROOM` is reached
_SUMS_DAYS = 400
_SUMS_SHARE = 0.1  # largest share of the size limit that the hourly sums may use
_MEASURE_SECONDS = 600.0  # how often the size of the hourly sums is measured; measuring reads all of them


class Retention:
    """Deletes old rows, and the oldest rows of a full journal. Counts the rows that were deleted before delivery."""

    deleted_pending = 0  # number of observations that this process deleted before delivery

    def __init__(self) -> None:
        self._full = False
        self._sums_bytes = 0
        self._next_measure = 0.0  # time of the next measurement, in monotonic seconds

    def is_due(self, journal: Journal) -> bool:
        """Whether rows must be deleted to stay below the size limit."""
        threshold = _limit() * (_ROOM if self._full else _FULL)
        self._full = journal.used_bytes() > threshold and self._rows_bytes(journal) > threshold
        return self._full

    def tidy(self, journal: Journal) -> bool:
        """Run a few deleting steps, with pauses for other writers. Return True if another call is due at once."""
        _delete_old_backups(journal)
        for step in range(_STEPS):
            if step:
                journal.yield_write_lock()
            if not self._step(journal):
                return False
        return True

    def _step(self, journal: Journal) -> bool:
        """Delete a few rows or one hour of sums, if due; return True if anything was deleted."""
        undelivered = journal.undelivered
        deleted = (
            journal.delete_done(STEP_ROWS, before_ns=_oldest_kept_ns())
            or self._delete_hour(journal)
            or self._make_room(journal)
        )
        if deleted:
            journal.vacuum()
        if lost := journal.undelivered - undelivered:
            self._count_lost(lost, "old observations were deleted before OBSERVABILITY_OTLP_ENDPOINT received them")
        return deleted > 0

    def _delete_hour(self, journal: Journal) -> int:
        too_old = time.time_ns() // _HOUR_NS - _SUMS_DAYS * 24
        deleted = journal.delete_oldest_hour(too_old)
        if not deleted and self._measured_sums(journal) > _limit() * _SUMS_SHARE:
            deleted = journal.delete_oldest_hour()
        self._sums_bytes -= deleted
        return deleted

    def _make_room(self, journal: Journal) -> int:
        if not self.is_due(journal):
            return 0
        too_much = int(self._rows_bytes(journal) - _limit() * _ROOM)
        return journal.delete_done(STEP_ROWS, max_bytes=too_much) or self._delete_pending(journal, too_much)

    def _delete_pending(self, journal: Journal, too_much: int) -> int:
        lost = journal.delete_pending(STEP_ROWS, too_much)
        if lost:
            what = "the journal is full: the oldest observations were deleted before Langfuse received them"
            self._count_lost(lost, what)
        return lost

    def _count_lost(self, lost: int, what: str) -> None:
        type(self).deleted_pending += lost
        cure = (
            "To keep such rows longer, raise OBSERVABILITY_MAX_MB and OBSERVABILITY_RETENTION_DAYS in .env."
            " To see why they were not sent, run: python -m src.observability doctor."
        )
        failures.note("size limit", f"{what} ({lost})", cure=cure)

    def _rows_bytes(self, journal: Journal) -> int:
        return journal.used_bytes() - self._measured_sums(journal)

    def _measured_sums(self, journal: Journal) -> int:
        now = time.monotonic()
        if now >= self._next_measure:
            self._next_measure = now + _MEASURE_SECONDS
            self._sums_bytes = journal.sums_bytes()
        return self._sums_bytes


def _delete_old_backups(journal: Journal) -> None:
    for backup in backups_of(journal.path):
        with contextlib.suppress(FileNotFoundError):
            if backup.stat().st_mtime_ns < _oldest_kept_ns():
                backup.unlink()


def _oldest_kept_ns() -> int:
    return time.time_ns() - int(settings.setting("OBSERVABILITY_RETENTION_DAYS") * _DAY_NS)


def _limit() -> float:
    megabytes: float = settings.setting("OBSERVABILITY_MAX_MB")
    return megabytes * 1024 * 1024
