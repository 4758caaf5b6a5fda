"""The budgets on the page: how much of each budget is used, whatever period and filter the operator has chosen."""

import time
from typing import NamedTuple

from ...budgets import Status, amount_text, configured, statuses_now
from ...journal import Journal

_NS = 10**9
_STEPS = 5  # for one page view, calls not counted yet are counted in at most this many steps of 40 ms


class Bar(NamedTuple):
    """A budget drawn as a bar, and its figures. Widths are in percent of the budget's limit."""

    status: Status
    mood: str  # CSS class
    share: float  # width of the spent part; may exceed 100
    reserved: float  # width of the reserved part, right of the spent part
    resets_ns: int

    def amount(self, name: str) -> str:
        """Return the status field `name` as text. A `~` before the number says that it contains estimates."""
        is_estimated = name == "spent" and self.status.unpriced
        return f"{'~' if is_estimated else ''}{amount_text(getattr(self.status, name))}"


class Card(NamedTuple):
    """The bars of all budgets. `is_complete` is False if some recorded calls are not counted yet."""

    bars: list[Bar]
    is_complete: bool


def budgets(journal: Journal) -> Card | None:
    """Return the bars for the current state of all budgets; None if no budget is set."""
    chosen = configured()
    if not chosen:
        return None
    statuses, is_complete = statuses_now(journal, chosen, time.time(), _STEPS)
    return Card([_bar(status) for status in statuses], is_complete)


def _bar(status: Status) -> Bar:
    share, reserved = 100 * status.spent / status.limit, 100 * status.reserved / status.limit
    width = min(share, 100)
    mood = "bad" if status.left <= 0 else "low" if status.is_low else ""
    return Bar(status, mood, share, min(reserved, 100 - width), int(status.resets_at * _NS))
