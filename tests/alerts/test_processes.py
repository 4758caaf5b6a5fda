"""The command `watch` as a process: beside 48 writing processes, killed and restarted, and without apprise."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from src.observability import settings
from src.observability.alerts.store import AlertStore, path_beside
from src.observability.journal.store import Journal
from tests.alerts.agents import MINUTE_NS, append, cycle
from tests.alerts.conftest import Webhook

pytestmark = pytest.mark.slow
WATCH = (sys.executable, "-m", "src.observability", "watch")


@contextmanager
def running(*command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a process, and kill it at the end of the block."""
    process = subprocess.Popen(
        command, cwd=settings.REPO_ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.1)


def failing_since(journal: Journal, agent: str) -> None:
    """Append an hour of an agent's cycles, whose calls failed in the last half hour."""
    now = time.time_ns()
    append(journal, [cycle(now - number * MINUTE_NS, agent, failed=number < 30) for number in range(60, 0, -1)])


@pytest.mark.timeout(400)
def test_beside_48_writers_with_langfuse_down(
    made: Journal, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A failing agent is reported while 48 processes write to the journal and no Langfuse server answers."""
    for name, value in (("HOST", "http://127.0.0.1:9"), ("PUBLIC_KEY", "pk-lf-x"), ("SECRET_KEY", "sk-lf-x")):
        monkeypatch.setenv(f"LANGFUSE_{name}", value)
    failing_since(made, "WhaleAgent")
    writer = (sys.executable, "-m", "tests.alerts.writers")
    writers = [
        subprocess.Popen((*writer, str(number), "quiet"), cwd=settings.REPO_ROOT, stderr=subprocess.DEVNULL)
        for number in range(48)
    ]
    try:
        wait_for(
            lambda: made.select("SELECT count(DISTINCT agent) AS agents FROM observations")[0]["agents"] == 49, 200
        )
        passes = [subprocess.run((*WATCH, "--once"), cwd=settings.REPO_ROOT, check=True, timeout=90) for _ in range(3)]
        before = made.newest()[0]
        wait_for(lambda: made.newest()[0] > before + 500)
    finally:
        for process in writers:
            process.kill()
        for process in writers:
            process.wait()
    assert len(passes) == 3
    assert webhook.titles == ["❌ WhaleAgent: failing"]


def test_a_killed_watch_announces_nothing_twice(made: Journal, webhook: Webhook) -> None:
    """`watch` is killed and restarted ten times; any second message about an incident is marked as a repeat."""
    for number in range(10):
        failing_since(made, f"Agent{number}")
        with running(*WATCH, "--every", "1") as watch:
            deadline = time.monotonic() + 0.6 + number * 0.15
            wait_for(lambda deadline=deadline: time.monotonic() > deadline)
            watch.send_signal(signal.SIGKILL)
            watch.wait()
    subprocess.run((*WATCH, "--once"), cwd=settings.REPO_ROOT, check=True, timeout=60)
    first = [message for message in webhook.received if "may be a repeat" not in message["message"]]
    texts = " ".join(f"{message['title']} {message['message']}" for message in first)
    assert all(texts.count(f"❌ Agent{number}: failing") <= 1 for number in range(10)), webhook.titles
    everything = " ".join(f"{message['title']} {message['message']}" for message in webhook.received)
    assert all(f"❌ Agent{number}: failing" in everything for number in range(10)), webhook.titles
    store = AlertStore(path_beside(made.path))
    assert {row["state"] for row in store.select("SELECT state FROM messages")} == {"sent"}
    assert len(store.incidents()) == 10
    store.close()


def test_a_resident_watch_ends_with_ctrl_c(made: Journal, webhook: Webhook) -> None:
    """`watch` sends an incident's message, then prints it, unbuffered even in a pipe; Ctrl-C exits with status 0."""
    failing_since(made, "WhaleAgent")
    with running(*WATCH, "--every", "1") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().startswith("❌ ")
        assert webhook.received
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=30)
        assert watch.returncode == 0, errors
    assert errors.startswith("🤖 Watching ")


def test_without_apprise_it_says_what_to_install(made: Journal, webhook: Webhook, tmp_path: Path) -> None:
    """If apprise is missing, `watch` names that package; if no alert address is set, `watch` does not need apprise."""
    (tmp_path / "apprise.py").write_text("raise ModuleNotFoundError('No module named apprise', name='apprise')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    once = (*WATCH, "--once")
    failed = subprocess.run(once, cwd=settings.REPO_ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert (failed.returncode, failed.stderr) == (1, "❌ apprise is missing: pip install apprise\n")
    del environment["OBSERVABILITY_ALERT_URLS"]
    subprocess.run(once, cwd=settings.REPO_ROOT, env=environment, check=True, timeout=60)
