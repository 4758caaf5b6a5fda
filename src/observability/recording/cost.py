"""Prices a call by the cost that the provider reported, else by the price table `prices.jsonl`.

An unknown price is None, a free call costs zero. Prices are never read from the network. `row.py` puts the price into
the row.
"""

from datetime import datetime
from typing import Any, NamedTuple

from .prices import Rates, price_table, prices_of, rates_at

# Maps `model_type` to the provider's name in the price table, where the two differ.
_PROVIDER_IDS = {
    "claude": "anthropic",
    "gemini": "google",
    "xai": "x-ai",
    "grok": "x-ai",
}
_FREE = frozenset({"local", "ollama"})  # providers that run on the operator's own machine and cost nothing
_MILLION, _THOUSAND = 1_000_000, 1_000
_INPUTS = ("input", "input_cached_tokens", "input_cache_creation")
# Each token bucket, the part of the cost that the bucket adds to, and the name of the bucket's rate. If the table lacks
# this rate, the rate with the same name as the part (`input` or `output`) applies.
_RATES = (
    ("input", "input", "input"),
    ("input_cached_tokens", "input", "cache_read"),
    ("input_cache_creation", "input", "cache_write"),
    ("output", "output", "output"),
    ("output_reasoning_tokens", "output", "reasoning"),
)


class Cost(NamedTuple):
    """The cost of a call in USD, and the source of the price."""

    details: dict[str, float]  # USD by part, as in Langfuse's `cost_details`; it always has a `total`
    source: str


def price(
    provider: str | None,
    model: str | None,
    buckets: dict[str, int] | None,
    *,
    reported: float | None = None,
    at: datetime | None = None,
) -> Cost | None:
    """The cost of a call; None if it is unknown.

    Args:
        provider: `model_type`; if None, the price is found by the model's name alone.
        model: the name of the model that answered.
        buckets: disjoint token counts, see `usage.usage_buckets`.
        reported: the cost in USD that the provider reported (OpenRouter's `usage.cost`); replaces the table's price.
        at: the time of the call, since prices change; None means now.
    """
    if reported is not None:
        return Cost({"total": float(reported)}, "provider-reported")
    if provider in _FREE:
        return Cost({"input": 0.0, "output": 0.0, "total": 0.0}, "free")
    if not model or not buckets or not {"input", "output"} <= buckets.keys():
        return None
    prices = prices_of(_PROVIDER_IDS.get(provider or "", provider), model)
    details = None if prices is None else _priced(rates_at(prices, at), buckets)
    return None if details is None else Cost(details, price_table().name)


def _priced(rates: Rates, buckets: dict[str, int]) -> dict[str, float] | None:
    """The cost in USD of the input, of the output, and in total.

    None if the input has no rate, or there are output tokens without a rate, as for models that are paid by the minute.
    """
    answered, thought = buckets["output"], buckets.get("output_reasoning_tokens", 0)
    if "input" not in rates or (answered + thought and "output" not in rates):
        return None
    size = sum(buckets.get(name, 0) for name in _INPUTS)
    usd = {"input": 0.0, "output": 0.0}
    for name, side, rate in _RATES:
        if count := buckets.get(name):
            usd[side] += count * _rate(rates.get(rate, rates[side]), size) / _MILLION
    request = _rate(rates.get("requests", 0.0), size) / _THOUSAND
    return {**usd, "total": usd["input"] + usd["output"] + request}


def _rate(rate: Any, size: int) -> float:
    """The rate in USD. Of several tiers, the one with the highest threshold below `size` (input tokens) applies."""
    if isinstance(rate, float):
        return rate
    base, *tiers = rate
    return float(next((price for start, price in reversed(tiers) if size > start), base))
