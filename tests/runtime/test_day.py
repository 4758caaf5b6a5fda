"""A process records a fleet's day at full speed; its server is unreliable. No row is lost, and memory does not grow."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from src.observability import settings
from tests.runtime.flapping_backend import FlappingBackend

pytestmark = pytest.mark.slow
MAX_MB = 48


@pytest.fixture
def backend() -> Iterator[FlappingBackend]:
    """A server that is unavailable at times."""
    flapping = FlappingBackend()
    yield flapping
    flapping.close()


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(2_000, id="an hour"),
        pytest.param(1_000_000, id="24 h", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_a_day_leaves_nothing_behind_but_its_journal(count: int, backend: FlappingBackend) -> None:
    """Each observation arrives once; memory, threads and file handles do not grow; the journal keeps to its limit."""
    keys = {"LANGFUSE_PUBLIC_KEY": "pk-lf-test-0123456789", "LANGFUSE_SECRET_KEY": "sk-lf-test-0123456789abcdef"}
    variables = {"LANGFUSE_HOST": backend.url, "LANGFUSE_FLUSH_INTERVAL": "0.5", "OBSERVABILITY_MAX_MB": str(MAX_MB)}
    worker = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.runtime.day_worker", str(count)],
        capture_output=True, text=True, cwd=settings.REPO_ROOT, env={**os.environ, **keys, **variables}, check=True,
    )  # fmt: skip
    found = json.loads(worker.stdout.splitlines()[-1])
    print(found, backend.answers)
    signals = (count - 1) // 2_000
    assert found["all_shipped"], worker.stderr
    assert len(backend.ids) == found["journalled"] == count + signals
    assert backend.repeated == 0  # an error or a missing answer means that the server stored nothing
    assert backend.scores >= 2 * signals
    assert (found["dropped"], found["pending"], found["rejected"]) == (0, 0, 0)
    assert found["end"]["rss_mb"] - found["warm"]["rss_mb"] < 50
    assert found["end"]["threads"] <= found["warm"]["threads"]
    assert found["end"]["fds"] <= found["warm"]["fds"] + 1
    assert found["journal_mb"] <= MAX_MB
