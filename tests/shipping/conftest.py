"""A fixture that serves AI providers on loopback, beside the Langfuse server."""

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
    """Return a function that serves one outcome of a provider, and returns the provider and its model."""
    server = further_httpservers("provider")

    def build(name: str, outcome: str) -> tuple[Provider, Any]:
        provider = Provider(name)
        provider.play(server, outcome)
        provider.configure(monkeypatch, server.url_for(""))
        return provider, ModelFactory.create_model(name)

    build.url = server.url_for("").rstrip("/")  # type: ignore[attr-defined]
    yield build
    server.clear()
