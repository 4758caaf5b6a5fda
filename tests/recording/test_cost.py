"""The cost of a call is genai-prices' own price, computed without importing genai-prices."""

import json
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from src.models.model_factory import ModelFactory
from src.observability import settings
from src.observability.recording import make_prices
from src.observability.recording.cost import price
from src.observability.recording.prices import FILE, _prices_of, price_table
from tests.cases import cases
from tests.tracing.counting import counted

BUCKETS = {"input": 1000, "input_cached_tokens": 200, "output": 60, "output_reasoning_tokens": 40}
MOST_CALLS = 60  # most function calls that one `price()` may make
same_data = pytest.mark.skipif(
    price_table().name != f"genai-prices {version('genai-prices')}", reason="another genai-prices: run `make prices`"
)
PROVIDER_IDS = {"claude": "anthropic", "gemini": "google", "xai": "x-ai"}
USAGES = (
    BUCKETS,
    {"input": 300_000, "input_cache_creation": 900_000, "output": 1_000},  # more tokens than any price tier's bound
    {"input": 1, "output": 1},
    {"input": 1000, "output": 0},
    {"input": 0, "output": 0},
)
TIMES = (
    datetime.now(timezone.utc),
    datetime(2024, 1, 1, 17, tzinfo=timezone.utc),  # before most price changes, and in DeepSeek's cheap hours
    datetime(2026, 11, 1, 8, tzinfo=timezone.utc),
)


def by_genai_prices(provider_id: str, model: str, buckets: dict[str, int], at: datetime) -> tuple[float, bool]:
    """Return genai-prices' price in USD, and whether genai-prices has a rate for all used tokens."""
    cached, written = buckets.get("input_cached_tokens", 0), buckets.get("input_cache_creation", 0)
    thought = buckets.get("output_reasoning_tokens", 0)
    usage = genai_prices.Usage(
        input_tokens=buckets["input"] + cached + written,  # genai-prices counts cached tokens as input
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=buckets["output"] + thought,
        output_reasoning_tokens=thought,
    )
    try:
        priced = genai_prices.calc_price(usage, model, provider_id=provider_id, genai_request_timestamp=at)
    except LookupError:
        return 0.0, False
    rates = priced.model_price
    is_whole = rates.input_mtok is not None and (rates.output_mtok is not None or not usage.output_tokens)
    return float(priced.total_price), is_whole


def test_a_known_model_costs_what_its_price_list_says() -> None:
    """Claude Haiku 4.5 costs, in USD per million tokens, 1 for input, 0.1 for cached input and 5 for output."""
    cost = price("claude", "claude-haiku-4-5-20251001", BUCKETS)
    assert cost is not None
    assert cost.details == pytest.approx({"input": 0.00102, "output": 0.0005, "total": 0.00152})
    assert cost.source == price_table().name


@cases("provider", [*PROVIDER_IDS, "openai", "deepseek", "groq", "openrouter"])
def test_every_model_that_we_name_has_a_price(provider: str) -> None:
    """Every model that a provider's class lists has a price, and the provider's default model is listed."""
    implementation = ModelFactory.MODEL_IMPLEMENTATIONS[provider]
    unknown = [name for name in implementation.AVAILABLE_MODELS if price(provider, name, BUCKETS) is None]
    assert unknown == []
    assert ModelFactory.DEFAULT_MODELS[provider] in implementation.AVAILABLE_MODELS


@pytest.mark.slow
@same_data
@pytest.mark.parametrize("provider", get_snapshot().providers, ids=lambda provider: provider.id)
def test_a_price_is_genai_prices_own(provider: Any) -> None:
    """On three dates and for several usages, each model has the price of genai-prices, or None if a rate is missing."""
    for model in provider.models:
        for at in TIMES:
            for buckets in USAGES:
                cost = price(provider.id, model.id, buckets, at=at)
                expected, is_whole = by_genai_prices(provider.id, model.id, buckets, at)
                assert (cost is not None) == is_whole, model.id
                if cost is not None:
                    assert cost.details["total"] == pytest.approx(expected, rel=1e-12, abs=0), model.id


NAMES = (
    "gpt-5.2-20251211", "GPT-4o-mini", "claude-3-5-sonnet@20241022", "o3", "gemini-2.5-flash", "grok-4", "kimi-k2",
    "deepseek-chat", "mistral-large-latest", "open-mistral-nemo", "command-r", "glm-4.6", "nobody's", "gpt-4-20250230",
    "gpt-4o-20240513",  # twice the price of gpt-4o
)  # fmt: skip
PROVIDERS = (None, "azure", "Google", "vertex-ai", "amazon-bedrock", "openrouter", "anthropic", "openai", "nobody")


@same_data
@cases("provider", PROVIDERS)
def test_a_name_stands_for_the_same_model(provider: str | None) -> None:
    """However a model's name writes its date, and with or without a provider, its price is that of genai-prices."""
    at = datetime.now(timezone.utc)
    for name in NAMES:
        cost = price(provider, name, BUCKETS, at=at)
        try:
            usage = genai_prices.Usage(input_tokens=1200, cache_read_tokens=200, output_tokens=100)
            expected = genai_prices.calc_price(usage, name, provider_id=provider, genai_request_timestamp=at)
        except LookupError:
            assert cost is None, name
        else:
            assert cost is not None, name
            assert cost.details["total"] == pytest.approx(float(expected.total_price), rel=1e-12), name


@same_data
def test_the_table_is_the_installed_data() -> None:
    """The price table is what `make prices` writes from the installed genai-prices, and contains its licence."""
    written = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    made = [*make_prices.lines()]
    made[0]["newest"] = written[0]["newest"]  # `newest`, the date of the newest price in force, changes with time
    assert written == made
    assert "MIT License" in written[0]["licence"]


@pytest.mark.slow
def test_a_price_imports_nothing() -> None:
    """Pricing imports nothing: an import on the recorder's thread could delay the agents' imports."""
    code = (
        "import sys, datetime; from src.observability.recording import cost\n"
        "before = set(sys.modules)\n"
        "assert cost.price('openai', 'gpt-4o-mini', {'input': 1, 'output': 1})\n"
        "print(sorted(set(sys.modules) - before), 'genai_prices' in sys.modules, 'pydantic' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.REPO_ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    assert ended.stdout == "[] False False\n"


def test_a_hostile_name_costs_nothing() -> None:
    """A very long model name has no price, and its lookup is not cached."""
    assert price("openai", "gpt-4o-mini" + "x" * 1_000_000, BUCKETS) is None
    before = _prices_of.cache_info().currsize
    for number in range(10):
        price("openai", f"{number}" * 300, BUCKETS)
    assert _prices_of.cache_info().currsize == before


def test_what_the_provider_reports_comes_first() -> None:
    """A cost that OpenRouter reports replaces the cost computed from the price table."""
    cost = price("openrouter", "anthropic/claude-haiku-4.5", BUCKETS, reported=0.0123)
    assert cost == ({"total": 0.0123}, "provider-reported")


@pytest.mark.parametrize("provider", ["local", "ollama"])
def test_what_runs_on_this_machine_is_free(provider: str) -> None:
    """A local call costs zero, and the source of its price is recorded as free."""
    assert price(provider, "anything", BUCKETS) == ({"input": 0.0, "output": 0.0, "total": 0.0}, "free")


UNKNOWN = {
    "an unknown model": ("openai", "gpt-nobody-knows", BUCKETS),
    "an unknown provider": ("my own server", "gpt-5-mini", BUCKETS),
    "no model": ("openai", None, BUCKETS),
    "no tokens": ("openai", "gpt-5-mini", None),
    "only a part of the tokens": ("openai", "gpt-5-mini", {"output": 12}),
    "a model that is not paid by tokens": ("openai", "whisper-1", BUCKETS),
}


@cases("case", UNKNOWN)
def test_unknown_is_none_and_never_zero(case: str) -> None:
    """An unknown cost is None: 0 would be wrong, and would keep Langfuse from computing a price of its own."""
    assert price(*UNKNOWN[case]) is None


def test_a_price_takes_a_few_calls() -> None:
    """Pricing takes few function calls, because an agent's thread may be waiting for the GIL meanwhile."""
    price("claude", "claude-haiku-4-5", BUCKETS)
    with counted() as calls:
        price("claude", "claude-haiku-4-5", BUCKETS)
    assert 0 < calls.total() < MOST_CALLS, calls
