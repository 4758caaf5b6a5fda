"""Tests that totals by model use the name in the provider's answers, and that rows keep the requested name too."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from langfuse import LangfuseOtelSpanAttributes as Names
from typer.testing import CliRunner

from src.observability import LangFuseTracker, observe_llm
from src.observability.console.app import app
from tests.langfuse_server import LangfuseServer
from tests.providers.wire import EACH_PROVIDER, ask


def groups_of(*arguments: str) -> dict[str, tuple[int, int]]:
    """Return the numbers of calls and errors by model, as `costs` prints them."""
    result = CliRunner().invoke(app, ["costs", "--by", "model", "--json", *arguments])
    groups = map(json.loads, result.stdout.splitlines())
    return {group["group"]: (group["calls"], group["errors"]) for group in groups}


@pytest.mark.parametrize("name", EACH_PROVIDER)
def test_failed_and_answered_calls_are_one_model(name: str, play: Any, langfuse: LangfuseServer, journal: Any) -> None:
    """Totals and Langfuse show failed and answered calls under the answer's model; rows keep the requested one too."""
    for outcome in ("401", "answer", "401"):
        _, model = play(name, outcome)
        ask(model, "generate")
    assert LangFuseTracker().flush(10)
    first, answered, last = journal.observations()
    assert groups_of() == {answered["model"]: (3, 2)}
    assert groups_of("--model", model.model_name) == groups_of()
    assert (first["model"], first["model_requested"], answered["model_requested"]) == (model.model_name,) * 3
    shown = {span.id: span.attributes[Names.OBSERVATION_MODEL] for span in langfuse.spans}
    assert shown[last["id"]] == shown[answered["id"]] == answered["model"]
    assert last["model_requested"] == model.model_name
    messages = [CliRunner().invoke(app, ["costs", option, "nobody"]).stderr for option in ("--model", "--agent")]
    assert [model.model_name in message for message in messages] == [True, False]


def test_a_router_s_name_is_no_alias(journal: Any) -> None:
    """A failed call of `openrouter/auto` is summed under that name: this router may use another model at each call."""

    class Router:
        model_type, model_name = "openrouter", "openrouter/auto"

        @observe_llm(name="llm_generation")
        def ask(self, answered: str | None) -> Any:
            if answered is None:
                raise ConnectionError
            return SimpleNamespace(content="NOTHING", model_name=answered)

    for answered in ("openai/gpt-5", "anthropic/claude-haiku-4.5"):
        Router().ask(answered)
    with pytest.raises(ConnectionError):
        Router().ask(None)
    assert LangFuseTracker().flush(10)
    assert groups_of() == {"openai/gpt-5": (1, 0), "anthropic/claude-haiku-4.5": (1, 0), "openrouter/auto": (1, 1)}
