"""Fixtures of the alerts' tests."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from src.observability.alerts import Watcher, configured_channels
from src.observability.journal.store import Journal


@pytest.fixture
def watcher(made: Journal) -> Iterator[Callable[[], Watcher]]:
    """Return a function that starts a `Watcher` of the test's journal, as a new `watch` process would."""
    started: list[Watcher] = []

    def start() -> Watcher:
        started.append(Watcher(made.path, configured_channels()))
        return started[-1]

    yield start
    for item in started:
        item.close()


class Webhook:
    """A webhook on loopback that keeps the messages it receives; `url` is its address for OBSERVABILITY_ALERT_URLS."""

    def __init__(self, server: HTTPServer) -> None:
        self.status, self.received = 200, list[dict[str, Any]]()
        self.url = f"json://{server.host}:{server.port}/hook"
        server.expect_request("/hook", method="POST").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        if self.status == 200:
            self.received.append(json.loads(request.get_data()))
        return Response(status=self.status)

    @property
    def titles(self) -> list[str]:
        """The titles of the messages, oldest first."""
        return [message["title"] for message in self.received]


@pytest.fixture
def webhook(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Webhook:
    """A webhook on loopback, to which OBSERVABILITY_ALERT_URLS points."""
    hook = Webhook(httpserver)
    monkeypatch.setenv("OBSERVABILITY_ALERT_URLS", hook.url)
    return hook
