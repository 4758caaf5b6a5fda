"""The journal's folder gets lock files of living processes and a `.gitignore`; the operator's own files in it stay."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from src.observability import observe_llm, settings
from src.observability.journal.session import JournalSession, ProcessLock, is_alive


@observe_llm(name="llm_generation")
def ask() -> str:
    """Stand in for a model call that answers `BUY` at once."""
    return "BUY"


@pytest.fixture
def folder() -> Path:
    """Create the folder `processes`, where we put lock files, as if the operator had made it for other files."""
    folder = settings.journal_path().parent / "processes"
    folder.mkdir(parents=True)
    return folder


def test_the_operators_files_stay(folder: Path, journal: Any) -> None:
    """In an existing folder `processes`, files, sub-folders and links stay, and calls are journalled."""
    (folder / "whale.conf").write_text("operator's")
    (folder / "12-0123abcd").write_text("of our kind by name, not by content")
    (folder / "13-0123abcd").mkdir()
    (folder / "archive").mkdir()
    (folder / "14-0123abcd").symlink_to(folder / "whale.conf")
    before = sorted(file.name for file in folder.iterdir())
    ask()
    assert len(journal.observations()) == 1
    (own,) = [file for file in folder.iterdir() if file.name not in before]
    assert own.name.startswith(f"{os.getpid()}-")
    assert (folder / "whale.conf").read_text() == "operator's"


def test_lock_files_of_dead_processes_go(folder: Path) -> None:
    """Lock files of dead processes are deleted, even empty ones of older code; those of living processes stay."""
    living = ProcessLock(folder)
    dead = ProcessLock(folder)
    dead.abandon()
    (folder / "7-0123abcd").touch()
    session = JournalSession()
    session.open()
    assert sorted(file.name for file in folder.iterdir()) == sorted([living.token, session.process])
    assert (folder / living.token).read_text() == "process lock of the Moon Dev observability journal\n"
    assert session.is_alive(living.token)
    assert not session.is_alive(dead.token)
    session.close()
    living.release()
    assert list(folder.iterdir()) == []


def test_a_token_names_no_other_file(folder: Path) -> None:
    """If a row's process token is a path, its process counts as dead, and the file at that path is not deleted."""
    (folder.parent / "outside").touch()
    assert not is_alive(folder, "../outside")
    assert (folder.parent / "outside").exists()


def test_a_session_that_gets_no_lock_begins_later(folder: Path) -> None:
    """While no lock file can be created, `open` raises an OSError; once one can be created, it succeeds."""
    folder.rmdir()
    folder.touch()
    session = JournalSession()
    with pytest.raises(FileExistsError):
        session.open()
    session.close()
    session.abandon()
    folder.unlink()
    assert session.open().is_there()
    session.close()


@pytest.mark.slow
def test_git_never_sees_the_journal(tmp_path: Path, journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`git add -A` adds no journal, because its folder has a `.gitignore`. A folder with other files gets none."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(tmp_path / "deep" / "journal.db"))
    ask()
    assert len(journal.observations()) == 1
    subprocess.run(["git", "-C", str(tmp_path), "add", "-A"], check=True)
    listed = subprocess.run(["git", "-C", str(tmp_path), "ls-files"], check=True, capture_output=True, text=True)
    assert listed.stdout == ""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "agent.py").touch()
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(tmp_path / "shared" / "journal.db"))
    ask()
    assert len(journal.observations()) == 1
    assert not (tmp_path / "shared" / ".gitignore").exists()
