"""Fixtures: clients of the SDKs, and a server on loopback that plays the providers' recorded answers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from pytest_httpserver import HTTPServer

from src.observability.instrumentation import hooks, install
from tests.providers.wire import KEY, Provider

MESSAGES = [{"role": "user", "content": "Longs +80 %"}]
ASKED = {"model": "gpt-5-mini", "messages": MESSAGES, "temperature": 0.3}
CLAUDE_ASKED = {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 200, "system": "You are an analyst"}


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    """Restore the default hooks after a test that installed other hooks."""
    finder = hooks._finder
    yield
    if hooks._finder is not finder:
        install()


@pytest.fixture
def play(httpserver: HTTPServer) -> Callable[..., Provider]:
    """Return a function that makes the server answer as a provider: with an answer, an error, or a malformed body."""

    def start(name: str, outcome: str = "answer") -> Provider:
        provider = Provider(name)
        provider.play(httpserver, outcome)
        return provider

    return start


@pytest.fixture
def settings_of(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, Any]]:
    """Return a function that gives the arguments to create an SDK client for a path of the server."""

    def settings(path: str) -> dict[str, Any]:
        return {"api_key": KEY, "base_url": httpserver.url_for(path), "max_retries": 0}

    return settings


@pytest.fixture
def client(play: Callable[..., Provider], settings_of: Callable[[str], dict[str, Any]]) -> openai.OpenAI:
    """OpenAI's client; the server answers as OpenAI."""
    play("openai")
    return openai.OpenAI(**settings_of("/v1"))


@pytest.fixture
def claude(play: Callable[..., Provider], settings_of: Callable[[str], dict[str, Any]]) -> anthropic.Anthropic:
    """Anthropic's client; the server answers as Anthropic."""
    play("claude")
    return anthropic.Anthropic(**settings_of(""))
