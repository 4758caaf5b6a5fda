"""Migrations: older code can go on writing, rows survive, and a backup is made before existing rows are changed."""

import hashlib
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from src.observability import settings
from src.observability.journal import migration
from src.observability.journal.columns import OBSERVATION_COLUMNS, SCORE_COLUMNS
from src.observability.journal.schema import APPLICATION_ID, FORMAT, MIGRATIONS, Migration
from src.observability.journal.store import Journal, JournalError
from tests.journal.old_code import OLD_INSERT, OLD_MIGRATIONS, OLD_REPLACE, OLD_SCORE, of_before
from tests.million import fill, observation_row

RELEASED = ("f7c64c98a29c60cd", "248b723a955b8d0d")  # checksums of the first migrations, released with commit 89c35a9


@pytest.fixture
def path() -> Path:
    """The path of the test's journal."""
    settings.journal_path().parent.mkdir()
    return settings.journal_path()


def opened_by_old_code(path: Path) -> sqlite3.Connection:
    """Open a journal with the checks that commit 89c35a9 makes."""
    db = sqlite3.connect(path, isolation_level=None)
    assert db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    assert db.execute("PRAGMA user_version").fetchone()[0] == OLD_MIGRATIONS
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    return db


def written_by_old_code(db: sqlite3.Connection, name: str, state: str = "local") -> None:
    """Write as the code of commit 89c35a9 does: a call, its tag, a score, a lease, a new state, a deletion."""
    call = observation_row(
        id=name, trace_id=name, type="generation", name=name, trace_name=name, agent=name, start_ns=time.time_ns(),
        state="open",
    )  # fmt: skip
    db.execute(OLD_INSERT, call)
    db.execute(OLD_REPLACE, {**call, "state": state, "cost_usd": 0.5})
    db.execute("INSERT OR IGNORE INTO trace_tags VALUES (?, ?)", (name, "tag"))
    db.execute(OLD_SCORE, (name, name, None, "pnl_usd", "NUMERIC", 1.0, None, None, None, 1, None, "local"))
    db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", ("tidy", name, 1))
    db.execute("UPDATE observations SET state = ?, reason = ? WHERE id = ?", ("rejected", "why", name))
    db.execute("DELETE FROM leases WHERE name = ? AND owner = ?", ("tidy", name))


def test_released_migrations_never_change() -> None:
    """Released migrations stay unchanged, so that all journals of one version are alike."""
    checksums = [hashlib.sha256(released.script.encode()).hexdigest()[:16] for released in MIGRATIONS[: len(RELEASED)]]
    assert checksums == [*RELEASED]


def test_code_of_before_goes_on_writing(path: Path) -> None:
    """Since agents are updated one by one, old code may write to a journal before and after its migration."""
    running = of_before(path)
    written_by_old_code(running, "before")
    with closing(Journal(path)) as journal:
        written_by_old_code(running, "beside")
        with closing(opened_by_old_code(path)) as started_later:
            written_by_old_code(started_later, "after")
        fill(journal, 1)
        names = {row["name"] for row in journal.observations() if row["process"]}
        assert names > {"before", "beside", "after"}
        assert journal.select("SELECT sum(priced) AS priced FROM hourly WHERE model = ''") == [{"priced": 3}]
        assert {row["trace_id"] for row in journal.select("SELECT * FROM trace_tags")} >= {"before", "beside", "after"}
    running.close()


def test_a_migration_only_adds(path: Path) -> None:
    """All tables and columns of commit 89c35a9 stay; tables that old code fills by position have no new columns."""
    old, new = of_before(path.with_name("old.db")), Journal(path)
    for (table,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        before = [tuple(row)[1:] for row in old.execute(f"PRAGMA table_info({table})")]
        now = [tuple(row.values())[1:] for row in new.select(f"PRAGMA table_info({table})")]
        assert now[: len(before)] == before
        added = now[len(before) :]
        assert not any(is_not_null for _, _, is_not_null, *_ in added)
        assert not added or table in ("observations", "scores")
    old.close()
    new.close()


def test_newer_code_s_migrations_stop_nobody(path: Path) -> None:
    """This code can read and write a journal on which newer code has run one more migration."""
    with closing(Journal(path)) as journal:
        journal.change("INSERT INTO migrations VALUES (99)")
    with closing(Journal(path)) as journal:
        fill(journal, 1)
        assert len(journal.observations()) == 3
        assert journal.select("PRAGMA user_version") == [{"user_version": FORMAT}]


@pytest.fixture
def migrated(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that opens the journal with additional migrations."""

    def opened(path: Path, *added: Migration) -> Journal:
        monkeypatch.setattr(migration, "MIGRATIONS", (*MIGRATIONS, *added))
        return Journal(path)

    return opened


@pytest.fixture
def filled(path: Path) -> Path:
    """The path of a journal with 300 rows."""
    with closing(Journal(path)) as journal:
        fill(journal, 100)
    return path


MOOD = Migration("ALTER TABLE observations ADD COLUMN mood TEXT;\nCREATE TABLE moods (mood TEXT);\n")
GLAD = Migration(
    "UPDATE observations SET mood = 'glad' WHERE seq IN (SELECT seq FROM observations WHERE mood IS NULL LIMIT 70)",
    in_pieces=True,
    changes="SELECT 1 FROM observations",
)


def test_an_old_journal_gets_what_it_lacks(filled: Path, migrated: Any) -> None:
    """Each missing migration runs once; the rows are unchanged."""
    for _ in range(2):
        with closing(migrated(filled, MOOD)) as journal:
            assert [row["mood"] for row in journal.observations()] == [None] * 300
            assert journal.select("SELECT * FROM moods") == []
    assert migration.backups_of(filled) == []


@pytest.mark.failures_expected
def test_a_migration_that_fails_leaves_the_old_version(filled: Path, migrated: Any) -> None:
    """A failed migration changes nothing, so that better code can migrate the journal at the next start."""
    with pytest.raises(JournalError, match="moods"):
        migrated(filled, Migration(f"{MOOD.script}CREATE TABLE moods (mood TEXT);\n"))
    with closing(migrated(filled, MOOD)) as journal:
        assert len(journal.observations()) == 300
        assert journal.select("SELECT * FROM moods") == []


def test_a_long_migration_lets_others_write(filled: Path, migrated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long migration pauses between two pieces, and in each pause another process can write."""
    other = Journal(filled)
    written: list[int] = []

    def write(_pause: float) -> None:
        written.append(other.change("INSERT OR REPLACE INTO leases VALUES ('other', 'x', 1)"))

    with monkeypatch.context() as patched:
        patched.setattr(migration.time, "sleep", write)
        journal = migrated(filled, MOOD, GLAD)
    assert {row["mood"] for row in journal.observations()} == {"glad"}
    assert written == [1] * 5
    journal.close()
    other.close()


def test_a_migration_that_was_interrupted_goes_on(filled: Path, migrated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a migration is killed between two pieces, the next start runs the rest, and keeps the first backup."""

    class Killed(BaseException):
        pass

    def die(_seconds: float) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(migration.time, "sleep", die)
        with pytest.raises(Killed):
            migrated(filled, MOOD, GLAD)
    with closing(sqlite3.connect(filled)) as db:
        assert dict(db.execute("SELECT mood, count(*) FROM observations GROUP BY mood")) == {None: 230, "glad": 70}
    with closing(migrated(filled, MOOD, GLAD)) as journal:
        assert {row["mood"] for row in journal.observations()} == {"glad"}
    with closing(sqlite3.connect(migration.backups_of(filled)[0])) as copy:
        assert copy.execute("SELECT count(*) FROM observations WHERE mood IS NULL").fetchone() == (300,)


def test_a_copy_precedes_a_change_of_rows(filled: Path, migrated: Any) -> None:
    """The backup made before rows are changed is complete and has mode 0600; a later migration replaces it."""
    migrated(filled, MOOD, GLAD).close()
    (first,) = migration.backups_of(filled)
    assert first.name == f"journal.db.before-{len(MIGRATIONS) + 2}"
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    with closing(sqlite3.connect(first)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*), count(mood) FROM observations").fetchone() == (300, 0)
    sad = Migration("UPDATE observations SET mood = 'sad'", changes="SELECT 1 FROM observations WHERE mood = 'glad'")
    never = Migration("DELETE FROM observations WHERE mood = 'bored'", changes="SELECT 1 FROM moods")
    migrated(filled, MOOD, GLAD, sad, never).close()
    assert [file.name for file in migration.backups_of(filled)] == [f"journal.db.before-{len(MIGRATIONS) + 3}"]


@pytest.mark.failures_expected
def test_without_room_there_is_no_copy(
    filled: Path, migrated: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the disk lacks space for a backup, one line reports it, and the migration runs without a backup."""
    monkeypatch.setattr(migration, "_SPARE_BYTES", 2**62)
    with closing(migrated(filled, MOOD, GLAD)) as journal:
        assert {row["mood"] for row in journal.observations()} == {"glad"}
    assert migration.backups_of(filled) == []
    assert "MB of free disk space are needed. The journal is upgraded without it." in capsys.readouterr().err


def test_columns_are_those_of_the_tables(path: Path) -> None:
    """The tables have the columns that we insert, in our order, and two that the journal sets: `seq`, `reason`."""
    with closing(Journal(path)) as journal:
        for table, columns in (("observations", OBSERVATION_COLUMNS), ("scores", SCORE_COLUMNS)):
            names = [row["name"] for row in journal.select(f"PRAGMA table_info({table})")]
            assert [name for name in names if name not in ("seq", "reason")] == [*columns]
