"""
🌙 Moon Dev's Journal Tests
Built with love by Moon Dev 🚀

The audit trail as a file: who may read it, what becomes of a damaged one, and what it lets go of.
"""

import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Response

from src import config
from src.observability import LangFuseTracker, ObservabilityContext, guard, observe_llm, runtime
from src.observability.journal import Journal, JournalError
from src.observability.journal_schema import APPLICATION_ID, MIGRATIONS
from src.observability.retention import Retention

DAY_NS = 86_400_000_000_000


@observe_llm(name="llm_generation")
def ask(prompt: str) -> str:
    """A model call that answers at once."""
    return "BUY"


def test_it_is_the_operators_alone(journal: Any) -> None:
    """0600 in a folder of 0700, ours by its application id, in WAL mode, giving space back."""
    ask("now")
    assert len(journal.observations()) == 1
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    db = sqlite3.connect(journal.path)
    found = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "auto_vacuum")}
    assert found == {"journal_mode": "wal", "auto_vacuum": 2}
    assert db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    db.close()


@pytest.mark.failures_expected
@pytest.mark.parametrize("damage", ["random bytes", "truncated", "a directory", "another program's", "a text"])
def test_what_is_no_journal_is_set_aside(damage: str, journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Under a dated name, said once, nothing of it lost, and a new one begun."""
    path = journal.path
    path.parent.mkdir(parents=True)
    if damage == "a directory":
        path.mkdir()
    elif damage == "truncated":
        for number in range(200):
            ask("x" * 1000 + str(number))
        journal.observations()
        runtime.close()
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "another program's":
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE theirs (x)")
        db.commit()
        db.close()
    else:
        path.write_bytes(os.urandom(50_000) if damage == "random bytes" else b"no database at all\n" * 100)
    ask("first")
    ask("second")
    assert [row["model_parameters"]["prompt"] for row in journal.observations()][-2:] == ["first", "second"]
    aside = [file for file in path.parent.glob("journal.db.set-aside-*") if not file.name.endswith(("-wal", "-shm"))]
    said = capsys.readouterr().err
    if damage == "truncated" and not aside:  # SQLite could still read what is left of it
        assert "set aside" not in guard.failures._counts
    else:
        assert len(aside) == 1
        assert said.count("is no journal of ours or is damaged") == 1
        assert str(aside[0]) in said


@pytest.mark.failures_expected
def test_a_newer_journal_is_left_alone(journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It is neither read nor set aside: the message says to update; calls go on."""
    ask("now")
    journal.observations()
    runtime.close()
    db = sqlite3.connect(journal.path)
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    assert ask("later") == "BUY"
    assert not LangFuseTracker().flush(1)
    assert "newer version of this repo: update it" in capsys.readouterr().err
    with pytest.raises(JournalError, match="newer version"):
        Journal(journal.path, create=False)


@pytest.mark.failures_expected
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an ordinary user here")
def test_a_folder_that_cannot_be_written_stops_no_call(tmp_path: Path) -> None:
    """As an ordinary user: calls go on, one line says why, what the queue held is journalled once it can be."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    folder = tmp_path / "shut"
    folder.mkdir(mode=0o700)
    code = (
        "import os, sys, genai_prices, base58, mnemonic\n"
        "import src.observability.shipper, src.observability.sink, src.observability.threads\n"
        "from tests.test_journal import ask\n"
        "os.setuid(65534)\n"  # from here on much of the disk, such as root's own Python, is out of reach
        "print(ask('while shut'), flush=True); sys.stdin.readline()\n"
        "from src.observability import LangFuseTracker\n"
        "print(LangFuseTracker().flush(10))"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=config.REPO_ROOT, env={**os.environ, "OBSERVABILITY_JOURNAL": str(folder / "journal.db")},
    )  # fmt: skip
    assert worker.stdout is not None
    assert worker.stdout.readline() == "BUY\n"
    time.sleep(0.5)
    os.chown(folder, 65534, 65534)
    out, errors = worker.communicate("\n", timeout=30)
    assert out.endswith("True\n"), errors
    assert errors.count("the journal cannot be written") == 1
    assert len(Journal(folder / "journal.db", create=False).observations()) == 1


@pytest.mark.failures_expected
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_stops_no_call(tmp_path: Path, journal: Any, monkeypatch: Any) -> None:
    """On a tmpfs of 1 MB: calls return, nothing that was on it is lost, and with room again the rest is journalled."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(disk / "o" / "journal.db"))
        ask("first")
        assert len(journal.observations()) == 1
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(b"x" * 2**21)
        for number in range(20):
            assert ask(f"{number} " + "y" * 5000) == "BUY"
        assert not runtime.running().recorder.flush(1)
        filler.unlink()
        assert len(journal.observations()) == 21
    finally:
        runtime.close()
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_journal_that_is_deleted_while_we_run_is_begun_anew(journal: Any) -> None:
    """An operator who clears the folder loses what was in it, not what comes."""
    ask("before")
    journal.observations()
    for file in journal.path.parent.iterdir():
        if file.is_file():
            file.unlink()
    ask("after")
    assert [row["model_parameters"]["prompt"] for row in journal.observations()] == ["after"]


def aged(path: Path, days: float, where: str = "1") -> None:
    """Make rows older than they are."""
    db = sqlite3.connect(path)
    db.execute(f"UPDATE observations SET start_ns = start_ns - ? WHERE {where}", (int(days * DAY_NS),))
    db.commit()
    db.close()


def test_old_rows_go_by_age_pending_ones_stay(langfuse: Any, journal: Any) -> None:
    """Local, shipped and rejected rows after 30 days, with their scores and tags; what waits is kept."""
    ObservabilityContext.add_trading_signal("BUY", 50, "why")
    ask("shipped")
    assert LangFuseTracker().flush(5)
    langfuse.answer = lambda _request, _body: Response("broken", 500)
    ask("pending")
    assert len(journal.observations()) == 3
    runtime.close()
    aged(journal.path, 31)
    kept = Journal(journal.path)
    while Retention().tidy(kept):
        pass
    assert [row["model_parameters"]["prompt"] for row in kept.observations()] == ["pending"]
    assert kept.scores() == []
    assert kept.select("SELECT * FROM trace_tags") == []
    kept.close()


@pytest.mark.failures_expected
def test_the_size_limit_takes_shipped_rows_first_and_says_when_it_takes_others(
    journal: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file shrinks with them; a pending row goes only where nothing else is left, counted and said."""
    monkeypatch.setattr(Retention, "deleted_pending", 0)
    for number in range(400):
        ask(f"{number} " + "x" * 5000)
    assert len(journal.observations()) == 400
    runtime.close()
    db = sqlite3.connect(journal.path)
    db.execute("UPDATE observations SET state = 'pending' WHERE seq > 300")
    db.commit()
    db.close()
    kept = Journal(journal.path)
    before = kept.used_bytes()
    monkeypatch.setenv("OBSERVABILITY_MAX_MB", "1.2")
    monkeypatch.setattr("src.observability.retention.STEP_ROWS", 50)
    retention = Retention()
    while retention.tidy(kept):
        pass
    assert kept.used_bytes() < 1.2 * 1024 * 1024 < before
    assert len(kept.observations("state = 'pending'")) == 100
    assert Retention.deleted_pending == 0
    monkeypatch.setenv("OBSERVABILITY_MAX_MB", "0.3")
    while retention.tidy(kept):
        pass
    assert Retention.deleted_pending > 0
    assert len(kept.observations()) == 100 - Retention.deleted_pending
    assert "Raise OBSERVABILITY_MAX_MB" in capsys.readouterr().err
    kept.select("PRAGMA wal_checkpoint(TRUNCATE)")
    assert journal.path.stat().st_size < 0.5 * 1024 * 1024
    kept.close()


def write(number: int) -> None:
    """One process of a fleet."""
    for each in range(50):
        ask(f"{number}/{each}")


def test_a_fleet_writes_at_once(journal: Any) -> None:
    """Twelve processes, one file: every call of each, once."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=write, args=(number,)) for number in range(12)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    asked = [row["model_parameters"]["prompt"] for row in journal.observations()]
    assert len(asked) == len(set(asked)) == 600
