"""Turns observations into rows with a destination and appends them to the journal, on the recorder's thread."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from .. import settings
from ..background import yielding
from ..internal_errors import failures, guarded
from ..journal import DamagedJournalError, Journal, JournalSession, Retention, Row, merge_forked
from ..redaction import check_patterns, secret_values
from ..terminal import warn
from ..tracing import OUTCOME, Observation
from .inference import count_votes, note_decision
from .memory import return_freed_memory
from .outcome import rows_of_outcome
from .row import placeholder_row, row_of, scores_of

_TIDY_SECONDS = 30.0
_MEASURE_SECONDS = 0.2


class Keeper(Protocol):
    """Counts the costs of calls against the budgets, on the recorder's thread. `budgets.Keeper` implements it."""

    def refresh(self, journal: Journal, session: JournalSession) -> None:
        """Count the cost of newly recorded calls, if the last count is long enough ago."""

    def leave(self, journal: Journal, process: str) -> None:
        """When a process ends, give the amounts that the process has reserved back to the budgets."""


class JournalSink:
    """The recorder's `Sink`. It writes to the journal that the current settings name."""

    def __init__(self, ship: Callable[[], Any], keeper: Keeper | None = None) -> None:
        self._ship = ship  # starts the shipper; called after rows that it should send were written
        self._keeper = keeper
        self._session = JournalSession()
        self._process: str | None = None
        self._retention = Retention()
        self._next_tidy = self._next_measure = 0.0  # monotonic times in seconds of the next clean-up and size check
        _refuse_bad_patterns()

    def write(self, opened: list[Observation], ended: list[Observation]) -> None:
        """Journal started and ended observations. Raises OSError if the same batch should be written again."""
        self._refresh_budgets()  # first, because callers wait for the budgets, and writing the first row takes long
        journal = self._open()
        try:
            self._append(journal, opened, ended)
        except DamagedJournalError as error:
            journal.set_aside(error)
            raise
        self._tidy_now_and_then(journal)

    def idle(self, *, after_backlog: bool) -> None:
        """Refresh the budgets. After a backlog, also free the memory that the backlog took."""
        self._refresh_budgets()
        if after_backlog:
            self._open().script("PRAGMA shrink_memory")
            return_freed_memory()

    def _refresh_budgets(self) -> None:
        if self._keeper is not None:
            self._keeper.refresh(self._open(), self._session)

    def _append(self, journal: Journal, opened: list[Observation], ended: list[Observation]) -> None:
        destination, further = _journalled(settings.destination()), _journalled(settings.otlp_destination())
        outcomes = [observation for observation in ended if observation.type == OUTCOME]
        rows, scores = _rows_of(call for call in ended if call.type != OUTCOME)
        begun = [_row_or_placeholder(observation)[0] for observation in opened if observation.ended is None]
        address = {"destination": destination, "state": "local" if destination is None else "pending"}
        common = {"process": self._process, "otlp_destination": further}
        _add(address, scores)
        _add({**address, **common}, rows)
        _add({**address, **common, "state": "open"}, begun)
        durable = settings.setting("OBSERVABILITY_DURABILITY") == "sync"
        journal.append([*begun, *rows], scores, durable=durable)
        if outcomes:  # written after the rows of their traces, from which they take destination and generation
            of_traces = (rows_of_outcome(journal, it.hex_trace_id, it.scores, destination) for it in outcomes)
            journal.append([], [score for scores in of_traces for score in scores], durable=durable)
        if destination or further:
            self._ship()

    def close(self) -> None:
        """Give the amounts that this process has reserved back to the budgets, and close the journal."""
        if self._keeper is not None and self._process is not None:
            self._keeper.leave(self._open(), self._process)
        self._session.close()

    def abandon(self) -> None:
        """In a forked child, leave the journal to the parent."""
        self._session.abandon()

    def _open(self) -> Journal:
        journal = self._session.open()
        if self._process != self._session.process:
            self._process = self._session.process
            self._next_tidy = 0.0
        return journal

    def _tidy_now_and_then(self, journal: Journal) -> None:
        """Clean up the journal, if due. A failure is reported and not raised, since the batch is already written."""
        try:
            self._tidy_if_due(journal)
        except DamagedJournalError as error:
            journal.set_aside(error)
        except OSError as error:
            failures.note("tidy", f"the journal cannot be cleaned up now: {error}", cure="Retrying later.")

    def _tidy_if_due(self, journal: Journal) -> None:
        """Merge the journals of forked children, close the open rows of dead processes, and delete old rows.

        A lease ensures that only one process at a time does this.
        """
        now = time.monotonic()
        if now < self._next_tidy and not self._is_full(journal, now):
            return
        self._next_tidy = now + _TIDY_SECONDS
        process = self._session.process
        if journal.take_lease("tidy", process, self._session.is_alive):
            merge_forked(journal, self._session.has_ended)
            close_interrupted(journal, self._session.is_alive)
            if self._retention.tidy(journal):
                self._next_tidy = now
            journal.give_up_lease("tidy", process)

    def _is_full(self, journal: Journal, now: float) -> bool:
        """Whether the journal has reached its size limit.

        A journal that is not full is measured every `_MEASURE_SECONDS`; a full one is measured at every call.
        """
        if now < self._next_measure:
            return False
        is_full = self._retention.is_due(journal)
        self._next_measure = 0.0 if is_full else now + _MEASURE_SECONDS
        return is_full


def _refuse_bad_patterns() -> None:
    """At the start, report the operator's invalid redaction patterns in full, so that the operator can correct them."""
    try:
        check_patterns()
    except settings.SettingError as error:
        warn(f"❌ {error}. Correct it in .env or the environment; until then no text is recorded.", "red")


def _rows_of(ended: Iterable[Observation]) -> tuple[list[Row], list[Row]]:
    """Return two lists: the rows of the observations and of the signals inferred from them, and the rows of scores."""
    rows: list[Row] = []
    scores: list[Row] = []
    for observation in yielding(ended):
        row, its_scores = _row_or_placeholder(observation)
        rows += (row, *_inferred_signals(observation, row))
        scores += its_scores
    return rows, scores


def _add(fields: Row, rows: list[Row]) -> None:
    for row in rows:
        row |= fields


def _row_or_placeholder(observation: Observation) -> tuple[Row, list[Row]]:
    """The row of an observation, and the rows of its scores.

    If the observation cannot be read, its row is a placeholder, so that the rest of the batch is written.
    """
    try:
        count_votes(observation)
        row = row_of(observation)
        return row, scores_of(observation, row)
    except Exception as error:  # noqa: BLE001 - arguments and answers may be anything
        failures.note("row", f"a call is unreadable ({type(error).__name__}: {error}); a placeholder is stored for it")
        return placeholder_row(observation, error), []


def _inferred_signals(observation: Observation, row: Row) -> list[Row]:
    with guarded:
        if settings.setting("OBSERVABILITY_INFER_SIGNALS"):
            return note_decision(observation, row)
    return []


def _journalled(destination: settings.AnyDestination | None) -> str | None:
    """The destination's label (host and public key), which every row contains; None if the label has a secret."""
    if destination is None:
        return None
    if not any(secret in destination.label for secret in secret_values()):
        return destination.label
    message = f"{destination.label_settings} contains a password or a secret key, so nothing is sent there"
    failures.note("destination", message, cure="Correct the setting in .env.")
    return None


def close_interrupted(journal: Journal, is_alive: Callable[[str], bool]) -> None:
    """End the open rows of processes that have died, marking them as interrupted."""
    for process in journal.processes_with_open_rows():
        if not is_alive(process):
            journal.interrupt(process)
