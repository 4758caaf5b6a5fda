"""
🌙 Moon Dev's Leak Tests
Built with love by Moon Dev 🚀

Secrets planted in every field that an agent, a provider or an exception can fill: then the raw bytes of the journal and
its WAL, of every body that Langfuse received, and of what was printed, are searched for them in every encoding.
"""

import base64
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pytest_httpserver import HTTPServer

from src.models.model_factory import ModelFactory
from src.observability import LangFuseTracker, ObservabilityContext, observe_llm, runtime
from tests.langfuse_server import LangfuseServer
from tests.providers.wire import PROVIDERS, STATUSES, WAYS, Provider, one_certificate
from tests.redaction_corpus import SECRETS

OWN = "Tr4de&Pass/word+1-exchange"  # of the environment, by no other rule's shape
GROQ = "gsk_" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3dEf6hIj9kLm2nOp5q"


def forms(secret: str) -> set[bytes]:
    """As software writes it; of a secret that we know only by its shape, that shape."""
    if secret != OWN:
        return {secret.encode(), json.dumps(secret)[1:-1].encode()}
    raw = secret.encode()
    texts = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], raw.hex(), raw.hex().upper()}
    return {text.encode() for text in texts} | {base64.b64encode(raw), base64.urlsafe_b64encode(raw).rstrip(b"=")}


@pytest.fixture(autouse=True)
def _own_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXCHANGE_API_SECRET", OWN)
    monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate(tmp_path)))
    monkeypatch.setenv("AI_MAX_RETRIES", "0")


@pytest.fixture
def nothing_leaks(langfuse: LangfuseServer, journal: Any, capfd: pytest.CaptureFixture[str]) -> Any:
    """Searches all that stays or leaves for these secrets; that something was recorded is checked too."""

    def search(*secrets: str) -> None:
        LangFuseTracker().flush(10)
        rows = journal.observations()
        assert rows
        runtime.close()
        printed = "".join(capfd.readouterr()).encode()
        files = b"".join(file.read_bytes() for file in journal.path.parent.rglob("*") if file.is_file())
        sent = b"".join(langfuse.raw)
        assert rows[0]["id"].encode() in files
        assert sent
        for secret in secrets:
            for form in forms(secret):
                for where, what in {"journal": files, "wire": sent, "printed": printed}.items():
                    assert form not in what, f"{form!r} is in the {where}"

    return search


@pytest.mark.parametrize("secret", [OWN, GROQ])
def test_no_field_that_an_agent_fills_leaks(secret: str, nothing_leaks: Any) -> None:
    """Names, types, metadata, tags, arguments, answers, reasons, comments, errors, contexts, symbols."""

    @observe_llm(name=f"call {secret}")
    def call(prompt: Any, **options: Any) -> Any:
        ObservabilityContext.add_agent_metadata("trading", "Agent", note=secret, **{f"k {secret}": [secret]})
        return {"answer": f"use {secret}", "tool_arguments": [{"header": f"Authorization: Bearer {secret}"}]}

    @observe_llm
    def fails(prompt: str) -> None:
        raise ConnectionError(f"https://user:{quote(secret, safe='')}@exchange.example refused {secret}")

    with ObservabilityContext.agent_cycle(f"A {secret}", f"type {secret}", {secret: secret}, more=secret) as cycle:
        call(f"my key is {secret}", messages=[{"content": secret}], small=secret, blob=secret.encode())
        ObservabilityContext.add_trading_signal("BUY", f"85 {secret}", f"because {secret}", f"BTC{secret}", x=secret)
        ObservabilityContext.add_trading_signal(f"HODL {secret}", 5, secret)
        ObservabilityContext.add_error(ValueError(secret), {"context": secret, secret: 1})
        cycle.set_output({"out": secret})
    with pytest.raises(ConnectionError):
        fails(secret)
    nothing_leaks(secret)


def test_our_own_secret_leaks_in_no_encoding(nothing_leaks: Any) -> None:
    """A blob of base64 or hex that holds it is masked too."""

    @observe_llm
    def call(*blobs: str) -> str:
        return " ".join(blobs)

    call(*(form.decode() for form in forms(OWN)), base64.b64encode(f"user:{OWN}".encode()).decode())
    nothing_leaks(OWN)


@pytest.mark.parametrize("setting", ["LANGFUSE_SESSION_ID", "LANGFUSE_USER_ID", "LANGFUSE_RELEASE"])
def test_no_setting_leaks(setting: str, nothing_leaks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Session, user and release are the operator's own text, and masked as any other."""
    monkeypatch.setenv(setting, f"run {GROQ} {OWN}")
    observe_llm(lambda: "BUY")()
    nothing_leaks(OWN, GROQ)


@pytest.mark.parametrize("outcome", ["answer", *STATUSES])
@pytest.mark.parametrize("name", PROVIDERS)
def test_no_provider_leaks(
    name: str, outcome: str, nothing_leaks: Any, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompt, parameters, answer, stream, and an SDK's exception whose text quotes the key."""
    provider = Provider(name)
    text = json.dumps(provider.recorded).replace("Confidence", f"{GROQ} {OWN} Confidence")
    provider.recorded = json.loads(text)
    if outcome != "answer":
        provider.recorded["errors"][outcome] = {"error": {"message": f"Incorrect API key provided: {GROQ} {OWN}"}}
    httpserver.expect_request(provider.recorded["path"], method="POST").respond_with_handler(
        lambda request: provider._respond(request, outcome)
    )
    provider.configure(monkeypatch, httpserver.url_for(""))
    model = ModelFactory.create_model(name)
    assert model is not None
    for way in ("generate", "stream"):
        with pytest.raises(Exception, match="503") if outcome == "503" else nullcontext():
            WAYS[way](model, f"You know {GROQ}", f"and {OWN}", temperature=0.3)
    nothing_leaks(OWN, GROQ)


def test_secrets_of_every_rule_stay_here(nothing_leaks: Any) -> None:
    """One of each, in a prompt and an answer."""
    import random

    planted = [make(random.Random(rule)) for rule, make in SECRETS.items()]
    for secret in planted:
        observe_llm(lambda prompt: f"you said {prompt}")(secret)
    nothing_leaks(*planted)


def test_health_and_the_start_up_line_leak_nothing(langfuse: LangfuseServer, capfd: Any, nothing_leaks: Any) -> None:
    """What the server says of a refused row is masked before it is kept, shown or printed."""
    from werkzeug import Response

    answers = [Response(f"bad value {GROQ} {OWN}", 400)]
    langfuse.answer = lambda _request, _body: answers.pop() if answers else None
    observe_llm(lambda: "BUY")()
    LangFuseTracker().flush(5)
    assert "[REDACTED:" in LangFuseTracker().health()["last_error"]
    observe_llm(lambda: "BUY")()
    nothing_leaks(OWN, GROQ)
