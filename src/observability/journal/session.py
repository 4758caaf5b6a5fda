"""
🌙 Moon Dev's Journal Session
Built with love by Moon Dev 🚀

A thread's connection to the journal with this process's sign of life beside it; opened anew where the settings name
another file, or the file is gone.
"""

import os
from pathlib import Path

from .. import forks, settings
from ..internal_errors import failures
from .liveness import Alive, clear_away, is_alive
from .store import Journal


class JournalSession:
    """One thread's way to the journal; nothing is open until `open`."""

    def __init__(self) -> None:
        self._journal: Journal | None = None
        self._alive: Alive | None = None

    def open(self) -> Journal:
        """The journal that the settings name now. Raises JournalError or OSError where there can be none."""
        path = path_of_process()
        if self._journal is not None and (self._journal.path != path or not self._journal.is_there()):
            self.close()
        if self._journal is None:
            self._journal, self._alive = self._begin(path)
        return self._journal

    def _begin(self, path: Path) -> tuple[Journal, Alive]:
        if forks.is_unsafe:
            why = f"this process was forked while its parent wrote to the journal: its calls are recorded in {path}"
            failures.note("fork", why, cure="Start workers before the first call, or by spawn.")
        with forks.opening:  # a child that inherits a lock which `abandon` does not know keeps us alive
            journal = Journal(path)
            try:
                folder = _processes_of(path)
                alive = Alive(folder)
                clear_away(folder)
            except BaseException:
                journal.close()
                raise
            return journal, alive

    @property
    def process(self) -> str:
        """What names this process in the journal."""
        assert self._alive is not None, "open() comes first"  # noqa: S101
        return self._alive.token

    def is_alive(self, process: str) -> bool:
        """Whether the process of this token still runs."""
        assert self._journal is not None, "open() comes first"  # noqa: S101
        return is_alive(_processes_of(self._journal.path), process)

    def close(self) -> None:
        """Give the journal back."""
        if self._journal is not None:
            self._journal.close()
        if self._alive is not None:
            self._alive.end()
        self._journal = self._alive = None

    def abandon(self) -> None:
        """In a fork's child: the journal stays the parent's, which must not seem to live in us."""
        if self._alive is not None:
            self._alive.forget()


def path_of_process() -> Path:
    """The journal of this process: the settings' one, or a file of its own beside it (`forks.is_unsafe`)."""
    path = settings.journal_path()
    return path.with_name(f"{path.stem}.forked-{os.getpid()}{path.suffix}") if forks.is_unsafe else path


def _processes_of(journal: Path) -> Path:
    return journal.parent / "processes"
