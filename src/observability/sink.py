"""
🌙 Moon Dev's Journal Sink
Built with love by Moon Dev 🚀

Where the recorder's thread writes: observations become rows, rows get their destination, and go to the journal in
one transaction. What this imports is imported on that thread, so no caller waits for it.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from src import config
from src.observability.guard import failures
from src.observability.journal import DamagedJournalError, Journal, Row
from src.observability.journal_session import JournalSession
from src.observability.observation import Observation
from src.observability.retention import Retention
from src.observability.rows import placeholder_row, row_of, scores_of

_TIDY_SECONDS = 30.0


class JournalSink:
    """Implements `recorder.Sink` over the journal that the settings name now."""

    def __init__(self, ship: Callable[[], Any]) -> None:
        self._ship = ship  # called where there is something to ship
        self._session = JournalSession()
        self._process: str | None = None
        self._retention = Retention()
        self._next_tidy = 0.0  # monotonic seconds

    def write(self, opened: list[Observation], ended: list[Observation]) -> None:
        """Journal these in one transaction; raises where that failed and should be tried again."""
        journal = self._open()
        destination = config.destination()
        rows, scores = self._rows(ended, destination)
        begun = [_addressed(_row_or_placeholder(each)[0], destination, "open") for each in opened if each.ended is None]
        recorded = [{**row, "process": self._process} for row in (*begun, *rows)]
        try:
            journal.append(recorded, scores, durable=config.setting("OBSERVABILITY_DURABILITY") == "sync")
        except DamagedJournalError as error:
            journal.set_aside(error)
            raise
        if destination is not None:
            self._ship()
        self._tidy_now_and_then(journal)

    def close(self) -> None:
        """Give the journal back."""
        self._session.close()

    def abandon(self) -> None:
        """In a fork's child: leave what was inherited to the parent."""
        self._session.abandon()

    def _open(self) -> Journal:
        journal = self._session.open()
        if self._process != self._session.process:
            self._process = self._session.process
            self._next_tidy = 0.0
        return journal

    def _tidy_now_and_then(self, journal: Journal) -> None:
        """By one process at a time: show what died in flight, and let go of what is old or too much."""
        now = time.monotonic()
        if now < self._next_tidy and not self._retention.is_due(journal):
            return
        self._next_tidy = now + _TIDY_SECONDS
        process = self._session.process
        if journal.take_lease("tidy", process, self._session.is_alive):
            close_interrupted(journal, self._session.is_alive)
            if self._retention.tidy(journal):
                self._next_tidy = now
            journal.give_up_leases(process)

    def _rows(
        self, ended: Iterable[Observation], destination: config.Destination | None
    ) -> tuple[list[Row], list[Row]]:
        rows: list[Row] = []
        scores: list[Row] = []
        for observation in ended:
            row, its_scores = _row_or_placeholder(observation)
            rows.append(_addressed(row, destination, "pending"))
            scores += [_addressed(score, destination, "pending") for score in its_scores]
            time.sleep(0)  # lets go of the interpreter: an agent may be waiting for it
        return rows, scores


def _row_or_placeholder(observation: Observation) -> tuple[Row, list[Row]]:
    """A row whatever happens: an observation that cannot be read must not hold up, or take along, the others."""
    try:
        row = row_of(observation)
        return row, scores_of(observation, row)
    except Exception as error:  # noqa: BLE001 - arguments and answers may be anything
        failures.note("row", f"an observation could not be read: {type(error).__name__}: {error}")
        return placeholder_row(observation, error), []


def _addressed(row: Row, destination: config.Destination | None, state: str) -> Row:
    if destination is None:
        return {**row, "destination": None, "state": "open" if state == "open" else "local"}
    return {**row, "destination": destination.label, "state": state}


def close_interrupted(journal: Journal, is_alive: Callable[[str], bool]) -> None:
    """Show what was in flight in processes that have died since."""
    for process in journal.processes_with_open_rows():
        if not is_alive(process):
            journal.interrupt(process)
