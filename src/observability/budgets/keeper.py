"""Keeps the gate up to date, on the recorder's thread: counts spending, reserves slices ahead of need, releases them.

A slice is the amount reserved for one process: its running calls, and the calls of the next seconds. The slices of all
processes are subtracted from the budget's remainder, so that together the processes stay within the budget.
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

_LEAST_SECONDS = 0.05  # pause between two refreshes while calls run, unless a caller needs a larger reservation
_IDLE_SECONDS = 1.0
_DEAD_SECONDS = 5.0  # pause between two searches for amounts still reserved by dead processes
_FEWEST = 4  # the remainder is divided among at least this many processes, since more may be starting
_AHEAD_SECONDS = 3.0  # a process reserves as much as it will spend in this time at its measured speed
_SPEED_SECONDS = 1.0  # period over which spending is measured
_SHORTEST_SECONDS = 0.9


_RECORDED = "SELECT agent, model_requested, cost_usd, usage FROM observations WHERE id = ? AND state <> 'open'"


class Session(Protocol):
    """Names this process, and tells whether another process still runs. `journal.JournalSession` implements it."""

    @property
    def process(self) -> str:
        """The token that names this process in the journal."""

    def is_alive(self, process: str) -> bool:
        """Whether the process named by this token still runs."""


class _Speed:
    """Measures how fast an amount has fallen in the last second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def after(self, amount: float) -> float | None:
        """Record the current amount; return how much it falls per second.

        Returns None if the recorded amounts cover less than `_SHORTEST_SECONDS`.
        """
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
    """Counts the spending, and reserves a part of each budget for this process. The recorder calls `refresh`."""

    def __init__(self, budgets: list[Budget], exempt: tuple[str, ...], clock: Callable[[], float] = time.time) -> None:
        self._estimates = Estimates()
        self.gate = Gate(budgets, exempt, self._estimates)
        self._ledger = Ledger(budgets, self._estimates)
        self._clock = clock
        # Monotonic times of the last refresh, and of the last search for amounts reserved by dead processes.
        self._refreshed = self._searched = float("-inf")
        self._has_learnt = False
        self._duration = 0.0  # seconds that the last refresh took
        self._lag = _IDLE_SECONDS  # seconds between the last two refreshes
        self._own = [_Speed() for _ in budgets]  # speed of this process's spending, by budget
        self._fleet = [_Speed() for _ in budgets]  # speed of all processes' spending, by budget
        self._largest = [0.0] * len(budgets)  # largest amount of one call of this process, by budget
        self._used = [0.0] * len(budgets)  # total reserved by this process's calls since it started, by budget
        self._printed: set[tuple[int, float, str]] = set()

    def refresh(self, journal: Journal, session: Session) -> None:
        """Count the spending, and reserve a part of each budget for this process, if a refresh is due.

        This method never raises, so that a failure stops neither calls nor their recording.
        """
        now = time.monotonic()
        wait = _LEAST_SECONDS if self.gate.outstanding else _IDLE_SECONDS
        if now - self._refreshed < (self._duration if self.gate.needs_refresh else wait):
            return
        try:
            with guarded:
                self._refresh(journal, session)
        except JournalError as error:
            cure = "Until this works again, the last known spending decides which calls are admitted."
            failures.note("budgets", f"spending cannot be counted against the budgets: {error}", cure=cure)
        previous, self._refreshed = self._refreshed, time.monotonic()
        # A refresh that a caller needs is delayed by the duration of the refresh before it, to spare a busy journal.
        self._duration = self._refreshed - now
        self._lag = min(self._refreshed - previous, _IDLE_SECONDS)
        self._print_notes()

    def read(self, path: Path) -> None:
        """Read the budgets' state before the first call, so that a new process refuses calls if a budget is used up."""
        # The recorder reports a journal that is locked, damaged or cannot be created. A missing journal is created:
        # that takes longer than a quick call, and the second call may be refused until the journal is read.
        with guarded, suppress(JournalError, OSError):
            journal = Journal(path, create=not path.is_file())
            try:
                with journal.reading("SELECT 1") as cursor:
                    self.gate.initialise(self._ledger.statuses(cursor.connection, self._clock()))
            finally:
                journal.close()

    def _refresh(self, journal: Journal, session: Session) -> None:
        self.gate.needs_refresh = False
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
        """Estimate the amounts of running calls that were admitted with guessed amounts."""
        for call_id, reservation in list(self.gate.outstanding.items()):
            plan, call = reservation.plan, reservation.call
            if plan.is_estimated or call.ended is not None:
                continue
            size = size_of((call.args, call.kwargs))
            priced = price(None, reservation.model, first_buckets(size))
            self._estimates.set_first_estimate(call.agent, reservation.model, size, priced and priced.details["total"])
            plan = self.gate.plan_of(call.agent, reservation.model)
            self.gate.outstanding[call_id] = reservation._replace(plan=plan)

    def _release(self, db: sqlite3.Connection) -> None:
        """Delete the reservations of calls that the journal has recorded: these calls are now counted as spent."""
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
            # The amount that callers have reserved while this refresh ran.
            view.used = self.gate.views[index].used - used[index]
        self.gate.views = views

    def _held(self, db: sqlite3.Connection, budget: Budget, process: str) -> tuple[float, int]:
        """The amount reserved for this process, and the number of processes with reservations, this one included."""
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
        """Round an amount down to a multiple of the largest call's amount. The rest stays free for other processes."""
        amounts = [dict(plan.amounts).get(index, 0.0) for plan in list(self.gate.plans.values())]
        self._largest[index] = max([*amounts, 0.0]) or self._largest[index]
        call = self._largest[index]
        return amount // call * call if call else 0.0

    def _ahead(self, index: int) -> float | None:
        """The amount of a budget that this process will probably need in `_AHEAD_SECONDS`; None if not yet measured."""
        self._used[index] += self.gate.views[index].used
        per_second = self._own[index].after(-self._used[index])
        return None if per_second is None else per_second * _AHEAD_SECONDS

    def _print_notes(self) -> None:
        """Print that a budget is used up, once for each budget, period and `Note.kind`."""
        while self.gate.notes:
            note = self.gate.notes.popleft()
            mark = (note.budget, self.gate.views[note.budget].ends, note.kind)
            if mark not in self._printed:
                self._printed.add(mark)
                warn(self.gate.text_of(note), "yellow")

    def leave(self, journal: Journal, process: str) -> None:
        """When this process ends, count its last calls as spent and release the amounts reserved for it."""
        try:
            with journal.transaction() as db:
                self._ledger.settle(db, self._clock())
                delete_slices(db, [process])
        except JournalError as error:
            what = f"budget amounts reserved for this process were not released: {error}"
            failures.note("budgets", what, cure="Another process will release these amounts.")


def _row_id(reservation: Reservation) -> str:
    """The id of the journal's row for a call: the call's own id, or the id of the generation that contains the call."""
    call = reservation.call
    return call.holder.hex_id if call.holder is not None and call.holder.request is call else call.hex_id


def _has_ended(reservation: Reservation) -> bool:
    call = reservation.call
    return call.ended is not None and (call.holder is None or call.holder.ended is not None)


def keeper_of_settings() -> Keeper | None:
    """The keeper of the configured budgets; None if no valid budget is configured."""
    budgets = configured()
    return Keeper(budgets, setting("OBSERVABILITY_EXEMPT")) if budgets else None
