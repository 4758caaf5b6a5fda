"""Finds the rates of a model in `prices.jsonl`, which `make_prices` writes from genai-prices (licence included).

The clauses in the data decide which provider and model a name matches; the first match counts, as in genai-prices. A
line of the file has up to 250 models of one provider, and is parsed on first use: the whole file would take 10 ms.
"""

import json
import re
from collections.abc import Callable
from datetime import date, datetime, timezone
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("prices.jsonl")
RENEW_PRICES = f"pip install -U genai-prices && python -m {__package__}.make_prices"  # command to renew an old table
_LONGEST_NAME = 200  # limit in characters: a longer name is not a model's, and would waste the cache's memory
_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")

Rates = dict[str, Any]


class PriceTable(NamedTuple):
    """The name of the price table, and the date of its newest price."""

    name: str
    newest: date

    def __str__(self) -> str:
        return f"{self.name}, newest price of {self.newest}"


@lru_cache(maxsize=1)
def price_table() -> PriceTable:
    """Describe the price table in use; its name is, for example, `genai-prices 0.2.3`."""
    head = _parsed(0)
    return PriceTable(head["source"].partition(",")[0], date.fromisoformat(head["newest"]))


def prices_of(provider: str | None, model: str) -> list[Any] | None:
    """The prices of a model, each with the constraint under which it holds; None if the table lacks the model.

    Args:
        provider: the provider's name; if None, the provider is found by the model's name.
        model: the model's name, in upper or lower case.
    """
    return None if len(model) > _LONGEST_NAME else _prices_of(provider, model.lower())


@lru_cache(maxsize=1024)  # also remembers that a model was not found, since a search takes almost a millisecond
def _prices_of(provider: str | None, model: str) -> list[Any] | None:
    entry = _provider_of(model) if provider is None else _provider_named(provider.lower().strip())
    if entry is None:
        return None
    return _search(entry, model) or _search(entry, _COMPACT_DATE.sub(_dashed, model))


@lru_cache(maxsize=1)
def _lines() -> list[str]:
    return FILE.read_text(encoding="utf-8").splitlines()


@cache
def _parsed(line: int) -> Any:
    return json.loads(_lines()[line])


def rates_at(prices: list[Any], at: datetime | None) -> Rates:
    """The rates that apply at a time (None: now), in USD per million tokens or per thousand requests.

    If the constraints of several prices are met, the last of these counts. If none is met, the first price counts.
    """
    if len(prices) == 1:
        return prices[0][1]  # type: ignore[no-any-return]
    utc = at.astimezone(timezone.utc) if at else datetime.now(timezone.utc)
    rates: Rates = next((rates for constraint, rates in reversed(prices) if _holds(constraint, utc)), prices[0][1])
    return rates


def _provider_named(name: str) -> dict[str, Any] | None:
    providers: dict[str, Any] = _parsed(0)["providers"]
    matching = (entry for entry in providers.values() if _matches(entry["match"], name))
    return providers.get(name) or next(matching, None)


def _provider_of(model: str) -> dict[str, Any] | None:
    return next((entry for entry in _parsed(0)["providers"].values() if _matches(entry["match_model"], model)), None)


def _search(entry: dict[str, Any], model: str) -> list[Any] | None:
    """The model's prices at the provider `entry`, or else at the providers whose models `entry` resells."""
    for source in (entry, *(_parsed(0)["providers"][name] for name in entry["fallback"])):
        for clause, prices in chain.from_iterable(map(_parsed, range(*source["lines"]))):
            if _matches(clause, model):
                return list(prices)
    return None


def _matches(clause: Any, name: str) -> bool:
    if isinstance(clause, str):
        return name == clause
    if isinstance(clause, list):
        return any(_matches(part, name) for part in clause)
    ((kind, operand),) = clause.items()
    return bool(_KINDS[kind](operand, name))


_KINDS: dict[str, Callable[[Any, str], Any]] = {
    "starts_with": lambda text, name: name.startswith(text),
    "ends_with": lambda text, name: name.endswith(text),
    "contains": lambda text, name: text in name,
    "regex": re.search,
    "all": lambda clauses, name: all(_matches(clause, name) for clause in clauses),
}


def _dashed(match: re.Match[str]) -> str:
    """Convert `-20251211` to `-2025-12-11`. Dates in model names have dashes in the table, but none in LiteLLM's and
    OpenRouter's names.
    """
    dashed = "-".join(match.groups())
    try:
        date.fromisoformat(dashed)
    except ValueError:
        return match.group()
    return f"-{dashed}"


def _holds(constraint: Any, utc: datetime) -> bool:
    if constraint is None:
        return True
    if isinstance(constraint, str):
        return utc.date().isoformat() >= constraint
    start, end = constraint
    now = utc.time().isoformat()
    is_after_start, is_before_end = bool(start <= now), bool(now < end)
    return is_after_start and is_before_end if start <= end else is_after_start or is_before_end
