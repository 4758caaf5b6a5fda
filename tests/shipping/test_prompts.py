"""Tests of Langfuse's managed prompts and experiments, with the SDK's client and the observations that we send."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from langfuse import LangfuseOtelSpanAttributes as Names
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Request, Response

from src.observability import LangFuseTracker, ObservabilityContext, observe_llm
from src.observability.console.app import app
from tests.langfuse_server import LangfuseServer


@observe_llm(name="llm_generation")
def judge(user_content: str) -> Any:
    """Stand in for a model that reports token counts and has a known price."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    return SimpleNamespace(content="NOTHING", usage=usage, model_name="claude-haiku-4-5")


def prompts(langfuse: LangfuseServer) -> dict[str, Any]:
    """Return a dict: the text of each call -> the prompt that the call is linked to."""
    assert LangFuseTracker().flush(10)
    linked = {}
    for span in langfuse.spans:
        if span.attributes[Names.OBSERVATION_TYPE] == "generation":
            name, version = (span.attributes.get(f"langfuse.observation.prompt.{key}") for key in ("name", "version"))
            linked[span.json("input")[0]["content"]] = name and f"{name} v{version}"
    return linked


def test_a_used_prompt_is_linked_to_the_calls_that_follow(langfuse: LangfuseServer) -> None:
    """`use_prompt` links later calls to the prompt until the cycle ends or, outside a cycle, until the next prompt."""
    judge("before")
    ObservabilityContext.use_prompt("liquidation", 3)
    with ObservabilityContext.agent_cycle("LiquidationAgent"):
        judge("inherited")
        ObservabilityContext.use_prompt("whale", "7")
        judge("inside")
        with ObservabilityContext.agent_cycle("WhaleAgent"):
            judge("nested")
            ObservabilityContext.use_prompt(None)
            judge("without")
        judge("inside again")
    judge("after")
    assert prompts(langfuse) == {
        "before": None, "inherited": "liquidation v3", "inside": "whale v7", "nested": "whale v7", "without": None,
        "inside again": "whale v7", "after": "liquidation v3",
    }  # fmt: skip


async def test_tasks_and_threads_keep_their_prompts_apart(langfuse: LangfuseServer) -> None:
    """Each call is linked to the prompt of its own task or thread."""

    def vote(number: int) -> None:
        ObservabilityContext.use_prompt(f"voter {number}", number)
        judge(f"thread {number}")

    async def task(number: int) -> None:
        ObservabilityContext.use_prompt(f"voter {number}", number)
        await asyncio.sleep(0.001)
        judge(f"task {number}")

    with ObservabilityContext.agent_cycle("SwarmAgent"):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(vote, range(20)))
        await asyncio.gather(*map(task, range(20)))
    linked = prompts(langfuse)
    assert len(linked) == 40
    assert all(linked[call].endswith(f"voter {(n := call.split()[1])} v{n}") for call in linked)


@pytest.mark.failures_expected
def test_a_version_that_is_no_number_is_reported(langfuse: LangfuseServer, capfd: Any) -> None:
    """If a version is not a number, a message says what to pass instead, and the agent continues."""
    ObservabilityContext.use_prompt("liquidation", "production")
    judge("now")
    assert prompts(langfuse) == {"now": None}
    assert "pass use_prompt() a whole number" in capfd.readouterr().err


def serve_prompts(server: HTTPServer) -> None:
    """Serve Langfuse's prompt management. The version of a prompt is the length of its name."""

    def answer(request: Request) -> Response:
        name = request.path.rpartition("/")[2]
        prompt = {
            "name": name, "version": len(name), "type": "text", "prompt": "Judge {{symbol}}", "labels": ["production"],
            "tags": [], "config": {},
        }  # fmt: skip
        return Response(json.dumps(prompt), 404 if name == "missing" else 200, content_type="application/json")

    for name in ("liquidation", "whale", "missing"):
        server.expect_request(f"/api/public/v2/prompts/{name}").respond_with_handler(answer)


def test_a_fetched_prompt_links_itself(langfuse: LangfuseServer, httpserver: HTTPServer) -> None:
    """Fetching or compiling a prompt links the next calls to it; calls after a fallback prompt are not linked."""
    serve_prompts(httpserver)
    client = LangFuseTracker().client
    liquidation = client.get_prompt("liquidation")
    judge("fetched")
    client.get_prompt("whale")
    judge("fetched last")
    assert liquidation.compile(symbol="BTC") == "Judge BTC"
    judge("compiled last")
    assert client.get_prompt("liquidation") is liquidation
    client.get_prompt("missing", fallback="Judge", max_retries=0)
    judge("fallback")
    assert prompts(langfuse) == {
        "fetched": "liquidation v11", "fetched last": "whale v5", "compiled last": "liquidation v11", "fallback": None,
    }  # fmt: skip


def test_costs_by_prompt(langfuse: LangfuseServer) -> None:
    """`costs --by prompt` sums up calls, cost and decisions by version; calls without a prompt are one group."""
    for version in (1, 2, 2):
        with ObservabilityContext.agent_cycle("LiquidationAgent"):
            ObservabilityContext.use_prompt("liquidation", version)
            judge("now")
            ObservabilityContext.add_trading_signal("BUY", 50, "why")
    judge("without")
    assert LangFuseTracker().flush(10)
    result = CliRunner().invoke(app, ["costs", "--by", "prompt", "--json"])
    groups = {group["group"]: group for group in map(json.loads, result.stdout.splitlines())}
    assert {name: (group["calls"], group["decisions"]) for name, group in groups.items()} == {
        "liquidation v2": (2, 2), "liquidation v1": (1, 1), "no prompt": (1, 0),
    }  # fmt: skip
    assert groups["liquidation v2"]["cost_usd"] == pytest.approx(2 * groups["liquidation v1"]["cost_usd"])


def test_an_experiment_s_observations_carry_its_attributes(langfuse: LangfuseServer) -> None:
    """In an experiment, our spans have the attributes and environment of the SDK's own span, and a total cost."""
    client = LangFuseTracker().client
    seen: dict[str, Any] = {}

    def task(*, item: Any, **_: Any) -> str:
        with client.start_as_current_observation(name="of the SDK") as span:
            seen.update(span._otel_span.attributes)
        with ObservabilityContext.agent_cycle("LiquidationAgent", input=item["input"]):
            judge(item["input"])
            ObservabilityContext.add_trading_signal("NOTHING", 10, "calm", "BTC")
        return "NOTHING"

    client.run_experiment(name="calm markets", data=[{"input": "Longs +1 %", "expected_output": "NOTHING"}], task=task)
    judge("outside")
    assert LangFuseTracker().flush(10)
    ours = [span for span in langfuse.spans if span.attributes.get(Names.TRACE_NAME) == "LiquidationAgent"]
    expected = {name: value for name, value in seen.items() if name.startswith("langfuse.experiment.")}
    assert len(ours) == 3
    assert expected["langfuse.experiment.id"]
    for span in ours:
        assert {name: value for name, value in span.attributes.items() if name in expected} == expected
        assert span.attributes[Names.ENVIRONMENT] == "sdk-experiment"
        assert "langfuse.internal.is_app_root" not in span.attributes
    (generation,) = [span for span in ours if span.attributes[Names.OBSERVATION_TYPE] == "generation"]
    assert generation.json("cost_details")["total"] > 0
    assert {score["environment"] for score in langfuse.scores if score["name"].startswith("signal")} == {
        "sdk-experiment"
    }
    (outside,) = [span for span in langfuse.spans if "outside" in str(span.attributes.get(Names.OBSERVATION_INPUT))]
    assert outside.attributes[Names.ENVIRONMENT] == "default"
    assert not any(name.startswith("langfuse.experiment.") for name in outside.attributes)
