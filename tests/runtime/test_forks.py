"""Tests of forks while this package's threads write and ship: both processes continue, and the journal stays intact."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from src.observability import runtime, settings
from src.observability.journal import merge_forked
from src.observability.journal.store import Journal
from tests.calls import ask
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
        time.sleep(0.03)
    mark(self, marked)

Journal.mark = slowly
ask("parent 0")
assert inside.wait(10)
child = os.fork()
many("child" if not child else "later", 5)
if not child:
    runtime.close()  # an exit between the server's reply and its mark would rightly send the batch again
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
_WHILE_ANOTHER_PROCESS_WRITES = """
import sqlite3
from src.observability import runtime, settings
from src.observability.journal import merge_forked
ask("parent 0")
assert runtime.running().recorder.flush(10)
other = sqlite3.connect(settings.journal_path(), isolation_level=None)
other.execute("BEGIN EXCLUSIVE")
for number in range(5):
    ask(f"later {number}")
    time.sleep(0.05)
    began = time.perf_counter()
    child = os.fork()
    if not child:
        os._exit(0)
    took = time.perf_counter() - began
    os.waitpid(child, 0)
    assert took < 0.1, took
other.execute("ROLLBACK")
other.close()
assert runtime.running().recorder.flush(10)
"""
_WHILE_IT_WRITES_FOR_LONG = """
from src.observability.journal import Journal
inside, append = threading.Event(), Journal.append

def slowly(self, *args, **kwargs):
    with self.transaction():
        inside.set()
        time.sleep(0.5)
    append(self, *args, **kwargs)

Journal.append = slowly
ask("parent 0")
assert inside.wait(10)
began = time.perf_counter()
child = os.fork()
if child:
    took = time.perf_counter() - began
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert took < 0.1, took
else:
    Journal.append = append
    many("child", 5)
    assert runtime.health()["local"] == 5
    print(runtime.failures.last.rpartition(" ")[2], flush=True)
    os._exit(0)
assert runtime.running().recorder.flush(10)
"""
_INSIDE_A_CALL = """
@observe_llm
def fork_at_once():
    child = os.fork()
    return "child" if not child else os.waitpid(child, 0) and "parent"

for number in range(5):
    if fork_at_once() == "child":
        assert runtime.running().recorder.flush(10)
        os._exit(0)
assert runtime.running().recorder.flush(10)
"""


def run(code: str) -> str:
    """Run `code` in a process; return the output of the process and of its children."""
    command = [sys.executable, "-c", _CALLS + code]
    done = subprocess.run(command, cwd=settings.REPO_ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(path: Path) -> Counter[str]:
    """Let another process write too, and let SQLite check the file; return the number of calls by process."""
    run('many("third", 30)')
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    journal = Journal(path, create=False)
    rows = journal.observations()
    journal.close()
    return Counter(row["model_parameters"]["prompt"].split()[0] for row in rows)


def test_a_child_outlives_its_parent(journal: Any) -> None:
    """A child's calls are journalled even after its parent has ended, as when an orchestrator starts an agent."""
    run(_PARENT_ENDS_FIRST)
    assert asked(journal.path) == {"parent": 20, "child": 10, "later": 200, "third": 30}


def test_a_call_that_ends_in_two_processes_is_one_row(journal: Any) -> None:
    """If a process forks in a call that is not journalled yet, the call returns in both processes, but is one row."""
    run(_INSIDE_A_CALL)
    assert [row["name"] for row in journal.observations()] == ["fork_at_once"] * 5


def test_a_fork_in_the_middle_of_a_transaction(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork during the shipper's transaction waits for the transaction's end; afterwards both processes can write."""
    backend = Backend()
    for name, value in backend.environment.items():
        monkeypatch.setenv(name, value)
    langfuse = backend.start()
    run(_WHILE_IT_MARKS)
    assert asked(journal.path) == {"parent": 1, "child": 5, "later": 5, "third": 30}
    ids = [span.id for span in langfuse.spans]
    assert len(ids) == len(set(ids))
    backend.stop()


def test_a_fork_does_not_wait_for_another_process_that_writes(journal: Any) -> None:
    """A fork does not wait while another process locks the journal: our thread holds no lock between its retries."""
    run(_WHILE_ANOTHER_PROCESS_WRITES)
    assert asked(journal.path) == {"parent": 1, "later": 5, "third": 30}


def test_a_fork_in_a_transaction_that_takes_too_long(journal: Any) -> None:
    """A fork waits at most 50 ms for a transaction. A child forked later in the transaction would inherit SQLite's
    locks, so it records in a file of its own and reports this. The next process merges the file."""
    own = Path(run(_WHILE_IT_WRITES_FOR_LONG).strip())
    assert own.parent == journal.path.parent
    assert own.name.startswith("journal.forked-")
    assert asked(journal.path) == {"parent": 1, "child": 5, "third": 30}
    assert not list(own.parent.glob("*forked*"))


def test_the_journal_of_a_living_child_stays(journal: Any) -> None:
    """The separate journal of a running child is not merged. Merging a file twice, as after a kill, changes nothing."""
    own = journal.path.with_name(f"journal.forked-{os.getpid()}.db")
    ask("BTC?")
    runtime.close()
    shutil.copy(journal.path, own)
    with contextlib.closing(Journal(journal.path)) as main:
        merge_forked(main, lambda pid: pid != os.getpid())
        assert own.exists()
        merge_forked(main, lambda pid: pid == os.getpid())
        assert not own.exists()
        assert len(main.observations()) == 1
