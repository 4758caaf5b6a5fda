"""The exception of a refused call.

RuntimeError
└── BudgetExceeded   a budget is used up: nothing was sent; try again after `resets_at`
"""

from datetime import datetime


class BudgetExceeded(RuntimeError):  # noqa: N818 - the name that the operator's agents catch
    """A budget is used up, so the call was not sent. Amounts are in the budget's unit.

    Args:
        limit: the budget's amount, including temporary raises by the operator.
        spent: amount of the calls recorded in this period, by all processes.
        reserved: amount reserved for running calls, and for calls expected soon.
        resets_at: the end of the period, with its time zone.
        budget: the budget's text in `OBSERVABILITY_BUDGETS`.
    """

    is_refusal = True  # makes `src/models` print the message even if a number in it looks like an HTTP status

    def __init__(self, limit: float, spent: float, reserved: float, resets_at: datetime, budget: str = "") -> None:
        self.limit, self.spent, self.reserved, self.resets_at, self.budget = limit, spent, reserved, resets_at, budget
        super().__init__(
            f"the budget {budget!r} is used up: {amount_text(spent)} spent and {amount_text(reserved)} reserved"
            f" of {amount_text(limit)}. It resets at {resets_at:%Y-%m-%d %H:%M %Z}. The call was not sent."
            " `python -m src.observability budgets` shows the budget, `budgets raise` adds to it"
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild the exception from its arguments, so that it can be pickled by a process pool."""
        return type(self), (self.limit, self.spent, self.reserved, self.resets_at, self.budget)


def amount_text(amount: float) -> str:
    """Format a whole number in full, others with four significant digits or, from 1,000, with two decimals."""
    if float(amount).is_integer():
        return f"{amount:,.0f}"
    return f"{amount:,.4g}" if abs(amount) < 1000 else f"{amount:,.2f}"
