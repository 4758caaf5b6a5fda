"""Finds a client's provider by the host of its base URL, since one SDK serves many providers.

Add a new host to `_HOSTS`. Add a new provider of `src/models` to `models/model_factory.py`.
"""

from functools import lru_cache
from typing import Any

# Suffix of a host -> the provider's name. `ModelFactory` uses the same names, except for Anthropic.
_HOSTS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "api.anthropic.com": "anthropic",
    "api.deepseek.com": "deepseek",
    "openrouter.ai": "openrouter",
    "api.x.ai": "xai",
    "api.groq.com": "groq",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.mistral.ai": "mistral",
    "api.fireworks.ai": "fireworks",
    "api.perplexity.ai": "perplexity",
    "api.cerebras.ai": "cerebras",
    "api.moonshot.ai": "moonshot",
    "generativelanguage.googleapis.com": "gemini",
}
_OLLAMA_PORT = 11434


def provider_of(client: Any, sdk: str) -> str:
    """Return the provider that an SDK's client calls; the SDK's name if the client's host is unknown."""
    url = getattr(client, "__dict__", {}).get("_base_url")
    return sdk if url is None else _by_host(str(url), sdk)


@lru_cache(maxsize=64)
def _by_host(url: str, sdk: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.port == _OLLAMA_PORT:
        return "ollama"
    return next((name for end, name in _HOSTS.items() if host == end or host.endswith(f".{end}")), sdk)
