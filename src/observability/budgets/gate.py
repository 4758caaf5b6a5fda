"""Admits or refuses calls on the caller's thread, with a few comparisons in memory and without a lock.

The keeper's thread refreshes the state of each budget (`View`) and the usual cost of calls (`Estimates`).
"""

from collections import deque
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from time import monotonic, time
from typing import NamedTuple

from ..tracing import Observation, exiting
from .errors import BudgetExceeded, amount_text
from .estimates import Estimates
from .ledger import Status
from .limits import STOP, TELL, Budget

# Share of a budget's remainder that a process may use before the next refresh, beyond its own reservation.
_UNDRAWN = 1 / 256
_CAUTION = 4.0  # safety factor: all processes are assumed to spend at this many times their measured pace
_ROUNDING = 1e-6  # relative tolerance when amounts are compared, since sums of floats are not exact
# Refreshes may stop because the journal is locked or the machine is overloaded. After _STALE_SECONDS without a refresh,
# a process may use a share of the last known remainder. The share grows to the whole remainder within another
# _LATE_SECONDS, or within _NEVER_READ_SECONDS if the journal was never read.
_STALE_SECONDS, _LATE_SECONDS, _NEVER_READ_SECONDS = 5.0, 100.0, 1000.0


class Pace(NamedTuple):
    """How fast all processes together spend a budget."""

    per_second: float
    processes: int
    lag: float  # seconds between two refreshes, during which calls of other processes are not seen


class View:
    """A budget's state as this process knows it. The keeper replaces it; callers only add to `used` and `beyond`."""

    __slots__ = ("beyond", "ends", "is_read", "left", "limit", "pace", "refreshed", "reserved", "room", "spent", "used")

    def __init__(
        self, limit: float, spent: float, reserved: float, *, room: float, ends: float, pace: Pace | None = None
    ) -> None:
        self.limit, self.spent, self.reserved = limit, spent, reserved
        self.left = limit - spent - reserved  # amount that no process has spent or reserved
        self.room = room  # amount that this process's new calls may use until the next refresh
        self.ends = ends  # end of the period, Unix seconds
        self.is_read = True  # False before the journal was read
        self.pace = pace  # None before it is measured
        self.used = 0.0  # amount that this process's calls have reserved since the last refresh
        self.beyond: list[Observation] = []  # calls admitted although `room` was used up
        self.refreshed = monotonic()

    def takes(self, amount: float, call: Observation) -> bool:
        """Whether the budget admits a call of this amount."""
        amount -= amount * _ROUNDING
        if 0 < self.room - self.used >= amount or time() >= self.ends:
            return True
        beyond = self.used - self.room
        if 0 < self.left - beyond >= amount and self._is_safe_beyond(beyond, amount):
            self.beyond.append(call)
            return True
        return False

    def _is_safe_beyond(self, beyond: float, amount: float) -> bool:
        """Whether a call may be admitted although `room` is used up.

        True if enough is left after subtracting an estimate of all processes' spend since the last refresh. Otherwise
        True only while every call in `self.beyond` still runs, which limits how far the budget can be exceeded.
        """
        since = monotonic() - self.refreshed
        late = max(since - _STALE_SECONDS, 0.0)
        allowed = self.left * (_UNDRAWN + late / (_LATE_SECONDS if self.is_read else _NEVER_READ_SECONDS))
        if self.pace is not None:
            unseen = self.pace.per_second * _CAUTION * (since + self.pace.lag)
            allowed = max(allowed, self.left - unseen - amount * self.pace.processes)
        return beyond < allowed or all(call.ended is None for call in self.beyond)


class Plan(NamedTuple):
    """The amounts that one agent's call of one model takes from the budgets, as pairs (index of the budget, amount)."""

    amounts: tuple[tuple[int, float], ...]
    is_exempt: bool
    # False while the amounts are guesses: the keeper has not yet estimated this agent's call of this model.
    is_estimated: bool


class Reservation(NamedTuple):
    """An admitted call whose amounts are not yet counted as spent."""

    call: Observation
    model: str | None
    plan: Plan


class Note(NamedTuple):
    """A call beyond a budget, to be reported to the operator.

    `kind` is "refused" if the call was refused, "over" if it was made nevertheless.
    """

    budget: int
    agent: str | None
    kind: str


class Gate:
    """Holds the budgets' state and the reservations of this process."""

    def __init__(self, budgets: Sequence[Budget], exempt: Sequence[str], estimates: Estimates) -> None:
        self.budgets, self._exempt, self._estimates = budgets, [name.lower() for name in exempt], estimates
        self.views = [_unread(budget) for budget in budgets]
        self.plans: dict[tuple[str | None, str | None], Plan] = {}  # by agent and model; cleared at each refresh
        self.outstanding: dict[int, Reservation] = {}  # by the call's id
        self.notes: deque[Note] = deque(maxlen=100)  # notes to be printed by the keeper's thread
        self.needs_refresh = False  # True once half of any budget's `View.room` is used

    def initialise(self, statuses: Sequence[Status]) -> None:
        """Set the budgets' state, unless the keeper has already set it."""
        if not any(view.is_read for view in self.views):
            self.views = [View(now.limit, now.spent, now.reserved, room=0.0, ends=now.resets_at) for now in statuses]

    def inherit(self, parent: "Gate") -> None:
        """Copy the budgets' state from the parent process, except `room`, which is reserved for the parent's calls."""
        if parent.budgets == self.budgets:
            self.views = [
                View(view.limit, view.spent, view.reserved, room=0.0, ends=view.ends) if view.is_read else view
                for view in parent.views
            ]

    def admit(self, call: Observation, model: str | None, available: Collection[str] | None = None) -> str | None:
        """Admit or refuse a call, as described in `tracing.admission.Gate`."""
        plan = self.plans.get((call.agent, model)) or self.plan_of(call.agent, model)
        over = [index for index, amount in plan.amounts if not self.views[index].takes(amount, call)]
        cheaper = None
        if over and not (plan.is_exempt or exiting.get()):
            cheaper = self._cheaper_model_or_refuse(call, over, available)
        if cheaper is not None and cheaper != model:
            call.add_metadata({"asked_instead_of": model})
            model, plan = cheaper, self.plan_of(call.agent, cheaper)
        self._reserve(call, model, plan)
        return model

    def _reserve(self, call: Observation, model: str | None, plan: Plan) -> None:
        for index, amount in plan.amounts:
            view = self.views[index]
            view.used += amount
            if view.used * 2 >= view.room:
                self.needs_refresh = True
        self.outstanding[call.id] = Reservation(call, model, plan)

    def _cheaper_model_or_refuse(
        self, call: Observation, over: list[int], available: Collection[str] | None
    ) -> str | None:
        """Return the cheaper model for a call that exceeds budgets; None to call the requested model.

        Raises BudgetExceeded if a budget's action is to stop the call, or if the cheaper model is not available.
        """
        actions = [(self.budgets[index].action_for(ours=available is not None), index) for index in over]
        for action, index in actions:
            if action == STOP or (action != TELL and action not in (available or ())):
                self.notes.append(Note(index, call.agent, "refused"))
                raise self.refusal(index)
        self.notes.extend(Note(index, call.agent, "over") for _, index in actions)
        text = "; ".join(self.budgets[index].text for index in over)
        call.add_metadata({"over_budget": text})
        return next((action for action, _ in actions if action != TELL), None)

    def refusal(self, index: int) -> BudgetExceeded:
        """The exception that refuses a call beyond the budget with this index."""
        view, budget = self.views[index], self.budgets[index]
        reserved = max(view.reserved, 0.0)
        return BudgetExceeded(view.limit, view.spent, reserved, budget.local(view.ends), budget.text)

    def plan_of(self, agent: str | None, model: str | None) -> Plan:
        """Compute and store the amounts that an agent's call of a model takes from the budgets."""
        usual = self._estimates.of(agent, model)
        covering = [index for index, budget in enumerate(self.budgets) if budget.covers(agent, model)]
        amounts = tuple((index, usual.or_guess(self.budgets[index])) for index in covering)
        plan = self.plans[agent, model] = Plan(amounts, self._is_exempt(agent), usual.is_known)
        return plan

    def _is_exempt(self, agent: str | None) -> bool:
        name = (agent or "").lower()
        return any(fnmatchcase(name, pattern) for pattern in self._exempt)

    def text_of(self, note: Note) -> str:
        """The line that tells the operator that a budget is used up."""
        view, budget = self.views[note.budget], self.budgets[note.budget]
        what = "refused. The first refused call" if note.kind == "refused" else "still sent. The first call over it"
        spent = f"{amount_text(view.spent)} of {amount_text(view.limit)} {budget.unit} spent"
        caller, until = note.agent or "an unnamed agent", f"{budget.local(view.ends):%Y-%m-%d %H:%M %Z}"
        effect = f"calls that it covers are {what} was made by {caller}"
        return f"⚠️ The budget {budget.text!r} is used up ({spent}): {effect}. The budget resets at {until}"


def _unread(budget: Budget) -> View:
    """The view of a budget before the journal is read: it assumes that nothing is spent."""
    period = budget.period_at(time())
    view = View(budget.amount, 0.0, 0.0, room=0.0, ends=period.end)
    view.is_read = False
    return view
