"""An agent that calls two SDKs while each import on this package's threads would take two seconds.

`python -m tests.runtime.stalled_imports` prints these threads' imports, and the calls that failed or waited.
"""

import sys
import threading
import time
from typing import Any

OURS = "moondev-observability"  # prefix of the names of this package's threads
imports: list[str] = []


class _Stall:
    """An import finder, asked before all others, that records and delays each new import on this package's threads."""

    def find_spec(self, name: str, *_: Any) -> None:
        """Find nothing, so that the next finder is used."""
        if threading.current_thread().name.startswith(OURS):
            imports.append(name)
            time.sleep(2)


sys.meta_path.insert(0, _Stall())  # type: ignore[arg-type]

import json  # noqa: E402 - after the finder
import os  # noqa: E402
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: E402

CHAT = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "gpt-5-mini",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "BUY"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
MESSAGE = {
    "id": "1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "BUY"}], "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
ANSWERS = {"/v1/chat/completions": CHAT, "/v1/messages": MESSAGE}
REFUSALS = [
    (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"slow down"),
    (500, {}, b"\xff\xfe broken"),
    (200, {"Content-Type": "text/html; charset=iso-8859-1"}, b"<html>"),
    (400, {}, b'{"message": "refused"}'),
    (200, {}, b'{"partialSuccess": {"rejectedSpans": "1"}}'),
]  # the server's first answers, one for each request; after these it accepts everything


class _Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, body = 200, {}, json.dumps(ANSWERS.get(self.path, {})).encode()
        if self.path.endswith("/ingestion"):
            events = [{"id": event["id"], "status": 201} for event in json.loads(request)["batch"]]
            status, body = 207, json.dumps({"successes": events, "errors": []}).encode()
        if self.path.endswith("/traces") and REFUSALS:
            status, headers, body = REFUSALS.pop(0)
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
os.environ.setdefault("LANGFUSE_HOST", url)

import asyncio  # noqa: E402
import contextlib  # noqa: E402
import datetime  # noqa: E402
import decimal  # noqa: E402
import logging  # noqa: E402
import pathlib  # noqa: E402

from src.observability import ObservabilityContext, observe_llm, runtime  # noqa: E402

problems: list[str] = []


def timed(name: str, call: Any) -> None:
    """Run a call; note it as a problem if it fails, or is delayed by an import on this package's threads."""
    began = time.perf_counter()
    try:
        call()
    except Exception as error:  # noqa: BLE001 - reported
        problems.append(f"{name}: {type(error).__name__}: {error}")
    took = time.perf_counter() - began
    if took > 1.5:
        problems.append(f"{name}: took {took:.1f} s")


@observe_llm
def ask(prompt: str, *arguments: Any) -> str:
    """Stand in for a model that an agent calls; the call is traced."""
    return f"BUY\nbecause of {prompt}\nConfidence: 70%"


@observe_llm
def fails(prompt: str) -> str:
    """Stand in for a model call that raises; the call is traced."""
    raise ConnectionError("no route to https://user:hunter2hunter2@db.example/x?api_key=abcdefghij0123456789")


def agent() -> None:
    """Use this package, and the two SDKs beside it, in every way that an agent may use them."""
    ask("first")
    began = time.perf_counter()
    import anthropic
    import openai

    chat = openai.OpenAI(api_key="k" * 20, base_url=f"{url}/v1", max_retries=0).chat.completions
    messages = anthropic.Anthropic(api_key="k" * 20, base_url=url, max_retries=0).messages
    prompt: Any = [{"role": "user", "content": "What now?"}]

    async def awaited() -> None:
        async with openai.AsyncOpenAI(api_key="k" * 20, base_url=f"{url}/v1", max_retries=0) as client:
            await client.chat.completions.create(model="gpt-5-mini", messages=prompt)

    while time.perf_counter() - began < float(sys.argv[1]):
        timed("openai", lambda: chat.create(model="gpt-5-mini", messages=prompt))
        timed("openai, traced", lambda: observe_llm(chat.create)(model="gpt-5-mini", messages=prompt))
        timed("anthropic", lambda: messages.create(model="claude-haiku-4-5", max_tokens=9, messages=prompt))
        timed("openai, awaited", lambda: asyncio.run(awaited()))
        situation = {"day": datetime.date.today(), "n": decimal.Decimal("1.5"), "path": pathlib.Path("/x")}  # noqa: DTZ011
        with ObservabilityContext.agent_cycle("Agent", input=situation):
            timed("ours", lambda: ask("Längste 🌙", b"\xff", {1, 2}))
            timed("secrets", lambda: ask("sk-ant-REDACTED " + "seed " * 12 + "0x" + "ab" * 32, "x" * 200_000))
            ObservabilityContext.add_trading_signal("BUY", 70, "why", "BTC")
        with contextlib.suppress(ConnectionError):
            fails("now")
        ObservabilityContext.record_outcome("ab" * 16, pnl_usd=1.5)
        time.sleep(0.02)


logging.disable()
agents = [threading.Thread(target=agent) for _ in range(3)]
for thread in agents:
    thread.start()
for thread in agents:
    thread.join()
timed("flush", lambda: runtime.flush(1))
timed("health", runtime.health)
runtime.close()
print(json.dumps({"imports": sorted(set(imports)), "problems": sorted(set(problems))[:20]}))
