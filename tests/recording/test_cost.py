"""
🌙 Moon Dev's Cost Tests
Built with love by Moon Dev 🚀
"""

from datetime import UTC, datetime
from importlib.metadata import version

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from src.models.model_factory import ModelFactory
from src.observability.recording.cost import price
from tests.tracing.counting import counted

BUCKETS = {"input": 1000, "input_cached_tokens": 200, "output": 60, "output_reasoning_tokens": 40}
MOST_CALLS = 60  # of functions; 40 of genai-prices 0.2.3
PROVIDER_IDS = {"claude": "anthropic", "gemini": "google", "xai": "x-ai"}


def by_genai_prices(provider_id: str, model: str, buckets: dict[str, int], at: datetime) -> float:
    """The price as the library itself has it; its input includes what was cached."""
    cached, written = buckets.get("input_cached_tokens", 0), buckets.get("input_cache_creation", 0)
    usage = genai_prices.Usage(
        input_tokens=buckets["input"] + cached + written,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=buckets["output"] + buckets.get("output_reasoning_tokens", 0),
    )
    priced = genai_prices.calc_price(usage, model, provider_id=provider_id, genai_request_timestamp=at)
    return float(priced.total_price)


def test_a_known_model_costs_what_its_price_list_says() -> None:
    """Claude Haiku 4.5: 1 USD a million tokens in, a tenth of that from the cache, 5 USD out."""
    cost = price("claude", "claude-haiku-4-5-20251001", BUCKETS)
    assert cost is not None
    assert cost.details == pytest.approx({"input": 0.00102, "output": 0.0005, "total": 0.00152})
    assert cost.source == f"genai-prices {version('genai-prices')}"


@pytest.mark.parametrize("provider", [*PROVIDER_IDS, "openai", "deepseek", "groq", "openrouter"])
def test_every_model_that_we_name_has_a_price(provider: str) -> None:
    """A default or listed model is one that exists today."""
    implementation = ModelFactory.MODEL_IMPLEMENTATIONS[provider]
    unknown = [name for name in implementation.AVAILABLE_MODELS if price(provider, name, BUCKETS) is None]
    assert unknown == []
    assert ModelFactory.DEFAULT_MODELS[provider] in implementation.AVAILABLE_MODELS


def test_our_short_way_is_the_library_s_own_price() -> None:
    """For every model of the providers that we have, with and without cached tokens, below and above every tier."""
    now = datetime.now(UTC)
    cases = (BUCKETS, {"input": 300_000, "input_cache_creation": 900_000, "output": 1_000})
    ours = {"anthropic", "openai", "deepseek", "groq", "google", "x-ai"}
    compared = 0
    for provider in (each for each in get_snapshot().providers if each.id in ours):
        for model in provider.models:
            for buckets in cases:
                cost = price(provider.id, model.id, buckets, at=now)
                if cost is not None:
                    compared += 1
                    expected = by_genai_prices(provider.id, model.id, buckets, now)
                    assert cost.details["total"] == pytest.approx(expected), (provider.id, model.id)
    assert compared > 300


def test_what_the_provider_reports_comes_first() -> None:
    """OpenRouter says what a call cost; no price list knows better."""
    cost = price("openrouter", "anthropic/claude-haiku-4.5", BUCKETS, reported=0.0123)
    assert cost == ({"total": 0.0123}, "provider-reported")


@pytest.mark.parametrize("provider", ["local", "ollama"])
def test_what_runs_on_this_machine_is_free(provider: str) -> None:
    """Free is zero, and says so."""
    assert price(provider, "anything", BUCKETS) == ({"input": 0.0, "output": 0.0, "total": 0.0}, "free")


UNKNOWN = {
    "an unknown model": ("openai", "gpt-nobody-knows", BUCKETS),
    "an unknown provider": ("my own server", "gpt-5-mini", BUCKETS),
    "no model": ("openai", None, BUCKETS),
    "no tokens": ("openai", "gpt-5-mini", None),
    "only a part of the tokens": ("openai", "gpt-5-mini", {"output": 12}),
    "a model that is not paid by tokens": ("openai", "whisper-1", BUCKETS),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_unknown_is_none_and_never_zero(case: str) -> None:
    """A cost of 0 would switch off the server's own pricing, and be wrong."""
    assert price(*UNKNOWN[case]) is None


def test_a_price_takes_a_few_calls() -> None:
    """The recorder's thread holds the interpreter while it prices; an agent may be waiting for it."""
    price("claude", "claude-haiku-4-5", BUCKETS)
    with counted() as calls:
        price("claude", "claude-haiku-4-5", BUCKETS)
    assert calls.total() < MOST_CALLS, calls
