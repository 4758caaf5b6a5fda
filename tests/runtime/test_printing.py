"""Tests of this package's printed lines on a stdout or stderr that is full, closed, broken, in ASCII, or in memory."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.observability import LangFuseTracker, printing, settings
from src.observability.printing import print_now


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """Yield the reading and the writing end of a full pipe, which blocks its writers."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x")
    except BlockingIOError:
        os.set_blocking(writer, True)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.mark.slow
def test_a_full_pipe_blocks_nobody(full_pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is dropped and counted while the pipe is full; after somebody has read the pipe, lines are printed."""
    reader, writer = full_pipe
    before = printing.dropped
    with open(writer, "w", closefd=False, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        began = time.monotonic()
        print_now("⚠️ lost", "yellow", to_stderr=True)
        assert time.monotonic() - began < 0.5
        assert printing.dropped == before + 1
        assert LangFuseTracker().health()["unprinted"] == before + 1
        os.read(reader, fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ))
        print_now("⚠️ printed", "yellow", to_stderr=True)
        monkeypatch.undo()
    assert os.read(reader, 1000).decode() == "⚠️ printed\n"
    assert printing.dropped == before + 1


def test_lines_keep_their_order(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Our lines are printed after the agent's earlier lines, even if these are still in a buffer."""
    with open(1, "w", closefd=False, encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print("first")
        print_now("✅ second", "green")
        print("third")
    assert capfd.readouterr().out == "first\n\\u2705 second\nthird\n"


@pytest.mark.parametrize("stream", [None, object(), "closed"])
def test_a_stream_that_is_none_raises_nothing(stream: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If stdout or stderr is missing, closed or not a stream, as in a daemon, our lines are dropped and counted."""
    if stream == "closed":
        stream = (tmp_path / "log").open("w")
        stream.close()
    before = printing.dropped
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    print_now("nobody hears", "red", to_stderr=True)
    print_now("nobody hears", "red")
    assert printing.dropped == before + 2


_AGENT = """
import os, sys
from src.observability import LangFuseTracker, ObservabilityContext, observe_llm, runtime
from src.observability.terminal import echo
LangFuseTracker()
echo("🤖 a line of the agent's", "cyan")
observe_llm(lambda prompt: "BUY")("now")
ObservabilityContext.record_outcome("no id", pnl_usd=1)
assert runtime.running().recorder.flush(10)
os.write(int(sys.argv[1]), b"went on")
"""


@pytest.mark.slow
@pytest.mark.parametrize("keys", [True, False], ids=["with keys", "without keys"])
@pytest.mark.parametrize(
    "where",
    ["PYTHONIOENCODING=ascii", ">/dev/full", "2>/dev/full", ">&-", "2>&-", ">&- 2>&-", "> >(exit)", "2> >(exit)"],
)
def test_an_agent_goes_on_whatever_its_output_is(where: str, keys: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stdout and stderr are, `LangFuseTracker()` and our lines raise nothing; the exit status stays."""
    if keys:
        monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-x")
        monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-x")
        monkeypatch.setenv("LANGFUSE_HOST", "http://127.0.0.1:9")
    reader, writer = os.pipe()
    variable, redirection = (where, "") if "=" in where else ("", where)
    command = f"{variable} '{sys.executable}' -u -c \"$CODE\" {writer} {redirection}"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=settings.REPO_ROOT, env={**os.environ, "CODE": _AGENT}, pass_fds=[writer],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert os.read(reader, 100) == b"went on", ended.stderr
    os.close(reader)
    assert ended.returncode == 0


_ORDERS = """
from src.observability import ObservabilityContext, observe_llm
observe_llm(lambda prompt: "BUY")("now")
ObservabilityContext.record_outcome("no id", pnl_usd=1)
for number in range(5):
    print("ORDER", number, flush=True)
"""


@pytest.mark.slow
def test_a_bot_trades_on_while_nobody_reads_its_stderr(full_pipe: tuple[int, int]) -> None:
    """A bot places its orders and ends, although nobody reads its stderr, which is a full pipe."""
    ended = subprocess.run(
        [sys.executable, "-c", _ORDERS], cwd=settings.REPO_ROOT, stdout=subprocess.PIPE, stderr=full_pipe[1],
        text=True, timeout=20, check=True,
    )  # fmt: skip
    assert ended.stdout.count("ORDER") == 5


_NO_DESCRIPTORS = """
import os, resource, sys, time
from src.observability import LangFuseTracker, observe_llm, settings
ask = observe_llm(lambda prompt: "BUY")
descriptors = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        descriptors.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
LangFuseTracker()
for _ in range(3):
    assert ask("no descriptor is left") == "BUY"
for descriptor in descriptors:
    os.close(descriptor)
time.sleep(0.6)
ask("there are some again")
deadline = time.monotonic() + 20
while (health := LangFuseTracker().health())["journalled"] < 4 and time.monotonic() < deadline:
    time.sleep(0.1)
print(health["recorded"], health["journalled"], health["dropped"])
"""


@pytest.mark.slow
def test_no_descriptor_is_no_error_of_the_agents() -> None:
    """Without free file descriptors, calls continue; they are journalled once descriptors are free again."""
    ended = subprocess.run(
        [sys.executable, "-c", _NO_DESCRIPTORS], cwd=settings.REPO_ROOT, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout.splitlines()[-1:]) == (0, ["4 4 0"]), ended.stderr
