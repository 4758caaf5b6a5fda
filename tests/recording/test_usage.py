"""The token counts of every provider, as buckets that do not overlap."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.observability.recording.usage import add_buckets, usage_buckets
from tests.cases import cases
from tests.providers.wire import PROVIDERS, Provider

# name -> (provider, usage as reported, expected buckets)
GOLDEN: dict[str, tuple[str | None, Any, dict[str, int] | None]] = {
    "anthropic: cached tokens stand beside the input": (
        "claude",
        {"input_tokens": 10, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 50, "output_tokens": 7},
        {"input": 10, "input_cached_tokens": 900, "input_cache_creation": 50, "output": 7},
    ),
    "anthropic: thinking is part of the output": (
        "claude",
        {"input_tokens": 10, "output_tokens": 70, "output_tokens_details": {"thinking_tokens": 60}},
        {"input": 10, "output": 10, "output_reasoning_tokens": 60},
    ),
    "openai: cached and reasoning tokens stand inside": (
        "openai",
        {
            "prompt_tokens": 1200,
            "completion_tokens": 95,
            "total_tokens": 1295,
            "prompt_tokens_details": {"cached_tokens": 1024},
            "completion_tokens_details": {"reasoning_tokens": 64},
        },
        {"input": 176, "input_cached_tokens": 1024, "output": 31, "output_reasoning_tokens": 64},
    ),
    "openai responses: cached tokens stand inside, under Anthropic's name for the whole": (
        "openai",
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 40},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 150,
        },
        {"input": 60, "input_cached_tokens": 40, "output": 30, "output_reasoning_tokens": 20},
    ),
    "deepseek: cache hits have their own name": (
        "deepseek",
        {"prompt_tokens": 130, "completion_tokens": 31, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 66},
        {"input": 66, "input_cached_tokens": 64, "output": 31},
    ),
    "gemini: thinking is only in the total": (
        "gemini",
        {"prompt_tokens": 121, "completion_tokens": 30, "total_tokens": 413},
        {"input": 121, "output": 30, "output_reasoning_tokens": 262},
    ),
    "gemini's own SDK: thinking beside the candidates": (
        "gemini",
        SimpleNamespace(
            prompt_token_count=20, candidates_token_count=5, thoughts_token_count=40, cached_content_token_count=8
        ),
        {"input": 12, "input_cached_tokens": 8, "output": 5, "output_reasoning_tokens": 40},
    ),
    "xai: reasoning stands beside the completion": (
        "xai",
        {
            "prompt_tokens": 140,
            "completion_tokens": 31,
            "total_tokens": 491,
            "prompt_tokens_details": {"cached_tokens": 12},
            "completion_tokens_details": {"reasoning_tokens": 320},
        },
        {"input": 128, "input_cached_tokens": 12, "output": 31, "output_reasoning_tokens": 320},
    ),
    "openrouter: tokens written to a cache stand inside": (
        "openrouter",
        {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cache_write_tokens": 60}},
        {"input": 40, "input_cache_creation": 60, "output": 5},
    ),
    "ollama's own API": ("ollama", {"prompt_eval_count": 26, "eval_count": 298}, {"input": 26, "output": 298}),
    "a part: only what is known": ("claude", {"completion_tokens": 12}, {"output": 12}),
    "a part: only the input": ("openai", {"prompt_tokens": 12}, {"input": 12}),
    "a part: only thinking": (
        "openai",
        {"completion_tokens": None, "prompt_tokens": 12, "completion_tokens_details": {"reasoning_tokens": 9}},
        {"input": 12, "output": 0, "output_reasoning_tokens": 9},
    ),
    "a total that no one explains": (
        "groq",
        {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 99},
        {"input": 5, "output": 6},
    ),
    "nothing": ("openai", None, None),
    "an empty dict": ("openai", {}, None),
    "text": ("openai", "12 tokens", None),
    "nonsense where counts should be": ("openai", {"prompt_tokens": "12", "completion_tokens": -1}, None),
    "whole numbers as floats": (
        "openai",
        {"prompt_tokens": 12.0, "completion_tokens": 0.0},
        {"input": 12, "output": 0},
    ),
    "fractions and truth values": ("openai", {"prompt_tokens": 1.5, "completion_tokens": True}, None),
    "zero": ("openai", {"prompt_tokens": 0, "completion_tokens": 0}, {"input": 0, "output": 0}),
}


@cases("case", GOLDEN)
def test_golden(case: str) -> None:
    """Each provider's usage report gives the expected buckets."""
    provider, usage, buckets = GOLDEN[case]
    assert usage_buckets(usage, provider=provider) == buckets


@cases("name", PROVIDERS)
def test_recorded_bodies(name: str) -> None:
    """The usage in each recorded response of the provider tests gives the expected buckets."""
    provider = Provider(name)
    assert usage_buckets(provider.recorded["answer"]["usage"], provider=name) == provider.expected["usage"]


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"]),
        st.none() | st.integers() | st.floats() | st.sampled_from(["", "12"]) | st.booleans(),
    ),
    st.none() | st.sampled_from(["gemini", "claude", "custom"]),
)
def test_buckets_are_never_negative_and_never_raise(usage: dict[str, Any], provider: str | None) -> None:
    """Any usage gives buckets of integers of at least 0: Langfuse silently drops fractions and negative numbers."""
    for count in (usage_buckets(usage, provider=provider) or {}).values():
        assert type(count) is int
        assert count >= 0


def test_an_object_whose_attributes_raise_is_unknown() -> None:
    """If the attributes of a usage object raise, its token counts are unknown."""

    class Hostile:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    assert usage_buckets(Hostile()) is None


def test_only_of_googles_messages_properties_are_read() -> None:
    """As reading a property may run any code, it is done only for Google's objects, whose counts are all properties."""
    fields = {"prompt_token_count": property(lambda _: 20), "candidates_token_count": property(lambda _: 5)}
    messages = [type("Usage", (), {**fields, "__module__": module})() for module in ("google.generativeai", "agents")]
    assert [*map(usage_buckets, messages)] == [{"input": 20, "output": 5}, None]


def test_buckets_of_two_calls_add_up() -> None:
    """When the usage of two calls is added up, a bucket that one call lacks counts as zero."""
    assert add_buckets({"input": 1, "output": 2}, {"input": 3, "input_cached_tokens": 4}) == {
        "input": 4,
        "output": 2,
        "input_cached_tokens": 4,
    }
