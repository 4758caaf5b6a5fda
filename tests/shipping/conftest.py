"""Providers that answer on loopback, beside the Langfuse server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from src.models.model_factory import ModelFactory
from tests.providers.wire import Provider


@pytest.fixture
def play(
    further_httpservers: Callable[[str], HTTPServer], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Make a provider play one outcome on its own server; return its model as the factory builds it."""
    server = further_httpservers("provider")

    def build(name: str, outcome: str) -> tuple[Provider, Any]:
        provider = Provider(name)
        provider.play(server, outcome)
        provider.configure(monkeypatch, server.url_for(""))
        return provider, ModelFactory.create_model(name)

    build.url = server.url_for("").rstrip("/")  # type: ignore[attr-defined]
    yield build
    server.clear()
