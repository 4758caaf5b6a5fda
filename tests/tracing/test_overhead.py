"""
🌙 Moon Dev's Overhead Tests
Built with love by Moon Dev 🚀

The cost of a traced call, as a number of function calls, which does not depend on the machine.
"""

import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from src.models.base_model import BaseModel, ModelResponse
from src.observability import ObservabilityContext, observe_llm, settings
from src.observability.instrumentation.calls import sync_method
from src.observability.instrumentation.sdks.openai import CHAT
from tests.tracing.counting import counted

# A traced call makes 35 function calls, with OpenTelemetry 37; the counting adds 4. Langfuse's `@observe` makes 1,376.
MOST_CALLS = 42
MOST_OF_A_MODEL = 64  # a model's call with four metadata values and usage makes 50 function calls; the counting adds 5
MOST_OF_AN_SDK = 90  # an SDK's call with two messages makes 73 function calls; the counting adds 5
WORK = ("json", "redaction", "sqlite3", "inspect", "rows", "sink", "journal", "protobuf", "httpx", "genai_prices")


@observe_llm(name="llm_generation")
def ask(prompt: str, temperature: float = 0.3) -> str:
    """Answer at once, in place of a model."""
    return "BUY"


class Quick(BaseModel):
    """A model that answers at once and, like the providers' models, records metadata in every call."""

    model_type = "openai"  # type: ignore[assignment]

    def initialize_client(self, **_: Any) -> None:
        """Set the model's name; no client is needed."""
        self.model_name = "gpt-4o-mini"

    def is_available(self) -> bool:
        """Return True: the model is always available."""
        return True

    def generate_response(
        self, system_prompt: Any, user_content: Any, temperature: float | None = 0.7, max_tokens: int | None = None
    ) -> ModelResponse:
        """Record the call's metadata and answer at once."""
        ObservabilityContext.add_agent_metadata(
            agent_type="model",
            agent_name=self.model_type,
            model_name=self.model_name,
            temperature=temperature,
            max_tokens=max_tokens,
        )
        return ModelResponse("BUY", SimpleNamespace(choices=[]), self.model_name, {"prompt_tokens": 8})


def create(**_: Any) -> SimpleNamespace:
    """A stand-in for an SDK's method."""
    return SimpleNamespace(choices=[])


@pytest.fixture
def calls_of_one(journal: Any) -> Any:
    """Return a function that counts the function calls of one traced call, after all one-time work is done.

    The call runs in a thread of its own: the search for the calling agent walks up the stack, and pytest's stack has 40
    frames."""

    def count(prompt: str, call: Callable[[str], Any] = ask) -> Counter[str]:
        counts: list[Counter[str]] = []

        def work() -> None:
            for _ in range(3):
                call(prompt)
            with counted() as calls:
                call(prompt)
            counts.append(calls)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return counts[0]

    return count


def test_a_traced_call_makes_few_calls_and_none_that_work(calls_of_one: Any) -> None:
    """The caller's thread does no serialisation, no redaction, no database access, and takes no lock."""
    calls = calls_of_one("Longs were liquidated")
    assert 10 < calls.total() <= MOST_CALLS, calls
    modules = {name.rpartition(".")[0] for name in calls}
    assert not [name for name in modules for work in WORK if work in name]
    assert not [name for name in calls if "acquire" in name or "lock" in name.lower() or "Event" in name]


def test_a_call_through_a_model_with_metadata_makes_few_calls(calls_of_one: Any) -> None:
    """A call through a model with four metadata values, whose answer has usage, makes few function calls."""
    model = Quick(None)
    calls = calls_of_one("Longs", lambda prompt: model.generate_response("You decide", prompt, 0.3, max_tokens=900))
    assert 40 < calls.total() <= MOST_OF_A_MODEL, calls


def test_a_hooked_call_of_an_sdk_makes_few_calls(calls_of_one: Any) -> None:
    """A hooked SDK call with two messages, which are copied before the SDK gets them, makes few function calls."""
    hooked = sync_method(CHAT)(create)
    messages = [{"role": role, "content": "Longs were liquidated"} for role in ("system", "user")]
    calls = calls_of_one("", lambda _: hooked(model="gpt-4o", messages=messages, temperature=0.3))
    assert 40 < calls.total() <= MOST_OF_AN_SDK, calls


def test_the_callers_cost_does_not_grow_with_the_prompt(calls_of_one: Any) -> None:
    """A prompt of 200 KB costs the caller as much as one of 2 KB."""
    assert calls_of_one("x" * 2_000) == calls_of_one("x" * 200_000)


def test_tracing_off_is_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """With tracing off, a call reads the flag and does nothing else."""
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    ask("warm")
    with counted() as calls:
        ask("cold")
    ours = [name.rsplit(".", 1) for name in calls if name.startswith("src.observability")]
    assert [last for _, last in ours] == ["wrapper", "recording"]
    assert calls.total() <= 12
    hooked = sync_method(CHAT)(create)
    with counted() as calls:
        hooked(messages=[])
    assert calls.total() <= 14, calls


_BURST = """
import os, sys, threading
from src.observability import observe_llm, runtime
ask = observe_llm(lambda prompt: "BUY")
for _ in range(10):
    ask("warm")
runtime.flush(10)
runtime.running().recorder._sink.write = lambda *_: threading.Event().wait(60)
print(threading.get_native_id(), flush=True)
sys.stdin.readline()
for number in range(1000):
    ask("prompt")
os._exit(0)
"""
_MEMORY = {"brk", "mmap", "munmap", "madvise", "mremap"}
_ENDS = {"read", "write", "exit_group", "restart_syscall", "+++"}  # system calls at the worker's start and end


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_traced_call_asks_the_system_for_nothing(journal: Any) -> None:
    """In a thousand calls, the caller's thread makes few system calls except for memory and the interpreter's lock."""
    worker = subprocess.Popen(
        [sys.executable, "-c", _BURST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=settings.REPO_ROOT
    )
    assert worker.stdout is not None
    tracer = subprocess.Popen(["strace", "-p", worker.stdout.readline().strip()], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    attached = tracer.stderr.readline()
    worker.communicate("go\n", timeout=30)
    traced = tracer.communicate(timeout=30)[1]
    if "attached" not in attached:
        pytest.skip(f"strace may not attach here: {attached.strip()}")
    made = Counter(line.split("(")[0].split()[0] for line in traced.splitlines() if line.strip())
    assert made["exit_group"] == 1, made
    others = {name: count for name, count in made.items() if name not in _MEMORY | _ENDS | {"futex"}}
    assert sum(others.values()) < 10, made
    assert made["read"] <= 2, made
