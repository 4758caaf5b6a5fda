"""
🌙 Moon Dev's Journal Retention
Built with love by Moon Dev 🚀

What the journal lets go of, and when: rows that are done (shipped, local, rejected) by age, and the oldest of them at
the size limit; pending ones only where nothing else is left there, which is counted and said. In short steps, between
which other processes write, by one process at a time.
"""

import time

from .. import settings
from ..internal_errors import failures
from .store import Journal

STEP_ROWS = 200
_STEPS = 2  # at one go, of about 15 ms each: the recorder has calls to journal meanwhile
_DAY_NS = 86_400_000_000_000
_FULL, _ROOM = 0.95, 0.9  # of the size limit: when rows go, and how far, so that not every row has another one deleted


class Retention:
    """One process's part in it: whether the journal was found full, and what had to be given up for room."""

    deleted_pending = 0  # observations, by this process

    def __init__(self) -> None:
        self._full = False

    def is_due(self, journal: Journal) -> bool:
        """Whether the size limit is reached."""
        self._full = journal.used_bytes() > _limit() * (_ROOM if self._full else _FULL)
        return self._full

    def tidy(self, journal: Journal) -> bool:
        """A few steps, others' turn between them; whether there is more to do at once."""
        for step in range(_STEPS):
            if step:
                journal.let_others_write()
            if not self._step(journal):
                return False
        return True

    def _step(self, journal: Journal) -> bool:
        """One step; whether something was deleted."""
        too_old = time.time_ns() - int(settings.setting("OBSERVABILITY_RETENTION_DAYS") * _DAY_NS)
        deleted = journal.delete_done(STEP_ROWS, before_ns=too_old) or self._make_room(journal)
        if deleted:
            journal.give_back_space()
        return deleted > 0

    def _make_room(self, journal: Journal) -> int:
        if not self.is_due(journal):
            return 0
        too_much = int(journal.used_bytes() - _limit() * _ROOM)
        return journal.delete_done(STEP_ROWS, max_bytes=too_much) or self._delete_pending(journal, too_much)

    def _delete_pending(self, journal: Journal, too_much: int) -> int:
        lost = journal.delete_pending(STEP_ROWS, too_much)
        if lost:
            type(self).deleted_pending += lost
            failures.note(
                "size limit",
                f"the journal is full: the oldest observations that Langfuse does not have are deleted ({lost})",
                cure="Raise OBSERVABILITY_MAX_MB, or see why they cannot be shipped: health().",
            )
        return lost


def _limit() -> float:
    megabytes: float = settings.setting("OBSERVABILITY_MAX_MB")
    return megabytes * 1024 * 1024
