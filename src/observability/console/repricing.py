"""
🌙 Moon Dev's What If
Built with love by Moon Dev 🚀

Recorded tokens at another model's prices.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..journal import JournalError
from ..recording import price, price_table

Price = Callable[[dict[str, int]], float | None]  # of one call's usage, USD


class Repriced(NamedTuple):
    """The calls of one group whose tokens are known. Costs are USD; None is unknown."""

    group: str
    calls: int
    recorded_usd: float | None  # of the calls whose price is known; None where none is
    unpriced: int  # calls whose price is not
    what_if_usd: float | None  # of all
    change: float | None  # what-if to recorded, of the calls where both are known: -0.5 is half as dear


def priced_as(name: str) -> Price:
    """How a model (`gpt-4o-mini`, `openai/gpt-4o-mini`) prices a call's tokens, today.

    Raises:
        JournalError: the price table does not know it; the message names the cure.
    """
    provider, _, rest = name.partition("/")
    for where, model in ((None, name), (provider, rest)):
        if price(where, model, {"input": 1, "output": 1}) is not None:

            def priced(usage: dict[str, int], where: str | None = where, model: str = model) -> float | None:
                paid = price(where, model, {"input": 0, "output": 0, **usage})
                return None if paid is None else paid.details["total"]

            return priced
    raise JournalError(f"No price is known of {name!r}: write it as its provider does, or update the price table with"
                       " `pip install -U genai-prices`")  # fmt: skip


def price_table_words() -> str:
    """Which price table, and how new: `genai-prices 0.2.3, prices as of 2026-10-14 or later`."""
    table = price_table()
    return f"{table.name}, prices as of {table.newest} or later"


def repriced(calls: Iterable[tuple[str, dict[str, int], float | None]], price: Price, by: str) -> list[Repriced]:
    """One row a group, the dearest first, days in their order."""
    groups: dict[str, list[tuple[float | None, float | None]]] = defaultdict(list)
    for group, usage, recorded in calls:
        groups[group].append((recorded, price(usage)))
    found = [_of(group, pairs) for group, pairs in groups.items()]
    return sorted(found, key=lambda each: (0.0 if by == "day" else -(each.what_if_usd or 0.0), each.group))


def _of(group: str, pairs: list[tuple[float | None, float | None]]) -> Repriced:
    recorded = [before for before, _ in pairs if before is not None]
    other = [after for _, after in pairs if after is not None]
    both = [(before, after) for before, after in pairs if before is not None and after is not None]
    before, after = sum(each for each, _ in both), sum(each for _, each in both)
    return Repriced(
        group,
        len(pairs),
        sum(recorded) if recorded else None,
        len(pairs) - len(recorded),
        sum(other) if len(other) == len(pairs) else None,
        after / before - 1 if before else None,
    )
