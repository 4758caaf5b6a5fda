"""Budgets of `OBSERVABILITY_BUDGETS`: count calls across all processes, and refuse calls once a budget is used up."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .errors import BudgetExceeded, amount_text
    from .gate import Gate
    from .keeper import Keeper, keeper_of_settings
    from .ledger import Ledger, Status, raise_budget, statuses_now
    from .limits import Budget, configured, parse_budgets

__all__ = [
    "Budget",
    "BudgetExceeded",
    "Gate",
    "Keeper",
    "Ledger",
    "Status",
    "amount_text",
    "configured",
    "keeper_of_settings",
    "parse_budgets",
    "raise_budget",
    "statuses_now",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "limits": "Budget configured parse_budgets",
        "errors": "BudgetExceeded amount_text",
        "gate": "Gate",
        "ledger": "Ledger Status raise_budget statuses_now",
        "keeper": "Keeper keeper_of_settings",
    },
)
