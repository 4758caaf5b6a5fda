"""Tests of the messages sent to Langfuse: a loopback server decodes the OTLP with the official protobuf classes."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.protobuf import text_format
from langfuse import LangfuseOtelSpanAttributes as Names
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from werkzeug import Response

from src.observability import LangFuseTracker, ObservabilityContext, observe_llm
from src.observability.shipping.client import ExportResult, _reply_to_event
from src.observability.shipping.otlp import json_of
from tests.cases import cases
from tests.langfuse_server import INGESTION, LangfuseServer, ReceivedSpan, decoded


class Answer(NamedTuple):
    """A model's answer, with the fields of `ModelResponse`."""

    content: str
    usage: Any = None
    model_name: str = "claude-haiku-4-5"
    raw_response: Any = None


USAGE = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}
MODEL_NAME = "claude-haiku-4-5"


class Model:
    """A provider's model that answers at once."""

    model_type, model_name = "claude", MODEL_NAME

    @observe_llm(name="llm_generation")
    def generate_response(
        self, system_prompt: str, user_content: str, temperature: float = 0.7, max_tokens: int | None = None
    ) -> Answer:
        """Stand in for a provider's request, which is answered at once."""
        return Answer("BUY\nLongs flushed out\nConfidence: 85%", USAGE)

    @observe_llm(name="llm_generation")
    async def agenerate_response(self, system_prompt: str, user_content: str) -> Answer:
        """Stand in for a provider's asynchronous request."""
        await asyncio.sleep(0.001)
        return Answer("NOTHING\nCalm\nConfidence: 40%", USAGE)


def test_a_message_is_field_by_field_what_protobuf_made_of_it() -> None:
    """The message made from `rows.json` equals `message.textproto`, which protobuf's classes wrote (commit 89c35a9)."""
    here = Path(__file__).parent
    rows = json.loads((here / "rows.json").read_text(encoding="utf-8"))
    expected = text_format.Parse((here / "message.textproto").read_text(encoding="utf-8"), ExportTraceServiceRequest())
    assert decoded(json_of(rows, "pk-lf-test")) == expected
    assert len(json_of(rows, "pk-lf-test").splitlines()) == 1


def one_cycle(name: str = "LiquidationAgent", *calls: str) -> str | None:
    """Run a cycle with one model call or several, and a signal; return its trace id."""
    with ObservabilityContext.agent_cycle(name, "liquidation", input={"longs_usd": 1_200_000}) as cycle:
        for call in calls or ("Longs +80 %",):
            Model().generate_response("You are an analyst", call, temperature=0.3)
        ObservabilityContext.add_trading_signal("BUY", 85, "Longs flushed out", "BTC")
    return cycle.trace_id


def shipped(langfuse: LangfuseServer) -> list[ReceivedSpan]:
    """Return the received spans, once all rows are delivered."""
    assert LangFuseTracker().flush(10)
    return langfuse.spans


def test_a_cycle_arrives_as_one_tree(langfuse: LangfuseServer) -> None:
    """A cycle arrives as one trace; its root has the type agent, and generation and signal are the root's children."""
    trace_id = one_cycle()
    spans = {span.attributes[Names.OBSERVATION_TYPE]: span for span in shipped(langfuse)}
    assert len(langfuse.spans) == 3
    root = spans["agent"]
    assert root.parent_id is None
    assert {span.trace_id for span in spans.values()} == {trace_id}
    assert spans["generation"].parent_id == spans["event"].parent_id == root.id
    assert root.start_ns <= spans["generation"].start_ns <= spans["generation"].end_ns <= root.end_ns


def test_a_generation_has_what_the_dashboard_shows(langfuse: LangfuseServer) -> None:
    """A generation's prompt, answer, model, parameters, token counts and costs are sent under Langfuse's names."""
    one_cycle()
    (span,) = [span for span in shipped(langfuse) if span.name == MODEL_NAME]
    assert span.json("input") == [
        {"role": "system", "content": "You are an analyst"},
        {"role": "user", "content": "Longs +80 %"},
    ]
    assert span.attributes[Names.OBSERVATION_OUTPUT] == "BUY\nLongs flushed out\nConfidence: 85%"
    assert span.attributes[Names.OBSERVATION_MODEL] == MODEL_NAME
    assert span.json("model.parameters") == {"temperature": 0.3}
    assert span.json("usage_details") == {"input": 120, "output": 30}
    cost = span.json("cost_details")
    assert cost["total"] == pytest.approx(cost["input"] + cost["output"])
    assert cost["total"] > 0
    assert span.attributes[Names.OBSERVATION_LEVEL] == "DEFAULT"
    assert span.attributes["langfuse.observation.metadata.provider"] == "claude"


def test_every_observation_says_whose_trace_it_is(langfuse: LangfuseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace name, session, user, environment and release are on each observation: the trace page needs them there."""
    monkeypatch.setenv("LANGFUSE_SESSION_ID", "run-7")
    monkeypatch.setenv("LANGFUSE_USER_ID", "moon")
    monkeypatch.setenv("LANGFUSE_TRACING_ENVIRONMENT", "paper")
    monkeypatch.setenv("LANGFUSE_RELEASE", "v1.2")
    one_cycle()
    for span in shipped(langfuse):
        assert span.attributes[Names.TRACE_NAME] == "LiquidationAgent"
        assert span.attributes[Names.TRACE_SESSION_ID] == "run-7"
        assert span.attributes[Names.TRACE_USER_ID] == "moon"
        assert span.attributes[Names.ENVIRONMENT] == "paper"
        assert span.attributes[Names.RELEASE] == "v1.2"
    scope = langfuse.batches[0].resource_spans[0].scope_spans[0].scope
    assert scope.name == "langfuse-sdk"
    assert [(each.key, each.value.string_value) for each in scope.attributes] == [("public_key", langfuse.public_key)]


def test_the_trace_page_shows_situation_decision_and_tags(langfuse: LangfuseServer) -> None:
    """The root is sent last, with situation as input and decision as output. Every span has the trace's tags."""
    one_cycle()
    spans = shipped(langfuse)
    assert spans[-1].parent_id is None
    assert spans[-1].json("input") == {"longs_usd": 1_200_000}
    assert spans[-1].json("output") == {
        "action": "BUY", "confidence": 85.0, "reasoning": "Longs flushed out", "symbol": "BTC",
    }  # fmt: skip
    for span in spans:
        assert set(span.attributes[Names.TRACE_TAGS]) == {"signal:buy", "confidence:85"}


def test_a_signals_scores_stand_at_their_time_and_place(
    langfuse: LangfuseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request sends a signal's scores: action and symbol for its event, confidence for the generation."""
    monkeypatch.setenv("LANGFUSE_TRACING_ENVIRONMENT", "paper")
    langfuse.answer = lambda *_: Response("broken", 500)  # an outage, which must not change the scores' time
    trace_id = one_cycle()
    assert not LangFuseTracker().flush(10)
    langfuse.answer = lambda *_: None
    spans = {span.attributes[Names.OBSERVATION_TYPE]: span for span in shipped(langfuse)}
    action, symbol, confidence = langfuse.scores
    assert (action["name"], action["value"], action["dataType"]) == ("signal_action", "BUY", "CATEGORICAL")
    assert (symbol["name"], symbol["value"], symbol["dataType"]) == ("signal_symbol", "BTC", "CATEGORICAL")
    assert (confidence["name"], confidence["value"], confidence["dataType"]) == ("signal_confidence", 85, "NUMERIC")
    assert [score["observationId"] for score in langfuse.scores] == [spans["event"].id] * 2 + [spans["generation"].id]
    assert {(score["traceId"], score["environment"]) for score in langfuse.scores} == {(trace_id, "paper")}
    assert len({score["id"] for score in langfuse.scores}) == 3
    assert (action["comment"], "comment" in symbol) == ("Longs flushed out", False)
    when = datetime.fromisoformat(action["timestamp"].replace("Z", "+00:00")).timestamp()
    assert when == pytest.approx(spans["event"].end_ns / 1e9, abs=1e-3)
    assert sum(request.path == INGESTION for request in langfuse.requests) == 1
    assert langfuse.grouped("signal_confidence", Names.OBSERVATION_MODEL) == {MODEL_NAME: [85]}


def test_an_outcome_stands_on_the_generation_that_decided(langfuse: LangfuseServer) -> None:
    """An outcome is a score of the last generation, to group profit by model; a corrected outcome stays there."""
    trace_id = one_cycle("LiquidationAgent", "Longs +80 %", "Really?")
    shipped(langfuse)
    ObservabilityContext.record_outcome(str(trace_id), pnl_usd=-12.5)
    assert LangFuseTracker().flush(10)
    ObservabilityContext.record_outcome(str(trace_id), pnl_usd=-10.5)
    generations = [span for span in shipped(langfuse) if span.attributes[Names.OBSERVATION_TYPE] == "generation"]
    (score,) = [score for score in langfuse.standing_scores if score["name"] == "pnl_usd"]
    assert (score["observationId"], score["value"]) == (generations[-1].id, -10.5)
    assert langfuse.grouped("pnl_usd", Names.OBSERVATION_MODEL) == {MODEL_NAME: [-10.5]}


def test_an_outcome_told_at_once_has_the_environment_and_place_of_its_trace(
    langfuse: LangfuseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outcome recorded right after its decision, as in a backtest, has the generation's id and its environment."""
    monkeypatch.setenv("LANGFUSE_TRACING_ENVIRONMENT", "backtest")
    for _ in range(20):
        ObservabilityContext.record_outcome(str(one_cycle()), pnl_pct=1.5)
    generations = {span.id for span in shipped(langfuse) if span.name == MODEL_NAME}
    outcomes = [score for score in langfuse.scores if score["name"] == "pnl_pct"]
    assert {score["environment"] for score in outcomes} == {"backtest"}
    assert {score["observationId"] for score in outcomes} == generations


def test_each_outcome_is_one_hit_or_miss(langfuse: LangfuseServer) -> None:
    """An outcome is also sent as the score `hit`, 1 for a profit, else 0. If an outcome has both USD and a percentage,
    the USD decide. A correction replaces the hit."""
    outcomes = ({"pnl_usd": 2.5, "pnl_pct": -1}, {"pnl_usd": 0}, {"pnl_pct": 1.5}, {"pnl_pct": -1.5})
    for number, outcome in enumerate((*outcomes, {"pnl_usd": 1}), 1):
        ObservabilityContext.record_outcome(f"{number:032x}", **outcome)
    assert LangFuseTracker().flush(10)
    ObservabilityContext.record_outcome(f"{5:032x}", pnl_usd=-1)
    assert LangFuseTracker().flush(10)
    hits = [score for score in langfuse.standing_scores if score["name"] == "hit"]
    assert sorted((int(score["traceId"], 16), score["value"]) for score in hits) == [
        (1, 1),
        (2, 0),
        (3, 1),
        (4, 0),
        (5, 0),
    ]


def test_a_refused_score_is_rejected_alone(langfuse: LangfuseServer, journal: Any) -> None:
    """In a batch, accepted scores are shipped, those answered with 400 are rejected, those with 500 stay pending."""
    statuses = {"signal_action": 400, "signal_confidence": 500}
    langfuse.refuse = lambda score: statuses.get(score["name"]) if score["value"] in ("SELL", 60) else None
    with ObservabilityContext.agent_cycle("Agent"):
        ObservabilityContext.add_trading_signal("BUY", 85, "Up")
        ObservabilityContext.add_trading_signal("SELL", 60, "Down")
    assert not LangFuseTracker().flush(10)
    assert {score["value"]: score["state"] for score in journal.scores()} == {
        "BUY": "shipped", 85: "shipped", "SELL": "rejected", 60: "pending",
    }  # fmt: skip
    (reason,) = [score["reason"] for score in journal.scores() if score["state"] == "rejected"]
    assert reason == "status 400: Invalid request data"
    langfuse.refuse = lambda _score: None
    assert LangFuseTracker().flush(10)
    assert [score["value"] for score in langfuse.scores] == ["BUY", 85, 60]


@cases(
    ("status", "result"),
    [
        (400, ExportResult.REFUSED), (404, ExportResult.REFUSED), (499, ExportResult.REFUSED),
        (401, ExportResult.UNAUTHORIZED), (403, ExportResult.UNAUTHORIZED), (408, ExportResult.UNAVAILABLE),
        (429, ExportResult.UNAVAILABLE), (500, ExportResult.UNAVAILABLE), (207, ExportResult.UNAVAILABLE),
    ],
)  # fmt: skip
def test_what_a_score_s_status_means(status: int, result: ExportResult) -> None:
    """A refused score's status tells if the score is bad, the keys are bad, or the score must be sent again."""
    assert _reply_to_event({"status": status, "message": "why"}) == (result, f"status {status}: why", None, {})


def test_a_failed_call_is_neither_tokenised_nor_billed(langfuse: LangfuseServer) -> None:
    """A failed call is sent with level ERROR and zero tokens: else Langfuse would count the prompt's tokens itself."""

    @observe_llm(name="llm_generation")
    def fails(prompt: str) -> None:
        raise ConnectionError("no route to host")

    with pytest.raises(ConnectionError):
        fails("What now?")
    (span,) = shipped(langfuse)
    assert span.attributes[Names.OBSERVATION_LEVEL] == "ERROR"
    assert span.attributes[Names.OBSERVATION_STATUS_MESSAGE] == "ConnectionError: no route to host"
    assert span.json("usage_details") == {"input": 0, "output": 0}
    assert Names.OBSERVATION_COST_DETAILS not in span.attributes
    assert span.status == 2


def test_tokens_that_a_provider_does_not_count_are_not_called_none(langfuse: LangfuseServer) -> None:
    """An answer without token counts is sent without usage: Langfuse then counts and prices the tokens itself."""
    observe_llm(lambda prompt: "BUY")("What now?")
    (span,) = shipped(langfuse)
    assert Names.OBSERVATION_USAGE_DETAILS not in span.attributes


def test_an_unknown_price_is_no_cost(langfuse: LangfuseServer) -> None:
    """The tokens of a model without a known price are sent without a cost, not with a cost of 0."""

    @observe_llm
    def asks(prompt: str) -> Answer:
        return Answer("BUY", USAGE, "a-model-that-nobody-prices")

    asks("What now?")
    (span,) = shipped(langfuse)
    assert span.json("usage_details") == {"input": 120, "output": 30}
    assert Names.OBSERVATION_COST_DETAILS not in span.attributes


def test_eight_threads_keep_their_cycles_apart(langfuse: LangfuseServer) -> None:
    """Eight cycles run at once, each with its own thread pool: each has one root, with only its own children."""

    def agent(number: int) -> None:
        with ObservabilityContext.agent_cycle(f"Agent{number}", input=number), ThreadPoolExecutor(4) as pool:
            prompts = [f"agent {number}, question {each}" for each in range(6)]
            list(pool.map(lambda prompt: Model().generate_response("", prompt), prompts))
            ObservabilityContext.add_trading_signal("SELL", 60, "Too far")

    threads = [threading.Thread(target=agent, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans = shipped(langfuse)
    roots = {span.trace_id: span for span in spans if span.parent_id is None}
    assert len(roots) == 8
    assert len(spans) == 8 * (1 + 6 + 1)
    for span in spans:
        root = roots[span.trace_id]
        assert span is root or span.parent_id == root.id
        if span.name == MODEL_NAME:
            assert f"agent {root.json('input')}, " in span.attributes[Names.OBSERVATION_INPUT]


async def test_a_hundred_tasks_keep_their_cycles_apart(langfuse: LangfuseServer) -> None:
    """A hundred asyncio cycles run at once, with two calls each: a hundred roots with their own two children."""

    async def agent(number: int) -> None:
        with ObservabilityContext.agent_cycle("AsyncAgent", input=number):
            await asyncio.gather(*(Model().agenerate_response("", f"agent {number}, question {i}") for i in range(2)))

    await asyncio.gather(*(agent(number) for number in range(100)))
    spans = shipped(langfuse)
    roots = {span.trace_id: span for span in spans if span.parent_id is None}
    assert len(roots) == 100
    children = [span for span in spans if span.parent_id is not None]
    assert len(children) == 200
    for span in children:
        root = roots[span.trace_id]
        assert span.parent_id == root.id
        assert f"agent {root.json('input')}, " in span.attributes[Names.OBSERVATION_INPUT]


def test_nothing_is_sent_twice_or_without_keys(langfuse: LangfuseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows recorded while keys are set are sent once; other rows stay in the journal, even if keys are set later."""
    one_cycle()
    shipped(langfuse)
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    one_cycle()
    assert LangFuseTracker().flush(10)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", langfuse.secret_key)
    one_cycle()
    spans = shipped(langfuse)
    assert len({span.id for span in spans}) == len(spans) == 6
    assert LangFuseTracker().health()["local"] == 5


def test_the_flag_turned_while_a_call_runs_disturbs_nobody(
    langfuse: LangfuseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call finishes normally if tracing is switched off, or on, while it runs."""

    @observe_llm
    def turns(flag: str) -> str:
        monkeypatch.setenv("ENABLE_LANGFUSE", flag)
        return Model().generate_response("", "in between").content

    for flag in ("false", "true", "false", "nonsense", "true"):
        assert turns(flag).startswith("BUY")
    with ObservabilityContext.agent_cycle("Agent"):
        monkeypatch.setenv("ENABLE_LANGFUSE", "false")
        ObservabilityContext.add_trading_signal("BUY", 1, "no trace of it")
    monkeypatch.setenv("ENABLE_LANGFUSE", "true")
    assert len({span.id for span in shipped(langfuse)}) == len(langfuse.spans)
