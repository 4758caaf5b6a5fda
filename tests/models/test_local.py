"""The real local model: calls, grammars, token counts, forks and Ctrl-C. Its answers are nonsense."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

from src.models.local_server import LocalServer
from src.models.model_factory import ModelFactory
from src.observability import settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LocalServer.is_installed(), reason="pip install --no-deps -r requirements-local.txt"),
]
GRAMMAR = 'root ::= ("BUY" | "SELL" | "NOTHING") "\\n" [a-zA-Z ,.]{10,60} "\\nConfidence: " [1-9] [0-9] "%"'


def test_it_answers_is_counted_and_free(journal: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """A call of the local model is a generation with llama.cpp's token counts; it costs nothing, and prints no log."""
    model = ModelFactory.create_model("local")
    assert model is not None
    capfd.readouterr()
    response = model.generate_response("You trade", "Longs +80 %", max_tokens=20)
    assert response is not None
    assert response.content
    assert capfd.readouterr() == ("", "")
    (row,) = journal.observations()
    assert (row["provider"], row["model"], row["cost_usd"]) == ("local", "smollm2-135m-instruct", 0.0)
    assert row["usage"]["output"] == response.usage["completion_tokens"] <= 20


def test_a_grammar_is_kept_to() -> None:
    """If an agent gives a grammar, the answer follows the grammar: called directly, asynchronously or as a stream."""
    model = ModelFactory.create_model("local")
    assert model is not None
    answers = [
        model.generate_response("You trade", "Longs +80 %", grammar=GRAMMAR).content,
        asyncio.run(model.agenerate_response("You trade", "Longs +80 %", grammar=GRAMMAR)).content,
        "".join(model.stream_response("You trade", "Longs +80 %", grammar=GRAMMAR)),
    ]
    for answer in answers:
        action, _, confidence = answer.split("\n")
        assert action in ("BUY", "SELL", "NOTHING")
        assert confidence.startswith("Confidence: ")


def test_a_prompt_that_is_too_long_is_said_with_its_cure(capsys: pytest.CaptureFixture[str]) -> None:
    """A prompt longer than the model's small context is refused, not cut."""
    model = ModelFactory.create_model("local")
    assert model is not None
    assert model.generate_response("", "word " * 9000) is None
    assert "⚠️ Shorten the prompt, or use a model with a longer context" in capsys.readouterr().out


def in_a_process(code: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own, with a time limit."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds, cwd=settings.REPO_ROOT,
        env={**os.environ, "ENABLE_LANGFUSE": "false"},
    )  # fmt: skip


FORKS = """
import os, sys
from src.models.model_factory import ModelFactory

def say(what):
    sys.stdout.flush()
    os.write(1, f"{what}\\n".encode())  # whole, also where both processes write at once

model = ModelFactory.create_model("local")
say(bool(model.generate_response("", "hello", max_tokens=3)))
child = os.fork()
say((ModelFactory.create_model("local") is model) == bool(child))  # a child must not use its parent's sockets
say(bool(model.generate_response("", "hello", max_tokens=3)))
if child:
    say(os.waitpid(child, 0)[1])
    if os.fork() == 0:
        os._exit(0)  # the fork has stopped the parent's server, which is then not started again
"""


def test_it_survives_a_fork_and_lets_both_processes_end() -> None:
    """After a fork, each process has a model and a local server of its own, and both processes end normally."""
    done = in_a_process(FORKS, seconds=60)
    assert (done.returncode, done.stdout.split()[-6:]) == (0, [*["True"] * 5, "0"])
    assert "Traceback" not in done.stderr


INTERRUPTED = """
import os, signal
from src.models.local_server import LocalServer

os.sched_setaffinity(0, {0})  # one core, where a new thread waits its turn, as on a busy machine
signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(4):
    server = LocalServer()
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        server.address()
    except KeyboardInterrupt:
        print("stopped")
    server.stop()
"""


def test_ctrl_c_while_it_starts_ends_the_process() -> None:
    """If Ctrl-C is pressed while the local server starts, the process still ends."""
    done = in_a_process(INTERRUPTED, seconds=30)
    assert (done.returncode, done.stdout.split()[-4:]) == (0, ["stopped"] * 4)
