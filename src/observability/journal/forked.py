"""Journals of forked children: a child that must not open its parent's journal (`sqlite_forks.py`) writes its own.

Once the child has ended, its rows are merged into the main journal, and the file is deleted. See `runtime.py` for
what else happens at a fork.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from .. import settings, sqlite_forks
from .store import Journal

_STEP_ROWS = 200
_TABLES = ("observations", "scores")


def path_of_process() -> Path:
    """The path of this process's journal: the configured path, or a separate file beside it in some forked children.

    `sqlite_forks.is_unsafe` tells whether this process needs the separate file.
    """
    path = settings.journal_path()
    return path.with_name(f"{path.stem}.forked-{os.getpid()}{path.suffix}") if sqlite_forks.is_unsafe else path


def merge_forked(journal: Journal, has_ended: Callable[[int], bool]) -> None:
    """Merge the separate journals of forked children into `journal`, and delete their files.

    Only children that have ended, as `has_ended(pid)` tells, are merged.

    Raises:
        OSError: a journal cannot be used now. The call may be repeated: merged rows are not written again.
    """
    prefix = f"{journal.path.stem}.forked-"
    for path in journal.path.parent.glob(f"{prefix}*{journal.path.suffix}"):
        pid = path.stem.removeprefix(prefix)
        if pid.isdecimal() and has_ended(int(pid)):
            _merge(path, journal)


def _merge(path: Path, journal: Journal) -> None:
    with contextlib.closing(Journal(path, create=False)) as forked:
        delivered = forked.select(_DELIVERED_ELSEWHERE)
        for table in _TABLES:
            _copy(table, forked, journal, {row["id"] for row in delivered})
        for row in delivered:
            journal.change(_NOTE_DELIVERED, row)
    for suffix in ("-wal", "-shm", ".lock", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _copy(table: str, forked: Journal, journal: Journal, delivered: set[str]) -> None:
    """Append the rows of one table of `forked` to `journal` in short steps; each row keeps its state.

    The child has already sent the rows with the ids in `delivered` to OBSERVABILITY_OTLP_ENDPOINT, so they are not
    queued for it again.
    """
    seq = 0
    while rows := forked.select(f"SELECT * FROM {table} WHERE seq > ? ORDER BY seq LIMIT {_STEP_ROWS}", (seq,)):
        rows = [row | {"otlp_destination": None} if row["id"] in delivered else row for row in rows]
        journal.append(*((rows, []) if table == "observations" else ([], rows)))
        seq = rows[-1]["seq"]
        journal.yield_write_lock()


_DELIVERED_ELSEWHERE = """
SELECT o.id, f.destination, f.state, f.reason FROM further_deliveries AS f JOIN observations AS o USING (seq)
WHERE f.state <> 'pending'"""
_NOTE_DELIVERED = """
INSERT OR REPLACE INTO further_deliveries
SELECT seq, :destination, :state, :reason FROM observations WHERE id = :id"""
