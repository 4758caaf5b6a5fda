"""Each provider's wire format, served on loopback with recorded bodies from the JSON files beside this one."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from src.models.base_model import BaseModel
from src.models.model_factory import ModelFactory

logging.getLogger("werkzeug").setLevel(logging.ERROR)  # logging a request takes longer than the request

PROVIDERS = tuple(ModelFactory.MODEL_IMPLEMENTATIONS)
# Parameters of a test that runs with every provider. The quick tests run it with one provider of each protocol.
EACH_PROVIDER = [
    pytest.param(name, marks=() if name in ("claude", "openai") else pytest.mark.slow) for name in PROVIDERS
]
KEY = "test-key-0123456789abcdef"
ANSWER = "BUY\nLong liquidations rose by 80 % within fifteen minutes\nConfidence: 72%"
TOOL_CALLS = json.loads((Path(__file__).parent / "tools.json").read_text(encoding="utf-8"))  # by API
STATUSES = ("401", "429", "503")
FAILURES = (*STATUSES, "malformed", "not json", "timeout")


class Provider:
    """Stands in for one provider: it has recorded answers, and keeps received requests."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.recorded = json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
        self.expected = self.recorded["expected"]
        self.requests: list[dict[str, Any]] = []  # bodies of received requests
        self.headers: list[Any] = []  # headers of received requests

    def configure(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        """Set the provider's base URL to `address`, and set a key if the provider needs one."""
        if self.recorded["key_name"]:
            monkeypatch.setenv(self.recorded["key_name"], KEY)
        monkeypatch.setenv(self.recorded["base_url_name"], address.rstrip("/") + self.recorded["base"])

    def play(self, server: HTTPServer, outcome: str) -> None:
        """Make the server answer every request with `outcome`: `answer`, `tool call`, a status or a malformed body."""
        server.clear()
        server.expect_request(self.recorded["path"], method="POST").respond_with_handler(
            lambda request: self._respond(request, outcome)
        )

    def _respond(self, request: Request, outcome: str) -> Response:
        self.requests.append(json.loads(request.get_data()))
        self.headers.append(request.headers)
        if outcome in STATUSES:
            return _json(self.recorded["errors"][outcome], int(outcome))
        if outcome == "malformed":
            return _json({"oops": True}, 200)
        if outcome == "not json":
            return Response("<html>Bad gateway</html>", 200, content_type="text/html")
        answers = TOOL_CALLS[self.recorded["format"]] if outcome == "tool call" else self.recorded
        return self._stream(answers["stream"]) if self.requests[-1].get("stream") else _json(answers["answer"], 200)

    def _stream(self, events: list[dict[str, Any]]) -> Response:
        named = self.recorded["format"] == "anthropic"
        lines = [(f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events]
        body = "".join(lines) + ("" if named else "data: [DONE]\n\n")
        return Response(body, 200, content_type="text/event-stream")


def _json(body: Any, status: int) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


async def _collected(pieces: Any) -> str:
    return "".join([piece async for piece in pieces])


# The four ways to call a model. Each returns the text of the answer, or None if there is no answer.
WAYS: dict[str, Callable[..., str | None]] = {
    "generate": lambda model, *args, **kwargs: _content(model.generate_response(*args, **kwargs)),
    "agenerate": lambda model, *args, **kwargs: _content(asyncio.run(model.agenerate_response(*args, **kwargs))),
    "stream": lambda model, *args, **kwargs: "".join(model.stream_response(*args, **kwargs)) or None,
    "astream": lambda model, *args, **kwargs: asyncio.run(_collected(model.astream_response(*args, **kwargs))) or None,
}
BLOCKING = ("generate", "stream")


def ways_of(name: str) -> tuple[str, ...]:
    """Return the names of all four ways to call for one provider of each SDK; for others, only the blocking ways."""
    return tuple(WAYS) if name in ("claude", "groq") else BLOCKING


def _content(response: Any) -> str | None:
    return None if response is None else response.content


def ask(model: BaseModel, way: str) -> str | None:
    """Call the model in this way, as an agent does; return the text of the answer."""
    return WAYS[way](model, "You are a liquidation analyst", "Longs +80 %", temperature=0.3, max_tokens=200)
