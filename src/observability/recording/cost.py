"""
🌙 Moon Dev's Cost
Built with love by Moon Dev 🚀

Cost is computed here: what the provider itself reports, else genai-prices' data, else none. Unknown is None, free is
zero. No price is ever looked up on the network.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from functools import lru_cache
from typing import Any, NamedTuple

# Our `model_type` where genai-prices calls the provider something else.
_PROVIDER_IDS = {
    "claude": "anthropic",
    "gemini": "google",
    "xai": "x-ai",
    "grok": "x-ai",
}
_FREE = frozenset({"local", "ollama"})  # they run on the operator's own machine
_MILLION = 1_000_000


class Cost(NamedTuple):
    """What a call cost, in USD, and who says so."""

    details: dict[str, float]  # Langfuse's `cost_details`; always with `total`
    source: str


def price(
    provider: str | None,
    model: str | None,
    buckets: dict[str, int] | None,
    *,
    reported: float | None = None,
    at: datetime | None = None,
) -> Cost | None:
    """What a call cost; None where nobody knows.

    Args:
        provider: `model_type`; None to go by the model's name alone.
        model: the model that answered.
        buckets: disjoint token counts, see `usage.usage_buckets`.
        reported: USD, as the provider itself said (OpenRouter's `usage.cost`).
        at: when the call was made; prices change. Now, unless given.
    """
    if reported is not None:
        return Cost({"total": float(reported)}, "provider-reported")
    if provider in _FREE:
        return Cost({"input": 0.0, "output": 0.0, "total": 0.0}, "free")
    if not model or not buckets or not {"input", "output"} <= buckets.keys():
        return None
    found = _find(_PROVIDER_IDS.get(provider or "", provider), model)
    return None if found is None else _priced(found, buckets, at or datetime.now(timezone.utc))


class PriceTable(NamedTuple):
    """Whose prices these are, and how new they are at least."""

    name: str
    newest: date  # the last change of a price that it knows of


def price_table() -> PriceTable:
    """The price table in use. It bears no date of its own: the newest date in it says how old it is at the most."""
    import genai_prices
    from genai_prices.data_snapshot import get_snapshot

    models = (model for provider in get_snapshot().providers for model in provider.models)
    dates = [day for model in models for day in _start_dates(model) if day <= datetime.now(timezone.utc).date()]
    return PriceTable(f"genai-prices {genai_prices.__version__}", max(dates))


def _start_dates(model: Any) -> Iterator[date]:
    prices = model.prices if isinstance(model.prices, list) else []
    for price in (*prices, *(model.price_variants or ())):
        if isinstance(start := getattr(price.constraint, "start_date", None), date):
            yield start


class _Found(NamedTuple):
    model: Any  # genai_prices' ModelInfo
    calculate: Callable[[Any, datetime], Any]  # genai-prices' own way from a usage to a price
    source: str


@lru_cache(maxsize=1024)
def _find(provider_id: str | None, model: str) -> _Found | None:
    """genai-prices' entry of a model. Remembered, misses too: one search takes a good part of a millisecond."""
    import genai_prices  # takes 0.4 s, on the recorder's thread, at the first call that has a price

    def calculate(usage: Any, at: datetime) -> Any:
        return genai_prices.calc_price(usage, model_ref=model, provider_id=provider_id, genai_request_timestamp=at)

    try:
        entry = calculate(genai_prices.Usage(input_tokens=0, output_tokens=0), datetime.now(timezone.utc)).model
    except (LookupError, ValueError):
        return None
    return _Found(entry, calculate, f"genai-prices {genai_prices.__version__}")


def _priced(found: _Found, buckets: dict[str, int], at: datetime) -> Cost | None:
    rates = {name: rate for name, rate in vars(found.model.get_prices(at)).items() if rate is not None}
    if "input_mtok" not in rates or (_output(buckets) and "output_mtok" not in rates):
        return None
    paid = _quickly(rates, buckets) if rates.keys() <= _UNDERSTOOD else _by_the_book(found, buckets, at)
    return Cost({"input": paid[0], "output": paid[1], "total": paid[2]}, found.source)


# Rates that `_quickly` reads, and rates of what no bucket of ours counts. The library's own calculation takes 250 µs
# of the interpreter that an agent may be waiting for; a test holds the two equal over all the models it knows.
_UNDERSTOOD = frozenset(
    {
        "input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok",
        "cache_write_1h_mtok", "web_searches_kcount", "storage_searches_kcount",
    }
)  # fmt: skip


def _quickly(rates: dict[str, Any], buckets: dict[str, int]) -> tuple[float, float, float]:
    cached, written = buckets.get("input_cached_tokens", 0), buckets.get("input_cache_creation", 0)
    size = buckets["input"] + cached + written

    def usd(name: str, tokens: int) -> float:
        return tokens * _rate(rates.get(name, rates["input_mtok"]), size) / _MILLION

    fresh = usd("input_mtok", buckets["input"])
    given = fresh + usd("cache_read_mtok", cached) + usd("cache_write_mtok", written)
    answered = usd("output_mtok", _output(buckets)) if "output_mtok" in rates else 0.0
    return given, answered, given + answered


def _rate(rate: Any, size: int) -> float:
    """USD per million tokens; where it comes in tiers, that of the highest one that the input exceeds."""
    if not hasattr(rate, "tiers"):
        return float(rate)
    return float(next((tier.price for tier in reversed(rate.tiers) if size > tier.start), rate.base))


def _by_the_book(found: _Found, buckets: dict[str, int], at: datetime) -> tuple[float, float, float]:
    from genai_prices import Usage

    cached, written = buckets.get("input_cached_tokens", 0), buckets.get("input_cache_creation", 0)
    usage = Usage(
        input_tokens=buckets["input"] + cached + written,  # genai-prices counts cached tokens as input too
        output_tokens=_output(buckets),
        cache_read_tokens=cached,
        cache_write_tokens=written,
    )
    paid = found.calculate(usage, at)
    return float(paid.input_price), float(paid.output_price), float(paid.total_price)


def _output(buckets: dict[str, int]) -> int:
    return buckets["output"] + buckets.get("output_reasoning_tokens", 0)
