"""
🌙 Moon Dev's Swarm Agent
Built with love by Moon Dev 🚀

Asks several models at once, then asks one of them for the consensus. All these calls belong to one trace.

    python src/agents/swarm_agent.py "Will ETH hold 3,000?"
"""

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # lets this file import `src` when it runs as a script

from termcolor import cprint

from src import config
from src.agents.base_agent import BaseAgent, run_as_script
from src.models.base_model import BaseModel
from src.models.model_factory import ModelFactory
from src.observability.redaction import redact
from src.observability.terminal import echo

TIMEOUT_SECONDS = 120.0  # for all answers together, since the models are asked at the same time
SYSTEM_PROMPT = "You are an expert market analyst. Answer briefly and name your confidence."
CONSENSUS_PROMPT = "Several models answered the same question. State their consensus in three sentences or less."

_CONSENSUS_TOKENS = 256

Models = Mapping[str, tuple[bool, str, str | None]]  # name -> (enabled, model type, model name)


class Reply(NamedTuple):
    """The answer of one model of the swarm, or its error."""

    text: str | None
    error: str | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The reply in the form that `query` returns in `responses`."""
        return {
            "response": self.text, "success": self.error is None, "error": self.error,
            "response_time": round(self.seconds, 2),
        }  # fmt: skip


class SwarmAgent(BaseAgent):
    """Asks `custom_models`, or else one model of each provider whose key is set, or else the local model."""

    def __init__(self, custom_models: Models | None = None) -> None:
        super().__init__("swarm")
        self.models = _built(custom_models or _available())

    def query(self, prompt: str, system_prompt: str | None = None) -> dict[str, Any]:
        """Ask all models, then ask one of them for the consensus.

        Returns:
            A dict with these keys:
            `prompt`: the question.
            `consensus_summary`: the consensus.
            `model_mapping`: a dict from the labels "AI #1", "AI #2", … to the models' names.
            `responses`: for each model's name, a dict of `response`, `success`, `error` and `response_time` (seconds).
            `metadata`: `total_models`, `successful_responses`, `failed_responses` and `total_time` (seconds).
        """
        began = time.monotonic()
        with self.observed_cycle(input=prompt, models=list(self.models)) as cycle:
            replies = self._ask_all(prompt, system_prompt or SYSTEM_PROMPT)
            consensus = self._consensus(prompt, replies)
            cycle.set_output(consensus)
        answered = sum(reply.error is None for reply in replies.values())
        return {
            "prompt": prompt,
            "consensus_summary": consensus,
            "model_mapping": {f"AI #{number}": name for number, name in enumerate(replies, start=1)},
            "responses": {name: reply.as_dict() for name, reply in replies.items()},
            "metadata": {
                "total_models": len(replies),
                "successful_responses": answered,
                "failed_responses": len(replies) - answered,
                "total_time": round(time.monotonic() - began, 2),
            },
        }

    def _ask_all(self, prompt: str, system_prompt: str) -> dict[str, Reply]:
        pool = ThreadPoolExecutor(max(len(self.models), 1))
        deadline = time.monotonic() + TIMEOUT_SECONDS
        try:
            futures = {name: pool.submit(_ask, model, system_prompt, prompt) for name, model in self.models.items()}
            return {name: _reply(future, deadline) for name, future in futures.items()}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # do not wait for a model that hangs

    def _consensus(self, prompt: str, replies: dict[str, Reply]) -> str:
        """The consensus, written by the first model that returns one. If only one model answered, return its answer."""
        answered = {name: reply.text for name, reply in replies.items() if reply.text}
        if len(answered) < 2:
            return next(iter(answered.values()), "No model answered")
        numbered = enumerate(replies.values(), start=1)  # the same numbers as in `model_mapping`
        listed = "\n\n".join(f"AI #{number}: {reply.text}" for number, reply in numbered if reply.text)
        question = f"The question: {prompt}\n\n{listed}"
        texts = (_ask(self.models[name], CONSENSUS_PROMPT, question, _CONSENSUS_TOKENS).text for name in answered)
        return next(filter(None, texts), "No model stated a consensus: read the answers themselves")


def _available() -> Models:
    names = [name for name in ModelFactory.MODEL_IMPLEMENTATIONS if name not in ("ollama", "local")]
    return {name: (True, name, None) for name in names if ModelFactory.is_model_available(name)} or {
        "local": (True, "local", None)
    }


def _built(models: Models) -> dict[str, BaseModel]:
    enabled = {name: (model_type, model_name) for name, (on, model_type, model_name) in models.items() if on}
    built = {name: ModelFactory.create_model(*arguments) for name, arguments in enabled.items()}
    return {name: model for name, model in built.items() if model is not None}


def _ask(model: BaseModel, system_prompt: str, prompt: str, max_tokens: int = config.AI_MAX_TOKENS) -> Reply:
    began = time.monotonic()
    try:
        response = model.generate_response(
            system_prompt=system_prompt,
            user_content=prompt,
            temperature=config.AI_TEMPERATURE,
            max_tokens=max_tokens,
        )
    except Exception as error:  # noqa: BLE001 - models raise a 503; the other models' answers still count
        return Reply(None, f"{type(error).__name__}: {redact(str(error))}", time.monotonic() - began)
    if response is None or not response.content:
        return Reply(None, "No answer", time.monotonic() - began)
    return Reply(response.content, None, time.monotonic() - began)


def _reply(future: "Future[Reply]", deadline: float) -> Reply:
    try:
        return future.result(max(deadline - time.monotonic(), 0.0))
    except FutureTimeoutError:
        return Reply(None, f"No answer within {TIMEOUT_SECONDS:g} s", TIMEOUT_SECONDS)


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    prompt = " ".join(sys.argv[1:] if given is None else given)
    if not prompt.strip():
        cprint('⚠️ Give the swarm a question: python src/agents/swarm_agent.py "Will ETH hold 3,000?"', "yellow")
        return 0
    result = SwarmAgent().query(prompt)
    for name, reply in result["responses"].items():
        echo(f"🤖 {name}: {reply['response'] or reply['error']}", "cyan")
    if not result["metadata"]["successful_responses"]:
        cprint("❌ No model answered", "red")
        return 1
    echo(f"✅ {result['consensus_summary']}", "green")
    return 0


if __name__ == "__main__":
    sys.exit(run_as_script(main))
