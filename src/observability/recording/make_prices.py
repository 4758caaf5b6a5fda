"""Write `prices.jsonl` from the installed genai-prices: `python -m src.observability.recording.make_prices`.

Only this command imports genai-prices, which loads pydantic and httpx; pricing a call does not need it.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime, timezone
from importlib import metadata
from itertools import accumulate
from typing import Any

from .prices import FILE, price_table

# Maps the names of the rates in genai-prices (per million tokens or thousand requests) to their names in our table.
_RATES = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "requests_kcount": "requests",
}
_LINE_MODELS = 250  # maximum number of models per line; parsing such a line holds the GIL for about a millisecond


def lines() -> Iterator[Any]:
    """Yield the lines of the price table.

    The first line has the source, the licence, the date of the newest price, and the providers. The following lines
    have the models of each provider, in the order of the providers.
    """
    from genai_prices.data_snapshot import get_snapshot

    providers = get_snapshot().providers
    prices = [price for provider in providers for model in provider.models for price in _conditional(model)]
    starts = [price.constraint.start_date for price in prices if hasattr(price.constraint, "start_date")]
    today = datetime.now(timezone.utc).date()
    firsts = accumulate((len(_pieces(provider)) for provider in providers), initial=1)
    yield {
        "source": f"genai-prices {metadata.version('genai-prices')}, https://github.com/pydantic/genai-prices",
        "licence": _licence(),
        "newest": max(day for day in starts if day <= today).isoformat(),
        "providers": {
            provider.id: _provider(provider, first) for provider, first in zip(providers, firsts, strict=False)
        },
    }
    for provider in providers:
        yield from (_models(provider.models[first : first + _LINE_MODELS]) for first in _pieces(provider))


def _licence() -> str:
    (file,) = [file for file in metadata.files("genai-prices") or () if "licenses" in file.parts]
    return file.read_text(encoding="utf-8")


def _pieces(provider: Any) -> range:
    return range(0, len(provider.models), _LINE_MODELS)


def _provider(provider: Any, first_line: int) -> dict[str, Any]:
    return {
        "match": _clause(provider.provider_match),
        "match_model": _clause(provider.model_match),
        "fallback": provider.fallback_model_providers or [],
        "lines": [first_line, first_line + len(_pieces(provider))],
    }


def _models(models: list[Any]) -> list[Any]:
    """Convert models to pairs: the clause that matches the model's names, and the model's prices.

    Each price is a pair of the constraint under which it holds and its rates.
    """
    return [
        [_clause(model.match), [[_constraint(price.constraint), _rates(price.prices)] for price in _conditional(model)]]
        for model in models
    ]


def _conditional(model: Any) -> list[Any]:
    from genai_prices.types import ConditionalPrice

    return model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]


def _clause(clause: Any) -> Any:
    """Convert a clause, which matches names, to the form that `prices` reads.

    In that form, a string matches a name equal to it. A list matches if any of its clauses does. Any other
    kind of match is a dict of the kind and the operand, as in `{"starts_with": "gpt-4"}`.
    """
    if clause is None:
        return []
    ((kind, operand),) = vars(clause).items()
    if kind == "equals":
        return operand.lower()
    if kind in ("or_", "and_"):
        parts = [_clause(part) for part in operand]
        return parts if kind == "or_" else {"all": parts}
    return {kind: operand if kind == "regex" else operand.lower()}


def _constraint(constraint: Any) -> Any:
    """Convert a price's constraint: None (it always holds), the date from which it holds, or two times of day.

    Between the two times, which are in UTC, the price holds every day.
    """
    if constraint is None:
        return None
    if hasattr(constraint, "start_date"):
        return constraint.start_date.isoformat()
    return [_utc(constraint.start_time), _utc(constraint.end_time)]


def _utc(time: Any) -> str:
    at = datetime.combine(date(1970, 1, 2), time)
    return (at if at.tzinfo is None else at.astimezone(timezone.utc)).time().isoformat()


def _rates(prices: Any) -> dict[str, Any]:
    """The rates in USD, by name.

    A rate with tiers is a list: the base rate, then pairs of a threshold and the rate above that threshold.
    """
    rates = {}
    for key, name in _RATES.items():
        rate = getattr(prices, key)
        if rate is not None:
            tiers = getattr(rate, "tiers", None)
            rates[name] = (
                float(rate)
                if tiers is None
                else [float(rate.base), *([tier.start, float(tier.price)] for tier in tiers)]
            )
    return rates


if __name__ == "__main__":
    try:
        made = [json.dumps(line, separators=(",", ":")) for line in lines()]
    except ImportError:
        raise SystemExit("❌ Install genai-prices first: pip install -U genai-prices") from None
    FILE.write_text("\n".join(made) + "\n", encoding="utf-8")
    print(f"✅ {FILE}: {price_table()}")
