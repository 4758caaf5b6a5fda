"""
🌙 Moon Dev's Shipper
Built with love by Moon Dev 🚀

Telemetry leaves the process here, nowhere else: pending rows of the journal go to the Langfuse project that they were
recorded for, in batches, until the server has them. One process ships a destination at a time, under a lease.
"""

import json
import random
import sys
import threading
import time
from typing import Any

from termcolor import cprint

from src import config
from src.observability.journal import Journal, Row
from src.observability.journal_session import JournalSession
from src.observability.otlp import request_of
from src.observability.recorder import OWN_THREADS
from src.observability.redaction import redact
from src.observability.wire import Outcome, Verdict, Wire, is_refused_plain_http

BATCH_ROWS = 500
BATCH_BYTES = 4 * 1024 * 1024  # of text before gzip; the SDK warns at 16 MB and drops at 64
_FIRST_BACKOFF_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 60.0
_SHORTEST_PAUSE_SECONDS = 0.1
_GRACE_SECONDS = 0.5  # for a connection that was cut to be noticed
_NEVER = float("inf")


class Shipper:
    """The thread that empties the journal of pending rows."""

    def __init__(self) -> None:
        self.last_error: str | None = None
        self.last_error_at: float | None = None  # Unix seconds
        self.shipped = 0  # by this process
        self._session = JournalSession()
        self._wire: Wire | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._flushes: list[_Flush] = []
        self._deadline = _NEVER  # monotonic seconds, once the process is ending
        self._failed = 0  # passes in a row
        self._backoff_until = 0.0  # monotonic seconds
        self._told_until = 0.0  # by the server's Retry-After
        self._unusable: config.Destination | None = None  # until the settings change

    @property
    def _stopping(self) -> bool:
        return self._deadline < _NEVER

    def start(self) -> None:
        """Begin shipping, if that has not begun yet."""
        with self._starting:
            if self._thread is None and not self._stopping:
                thread = threading.Thread(target=self._run, name=f"{OWN_THREADS}-shipper", daemon=True)
                thread.start()
                self._thread = thread

    def flush(self, timeout: float | None) -> bool:
        """Ship what is pending now; whether all of it is shipped, within `timeout` seconds."""
        if config.destination() is None:
            return True
        self.start()
        flush = _Flush()
        self._flushes.append(flush)
        self._wake.set()
        flush.done.wait(timeout)
        return flush.all_shipped

    def stop(self, seconds: float) -> None:
        """One last pass, of at most `seconds`; then the connection is cut."""
        self._deadline = time.monotonic() + seconds
        self._wake.set()
        if self._thread is None:
            self._run()
            return
        self._thread.join(seconds)
        if self._wire is not None:
            self._wire.cut()
        self._thread.join(_GRACE_SECONDS)

    def _run(self) -> None:
        while True:
            self._wake.clear()
            flushes, self._flushes = self._flushes, []
            last = self._stopping
            done = self._pass(hurried=last or bool(flushes))
            for flush in flushes:
                flush.answer(done)
            if last:
                break
            if not self._flushes and not self._stopping:
                self._wake.wait(self._pause())
        self._close()

    def _close(self) -> None:
        self._session.close()
        if self._wire is not None:
            self._wire.close()

    def _pass(self, *, hurried: bool) -> bool:
        """Ship all that is pending; False where something is left."""
        destination = config.destination()
        if destination is None:
            return True
        if self._must_wait(destination, hurried):
            return False
        try:
            return self._ship_all(self._session.open(), destination)
        except Exception as error:  # noqa: BLE001 - a locked or missing journal, anything: tried again later
            return self._not_now(Outcome(Verdict.NOT_NOW, f"{type(error).__name__}: {error}"))

    def _must_wait(self, destination: config.Destination, hurried: bool) -> bool:
        if destination == self._unusable:
            return True
        if is_refused_plain_http(destination):
            return self._give_up(
                destination,
                f"{destination.host} has no TLS, and your keys would travel in the open. Use https://, or set"
                " LANGFUSE_ALLOW_HTTP=true if the way there is safe",
            )
        now = time.monotonic()
        return now < self._told_until or (now < self._backoff_until and not hurried)

    def _give_up(self, destination: config.Destination, why: str) -> bool:
        self._unusable = destination
        self._say(why)
        return True

    def _ship_all(self, journal: Journal, destination: config.Destination) -> bool:
        owner = self._session.process
        try:
            while journal.take_lease(destination.label, owner, self._session.is_alive):
                rows = journal.pending_observations(destination.label, BATCH_ROWS, BATCH_BYTES)
                scores = [] if rows else journal.pending_scores(destination.label, BATCH_ROWS)
                if not rows and not scores:
                    return True
                if not (self._ship(rows, journal, destination) if rows else self._ship_scores(scores, journal)):
                    return False
        finally:
            journal.give_up_leases(owner)
        return journal.pending(destination.label) == 0  # another process is at it

    def _ship(self, rows: list[Row], journal: Journal, destination: config.Destination) -> bool:
        """Send a batch; where the server refuses it for good, halve it until the row that it means is found."""
        try:
            body = request_of(rows, destination.public_key)
        except Exception as error:  # noqa: BLE001 - one unreadable row must not stop the others
            outcome = Outcome(Verdict.REFUSED, f"it cannot be encoded: {type(error).__name__}: {error}")
        else:
            outcome = self._connection(destination).send_spans(body, self._seconds())
        if outcome.verdict is Verdict.REFUSED and len(rows) > 1:
            middle = len(rows) // 2
            return self._ship(rows[:middle], journal, destination) and self._ship(rows[middle:], journal, destination)
        return self._settle("observations", [row["id"] for row in rows], outcome, journal)

    def _ship_scores(self, scores: list[Row], journal: Journal) -> bool:
        destination = config.destination()
        return destination is not None and all(
            self._settle(
                "scores",
                [score["id"]],
                self._connection(destination).send_score(json.dumps(_score_body(score)).encode(), self._seconds()),
                journal,
            )
            for score in scores
        )

    def _settle(self, table: str, ids: list[str], outcome: Outcome, journal: Journal) -> bool:
        """Note in the journal what the server made of these rows; whether to go on."""
        if outcome.verdict is Verdict.DELIVERED:
            journal.mark(table, ids, "shipped")
            self.shipped += len(ids)
            self._failed, self._backoff_until = 0, 0.0
            return self._seconds() > 0
        if outcome.verdict is Verdict.REFUSED:
            words = str(redact(outcome.words))
            journal.mark(table, ids, "rejected", words)
            self._say(f"Langfuse refuses a row of {table} for good: {words}")
            return True
        return self._not_now(outcome)

    def _not_now(self, outcome: Outcome) -> bool:
        destination = config.destination()
        if outcome.verdict is Verdict.LOCKED_OUT and destination is not None:
            self._give_up(
                destination,
                f"{destination.host} refuses the key {destination.public_key} ({outcome.words}). Correct"
                " LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY or LANGFUSE_HOST; until then rows stay pending",
            )
            return False
        longest = min(_FIRST_BACKOFF_SECONDS * 2**self._failed, _LONGEST_BACKOFF_SECONDS)
        self._backoff_until = time.monotonic() + longest * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
        self._told_until = time.monotonic() + (outcome.retry_after or 0.0)
        self._failed += 1
        if self._failed == 1:
            self._say(f"Langfuse cannot be reached now ({outcome.words}). Rows stay pending and are sent later")
        return False

    def _say(self, words: str) -> None:
        said, self.last_error, self.last_error_at = self.last_error, str(redact(words)), time.time()
        if self.last_error != said:
            cprint(f"⚠️ {self.last_error}.", "yellow", file=sys.stderr)

    def _connection(self, destination: config.Destination) -> Wire:
        if self._wire is None or self._wire.destination != destination:
            if self._wire is not None:
                self._wire.close()
            self._wire = Wire(destination)
        return self._wire

    def _seconds(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    def _pause(self) -> float:
        """Until the next pass: the interval, or sooner after a failure that may be over soon."""
        now = time.monotonic()
        retry = max(self._backoff_until, self._told_until) - now
        wait = retry if retry > 0 else float(config.setting("LANGFUSE_FLUSH_INTERVAL"))
        return max(wait, _SHORTEST_PAUSE_SECONDS)


class _Flush:
    """Somebody waits for what is pending to be shipped."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.all_shipped = False

    def answer(self, all_shipped: bool) -> None:
        self.all_shipped = all_shipped
        self.done.set()


def _score_body(row: Row) -> dict[str, Any]:
    """A score as `POST /api/public/scores` takes it; on the trace, whichever observation it came from."""
    body = {
        "id": row["id"],
        "traceId": row["trace_id"],
        "name": row["name"],
        "value": row["value"],
        "dataType": row["data_type"],
        "comment": row["comment"],
        "environment": row["environment"],
    }
    return {name: value for name, value in body.items() if value is not None}
