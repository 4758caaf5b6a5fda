"""Calls every provider through its real SDK; a server on loopback answers as the provider does."""

import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from pytest_httpserver import HTTPServer

from src.models.base_model import BaseModel
from src.models.model_factory import ModelFactory
from src.observability import settings
from src.observability.background import OWN_THREADS
from tests.providers.wire import (
    ANSWER,
    BLOCKING,
    EACH_PROVIDER,
    FAILURES,
    PROVIDERS,
    STATUSES,
    WAYS,
    Provider,
    ask,
    ways_of,
)

GENAI_NAMES = {"claude": "anthropic", "gemini": "google", "xai": "x-ai"}
ERRORS = {
    "401": "AuthenticationError: Error code: 401",
    "429": "RateLimitError: Error code: 429",
    "503": "Error code: 503",
    "malformed": " returned an unexpected response: ",
    "not json": "",  # the message differs by SDK
    "timeout": "APITimeoutError: Request timed out",
}


@pytest.fixture(autouse=True)
def _quick_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_MAX_RETRIES", "0")


@pytest.fixture
def silent() -> Iterator[str]:
    """Yield the address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def play(httpserver: HTTPServer, silent: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    """Return a function that sets a provider's response, and returns the provider and a model that calls it."""

    def build(name: str, outcome: str) -> tuple[Provider, BaseModel]:
        provider = Provider(name)
        monkeypatch.setenv("AI_TIMEOUT_SECONDS", "0.02" if outcome == "timeout" else "20")
        if outcome == "timeout":
            provider.configure(monkeypatch, silent)
        elif outcome == "unreachable":
            provider.configure(monkeypatch, "http://127.0.0.1:9")
        else:
            provider.play(httpserver, outcome)
            provider.configure(monkeypatch, httpserver.url_for(""))
        model = ModelFactory.create_model(name)
        assert model is not None
        return provider, model

    return build


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_an_answer_is_one_generation_with_its_tokens_and_cost(name: str, way: str, play: Any, journal: Any) -> None:
    """For every provider and way to call, the recorded row has the prompt, the answer, the tokens and the cost."""
    provider, model = play(name, "answer")
    assert ask(model, way) == ANSWER
    (row,) = journal.observations()
    assert (row["type"], row["name"], row["level"]) == ("generation", "llm_generation", "DEFAULT")
    assert (row["provider"], row["model_requested"]) == (name, ModelFactory.DEFAULT_MODELS[name])
    assert row["model"] == provider.expected["model"]
    assert row["usage"] == provider.expected["usage"]
    assert row["output"] == ANSWER
    assert row["input"] == [
        {"role": "system", "content": "You are a liquidation analyst"},
        {"role": "user", "content": "Longs +80 %"},
    ]
    assert row["metadata"]["finish_reason"] == provider.expected["finish_reason"]
    assert row["metadata"].get("reasoning") == provider.expected.get("reasoning")
    assert row["metadata"]["model_type"] == name
    assert row["cost_usd"] == pytest.approx(expected_cost(provider))
    assert row["start_ns"] < row["end_ns"]
    if "stream" in way:
        assert row["start_ns"] < row["first_token_ns"] <= row["end_ns"]


def expected_cost(provider: Provider) -> float:
    """Return the expected cost of a call: the cost in the recorded file if it has one, else genai-prices' price."""
    if "cost_usd" in provider.expected:
        return float(provider.expected["cost_usd"])
    usage = provider.expected["usage"]
    cached = usage.get("input_cached_tokens", 0)
    priced = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage["input"] + cached,
            cache_read_tokens=cached,
            output_tokens=usage["output"] + usage.get("output_reasoning_tokens", 0),
        ),
        model_ref=provider.expected["model"],
        provider_id=GENAI_NAMES.get(provider.name, provider.name),
    )
    return float(priced.total_price)


@pytest.mark.parametrize("outcome", FAILURES)
@pytest.mark.parametrize("name", EACH_PROVIDER)
def test_a_failure_is_one_generation_and_one_red_line(
    name: str, outcome: str, play: Any, journal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed call prints a line and returns None; a 503 is raised and not printed. The trace has one ERROR row."""
    _, model = play(name, outcome)
    for count, way in enumerate(ways_of(name), start=1):
        capsys.readouterr()
        kind, result = what_comes_of(model, way)
        assert capsys.readouterr().out.count("❌ Model error: ") == (outcome != "503")
        assert (kind, result) == ("answer", None) or (outcome == "503" and "503" in result)
        row = journal.observations()[-1]
        assert len(journal.observations()) == count
        assert (row["level"], row["provider"], row["cost_usd"]) == ("ERROR", name, None)
        assert ERRORS[outcome] in row["status_message"]
        assert row["metadata"]["error_context"] == ({"error_type": "rate_limit"} if outcome == "503" else {})


@contextmanager
def locked_journal() -> Iterator[None]:
    """Lock the journal from another connection."""
    with closing(sqlite3.connect(settings.journal_path(), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def broken_journal() -> Iterator[None]:
    """Put a file where the journal's folder should be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBSERVABILITY_JOURNAL", str(settings.journal_path() / "journal.db"))
        yield


@contextmanager
def no_threads() -> Iterator[None]:
    """Make the start of this package's threads fail. Threads of the test's server can still start."""
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name.startswith(OWN_THREADS):
            raise RuntimeError("can't start new thread")
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        yield


@contextmanager
def closed_stderr() -> Iterator[None]:
    """Set `sys.stderr` to None, as in a process that was started without stderr."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        yield


@contextmanager
def no_redaction() -> Iterator[None]:
    """Let the import of the redaction module fail, as in a process that can open no more files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "src.observability.redaction", None)
        yield


FAULTS = {  # provider -> fault tested with it; tests/runtime/test_faults.py tests each fault with every provider
    "claude": locked_journal,
    "openai": broken_journal,
    "gemini": no_threads,
    "groq": closed_stderr,
    "ollama": no_redaction,
}


@pytest.mark.failures_expected
@pytest.mark.parametrize("name", FAULTS)
def test_an_agent_sees_no_difference_under_a_fault(
    name: str, play: Any, journal: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While this package has a fault, a model call returns, raises and prints the same with tracing on and off."""

    def everything() -> list[Any]:
        outcomes = ("answer", "429", "503", "malformed")
        return [(what_comes_of(play(name, outcome)[1], "generate"), capsys.readouterr().out) for outcome in outcomes]

    with FAULTS[name]():
        monkeypatch.setenv("ENABLE_LANGFUSE", "false")
        untraced = everything()
        monkeypatch.setenv("ENABLE_LANGFUSE", "true")
        assert everything() == untraced
    assert untraced[0][0] == ("answer", ANSWER)
    assert untraced[1][0] == ("answer", None)


@pytest.mark.slow
@pytest.mark.failures_expected
def test_an_agent_sees_no_difference(
    play: Any, journal: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """For every provider and outcome, a model call returns, raises and prints the same whether tracing is on, is off,
    or has a journal that it cannot write."""

    def everything() -> dict[tuple[str, str, str], Any]:
        return {
            (name, outcome, way): (what_comes_of(model, way), capsys.readouterr().out)
            for name in PROVIDERS
            for outcome in ("answer", *FAILURES)
            for _, model in [play(name, outcome)]
            for way in (ways_of(name) if name in ("claude", "groq") else BLOCKING[:1])
        }

    capsys.readouterr()
    monkeypatch.setenv("ENABLE_LANGFUSE", "true")
    traced = everything()
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    assert everything() == traced
    monkeypatch.setenv("ENABLE_LANGFUSE", "true")
    journal.observations()  # writes the queue to the journal
    file = tmp_path / "a file, not a folder"
    file.touch()
    with monkeypatch.context() as patch:
        patch.setenv("OBSERVABILITY_JOURNAL", str(file / "journal.db"))
        assert everything() == traced


def what_comes_of(model: BaseModel, way: str) -> tuple[Any, Any]:
    """Call the model; return the answer's text, or the type and text of the exception."""
    try:
        return "answer", ask(model, way)
    except Exception as error:  # noqa: BLE001 - any exception is compared
        return type(error), str(error)


def test_a_prompt_is_sent_with_a_nonce_and_shown_without(play: Any, journal: Any) -> None:
    """Each prompt is sent with a nonce, so that no cache answers it; the trace shows the prompt without the nonce."""
    provider, model = play("deepseek", "answer")
    ask(model, "generate")
    (row,) = journal.observations()
    system, user = provider.requests[0]["messages"]
    nonce, sent_at = row["metadata"]["nonce"], row["metadata"]["nonce_time"]
    assert system == {"role": "system", "content": f"You are a liquidation analyst_{sent_at}"}
    assert user == {"role": "user", "content": f"Longs +80 %__{nonce}_{sent_at}"}


@pytest.mark.parametrize(
    ("name", "model_name", "sent"),
    [
        ("claude", None, {"max_tokens": 200}),
        ("openai", None, {"max_completion_tokens": 200}),
        ("openai", "gpt-4.1-mini", {"max_tokens": 200, "temperature": 0.3}),
        ("deepseek", None, {"max_tokens": 200, "temperature": 0.3}),
    ],
)
def test_the_trace_shows_the_parameters_sent(
    name: str, model_name: str | None, sent: dict[str, Any], play: Any, journal: Any
) -> None:
    """The trace has the sent parameters: some models take no temperature, or have another name for the token limit."""
    provider, _ = play(name, "answer")
    model = ModelFactory.create_model(name, model_name)
    assert model is not None
    ask(model, "generate")
    (row,) = journal.observations()
    assert row["model_parameters"] == sent
    assert provider.requests[0].items() >= sent.items()
    assert ("temperature" in provider.requests[0]) == ("temperature" in sent)
    assert row["metadata"].get("temperature_not_sent") == (None if "temperature" in sent else 0.3)


def test_only_the_local_model_is_sent_a_grammar(play: Any, journal: Any) -> None:
    """An agent may give any model a grammar; it is sent only to the local model, whose server understands it."""
    for name in ("local", "groq", "claude"):
        provider, model = play(name, "answer")
        assert model.generate_response("", "Longs +80 %", grammar='root ::= "BUY"') is not None
        sent = provider.requests[0].get("grammar")
        assert sent == ('root ::= "BUY"' if name == "local" else None)
        assert journal.observations()[-1]["model_parameters"].get("grammar") == sent


def test_an_option_of_the_api_comes_before_the_token_limit(play: Any) -> None:
    """If an agent gives OpenAI's own name for the token limit, that limit is sent instead of `max_tokens`."""
    provider, model = play("openai", "answer")
    assert model.generate_response("", "Longs +80 %", max_tokens=200, max_completion_tokens=300) is not None
    assert provider.requests[0]["max_completion_tokens"] == 300


def test_openrouter_is_asked_for_the_cost(play: Any) -> None:
    """Requests to OpenRouter ask for usage accounting, so that the answer has the cost of the call."""
    provider, model = play("openrouter", "answer")
    ask(model, "generate")
    assert provider.requests[0]["usage"] == {"include": True}


@pytest.mark.parametrize("way", WAYS)
def test_openais_account_is_not_sent_to_others(way: str, play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would send OPENAI_ORG_ID to any host; the factory's models send it only to OpenAI."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-operator")
    for name in ("openai", "xai"):
        provider, _ = play(name, "answer")
        ModelFactory.clear()  # clients read the variable when they are built
        model = ModelFactory.create_model(name)
        assert model is not None
        assert ask(model, way) == ANSWER
        assert ("OpenAI-Organization" in provider.headers[0]) == (name == "openai")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openai", "claude"])
def test_a_prompt_of_five_megabytes_is_sent_and_recorded(name: str, play: Any, journal: Any) -> None:
    """A prompt of five megabytes is sent and recorded uncut."""
    provider, model = play(name, "answer")
    prompt = "liquidations " * 400_000
    assert model.generate_response("", prompt) is not None
    assert prompt in provider.requests[0]["messages"][-1]["content"]
    (row,) = journal.observations()
    assert row["input"][-1]["content"] == prompt


@pytest.mark.parametrize("name", ["groq", "claude"])
def test_a_closed_stream_is_one_generation(name: str, play: Any, journal: Any) -> None:
    """If an agent closes a stream early, the recorded row has the text received so far, and no error."""
    _, model = play(name, "answer")
    pieces = model.stream_response("", "Longs +80 %")
    first = next(pieces)
    pieces.close()
    (row,) = journal.observations()
    assert (row["output"], row["level"]) == (first, "DEFAULT")


@pytest.mark.parametrize("name", ["groq", "claude"])
def test_a_broken_stream_keeps_its_text(name: str, play: Any, journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """If a stream fails midway, it ends and a line is printed; the trace keeps the text received so far."""
    provider, model = play(name, "answer")
    broken = {"error": {"message": "Overloaded", "type": "overloaded_error"}}
    provider.recorded["stream"][5:] = [{"type": "error", **broken} if name == "claude" else broken]
    heard = "".join(model.stream_response("", "Longs +80 %"))
    assert ANSWER.startswith(heard)
    assert heard
    assert "❌ Model error: " in capsys.readouterr().out
    (row,) = journal.observations()
    assert (row["output"], row["level"]) == (heard, "ERROR")


def test_an_empty_stream_is_reported_with_its_cure(play: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """If the token limit ends a stream before any text, a line advises to raise the limit, and no error is printed."""
    provider, model = play("groq", "answer")
    provider.recorded["stream"] = [{"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}]
    capsys.readouterr()
    assert list(model.stream_response("", "Longs +80 %")) == []
    printed = capsys.readouterr().out
    assert "gave an empty answer (finish reason: length). Raise the agent's max_tokens: thinking counts too" in printed
    assert "❌" not in printed


@pytest.mark.parametrize(
    ("name", "outcome", "cure"),
    [
        ("deepseek", "401", "⚠️ Check DEEPSEEK_KEY in .env"),
        ("deepseek", "timeout", "⚠️ Raise AI_TIMEOUT_SECONDS in .env if this model needs longer"),
        ("ollama", "unreachable", "⚠️ Start Ollama with `ollama serve`, or set OLLAMA_BASE_URL"),
    ],
)
def test_a_failure_names_its_cure(
    name: str, outcome: str, cure: str, play: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a failed call has a known cure, a yellow line names the cure."""
    _, model = play(name, outcome)
    ask(model, "generate")
    assert cure in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "refusal", "cure"),
    [
        (
            "deepsek-chat",
            "Model Not Exist",
            "⚠️ deepseek may not have a model 'deepsek-chat'. Known models: deepseek-chat, deepseek-reasoner,",
        ),
        ("deepseek-chat", "The maximum context length is 65536 tokens", "⚠️ Shorten the prompt, or use a model"),
        ("deepseek-chat", "Invalid temperature", ""),
    ],
)
def test_a_refused_request_names_its_cure(
    name: str,
    refusal: str,
    cure: str,
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The advice after HTTP status 400 fits the provider's message; for an unknown model, it lists known models."""
    httpserver.expect_request("/chat/completions").respond_with_json({"error": {"message": refusal}}, 400)
    Provider("deepseek").configure(monkeypatch, httpserver.url_for(""))
    model = ModelFactory.create_model("deepseek", name)
    assert model is not None
    capsys.readouterr()
    assert model.generate_response("", "hello") is None
    printed = capsys.readouterr().out
    assert cure in printed
    assert ("⚠️" in printed) == bool(cure)


def test_a_quoted_key_is_not_printed(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a provider refuses a key and quotes it, the printed line masks the key, even while tracing is off."""
    key = "sk-proj-" + "a1B2c3D4" * 6
    httpserver.expect_request("/chat/completions").respond_with_json({"error": {"message": f"Bad key {key}"}}, 401)
    Provider("deepseek").configure(monkeypatch, httpserver.url_for(""))
    monkeypatch.setenv("DEEPSEEK_KEY", key)
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    model = ModelFactory.create_model("deepseek")
    assert model is not None
    assert model.generate_response("", "hello") is None
    printed = capsys.readouterr().out
    assert "❌ Model error: Error code: 401" in printed
    assert key not in printed


def test_every_recorded_status_is_played() -> None:
    """For every provider, the recorded files have an error body for each HTTP status that the tests use."""
    for name in PROVIDERS:
        assert set(Provider(name).recorded["errors"]) == set(STATUSES)
