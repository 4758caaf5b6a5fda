"""A proxy on loopback that answers for the hosts of all providers, and keeps the requests that it gets."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_RECORDED = {file.stem: json.loads(file.read_text(encoding="utf-8"))
             for file in Path(__file__).parents[1].glob("providers/*.json")}  # fmt: skip
# Host -> the file of recorded answers that is played, and the provider's name in the journal.
HOSTS = {
    "api.anthropic.com": ("claude", "anthropic"),
    "api.openai.com": ("openai", "openai"),
    "api.deepseek.com": ("deepseek", "deepseek"),
    "api.x.ai": ("xai", "xai"),
    "openrouter.ai": ("openrouter", "openrouter"),
    "api.groq.com": ("groq", "groq"),
}
THREE_LINES = "SELL\nFunding turned\nConfidence: 64%"
# Model -> its answer. Every other model answers OTHERWISE, which no agent can read as a decision. `deepseek-chat` gives
# three lines, as SqueezeAgent wants them; SwarmAgent asks it too.
ANSWERS = {
    "claude-haiku-4-5": "BUY\nThe spread is wide\nConfidence: 72%",
    "deepseek-chat": THREE_LINES,
    "claude-sonnet-4-5": "Sell",
    "grok-4-fast-reasoning": "**HOLD**",
    "qwen/qwen3-max": "sell.",
}
OTHERWISE = "The market is calm."


class Request(NamedTuple):
    """A request that a provider received. A request and its retries by the SDK count as one."""

    provider: str
    model: str
    prompt: int  # tokens
    completion: int
    status: int


class Providers:
    """The proxy, which runs as long as its `with` block."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Providers":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, host: str, body: dict[str, Any], tries: int) -> tuple[int, dict[str, Any]]:
        """Return the status and body of the answer to a request, and record the request."""
        name, provider = HOSTS[host]
        recorded, model = _RECORDED[name], body["model"]
        if model == "grok-4" and tries == 0:
            return 503, recorded["errors"]["503"]
        if model == "refused":
            self.requests.append(Request(provider, model, 0, 0, 400))
            return 400, {"error": {"message": "No such model", "type": "invalid_request_error", "code": None}}
        if model == "broken":
            self.requests.append(Request(provider, model, 0, 0, 401))
            return 401, recorded["errors"]["401"]
        answer = {**recorded["answer"], "model": model}
        usage, text = answer["usage"], ANSWERS.get(model, OTHERWISE)
        if recorded["format"] == "anthropic":
            answer["content"] = [{"type": "text", "text": text}]
            prompt = usage["input_tokens"] + usage["cache_read_input_tokens"]
            self.requests.append(Request(provider, model, prompt, usage["output_tokens"], 200))
            return 200, answer
        if model == "gpt-5-mini" and body["messages"][0]["role"] == "system":
            text = ""  # RetryAgent's model then sends a second request
        message = {**answer["choices"][0]["message"], "content": text}
        answer["choices"] = [{**answer["choices"][0], "message": message}]
        prompt, total = usage["prompt_tokens"], usage["total_tokens"]  # xAI counts reasoning tokens only in the total
        self.requests.append(Request(provider, model, prompt, total - prompt, 200))
        return 200, answer


def _handler(providers: Providers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            tries = int(self.headers.get("x-stainless-retry-count", 0))
            status, answer = providers.answer(urlsplit(self.path).hostname or "", body, tries)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    return Handler
