"""Secrets in settings, names, server messages and printed lines are masked on disk, on the wire and in the terminal.

The raw bytes of the journal and its WAL, of every request to Langfuse and of the output are searched for the secrets in
every encoding. `test_matrix.py` tests every provider and every way in which a text is stored, sent or printed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from src.models.model_factory import ModelFactory
from src.observability import LangFuseTracker, ObservabilityContext, observe_llm, runtime, settings
from src.observability.redaction.redactor import BAD_PATTERN
from tests.langfuse_server import LangfuseServer
from tests.providers.wire import Provider
from tests.redaction.corpus import SECRETS
from tests.redaction.encodings import ENCODINGS, bytes_under, found

OWN = "Tr4de&Pass/word+1-exchange"  # a secret in an environment variable; its format matches no rule
GROQ = "gsk_" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3dEf6hIj9kLm2nOp5q"


def forms(secret: str) -> list[str]:
    """Return what to search for: the secret unchanged, in lower and in upper case, and `OWN` also in all encodings."""
    written = [write(secret) for write in ENCODINGS.values()] if secret == OWN else [secret]
    return [*written, secret.lower(), secret.upper()]


@pytest.fixture(autouse=True)
def _own_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXCHANGE_API_SECRET", OWN)
    monkeypatch.setenv("AI_MAX_RETRIES", "0")


@pytest.fixture
def nothing_leaks(langfuse: LangfuseServer, journal: Any, capfd: pytest.CaptureFixture[str]) -> Any:
    """Return a function that checks that a row was recorded, and that no output has the given secrets."""

    def search(*secrets: str, shipped: bool = True) -> None:
        LangFuseTracker().flush(10)
        rows = journal.observations()
        assert rows
        files = bytes_under(journal.path.parent)  # with the WAL, which is deleted when the journal is closed
        runtime.close()
        files += bytes_under(journal.path.parent)
        printed = "".join(capfd.readouterr()).encode()
        sent = b"".join(langfuse.raw)
        assert rows[0]["id"].encode() in files
        assert bool(sent) == shipped
        for where, what in {"journal": files, "wire": sent, "printed": printed}.items():
            for secret in secrets:
                assert not found(forms(secret), what), f"they are in the {where}"

    return search


@pytest.mark.parametrize("secret", [OWN, GROQ])
def test_no_field_that_an_agent_fills_leaks(secret: str, nothing_leaks: Any) -> None:
    """Secrets are masked in names, types, metadata, tags, arguments, answers, reasons, comments, errors, contexts,
    symbols."""

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
        ObservabilityContext.add_trading_signal(f"{'x' * (190 - len('signal:'))} {secret}", 5, "an action cut at 200")
        ObservabilityContext.add_error(ValueError(secret), {"context": secret, secret: 1})
        cycle.set_output({"out": secret})
    ObservabilityContext.record_outcome(str(cycle.trace_id), pnl_usd=1.5, note=f"stopped out, {secret}")
    with pytest.raises(ConnectionError):
        fails(secret)
    nothing_leaks(secret)


@pytest.mark.parametrize("setting", ["LANGFUSE_SESSION_ID", "LANGFUSE_USER_ID", "LANGFUSE_RELEASE"])
def test_no_setting_leaks(setting: str, nothing_leaks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in the settings for session, user and release are masked, like those in other texts."""
    monkeypatch.setenv(setting, f"run {GROQ} {OWN}")
    observe_llm(lambda: "BUY")()
    nothing_leaks(OWN, GROQ)


def test_secrets_of_every_rule_stay_here(nothing_leaks: Any) -> None:
    """A secret of each rule is masked, in the prompt and in the answer."""
    import random

    planted = [make(random.Random(rule)) for rule, make in SECRETS.items()]
    for secret in planted:
        observe_llm(lambda prompt: f"you said {prompt}")(secret)
    nothing_leaks(*planted)


def ship_a_row_that_is_refused(langfuse: LangfuseServer, words: str) -> None:
    """Ship a row that the server refuses once, with this message."""
    answers = [Response(words, 400)]
    langfuse.answer = lambda _request, _body: answers.pop() if answers else None
    observe_llm(lambda: "BUY")()
    LangFuseTracker().flush(5)


def test_health_and_the_start_up_line_leak_nothing(langfuse: LangfuseServer, capfd: Any, nothing_leaks: Any) -> None:
    """If the server refuses a row, its message is masked in the journal, in `health()` and in printed lines."""
    ship_a_row_that_is_refused(langfuse, f"bad value {GROQ} {OWN}")
    assert "[REDACTED:" in LangFuseTracker().health()["last_error"]
    observe_llm(lambda: "BUY")()
    nothing_leaks(OWN, GROQ)


def parts_of(secret: str) -> list[str]:
    """Return the beginnings of a secret, of at least twelve characters, that a cut may leave."""
    return [secret[:size] for size in range(12, len(secret))]


@pytest.mark.parametrize("left", [14, 25])
def test_a_reason_is_redacted_before_it_is_cut(left: int, langfuse: LangfuseServer, nothing_leaks: Any) -> None:
    """The server's message is cut to 500 characters only after redaction: a cut secret would match no rule."""
    ship_a_row_that_is_refused(langfuse, f"{'z' * (499 - left)} {OWN}")
    assert "zzz" in LangFuseTracker().health()["last_error"]
    observe_llm(lambda: "BUY")()
    nothing_leaks(OWN, *parts_of(OWN))


@pytest.mark.parametrize("size", [1_000_000, 16_000_000])
def test_an_objects_text_is_not_cut_before_it_is_redacted(size: int, nothing_leaks: Any) -> None:
    """The text of a very large object is recorded whole or not at all, so that no secret is cut in two."""

    class Long:
        def __str__(self) -> str:
            return "y " * (size // 2 - 6) + OWN

    observe_llm(lambda thing: "BUY")(Long())
    nothing_leaks(OWN, *parts_of(OWN))


def test_an_answer_that_is_none_is_redacted_before_it_is_quoted(nothing_leaks: Any) -> None:
    """An unexpected answer is redacted before an error quotes its first 200 characters."""
    from src.models.errors import ModelAnswerError

    error = ModelAnswerError("openai", {"oops": f"{'z' * 170} {OWN}"})
    assert "zzz" in str(error)
    assert not [part for part in parts_of(OWN) if part in str(error)]
    ObservabilityContext.add_error(error)
    nothing_leaks(OWN, *parts_of(OWN))


def test_swapped_keys_leak_nothing(
    langfuse: LangfuseServer, nothing_leaks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret key set as the public key appears in no output; calls are journalled, but not sent."""
    secret = "sk-lf-3b1f2c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", secret)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "pk-lf-11111111-2222-3333-4444-555555555555")
    LangFuseTracker()
    observe_llm(lambda prompt: "BUY")(f"why is {secret} refused?")
    assert not LangFuseTracker().enabled
    nothing_leaks(secret, shipped=False)


@pytest.mark.parametrize(
    "host", ["https://lf.example/?token={}", "https://user:{}@lf.example", "https://lf.example/{}"]
)
def test_a_host_with_a_token_leaks_nothing(
    host: str, langfuse: LangfuseServer, nothing_leaks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token in the host's address is shown neither in the start-up line nor in a row's destination."""
    token = "7b5f18bebbce5aed6cd996991afeb6b9"
    monkeypatch.setenv("LANGFUSE_HOST", host.format(token))
    LangFuseTracker()
    observe_llm(lambda: "BUY")()
    nothing_leaks(token, shipped=False)


@pytest.mark.failures_expected
def test_a_short_secret_in_the_host_keeps_rows_here(
    langfuse: LangfuseServer, nothing_leaks: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """If the host contains a known secret, rows are not sent, since each would name the host."""
    monkeypatch.setenv("GATEWAY_SECRET", "hunter2-hunter2")
    monkeypatch.setenv("LANGFUSE_HOST", "http://127.0.0.1:1/hunter2-hunter2")
    LangFuseTracker()
    observe_llm(lambda: "BUY")()
    runtime.running().recorder.flush(10)
    out, err = capfd.readouterr()
    assert "✅ LangFuse observability initialized!" in out
    assert "Correct the setting in .env" in err
    nothing_leaks("hunter2-hunter2", shipped=False)


STARRED = "Tr4de*Pass_word`1-exchange"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the agents of this repo need Python 3.11")
def test_what_agents_print_leaks_nothing(
    nothing_leaks: Any, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Secrets are masked in a decision's reason, a swarm's answers and consensus, a file's path, and a model's type and
    name."""
    from src.agents import liquidation_agent, swarm_agent
    from src.agents.base_agent import BaseAgent
    from src.models.errors import print_empty_answer

    monkeypatch.setenv("OTHER_SECRET", STARRED)
    provider = Provider("openai")
    said = f"Longs rose, {GROQ} {OWN} {json.dumps(STARRED)[1:-1]}"
    provider.recorded = json.loads(json.dumps(provider.recorded).replace("Long liquidations rose", said))
    httpserver.expect_request(provider.recorded["path"], method="POST").respond_with_handler(
        lambda request: provider._respond(request, "answer")
    )
    provider.configure(monkeypatch, httpserver.url_for(""))
    monkeypatch.setenv("AI_MODEL_TYPE", "openai")
    agent = BaseAgent("risk")
    decision = agent.decide("You trade", "Longs")
    assert decision.action == "BUY"
    assert GROQ in decision.reason
    swarm_agent.main(["What now?"])
    liquidation_agent.main(["--replay", f"/tmp/{GROQ}/{STARRED}"])
    print_empty_answer(f"model {OWN}", STARRED)
    monkeypatch.setenv("AI_MODEL_TYPE", STARRED)
    ModelFactory.create_model()
    shown = capfd.readouterr().out
    assert "✅ BUY (72%) Longs rose, [REDACTED:groq-key] [REDACTED:own-secret] [REDACTED:own-secret]" in shown
    assert "🤖 openai: BUY\nLongs rose, [REDACTED:groq-key]" in shown, shown
    for secret in (GROQ, OWN, STARRED, STARRED.lower(), "".join(each for each in STARRED if each not in "*`")):
        assert secret not in shown
    ObservabilityContext.add_error(ValueError("the last"))
    nothing_leaks(OWN, GROQ, STARRED, "".join(each for each in STARRED if each not in "*`"))


@pytest.mark.slow
def test_a_bad_pattern_is_refused_at_the_start(journal: Any) -> None:
    """If OBSERVABILITY_REDACT_PATTERNS is malformed, one line names the file to correct. The agent goes on, and no text
    is recorded until the pattern is corrected."""
    code = "from src.observability import observe_llm; print(observe_llm(lambda prompt: 'BUY')('a private prompt'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=settings.REPO_ROOT, check=True,
        env={**os.environ, "OBSERVABILITY_REDACT_PATTERNS": "acct-[0-9"},
    )  # fmt: skip
    assert done.stdout == "BUY\n"
    assert done.stderr.count("acct-[0-9") == 1
    assert "which is refused" in done.stderr
    assert "Correct it in .env" in done.stderr
    assert journal.observations()[0]["output"] == BAD_PATTERN
    assert b"a private prompt" not in journal.path.read_bytes()
