"""Traced calls and cycles for the console's tests."""

from typing import Any, NamedTuple

from src.observability import ObservabilityContext, observe_llm


class Answer(NamedTuple):
    """The answer of a model."""

    content: str
    usage: Any
    model_name: str
    raw_response: Any = None


@observe_llm(name="llm_generation")
def ask(prompt: str, model: str = "claude-haiku-4-5", answer: str = "BUY", tokens: int = 100) -> Answer:
    """Stand in for a model call: return the given answer."""
    return Answer(answer, {"prompt_tokens": tokens, "completion_tokens": 10}, model)


def one_cycle(name: str = "WhaleAgent", **options: Any) -> str | None:
    """Run a cycle that calls a model and decides; return the id of its trace."""
    with ObservabilityContext.agent_cycle(name, input={"oi": 5}) as cycle:
        ask("What now?", **options)
        ObservabilityContext.add_trading_signal("SELL", 64, "Whales leave the pool", "ETH")
    return cycle.trace_id
