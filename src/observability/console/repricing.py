"""Computes the cost of recorded tokens at another model's prices."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..journal import JournalError
from ..recording import RENEW_PRICES, price
from .queries.totals import TIMES

Price = Callable[[dict[str, int]], float | None]  # a call's token counts -> its cost in USD; None if unknown


class Repriced(NamedTuple):
    """The costs of a group's calls in USD; calls with unknown token counts are left out. None means unknown."""

    group: str
    calls: int
    recorded_usd: float | None  # sum of the recorded costs; None if no call has a recorded cost
    unpriced: int  # calls without a recorded cost
    what_if_usd: float | None  # cost of all calls at the other model's prices; None if any call cannot be priced
    change: float | None  # relative change from recorded to what-if cost, for calls with both; -0.5: half the cost


def price_of_model(name: str) -> Price:
    """Return a function that prices a call's tokens at this model's current prices.

    Args:
        name: the model, as in `gpt-4o-mini` or `openai/gpt-4o-mini`.

    Raises:
        JournalError: the price table does not contain the model.
    """
    provider, _, rest = name.partition("/")
    for seller, model in ((None, name), (provider, rest)):
        if price(seller, model, {"input": 1, "output": 1}) is not None:

            def usd(usage: dict[str, int], seller: str | None = seller, model: str = model) -> float | None:
                priced = price(seller, model, {"input": 0, "output": 0, **usage})
                return None if priced is None else priced.details["total"]

            return usd
    cure = f"check the spelling, give the model as PROVIDER/MODEL, or update the prices with `{RENEW_PRICES}`"
    raise JournalError(f"No price for {name!r}: {cure}")


def repriced(calls: Iterable[tuple[str, dict[str, int], float | None]], price: Price, by: str) -> list[Repriced]:
    """Return one row per group, sorted by cost at `price`, highest first; hours and days are in order of time."""
    groups: dict[str, list[tuple[float | None, float | None]]] = defaultdict(list)
    for group, usage, recorded in calls:
        groups[group].append((recorded, price(usage)))
    rows = [_repriced(group, pairs) for group, pairs in groups.items()]
    return sorted(rows, key=lambda row: (0.0 if by in TIMES else -(row.what_if_usd or 0.0), row.group))


def _repriced(group: str, pairs: list[tuple[float | None, float | None]]) -> Repriced:
    recorded = [before for before, _ in pairs if before is not None]
    what_if = [after for _, after in pairs if after is not None]
    both = [(before, after) for before, after in pairs if before is not None and after is not None]
    before, after = sum(usd for usd, _ in both), sum(usd for _, usd in both)
    return Repriced(
        group,
        len(pairs),
        sum(recorded) if recorded else None,
        len(pairs) - len(recorded),
        sum(what_if) if len(what_if) == len(pairs) else None,
        after / before - 1 if before else None,
    )
