"""Journals of forked children: a child that must not open its parent's journal (`forks.py`) writes one of its own.

Once the child has ended, its rows are merged into the main journal, and the file is deleted.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from .. import forks, settings
from .store import Journal

_STEP_ROWS = 200
_TABLES = ("observations", "scores")


def path_of_process() -> Path:
    """The journal of this process: the settings' one, or a file of its own beside it (`forks.is_unsafe`)."""
    path = settings.journal_path()
    return path.with_name(f"{path.stem}.forked-{os.getpid()}{path.suffix}") if forks.is_unsafe else path


def merge_forked(journal: Journal, has_ended: Callable[[int], bool]) -> None:
    """Merge the journals of forked children that have ended (`has_ended(pid)`), and delete their files.

    Raises:
        OSError: a journal cannot be used now. Nothing is lost: a row that was merged already is not written again.
    """
    prefix = f"{journal.path.stem}.forked-"
    for path in journal.path.parent.glob(f"{prefix}*{journal.path.suffix}"):
        pid = path.stem.removeprefix(prefix)
        if pid.isdecimal() and has_ended(int(pid)):
            _merge(path, journal)


def _merge(path: Path, journal: Journal) -> None:
    with contextlib.closing(Journal(path, create=False)) as forked:
        for table in _TABLES:
            _copy(table, forked, journal)
    for suffix in ("-wal", "-shm", ".lock", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _copy(table: str, forked: Journal, journal: Journal) -> None:
    """Append the rows of a table in short steps, each in the state that the child left it in."""
    seq = 0
    while rows := forked.select(f"SELECT * FROM {table} WHERE seq > ? ORDER BY seq LIMIT {_STEP_ROWS}", (seq,)):
        journal.append(*((rows, []) if table == "observations" else ([], rows)))
        seq = rows[-1]["seq"]
        journal.yield_write_lock()
