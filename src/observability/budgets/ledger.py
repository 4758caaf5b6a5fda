"""The spending of each budget, stored in the journal's file and counted from the recorded calls of all processes."""

import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..journal import Journal
from ..recording import price
from .estimates import Estimates, first_buckets
from .limits import Budget

_TABLES = ("budget_periods", "budget_cursors", "budget_slices", "budget_raises")
_STEP = 2000  # maximum number of observations counted in one step
_RECENT = 500  # a new process learns what calls usually cost from this many of the newest observations
_NS = 10**9

_ROWS = """
SELECT seq, type, agent, provider, model, model_requested, start_ns, level, status_message, usage, cost_usd,
    CASE WHEN usage IS NULL THEN length(input) END AS size
FROM observations WHERE seq > ? AND state <> 'open' ORDER BY seq LIMIT ?"""
_NEWEST = "SELECT ifnull(max(seq), 0) FROM observations"
_ADD = """
INSERT INTO budget_periods VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET spent = spent + excluded.spent, unpriced = unpriced + excluded.unpriced"""
_SPENT = "SELECT spent, unpriced FROM budget_periods WHERE budget = ? AND start_ns = ?"
_HISTORY = """
SELECT agent, model, sum(cost_usd) AS usd, sum(calls) AS calls, sum(unpriced) AS unpriced,
    sum(input + input_cached_tokens + input_cache_creation + output + output_reasoning_tokens) AS tokens
FROM hourly WHERE hour >= ? GROUP BY agent, model"""
_USAGE = "SELECT agent, model_requested, cost_usd, usage FROM observations WHERE type = 'generation' AND seq > ?"


class Status(NamedTuple):
    """The current state of a budget. Amounts are in the budget's unit; times are Unix seconds."""

    budget: Budget
    limit: float  # the budget's amount, including temporary raises by the operator
    spent: float
    reserved: float  # reserved by all processes, for running calls and for calls expected soon
    unpriced: int  # number of calls whose amount is an estimate
    starts: float
    resets_at: float

    @property
    def left(self) -> float:
        """The amount neither spent nor reserved; negative if the limit is exceeded."""
        return self.limit - self.spent - self.reserved

    @property
    def is_low(self) -> bool:
        """Whether less than 15 % of the limit is left."""
        return self.left < 0.15 * self.limit


class Charge(NamedTuple):
    """The amounts that a recorded call adds to the spending of its budgets."""

    usd: float
    tokens: float
    is_estimated: bool = False

    def amount(self, unit: str) -> float:
        """The amount in a budget's unit, which is USD, tokens or calls."""
        return 1.0 if unit == "calls" else self.usd if unit == "USD" else self.tokens


class Ledger:
    """Reads and writes the journal's budget tables. The caller opens and commits the transaction."""

    def __init__(self, budgets: Sequence[Budget], estimates: Estimates | None = None) -> None:
        self.budgets, self.estimates = budgets, estimates or Estimates()

    def settle(self, db: sqlite3.Connection, now: float) -> bool:
        """Count recorded calls that were not counted yet; return False if more remain."""
        cursors = {budget: self._cursor(db, budget, now) for budget in self.budgets}
        rows = db.execute(_ROWS, (min(cursors.values()), _STEP)).fetchall()
        for row in rows:
            if row["type"] in ("generation", "embedding") and (charge := self._charge(row)) is not None:
                for budget in self._covering(row, cursors):
                    start = budget.period_at(row["start_ns"] / _NS).start * _NS
                    unpriced = int(charge.is_estimated and budget.unit != "calls")
                    db.execute(_ADD, (budget.key, start, charge.amount(budget.unit), unpriced))
        if rows:
            last = rows[-1]["seq"]
            moved = [(last, budget.key) for budget, seq in cursors.items() if seq < last]
            db.executemany("UPDATE budget_cursors SET seq = ? WHERE budget = ?", moved)
        return len(rows) < _STEP

    def _covering(self, row: Any, cursors: dict[Budget, int]) -> Iterator[Budget]:
        for budget, seq in cursors.items():
            if row["seq"] > seq and budget.covers(row["agent"], row["model"], row["model_requested"]):
                yield budget

    def _charge(self, row: Any) -> Charge | None:
        """The amounts that a recorded call costs; None if the call was refused and therefore never sent."""
        status = row["status_message"] or ""
        if status.startswith("BudgetExceeded:"):
            return None
        tokens = tokens_in(row["usage"])
        usd = row["cost_usd"]
        if tokens is not None and usd is not None:
            self.estimates.note_price(usd, tokens)
            return Charge(usd, tokens)
        if tokens is None and usd is not None:
            return Charge(usd, 0.0, is_estimated=True)
        if tokens is not None:
            return Charge(tokens * self.estimates.usd_per_token, tokens, is_estimated=True)
        return self._without_usage(row, status)

    def _without_usage(self, row: Any, status: str) -> Charge:
        """Estimate the amounts of a call for which no token counts were recorded.

        A failed call is free. A call that timed out, was cancelled or was cut off by the end of its process is charged
        for its prompt only. A successful call is charged the usual amounts.
        """
        if row["level"] == "ERROR" and "timeout" not in status.lower() and "timed out" not in status.lower():
            return Charge(0.0, 0.0)
        buckets = {**first_buckets(row["size"] or 0), "output": 0}
        if row["level"] == "DEFAULT":  # the call was answered, but the provider reports no tokens
            usual = self.estimates.of(row["agent"], row["model_requested"])
            if usual.is_known:
                return Charge(usual.usd, usual.tokens, is_estimated=True)
            buckets = first_buckets(row["size"] or 0)
        tokens = float(sum(buckets.values()))
        priced = price(row["provider"], row["model"], buckets)
        usd = priced.details["total"] if priced else tokens * self.estimates.usd_per_token
        return Charge(usd, tokens, is_estimated=True)

    def _cursor(self, db: sqlite3.Connection, budget: Budget, now: float) -> int:
        """The `seq` of the last observation that a budget has counted.

        For a new budget, first count the spending of the current period so far.
        """
        newest = _newest(db)
        cursor = db.execute("SELECT seq FROM budget_cursors WHERE budget = ?", (budget.key,)).fetchone()
        if cursor is None:
            self._begin(db, budget, now)
            db.execute("INSERT INTO budget_cursors VALUES (?, ?)", (budget.key, newest))
            return newest
        if cursor[0] > newest:  # rows were deleted, and SQLite will reuse their `seq`
            db.execute("UPDATE budget_cursors SET seq = ? WHERE budget = ?", (newest, budget.key))
        return min(int(cursor[0]), newest)

    def _begin(self, db: sqlite3.Connection, budget: Budget, now: float) -> None:
        start = budget.period_at(now).start
        spent = unpriced = 0
        for row in db.execute(_HISTORY, (-(-start // 3600),)).fetchall():
            if budget.covers(row["agent"], row["model"]):
                missing = row["unpriced"] * 1000 * self.estimates.usd_per_token
                spent += {"USD": row["usd"] + missing, "tokens": row["tokens"], "calls": row["calls"]}[budget.unit]
                unpriced += row["unpriced"] if budget.unit != "calls" else 0
        db.execute(_ADD, (budget.key, start * _NS, spent, unpriced))

    def learn_recent(self, db: sqlite3.Connection) -> None:
        """Learn the usual amounts of a call from the last calls in the journal."""
        for row in db.execute(_USAGE, (_newest(db) - _RECENT,)).fetchall():
            self.learn(row)

    def learn(self, row: Any) -> None:
        """Add a recorded call to the estimates."""
        tokens = tokens_in(row["usage"])
        if tokens is not None:
            usd = row["cost_usd"] if row["cost_usd"] is not None else tokens * self.estimates.usd_per_token
            self.estimates.learn(row["agent"], row["model_requested"], usd, tokens)

    def statuses(self, db: sqlite3.Connection, now: float) -> list[Status]:
        """The current state of every budget."""
        return [self._status(db, budget, now) for budget in self.budgets]

    def _status(self, db: sqlite3.Connection, budget: Budget, now: float) -> Status:
        period = budget.period_at(now)
        at = (budget.key, period.start * _NS)
        spent = db.execute(_SPENT, at).fetchone()
        reserved = db.execute("SELECT sum(amount) FROM budget_slices WHERE budget = ?", (budget.key,)).fetchone()[0]
        raises = "SELECT sum(amount) FROM budget_raises WHERE budget = ? AND from_ns <= ? AND until_ns > ?"
        raised = db.execute(raises, (budget.key, int(now * _NS), int(now * _NS))).fetchone()[0]
        spent, unpriced = spent or (0.0, 0)
        return Status(budget, budget.amount + (raised or 0), spent, reserved or 0.0, unpriced, *period)


def statuses_now(
    journal: Journal, budgets: Sequence[Budget], now: float, steps: int = sys.maxsize
) -> tuple[list[Status], bool]:
    """Compute the budgets' current state without writing to the journal.

    Returns the state, and whether it includes all recorded calls.

    Args:
        journal: the journal.
        budgets: the budgets.
        now: Unix seconds.
        steps: maximum number of steps; each reads up to 2,000 uncounted observations and takes about 40 ms.
    """
    ledger = Ledger(budgets)
    with journal.with_copies(_TABLES) as db:
        is_complete = any(ledger.settle(db, now) for _ in range(steps))
        return ledger.statuses(db, now), is_complete


def _newest(db: sqlite3.Connection) -> int:
    """The highest `seq`. Calls that still run are counted later: they get a higher `seq` when they end."""
    return int(db.execute(_NEWEST).fetchone()[0])


def tokens_in(usage: str | None) -> float | None:
    """The total number of tokens in a row's `usage`, which is JSON; None if `usage` is None."""
    return None if usage is None else float(sum(json.loads(usage).values()))


def raise_budget(db: sqlite3.Connection, budget: Budget, amount: float, now: float, until: float) -> None:
    """Raise a budget by `amount`, from now until a time (Unix seconds)."""
    db.execute("INSERT INTO budget_raises VALUES (?, ?, ?, ?)", (budget.key, amount, int(now * _NS), int(until * _NS)))


def delete_slices(db: sqlite3.Connection, processes: Iterable[str]) -> None:
    """Delete the amounts reserved for these processes, so that other processes can use them."""
    db.executemany("DELETE FROM budget_slices WHERE process = ?", [(process,) for process in processes])
