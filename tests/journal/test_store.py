"""The journal as a file: its permissions, damaged and foreign files, full disks, leases, deletion."""

import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Response

from src.observability import LangFuseTracker, ObservabilityContext, internal_errors, runtime, settings
from src.observability.journal.retention import Retention
from src.observability.journal.schema import APPLICATION_ID, FORMAT
from src.observability.journal.store import INTERRUPTED, Journal, JournalError, Mark
from tests.calls import ask
from tests.langfuse_server import settings_for

DAY_NS = 86_400_000_000_000


def test_it_is_the_operators_alone(journal: Any) -> None:
    """The journal has mode 0600 in a folder of mode 0700, our application id and format, WAL mode and auto-vacuum."""
    ask("now")
    assert len(journal.observations()) == 1
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    db = sqlite3.connect(journal.path)
    found = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "auto_vacuum")}
    assert found == {"journal_mode": "wal", "auto_vacuum": 2}
    assert db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    assert db.execute("PRAGMA user_version").fetchone()[0] == FORMAT
    db.close()


@pytest.mark.failures_expected
@pytest.mark.parametrize("damage", ["random bytes", "truncated", "a directory", "another program's", "a text"])
def test_what_is_no_journal_is_set_aside(damage: str, journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not a journal is kept whole under a dated name and reported once, and a new journal begins."""
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
    if damage == "truncated" and not aside:  # SQLite may still open the shortened file
        assert "set aside" not in internal_errors.failures._counts
    else:
        assert len(aside) == 1
        assert said.count("is damaged, or not a journal of this program") == 1
        assert str(aside[0]) in said


@pytest.mark.failures_expected
def test_a_newer_journal_is_left_alone(journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """If newer code has upgraded the journal, it is left alone, a message asks to update the repo, and calls go on."""
    ask("now")
    journal.observations()
    runtime.close()
    db = sqlite3.connect(journal.path)
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    assert ask("later") == "BUY"
    assert not LangFuseTracker().flush(0.3)
    assert "newer version of this repo: update it" in capsys.readouterr().err
    with pytest.raises(JournalError, match="newer version"):
        Journal(journal.path, create=False)


@pytest.mark.slow
@pytest.mark.failures_expected
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an ordinary user here")
def test_a_folder_that_cannot_be_written_stops_no_call(public_folder: Path) -> None:
    """While the journal's folder is not writable, calls go on and one line tells why. Once it can be written,
    the queued calls are journalled."""
    folder = public_folder / "shut"
    folder.mkdir(mode=0o700)
    code = (
        "import os, sys, base58, mnemonic\n"
        "import src.observability.shipping.shipper, src.observability.recording.writer\n"
        "from src.observability import health, runtime\n"
        "from tests.calls import ask\n"
        "os.setuid(65534)\n"  # this user cannot read much of the disk, so imports come first
        "print(ask('while shut'), runtime.health()['pending'], flush=True); sys.stdin.readline()\n"
        "from src.observability import LangFuseTracker\n"
        "print(LangFuseTracker().flush(10))"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=settings.REPO_ROOT, env={**os.environ, "OBSERVABILITY_JOURNAL": str(folder / "journal.db")},
    )  # fmt: skip
    assert worker.stdout is not None
    assert worker.stdout.readline() == "BUY None\n"
    time.sleep(0.5)
    os.chown(folder, 65534, 65534)
    out, errors = worker.communicate("\n", timeout=30)
    assert out.endswith("True\n"), errors
    assert errors.count("the journal cannot be written") == 1
    assert len(Journal(folder / "journal.db", create=False).observations()) == 1


@pytest.mark.slow
@pytest.mark.failures_expected
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_stops_no_call(tmp_path: Path, journal: Any, monkeypatch: Any) -> None:
    """On a full disk (a tmpfs of 1 MB), calls return and rows stay; once it has space, the queue is journalled."""
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
        assert not runtime.running().recorder.flush(0.3)
        filler.unlink()
        assert len(journal.observations()) == 21
    finally:
        runtime.close()
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.failures_expected
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
def test_a_read_only_disk_stops_no_call(tmp_path: Path, journal: Any, monkeypatch: Any) -> None:
    """On a read-only disk, calls return and the reason is recorded; once it is writable, all calls are journalled."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", str(disk)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(disk / "o" / "journal.db"))
        for number in range(20):
            assert ask(str(number)) == "BUY"
        assert not runtime.running().recorder.flush(0.3)
        assert "Read-only file system" in (internal_errors.failures.last or "")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert len(journal.observations()) == 20
        assert LangFuseTracker().health()["dropped"] == 0
    finally:
        runtime.close()
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_journal_that_is_deleted_while_we_run_is_begun_anew(journal: Any) -> None:
    """If the operator deletes the journal while we run, its rows are lost, and later rows go to a new journal."""
    ask("before")
    journal.observations()
    for file in journal.path.parent.iterdir():
        if file.is_file():
            file.unlink()
    ask("after")
    assert [row["model_parameters"]["prompt"] for row in journal.observations()] == ["after"]


def aged(path: Path, days: float, where: str = "1") -> None:
    """Make rows older by this number of days."""
    db = sqlite3.connect(path)
    db.execute(f"UPDATE observations SET start_ns = start_ns - ? WHERE {where}", (int(days * DAY_NS),))
    db.commit()
    db.close()


def test_old_rows_go_by_age_pending_ones_stay(langfuse: Any, journal: Any) -> None:
    """Local, shipped and rejected rows are deleted after 30 days, with their scores and tags; pending rows are kept."""
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


def test_a_score_that_waits_outlives_its_trace(langfuse: Any, journal: Any) -> None:
    """A trace's shipped observations are deleted by age. Its pending score stays, and is deleted once it is shipped."""
    langfuse.answer = lambda request, _body: Response("broken", 500) if request.path.endswith("ingestion") else None
    ObservabilityContext.add_trading_signal("BUY", 50, "why")
    assert not LangFuseTracker().flush(5)
    runtime.close()
    aged(journal.path, 31)
    kept = Journal(journal.path)
    while Retention().tidy(kept):
        pass
    assert kept.observations() == []
    assert [score["state"] for score in kept.scores()] == ["pending", "pending"]
    kept.mark(Mark("scores", [(score["seq"], score["id"]) for score in kept.scores()], "shipped"))
    ask("later")
    assert len(journal.observations()) == 1
    runtime.close()
    aged(journal.path, -1)  # moves the row's start to a time after the scores
    assert kept.delete_done(10) == 1
    assert kept.scores() == []
    kept.close()


@pytest.mark.slow
@pytest.mark.failures_expected
def test_the_size_limit_takes_shipped_rows_first_and_says_when_it_takes_others(
    journal: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the size limit, other rows are deleted before pending ones; deleted pending rows are counted and reported."""
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
    monkeypatch.setattr("src.observability.journal.retention.STEP_ROWS", 50)
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
    assert "raise OBSERVABILITY_MAX_MB" in capsys.readouterr().err
    kept.select("PRAGMA wal_checkpoint(TRUNCATE)")
    assert journal.path.stat().st_size < 0.5 * 1024 * 1024
    kept.close()


@contextmanager
def counting_others_turns(path: Path, monkeypatch: Any) -> Iterator[list[int]]:
    """Make each `time.sleep` lock the journal from another connection, and yield the list of row counts found then."""
    other, found, sleep = sqlite3.connect(path, timeout=0, isolation_level=None), [], time.sleep

    def take_turn(seconds: float) -> None:
        other.execute("BEGIN IMMEDIATE")  # fails at once if the journal is locked
        found.append(other.execute("SELECT count(*) FROM observations").fetchone()[0])
        other.execute("COMMIT")
        sleep(seconds)

    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", take_turn)
        yield found
    other.close()


def test_others_write_between_two_steps_of_tidying(journal: Any, monkeypatch: Any) -> None:
    """Pauses between steps of deletion let other processes write. There is no pause after the last step."""
    for number in range(60):
        ask(str(number))
    assert len(journal.observations()) == 60
    runtime.close()
    aged(journal.path, 31)
    monkeypatch.setattr("src.observability.journal.retention.STEP_ROWS", 10)
    monkeypatch.setattr("src.observability.journal.retention._STEPS", 3)
    kept = Journal(journal.path)
    with counting_others_turns(journal.path, monkeypatch) as found:
        assert [Retention().tidy(kept) for _ in range(3)] == [True, True, False]
    assert found == [50, 40, 20, 10]
    assert kept.observations() == []
    kept.close()


def write(number: int) -> None:
    """Make fifty calls, as one process of a fleet."""
    for each in range(50):
        ask(f"{number}/{each}")


@pytest.mark.slow
@pytest.mark.failures_expected
def test_the_size_limit_takes_no_more_than_it_must(journal: Any, monkeypatch: Any) -> None:
    """If pending rows, each of half a megabyte, together exceed the size limit, only as many are deleted as needed."""
    for name, value in settings_for("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OBSERVABILITY_MAX_MB", "10")
    monkeypatch.setattr("src.observability.recording.writer._MEASURE_SECONDS", 0.0)
    for number in range(40):
        ask(f"{number} {'x' * 500_000}")
        assert runtime.running().recorder.flush(10)
    kept = len(journal.observations())
    assert 12 <= kept <= 19
    assert LangFuseTracker().health()["dropped"] == 40 - kept


def a_row(path: Path) -> dict[str, Any]:
    """Return the only row of the journal, for a test to change."""
    kept = Journal(path)
    (row,) = kept.select("SELECT * FROM observations")
    kept.close()
    return {name: value for name, value in row.items() if name not in ("seq", "reason")}


@pytest.mark.failures_expected
@pytest.mark.parametrize(
    "bad",
    [{"input": "\ud800"}, {"cost_usd": 2**70}, {"name": object()}, {"level": None}, {"cost_usd": "\udfff"}],
    ids=["half a character", "a number beyond 64 bits", "an object", "no level", "text for a number"],
)
def test_a_row_that_sqlite_refuses_takes_along_no_other(bad: dict[str, Any], journal: Any) -> None:
    """A row that SQLite refuses is replaced by a placeholder with the reason; the other rows of its batch are whole."""
    ask("good")
    journal.observations()
    runtime.close()
    row = a_row(journal.path)
    kept = Journal(journal.path)
    rows = [{**row, "id": f"{number:016x}"} for number in range(3)]
    kept.append([rows[0], {**rows[1], **bad}, rows[2]], [])
    found = {each["id"]: each for each in kept.observations()}
    kept.close()
    assert found[rows[0]["id"]]["input"] == found[rows[2]["id"]]["input"]
    assert len(found) == 4
    assert "[NOT RECORDED" in found[rows[1]["id"]]["status_message"]
    assert "); a placeholder is stored in its place" in str(internal_errors.failures.last)


def test_a_transaction_that_fails_writes_nothing(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error rolls its transaction back. If the journal stays locked for BUSY_SECONDS, a transaction fails."""
    journal.path.parent.mkdir(parents=True)
    with closing(Journal(journal.path)) as kept, closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        with pytest.raises(sqlite3.IntegrityError), kept.transaction() as db:
            db.executemany("INSERT INTO trace_tags VALUES (?, ?)", [("a", "tag"), ("a", None)])
        assert kept.change("INSERT INTO trace_tags VALUES ('b', 'tag')") == 1
        assert kept.select("PRAGMA busy_timeout") == [{"timeout": 10_000}]  # as before the transaction
        monkeypatch.setattr("src.observability.journal.connection.BUSY_SECONDS", 0.02)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked"):
            kept.change("INSERT INTO trace_tags VALUES ('c', 'tag')")
        other.execute("ROLLBACK")
        assert kept.select("SELECT * FROM trace_tags") == [{"trace_id": "b", "tag": "tag"}]


def test_lone_surrogates_and_nul_are_recorded_and_shipped(langfuse: Any, journal: Any) -> None:
    """SQLite and protobuf accept a text with half of a surrogate pair and a NUL character."""
    ask("half an emoji \ud83d, and \x00")
    assert LangFuseTracker().flush(5)
    (row,) = journal.observations()
    assert row["state"] == "shipped"
    assert len(langfuse.spans) == 1


@pytest.mark.failures_expected
def test_damage_that_shows_late_is_set_aside_then(journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """If the journal's pages are overwritten while we run, the file is set aside, and later calls go to a new one."""
    for number in range(300):
        ask("x" * 2000 + str(number))
    assert len(journal.observations()) == 300
    runtime.close()
    pages = journal.path.stat().st_size // 4096
    with journal.path.open("r+b") as file:
        for page in range(1, pages):  # all pages but the first, which has the application id
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    ask("after")
    assert [row["model_parameters"]["prompt"] for row in journal.observations()] == ["after"]
    assert capsys.readouterr().err.count("is damaged, or not a journal of this program") == 1
    assert len(list(journal.path.parent.glob("journal.db.set-aside-*"))) >= 1


@pytest.mark.slow
@pytest.mark.failures_expected
def test_damage_that_only_a_read_meets_is_set_aside_too(journal: Any) -> None:
    """A damaged index, which only a query notices, also sets the file aside: later calls go to a new file."""
    ask("before")
    (row,) = journal.observations()
    runtime.close()
    db = sqlite3.connect(journal.path)
    page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'observations_trace'").fetchone()[0]
    size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    with journal.path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))
    ObservabilityContext.record_outcome(row["trace_id"], pnl_usd=1)
    ask("after")
    assert [row["model_parameters"]["prompt"] for row in journal.observations()] == ["after"]
    assert list(journal.path.parent.glob("journal.db.set-aside-*"))


@pytest.mark.failures_expected
def test_a_folder_with_something_in_it_is_not_ours_to_move(journal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """If OBSERVABILITY_JOURNAL names a folder with files, it stays, stderr tells what to set, and calls go on."""
    journal.path.mkdir(parents=True)
    (journal.path / "history.csv").write_text("kept")
    assert ask("now") == "BUY"
    assert not runtime.running().recorder.flush(0.5)
    assert "set OBSERVABILITY_JOURNAL to a file in it" in capsys.readouterr().err
    assert (journal.path / "history.csv").read_text() == "kept"


@pytest.mark.slow
@pytest.mark.failures_expected
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an ordinary user here")
def test_another_users_journal_is_left_to_him(public_folder: Path) -> None:
    """If an ordinary user runs an agent with root's journal, calls go on, and the loss is reported and counted. The
    journal is unchanged."""
    path = public_folder / "journal.db"
    Journal(path).close()
    before = path.read_bytes()
    code = (
        "import os, base58, mnemonic\n"
        "import src.observability.shipping.delivery, src.observability.recording.writer\n"
        "from tests.calls import ask\n"
        "from src.observability import runtime\n"
        "os.setuid(65534)\n"
        "print(ask('now')); print(runtime.running().recorder.flush(0.5))\n"
    )
    worker = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=settings.REPO_ROOT, timeout=30, check=True,
        env={**os.environ, "OBSERVABILITY_JOURNAL": str(path)},
    )  # fmt: skip
    assert worker.stdout == "BUY\nFalse\n"
    assert worker.stderr.count("the journal cannot be written: [Errno 13] Permission denied") == 1
    assert "observations are lost: 1" in worker.stderr
    assert path.read_bytes() == before


def test_a_replaced_journal_is_noticed(journal: Any) -> None:
    """If an operator moves the file away while we run, the moved file keeps its rows; later rows are in a new file."""
    ask("before")
    journal.observations()
    moved = journal.path.with_name("archive.db")
    for suffix in ("", "-wal", "-shm"):
        if (part := Path(f"{journal.path}{suffix}")).exists():
            part.rename(f"{moved}{suffix}")
    ask("after")
    assert [row["model_parameters"]["prompt"] for row in journal.observations()] == ["after"]
    kept = Journal(moved, create=False)
    assert [row["model_parameters"]["prompt"] for row in kept.observations()] == ["before"]
    kept.close()


def test_a_repeated_append_changes_nothing(journal: Any) -> None:
    """If a recorder does not learn that rows were written, it writes them again; rows already shipped stay shipped."""
    ask("now")
    journal.observations()
    runtime.close()
    row = a_row(journal.path)
    kept = Journal(journal.path)
    kept.mark(Mark("observations", [(kept.newest()[0], row["id"])], "shipped"))
    kept.append([{**row, "state": "pending"}], [])
    assert [each["state"] for each in kept.observations()] == ["shipped"]
    kept.close()


def interrupted(journal: Any) -> tuple[Journal, dict[str, Any]]:
    """Return a journal in which a running call was marked as interrupted, and the real final row of that call."""
    ask("now")
    journal.observations()
    runtime.close()
    row = {**a_row(journal.path), "id": "1" * 16}
    kept = Journal(journal.path)
    kept.append([{**row, "state": "open", "output": None, "end_ns": None, "process": "1-dead"}], [])
    assert kept.interrupt("1-dead") == 1
    return kept, row


def test_a_running_process_marks_the_calls_of_a_dead_one(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a clean-up is due, the next call of a running process marks a dead process's open calls as interrupted."""
    monkeypatch.setattr("src.observability.recording.writer._TIDY_SECONDS", 0.0)
    ask("ours")
    journal.observations()
    row = {**a_row(journal.path), "id": "1" * 16, "state": "open", "end_ns": None, "process": "1-dead"}
    with closing(Journal(journal.path)) as kept:
        kept.append([row], [])
    ask("ours again")
    (dead,) = [row for row in journal.observations() if row["id"] == "1" * 16]
    assert (dead["state"], dead["level"], dead["status_message"]) == ("local", "WARNING", INTERRUPTED)


def test_the_rows_of_a_dead_process_end_with_their_trace(journal: Any) -> None:
    """An interrupted row ends at the latest time in its trace, and a root gets a higher `seq` than its children."""
    ask("now")
    journal.observations()
    runtime.close()
    row = {**a_row(journal.path), "trace_id": "t", "destination": "d"}
    times = {"root": (10, None), "child": (20, None), "ended": (12, 30)}
    rows = [{**row, "id": name, "start_ns": start, "end_ns": end} for name, (start, end) in times.items()]
    with closing(Journal(journal.path)) as kept:
        kept.append([{**row, "state": "pending" if row["end_ns"] else "open", "process": "1-dead"} for row in rows], [])
        assert kept.interrupt("1-dead") == 2
        found = kept.select("SELECT id, end_ns FROM observations WHERE trace_id = 't' ORDER BY seq")
        assert found == [{"id": name, "end_ns": 30} for name in ("ended", "child", "root")]
        assert [row["id"] for row in kept.observations("trace_id = 't'")] == ["root", "ended", "child"]
        assert kept.oldest_pending_ns() == 10


def test_a_call_that_outlives_its_interruption_is_whole(journal: Any) -> None:
    """If a call that was marked as interrupted ends after all, its answer replaces the mark."""
    kept, row = interrupted(journal)
    kept.append([row], [])
    assert [each["output"] for each in kept.observations()] == ["BUY", "BUY"]
    kept.close()


def test_a_call_that_ends_while_its_interruption_is_shipped_is_shipped_too(journal: Any) -> None:
    """If a final row replaces an interrupted row while the latter is being sent, the final row stays pending."""
    kept, row = interrupted(journal)
    (shown,) = kept.observations("id = ?", (row["id"],))
    kept.append([{**row, "state": "pending"}], [])
    kept.mark(Mark("observations", [(shown["seq"], shown["id"])], "shipped"))
    (whole,) = kept.observations("id = ?", (row["id"],))
    assert (whole["state"], whole["output"]) == ("pending", "BUY")
    kept.close()


def test_a_clock_that_is_set_moves_no_lease(journal: Any, monkeypatch: Any) -> None:
    """Setting the system clock ends no lease: leases use the monotonic clock, which all processes share."""
    kept = Journal(journal.path)
    assert kept.take_lease("here", "1-a", lambda _: True)
    monkeypatch.setattr(time, "time_ns", lambda: 2**62)
    assert not kept.take_lease("here", "2-b", lambda _: True)
    kept.close()


@pytest.mark.slow
def test_eight_processes_find_the_same_damage(journal: Any) -> None:
    """Of eight processes that find a damaged file, one sets it aside, and all write to the one new journal."""
    journal.path.parent.mkdir(parents=True)
    journal.path.write_bytes(os.urandom(10_000))
    spawn = multiprocessing.get_context("fork")
    processes = [spawn.Process(target=write, args=(number,)) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert len(journal.observations()) == 400
    assert len(list(journal.path.parent.glob("journal.db.set-aside-*"))) == 1
