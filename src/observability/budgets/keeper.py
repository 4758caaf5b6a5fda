"""Keeps the gate up to date, on the recorder's thread: counts, draws slices ahead of need, returns them.

A slice is what a process may still spend without asking: its running calls, and those of about the next second. The
slices of all processes are subtracted from what is left, so that together they stay within the budget.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ..internal_errors import failures, guarded
from ..journal import Journal, JournalError
from ..recording import price
from ..settings import setting
from ..terminal import warn
from ..tracing import size_of
from .estimates import Estimates, first_buckets
from .gate import Gate, Pace, Reservation, View
from .ledger import Ledger, delete_slices
from .limits import Budget, configured

_LEAST_SECONDS = 0.05  # between two looks, unless a caller needs more room
_IDLE_SECONDS = 1.0
_DEAD_SECONDS = 5.0  # between two searches for slices of dead processes
_FEWEST = 4  # processes that what is left is shared among: others may be starting
_AHEAD_SECONDS = 3.0  # of this process's recent spending are drawn ahead
_SPEED_SECONDS = 1.0  # over which spending is measured
_SHORTEST_SECONDS = 0.9


_RECORDED = "SELECT agent, model_requested, cost_usd, usage FROM observations WHERE id = ? AND state <> 'open'"


class Session(Protocol):
    """Which processes write to the journal: `journal.JournalSession`."""

    @property
    def process(self) -> str:
        """The token of this process."""

    def is_alive(self, process: str) -> bool:
        """Whether the process of this token still runs."""


class _Speed:
    """How fast an amount has fallen in the last second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def after(self, amount: float) -> float | None:
        """Take the amount of now; return the fall in a second, or None after less than `_SHORTEST_SECONDS`."""
        now = time.monotonic()
        samples = self._samples
        while len(samples) > 1 and samples[1][0] < now - _SPEED_SECONDS:
            samples.popleft()
        samples.append((now, amount))
        since, before = samples[0]
        if now - since < _SHORTEST_SECONDS:
            return None
        return max(before - amount, 0.0) / (now - since)


class Keeper:
    """The recorder's part of the budgets."""

    def __init__(self, budgets: list[Budget], exempt: tuple[str, ...], clock: Callable[[], float] = time.time) -> None:
        self._estimates = Estimates()
        self.gate = Gate(budgets, exempt, self._estimates)
        self._ledger = Ledger(budgets, self._estimates)
        self._clock = clock
        self._looked = self._searched = float("-inf")  # monotonic seconds
        self._has_learnt = False
        self._duration = 0.0  # seconds that the last look took
        self._lag = _IDLE_SECONDS  # seconds between the last two looks
        self._own = [_Speed() for _ in budgets]  # of this process
        self._fleet = [_Speed() for _ in budgets]
        self._largest = [0.0] * len(budgets)  # of this process's calls
        self._used = [0.0] * len(budgets)  # by this process, since it began
        self._told: set[tuple[int, float, str]] = set()

    def look(self, journal: Journal, session: Session) -> None:
        """Count and draw, if it is time to. Never raises: a failing budget stops neither calls nor records."""
        now = time.monotonic()
        wait = _LEAST_SECONDS if self.gate.outstanding else _IDLE_SECONDS
        if now - self._looked < (self._duration if self.gate.is_hungry else wait):
            return
        try:
            with guarded:
                self._look(journal, session)
        except JournalError as error:
            cure = "Calls go on by what was last known."
            failures.note("budgets", f"budgets cannot be counted now: {error}", cure=cure)
        looked, self._looked = self._looked, time.monotonic()
        self._duration = self._looked - now  # a busy journal is left alone for as long
        self._lag = min(self._looked - looked, _IDLE_SECONDS)
        self._tell()

    def read(self, path: Path) -> None:
        """Read how the budgets stand, before the first call: a new process must know of one that is used up."""
        with guarded, suppress(JournalError):  # there is none yet, or it is locked
            journal = Journal(path, create=False)
            try:
                with journal.reading("SELECT 1") as cursor:
                    self.gate.know(self._ledger.statuses(cursor.connection, self._clock()))
            finally:
                journal.close()

    def _look(self, journal: Journal, session: Session) -> None:
        self.gate.is_hungry = False
        wall = self._clock()
        with journal.transaction() as db:
            if not self._has_learnt:
                self._ledger.learn_recent(db)
                self._has_learnt = True
            self._suppose()
            while not self._ledger.settle(db, wall):
                pass
            self._release(db)
            if time.monotonic() - self._searched > _DEAD_SECONDS:
                self._return_slices_of_dead(db, session)
            self._draw(db, session.process, wall)
        self.gate.plans.clear()

    def _suppose(self) -> None:
        """Price the first calls that callers could not."""
        for call_id, reservation in list(self.gate.outstanding.items()):
            plan, call = reservation.plan, reservation.call
            if plan.is_estimated or call.ended is not None:
                continue
            size = size_of((call.args, call.kwargs))
            priced = price(None, reservation.model, first_buckets(size))
            self._estimates.suppose(call.agent, reservation.model, size, priced and priced.details["total"])
            plan = self.gate.plan_of(call.agent, reservation.model)
            self.gate.outstanding[call_id] = reservation._replace(plan=plan)

    def _release(self, db: sqlite3.Connection) -> None:
        """Forget the reservations of calls that are recorded, and so counted."""
        ended = {_row_id(item): call_id for call_id, item in list(self.gate.outstanding.items()) if _has_ended(item)}
        for row_id, call_id in ended.items():
            if (row := db.execute(_RECORDED, (row_id,)).fetchone()) is not None:
                self.gate.outstanding.pop(call_id, None)
                self._ledger.learn(row)

    def _return_slices_of_dead(self, db: sqlite3.Connection, session: Session) -> None:
        self._searched = time.monotonic()
        owners = [row[0] for row in db.execute("SELECT DISTINCT process FROM budget_slices")]
        delete_slices(db, [owner for owner in owners if owner != session.process and not session.is_alive(owner)])

    def _draw(self, db: sqlite3.Connection, process: str, wall: float) -> None:
        statuses = self._ledger.statuses(db, wall)
        used = [view.used for view in self.gate.views]
        running = self._reserved()
        views = []
        for index, status in enumerate(statuses):
            own, processes = self._held(db, status.budget, process)
            free = max(status.left + own - running[index], 0.0)
            share, ahead = free / (2 * max(processes, _FEWEST)), self._ahead(index)
            ahead = self._whole_calls(index, share if ahead is None else min(ahead, share))
            if abs(running[index] + ahead - own) > 1e-12 or own == 0:
                values = (status.budget.key, process, running[index] + ahead)
                db.execute("INSERT OR REPLACE INTO budget_slices VALUES (?, ?, ?)", values)
            reserved = status.reserved - own + running[index] + ahead
            per_second = self._fleet[index].after(status.limit - status.spent - reserved)
            pace = None if per_second is None else Pace(per_second, processes, self._lag)
            view = View(status.limit, status.spent, reserved, room=ahead, ends=status.resets_at, pace=pace)
            views.append(view)
        for index, view in enumerate(views):
            view.used = self.gate.views[index].used - used[index]  # by callers, meanwhile
        self.gate.views = views

    def _held(self, db: sqlite3.Connection, budget: Budget, process: str) -> tuple[float, int]:
        """This process's slice, and the number of processes with one."""
        query = "SELECT process, amount FROM budget_slices WHERE budget = ?"
        amounts = dict(db.execute(query, (budget.key,)).fetchall())
        return amounts.get(process, 0.0), len(amounts.keys() | {process})

    def _reserved(self) -> list[float]:
        sums = [0.0] * len(self.gate.budgets)
        for reservation in list(self.gate.outstanding.values()):
            for index, amount in reservation.plan.amounts:
                sums[index] += amount
        return sums

    def _whole_calls(self, index: int, amount: float) -> float:
        """The part of an amount that whole calls can use: the rest would be kept from other processes."""
        amounts = [dict(plan.amounts).get(index, 0.0) for plan in list(self.gate.plans.values())]
        self._largest[index] = max([*amounts, 0.0]) or self._largest[index]
        call = self._largest[index]
        return amount // call * call if call else 0.0

    def _ahead(self, index: int) -> float | None:
        """What this process is about to reserve in the next seconds; None where that is not known yet."""
        self._used[index] += self.gate.views[index].used
        per_second = self._own[index].after(-self._used[index])
        return None if per_second is None else per_second * _AHEAD_SECONDS

    def _tell(self) -> None:
        """Print, once a period and budget, that it is used up."""
        while self.gate.notes:
            note = self.gate.notes.popleft()
            mark = (note.budget, self.gate.views[note.budget].ends, note.kind)
            if mark not in self._told:
                self._told.add(mark)
                warn(self.gate.text_of(note), "yellow")

    def leave(self, journal: Journal, process: str) -> None:
        """Count what is left to count, and give the slices back: the process ends."""
        try:
            with journal.transaction() as db:
                self._ledger.settle(db, self._clock())
                delete_slices(db, [process])
        except JournalError as error:
            failures.note("budgets", f"slices are returned later: {error}", cure="Other processes return them.")


def _row_id(reservation: Reservation) -> str:
    """The id of the row that a call is recorded in: its own, or that of the generation around it."""
    call = reservation.call
    return call.holder.hex_id if call.holder is not None and call.holder.request is call else call.hex_id


def _has_ended(reservation: Reservation) -> bool:
    call = reservation.call
    return call.ended is not None and (call.holder is None or call.holder.ended is not None)


def keeper_of_settings() -> Keeper | None:
    """The keeper of the configured budgets; None where none can be read."""
    budgets = configured()
    return Keeper(budgets, setting("OBSERVABILITY_EXEMPT")) if budgets else None
