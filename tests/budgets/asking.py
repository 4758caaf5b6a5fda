"""Makes calls and waits until the budgets have counted them."""

import time
from typing import Any

from src.observability import runtime
from src.observability.budgets import Gate
from src.observability.tracing import budgeting
from tests.budgets.calls import PricedModel


def gate() -> Gate:
    """Return the gate of this process, which admits or refuses calls."""
    found = budgeting.gate
    assert isinstance(found, Gate)
    return found


def counted() -> None:
    """Wait until the budgets have counted all calls so far."""
    assert runtime.running().recorder.flush(5)
    for _ in range(2):  # the first refresh may have begun before the call
        views = gate().views
        gate().needs_refresh = True
        deadline = time.monotonic() + 5
        while gate().views is views:
            assert time.monotonic() < deadline
            time.sleep(0.002)


def ask(model: PricedModel) -> Any:
    """Call the model once, wait until the budgets have counted the call, and return the model's answer."""
    answer = model.generate_response("", "Buy or sell?")
    counted()
    return answer
