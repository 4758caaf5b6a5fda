"""Delivers the pending rows of one destination: acquires the lease, sends batches, marks rows by the server's reply.

A reply is written to the journal before anything else is sent. Retries and back-off are in `shipper.py`.
"""

import contextlib
import random
import time
from collections.abc import Callable

from .. import settings
from ..journal import DamagedJournalError, Journal, JournalError, JournalSession, Mark, Row
from ..redaction import redact
from .client import ExportResult, LangfuseClient, ServerReply, client_of, is_refused_plain_http
from .scores import batch_of, replies_to

BATCH_ROWS = 500
# Limit of a batch's texts in bytes, before gzip. Langfuse's SDK warns of a batch of 16 MB and drops one of 64 MB.
BATCH_BYTES = 4 * 1024 * 1024
# Limit for the texts in a batch of scores. They are about half of the request; Langfuse accepts requests of 3.5 MB.
SCORE_BATCH_BYTES = 1024 * 1024
# The lease is renewed at this interval. The interval and the longest request together are shorter than the lease.
_RENEW_SECONDS = 5.0
_PROJECT_SECONDS = 2.0
_CATCH_UP_SECONDS = 5.0
_BACKLOG_NS = 120 * 10**9  # an observation that ended longer ago than this belongs to a backlog
_random = random.SystemRandom()  # not the global generator, which the agent may seed
_POLL_SECONDS = 0.05  # polling interval while another process ships


class _Stopped(Exception):  # noqa: N818 - not an error: rows stay pending
    """Raised to stop sending while rows are still pending. `reply` has the reason."""

    def __init__(self, reply: ServerReply) -> None:
        self.reply = reply


class Delivery:
    """Sends rows of the journal to one destination. Keeps a connection to the journal and one to the server.

    Only one thread at a time may use it. `cut` is the exception: any thread may call it.
    """

    def __init__(
        self,
        destination: settings.AnyDestination,
        seconds_left: Callable[[], float],
        report: Callable[[str], None],
        pause: Callable[[float], bool] = lambda _seconds: True,
    ) -> None:
        self.destination = destination
        # name of the lease that a process holds for as long as the server's Retry-After tells it to wait
        self._back_off_lease = f"{destination.label} told to wait"
        self._seconds_left = seconds_left  # returns the seconds until the process must end
        self._report = report
        # waits some seconds between two batches of a backlog; returns True if the next batch should be sent at once
        self._pause = pause
        self._client = client_of(destination)
        self._session = JournalSession()
        self._renew_at = 0.0  # when to renew the lease, by time.monotonic(); 0 if no lease is held
        self._journal: Journal | None = None
        self._is_project_asked = False
        self._unnoted: list[Mark] = []  # results of sent rows, waiting to be written to the journal
        self.settled = 0  # number of rows accepted or rejected by the server
        self.refused = 0  # number of rejected rows

    @property
    def has_unnoted(self) -> bool:
        """Whether results of sent rows are not yet written to the journal."""
        return bool(self._unnoted)

    def cut(self) -> None:
        """Abort a running request, from another thread."""
        self._client.cut()

    def close(self) -> None:
        """Write the remaining results to the journal, and close the connections to the journal and the server."""
        if self._journal is not None:
            with contextlib.suppress(JournalError):
                self._note(self._journal)
        self._session.close()
        self._client.close()

    def abandon(self) -> None:
        """In a forked child, leave the inherited connections to the parent."""
        self._session.abandon()

    def is_refused_plain_http(self) -> bool:
        """Whether the keys would leave this machine without TLS, and LANGFUSE_ALLOW_HTTP does not allow it."""
        return is_refused_plain_http(self.destination)

    def ship(self, wait_until: float) -> ServerReply | None:
        """Send all currently pending rows. Return None if every row is delivered or rejected, else the reason.

        Args:
            wait_until: if another process is shipping, wait for it until this time (monotonic seconds).

        Raises:
            OSError: the journal cannot be used at the moment.
        """
        journal = self._session.open()
        if journal is not self._journal:
            self._journal, self._unnoted = journal, []
        try:
            self._ship_all(journal, wait_until)
            self._learn_project(journal)
        except _Stopped as stopped:
            return stopped.reply
        except DamagedJournalError as error:
            journal.set_aside(error)
            raise
        finally:
            self._give_up_lease(journal)
        return None

    def _ship_all(self, journal: Journal, wait_until: float) -> None:
        label, newest = self.destination.label, journal.newest()
        self._note(journal)
        while journal.is_pending(label, newest):
            if self._has_lease(journal):
                self._ship_some(journal, newest)
            elif time.monotonic() < wait_until:
                time.sleep(_POLL_SECONDS)
            else:
                raise _Stopped(_ELSEWHERE)

    def _learn_project(self, journal: Journal) -> None:
        """Ask Langfuse once, after the first delivery, for the project's id, which is part of a trace's address."""
        if self._is_project_asked or not self.settled:
            return
        self._is_project_asked = True
        label = self.destination.label
        with contextlib.suppress(OSError):  # if this fails, the next process or the command `doctor` asks again
            if isinstance(self._client, LangfuseClient) and journal.project_of(label) is None:
                project = self._client.project_id(min(self._seconds_left(), _PROJECT_SECONDS))
                if project is not None:
                    journal.keep_project(label, project)

    def _has_lease(self, journal: Journal) -> bool:
        if self._seconds_left() <= 0:
            raise _Stopped(_NO_TIME)
        if time.monotonic() >= self._renew_at:
            self._take_lease(journal)
            self._respect_back_off_of_others(journal)
        return self._renew_at > 0

    def _take_lease(self, journal: Journal) -> None:
        now = time.monotonic()
        mine = journal.take_lease(self.destination.label, self._session.process, self._session.is_alive)
        self._renew_at = now + _RENEW_SECONDS if mine else 0.0

    def _respect_back_off_of_others(self, journal: Journal) -> None:
        """Stop if the server told another process to wait. Must run after acquiring the lease, since the other process
        records its back-off before it releases the lease."""
        seconds = journal.seconds_held(self._back_off_lease, self._session.process, self._session.is_alive)
        if seconds:
            why = "the server told another process of this machine to wait"
            raise _Stopped(ServerReply(ExportResult.UNAVAILABLE, why, seconds))

    def _share_back_off(self, journal: Journal, seconds: float | None) -> None:
        """Record the server's Retry-After for other processes. The record becomes invalid when this process ends, so
        that after a restart all processes try again."""
        if seconds:
            with contextlib.suppress(JournalError):  # if this fails, the other processes receive their own Retry-After
                journal.take_lease(self._back_off_lease, self._session.process, self._session.is_alive, seconds)

    def _give_up_lease(self, journal: Journal) -> None:
        """Release the lease. Keep it while results of sent rows are not in the journal, since another process would
        send these rows again."""
        with contextlib.suppress(JournalError):  # if this fails, the lease expires
            if self._unnoted:
                self._take_lease(journal)
            elif self._renew_at:
                self._renew_at = 0.0
                journal.give_up_lease(self.destination.label, self._session.process)

    def _ship_some(self, journal: Journal, newest: tuple[int, int]) -> None:
        """Send one batch of observations, or of scores once no observation is left."""
        label = self.destination.label
        rows = journal.pending_observations(label, BATCH_ROWS, BATCH_BYTES, up_to=newest[0])
        if rows and time.time_ns() - rows[0]["end_ns"] > _BACKLOG_NS and not self._pause(0.0):
            some = rows[: catch_up_rows()]
            self._ship_batch("observations", some, journal)
            self._wait_after(len(some), journal)
        elif rows:
            self._ship_batch("observations", rows, journal)
        else:
            scores = journal.pending_scores(label, BATCH_ROWS, SCORE_BATCH_BYTES, up_to=newest[1])
            self._ship_batch("scores", scores, journal)

    def _wait_after(self, rows: int, journal: Journal) -> None:
        """Pause after a batch of a backlog. Keep the lease, since another process would otherwise continue at once."""
        until = time.monotonic() + catch_up_pause(rows)
        while (left := until - time.monotonic()) > 0 and self._has_lease(journal):
            if self._pause(min(left, _RENEW_SECONDS)):
                return

    def _ship_batch(self, table: str, rows: list[Row], journal: Journal) -> None:
        """Send a batch. If the server rejects it, send its halves, down to single rows."""
        if not self._send(table, rows, journal):
            middle = len(rows) // 2
            self._ship_batch(table, rows[:middle], journal)
            self._ship_batch(table, rows[middle:], journal)

    def _send(self, table: str, rows: list[Row], journal: Journal) -> bool:
        """Send rows and mark them by the server's reply. Return False if the server rejects several rows together."""
        if not self._has_lease(journal):
            raise _Stopped(_ELSEWHERE)
        reply = self._reply_of(table, rows)
        if reply.result is ExportResult.REFUSED and len(rows) > 1:
            return False
        is_batch_of_scores = table == "scores" and reply.result is ExportResult.DELIVERED
        self._settle(table, replies_to(rows, reply) if is_batch_of_scores else [(reply, rows)], journal)
        return True

    def _settle(self, table: str, replies: list[tuple[ServerReply, list[Row]]], journal: Journal) -> None:
        """Mark the rows that the server accepted or rejected. Stop sending if any row got another result."""
        for reply, rows in replies:
            if reply.result in _FINAL:
                self._unnoted.append(self._mark_of(table, rows, reply))
                self.settled += len(rows)
        self._note(journal)
        for reply, _ in replies:
            if reply.result not in _FINAL:
                self._share_back_off(journal, reply.retry_after)
                raise _Stopped(reply)

    def _reply_of(self, table: str, rows: list[Row]) -> ServerReply:
        try:
            body = self._client.encoded(rows) if table == "observations" else batch_of(rows)
        except Exception as error:  # noqa: BLE001 - one unreadable row must not stop the others
            return ServerReply(ExportResult.REFUSED, f"the row cannot be encoded: {type(error).__name__}: {error}")
        send = self._client.send_spans if table == "observations" else self._client.send_scores
        return send(body, self._seconds_left())

    def _mark_of(self, table: str, rows: list[Row], reply: ServerReply) -> Mark:
        keys = [(row["seq"], row["id"]) for row in rows]
        if reply.result is ExportResult.DELIVERED:
            return Mark(table, keys, "shipped", destination=self.destination.label)
        message = str(redact(reply.message))
        if not self.refused:  # reported only once, since the server may reject many rows
            self._report(
                f"One of the {table} cannot be sent to {self.destination.service}, and is not retried: {message}"
            )
        self.refused += len(rows)
        return Mark(table, keys, "rejected", message, self.destination.label)

    def _note(self, journal: Journal) -> None:
        """Write the results of sent rows to the journal. After a failure, they are written before the next request."""
        while self._unnoted:
            journal.mark(self._unnoted[0])
            del self._unnoted[0]


def catch_up_rows() -> int:
    """The number of rows in one batch of a backlog: as many as OBSERVABILITY_CATCH_UP_RATE allows in a few seconds."""
    rate: float = settings.setting("OBSERVABILITY_CATCH_UP_RATE")
    return max(min(int(rate * _CATCH_UP_SECONDS), BATCH_ROWS), 1) if rate else BATCH_ROWS


def catch_up_pause(rows: int) -> float:
    """Seconds to wait after a batch of a backlog, so that a fleet does not overload a server that has recovered.

    The pause is random, so that machines which started together do not send together.
    """
    rate: float = settings.setting("OBSERVABILITY_CATCH_UP_RATE")
    return rows / rate * _random.uniform(0.5, 1.5) if rate else 0.0


_FINAL = (ExportResult.DELIVERED, ExportResult.REFUSED)
_ELSEWHERE = ServerReply(ExportResult.NOT_SENT, "another process is sending rows")
_NO_TIME = ServerReply(ExportResult.NOT_SENT, "this process is ending")
