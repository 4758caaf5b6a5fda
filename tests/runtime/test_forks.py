"""
🌙 Moon Dev's Fork Tests
Built with love by Moon Dev 🚀

A process that forks while its own threads write, ship and import: both sides go on, and the journal stays whole.
"""

import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from src.observability import settings
from src.observability.journal.store import Journal
from tests.langfuse_server import Backend

pytestmark = pytest.mark.slow

_CALLS = """
import os, sys, threading, time
from src.observability import observe_llm, runtime

@observe_llm(name="llm_generation")
def ask(prompt):
    return "BUY"

def many(label, count):
    for number in range(count):
        ask(f"{label} {number}")
        time.sleep(0.001)
    assert runtime.running().recorder.flush(10)
"""
_PARENT_ENDS_FIRST = """
many("parent", 20)
if os.fork():
    os._exit(0)
many("child", 10)
time.sleep(0.5)
many("later", 200)
"""
_WHILE_IT_MARKS = """
from src.observability.journal import Journal
inside = threading.Event()
mark = Journal.mark

def slowly(self, marked):
    with self.transaction():
        inside.set()
        time.sleep(0.3)
    mark(self, marked)

Journal.mark = slowly
ask("parent 0")
assert inside.wait(10)
child = os.fork()
many("child" if not child else "later", 5)
if not child:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
_WHILE_IT_IMPORTS = """
ask("parent 0")
while sys.argv[1] not in sys.modules:
    time.sleep(0.0005)
child = os.fork()
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
else:
    many("child", 5)
    import httpx
    assert runtime.flush(10), runtime.health()
    os._exit(0)
"""


def run(code: str, *arguments: str) -> None:
    """A process that does this, and its children."""
    command = [sys.executable, "-c", _CALLS + code, *arguments]
    done = subprocess.run(command, cwd=settings.REPO_ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def asked(path: Path) -> Counter[str]:
    """Who asked how often, once a third process has written too, and the file was found whole."""
    run('many("third", 30)')
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    journal = Journal(path, create=False)
    rows = journal.observations()
    journal.close()
    return Counter(row["model_parameters"]["prompt"].split()[0] for row in rows)


def test_a_child_outlives_its_parent(journal: Any) -> None:
    """An orchestrator that starts agents and leaves: what its child writes then is there, whoever else writes."""
    run(_PARENT_ENDS_FIRST)
    assert asked(journal.path) == {"parent": 20, "child": 10, "later": 200, "third": 30}


def test_a_fork_in_the_middle_of_a_transaction(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipper notes what is delivered: the fork waits for it, and both sides write on."""
    backend = Backend()
    for name, value in backend.environment.items():
        monkeypatch.setenv(name, value)
    langfuse = backend.start()
    run(_WHILE_IT_MARKS)
    assert asked(journal.path) == {"parent": 1, "child": 5, "later": 5, "third": 30}
    ids = [span.id for span in langfuse.spans]
    assert len(ids) == len(set(ids))
    backend.stop()


@pytest.mark.parametrize(
    "module", ["httpx", "src.observability.shipping.delivery", "src.observability.recording.writer"]
)
def test_a_fork_in_the_middle_of_an_import(module: str, journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our threads import what the first call needs: the child is not left with half of it, nor the agent's own code."""
    backend = Backend()
    for name, value in backend.environment.items():
        monkeypatch.setenv(name, value)
    backend.start()
    run(_WHILE_IT_IMPORTS, module)
    assert asked(journal.path) == {"parent": 1, "child": 5, "third": 30}
    backend.stop()
