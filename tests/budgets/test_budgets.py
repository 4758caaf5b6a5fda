"""Calls within a budget are made and counted; calls beyond it are refused, sent to a cheaper model, or reported."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from pytest_httpserver import HTTPServer

from src.observability import ObservabilityContext
from src.observability.budgets import BudgetExceeded, amount_text
from src.observability.instrumentation.generators import async_generator_method, generator_method
from src.observability.instrumentation.sdks import OLLAMA
from src.observability.tracing import budgeting
from tests.budgets.asking import ask, counted, gate
from tests.budgets.calls import INPUT, OUTPUT, USD, PricedModel

CHAT = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "HOLD"}}],
    "usage": {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT},
}  # fmt: skip


@pytest.fixture
def client(httpserver: HTTPServer) -> openai.OpenAI:
    """An OpenAI client on loopback, made as an operator makes one; its calls are observed."""
    httpserver.expect_request("/v1/chat/completions").respond_with_json(CHAT)
    return openai.OpenAI(api_key="k", base_url=httpserver.url_for("/v1"), max_retries=0)


def ask_sdk(client: openai.OpenAI) -> str | None:
    """Call the SDK directly, not through `src/models`; return the answer once the budgets have counted the call."""
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Buy?"}])
    counted()
    return answer.choices[0].message.content


def test_a_hard_budget_refuses_our_models(monkeypatch: pytest.MonkeyPatch, capsys: Any, journal: Any) -> None:
    """A budget of 4 cents allows four calls at one cent; the fifth returns None, and is recorded but not counted."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", f"fleet {4 * USD} USD/week")
    model = PricedModel()
    answers = [ask(model) for _ in range(6)]
    assert [answer is not None for answer in answers] == [True] * 4 + [False] * 2
    assert len(model.asked) == 4
    printed, reported = capsys.readouterr()
    assert printed.count("❌ Model error: the budget 'fleet 0.04 USD/week' is used up") == 2
    assert reported.count("calls that it covers are refused. The first refused call was made by an unnamed agent.") == 1
    rows = journal.observations()
    assert [row["level"] for row in rows] == ["DEFAULT"] * 4 + ["ERROR"] * 2
    assert rows[-1]["status_message"].startswith("BudgetExceeded: the budget")
    assert gate().views[0].spent == pytest.approx(4 * USD)


def test_streams_and_async_calls_are_refused_alike(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Refused streams yield no text, refused async calls return None; nothing is sent."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 1 calls/week")
    model = PricedModel()
    assert ask(model) is not None
    assert list(model.stream_response("", "Buy?")) == []
    assert asyncio.run(model.agenerate_response("", "Buy?")) is None
    assert capsys.readouterr().out.count("❌ Model error: the budget 'fleet 1 calls/week' is used up") == 2
    assert len(model.asked) == 1


def test_an_agent_that_closes_on_any_exception_goes_on(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, capsys: Any, journal: Any
) -> None:
    """If a used-up budget lacks the word `stop`, a direct call of an SDK is still made, and a line is printed."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 2 calls/week; * 1 calls/week gpt-4o-mini")

    def decide() -> str | None:
        try:
            return ask_sdk(client)
        except Exception:  # noqa: BLE001 - as such agents do
            return "CLOSE"

    assert [decide() for _ in range(5)] == ["HOLD"] * 5
    assert capsys.readouterr().err.count("The budget 'fleet 2 calls/week' is used up") == 1
    assert journal.observations()[-1]["metadata"]["over_budget"] == "fleet 2 calls/week; * 1 calls/week gpt-4o-mini"


def test_stop_raises_into_a_direct_call(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, journal: Any) -> None:
    """With `stop`, a direct call beyond the budget is recorded and raises an exception with amounts and period."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 2 calls/week UTC stop")
    assert [ask_sdk(client), ask_sdk(client)] == ["HOLD", "HOLD"]
    with pytest.raises(BudgetExceeded) as raised:
        ask_sdk(client)
    error = raised.value
    assert (error.limit, error.spent, error.reserved) == (2, 2, 0)
    assert error.resets_at.timestamp() == gate().views[0].ends
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert "python -m src.observability budgets" in str(error)
    assert [row["level"] for row in journal.observations()] == ["DEFAULT", "DEFAULT", "ERROR"]


def test_an_awaited_call_is_refused_without_a_warning(
    client: openai.OpenAI, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    """The coroutine of a refused asynchronous call is closed, so that Python does not warn of a missing await."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 1 calls/week stop")
    ask_sdk(client)

    async def refused() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=httpserver.url_for("/v1")) as awaited:
            with pytest.raises(BudgetExceeded):
                await awaited.chat.completions.create(model="gpt-4o", messages=[])

    asyncio.run(refused())
    assert [str(warning.message) for warning in recwarn if "never awaited" in str(warning.message)] == []


def test_an_answer_in_a_generator_is_refused_before_its_first_item(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method that answers with a generator, such as Ollama's `chat`, is refused before it makes its request."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 1 calls/week stop")
    ask_sdk(client)
    sent: list[str] = []

    def chat(**_: Any) -> Iterator[None]:
        yield sent.append("sync")

    async def achat(**_: Any) -> AsyncIterator[None]:
        yield sent.append("async")

    async def read() -> None:
        async for _ in async_generator_method(shape)(achat)(**asked):
            pass

    shape, asked = OLLAMA.methods[0].shape, {"model": "gpt-4o", "messages": [], "stream": True}
    with pytest.raises(BudgetExceeded):
        list(generator_method(shape)(chat)(**asked))
    with pytest.raises(BudgetExceeded):
        asyncio.run(read())
    assert sent == []


def test_a_cheaper_model_is_asked_instead(monkeypatch: pytest.MonkeyPatch, journal: Any) -> None:
    """If a budget names a cheaper model of the same provider, that model answers, and the trace has both names. If the
    named model is another provider's, the call is refused."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "gpt-4o 1 calls/week gpt-4o-mini; fleet 3 calls/week claude-haiku-4-5")
    model = PricedModel()
    answers = [ask(model) for _ in range(4)]
    assert model.asked == ["gpt-4o", "gpt-4o-mini", "gpt-4o-mini"]
    assert answers[3] is None
    row = journal.observations()[1]
    assert (row["model"], row["metadata"]["asked_instead_of"]) == ("gpt-4o-mini", "gpt-4o")


def test_exits_and_exempt_agents_are_counted_and_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls inside `exit_decision()` and calls of an exempt agent are made beyond the budget, others refused."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 1 calls/week")
    model = PricedModel()
    ask(model)
    assert ask(model) is None
    with ObservabilityContext.exit_decision():
        assert ask(model) is not None
    with ObservabilityContext.agent_cycle("RiskAgent"):
        assert ask(model) is not None
    with ObservabilityContext.agent_cycle("WhaleAgent"):
        assert ask(model) is None
    assert gate().views[0].spent == 3


def test_an_exit_decision_is_one_in_its_threads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside `exit_decision()`, calls in the threads of a pool are made too: a swarm calls its models in a pool."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 1 calls/week")
    model = PricedModel()
    ask(model)
    with ThreadPoolExecutor(2) as pool:
        refused = pool.submit(model.generate_response, "", "Buy?").result()
        with ObservabilityContext.exit_decision():
            answers = [pool.submit(model.generate_response, "", "Sell?").result() for _ in range(2)]
    assert refused is None
    assert None not in answers


def test_soft_tells_and_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A used-up budget with the word `soft` prints one line for the whole period, and calls are still made."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 0.01 USD/week soft")
    model = PricedModel()
    assert None not in [ask(model) for _ in range(4)]
    reported = capsys.readouterr().err
    assert reported.count("The budget 'fleet 0.01 USD/week soft' is used up") == 1
    assert reported.count("calls that it covers are still sent. The first call over it was made by an unnamed ") == 1


@pytest.mark.parametrize("text", ["", "fleet lots"])
def test_without_budgets_nothing_of_them_is_there(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a valid budget, no gate is created that could refuse a call."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", text)
    PricedModel().generate_response("", "Buy?")
    assert budgeting.gate is None


def test_amounts_may_contain_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget's refusal returns None, even if its amount contains 503; other errors with 503 are raised."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 0.00503 USD/week")
    model = PricedModel()
    ask(model)
    assert model.generate_response("", "Buy?") is None


def test_amounts_are_printed_with_four_digits_or_cents() -> None:
    """A whole amount is printed in full, a small one with four significant digits, one above 1,000 with cents."""
    amounts = [0, 20_000, 0.0050317, 999.96, 1234.567, -1234.567]
    assert [*map(amount_text, amounts)] == ["0", "20,000", "0.005032", "1,000", "1,234.57", "-1,234.57"]
