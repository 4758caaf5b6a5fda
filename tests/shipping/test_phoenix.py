"""Arize Phoenix, where installed, accepts the journal's OTLP and shows the journal's values."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer

from src.models.model_factory import ModelFactory
from src.observability import LangFuseTracker, ObservabilityContext, observe_llm
from tests.providers.wire import Provider

PHOENIX = Path(os.environ.get("PHOENIX", "/work/envs/phoenix/bin/phoenix"))  # pip install arize-phoenix
KINDS = {"agent": "AGENT", "generation": "LLM", "tool": "TOOL", "event": "UNKNOWN"}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PHOENIX.exists(), reason="needs arize-phoenix in an environment of its own: PHOENIX"),
]


@pytest.fixture
def phoenix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Phoenix server with an empty database, the second destination of this process."""
    ports = [str(free_port()) for _ in range(2)]
    environment = {
        **os.environ, "PHOENIX_WORKING_DIR": str(tmp_path), "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": ports[0],
        "PHOENIX_GRPC_PORT": ports[1], "PHOENIX_TELEMETRY_ENABLED": "false",
    }  # fmt: skip
    url = f"http://127.0.0.1:{ports[0]}"
    with subprocess.Popen(
        [PHOENIX, "serve"], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_until_up(url)
            monkeypatch.setenv("OBSERVABILITY_OTLP_ENDPOINT", url)
            yield url
        finally:
            server.terminate()


def free_port() -> int:
    """Return an unused port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until_up(url: str) -> None:
    """Wait for the server, which first migrates its database."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/v1/projects", timeout=2).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError("Phoenix did not start")


def shown(url: str, number: int) -> dict[str, dict[str, Any]]:
    """Wait until Phoenix has this number of spans; return the spans by id."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = httpx.get(f"{url}/v1/projects/default/spans", params={"limit": 100}, timeout=10)
        spans = answer.json()["data"] if answer.status_code == 200 else []
        if len(spans) >= number:
            return {span["context"]["span_id"]: span for span in spans}
        time.sleep(0.5)
    raise AssertionError(f"{len(spans)} of {number} spans")


@observe_llm(name="price_feed", as_type="tool")
def price(symbol: str) -> dict[str, float]:
    """A tool that an agent calls."""
    return {symbol: 97_000.5}


def test_phoenix_shows_what_the_journal_has(
    phoenix: str, journal: Any, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phoenix shows each row once, with the journal's kind, parent, trace, model, tokens, prompt and answer."""
    with ObservabilityContext.agent_cycle("WhaleAgent", input={"oi": 5}):
        price("BTC")
        for name in ("claude", "openai", "gemini", "deepseek"):
            provider = Provider(name)
            provider.play(httpserver, "answer")
            provider.configure(monkeypatch, httpserver.url_for(""))
            ModelFactory.create_model(name).generate_response("You are an analyst", f"What now, {name}?")
        ObservabilityContext.add_trading_signal("BUY", 72, "Longs flushed out", "BTC")
    assert LangFuseTracker().flush(20)
    rows = journal.observations()
    spans = shown(phoenix, len(rows))
    assert len(rows) == len(spans) == 7
    for row in rows:
        span = spans[row["id"]]
        assert (span["span_kind"], span["parent_id"]) == (KINDS[row["type"]], row["parent_id"])
        assert span["context"]["trace_id"] == row["trace_id"]
        if row["type"] == "generation":
            check_generation(row, span["attributes"])


def check_generation(row: dict[str, Any], has: dict[str, Any]) -> None:
    """Check model, tokens and messages in Phoenix's own attributes."""
    usage = row["usage"]
    prompt = sum(count for bucket, count in usage.items() if bucket.startswith("input"))
    answer = sum(count for bucket, count in usage.items() if bucket.startswith("output"))
    assert has["llm.model_name"] == row["model_requested"]
    assert (has["llm.token_count.prompt"], has["llm.token_count.completion"]) == (prompt, answer)
    assert has["llm.token_count.total"] == prompt + answer
    texts = json.dumps({name: value for name, value in has.items() if name.startswith("llm.input_messages")})
    assert all(message["content"] in texts for message in row["input"])
    written = json.dumps({name: value for name, value in has.items() if name.startswith("llm.output_messages")})
    assert json.dumps(row["output"])[1:-1] in written
