"""
🌙 Moon Dev's Delivery
Built with love by Moon Dev 🚀

What the shipper's thread does with the pending rows of one Langfuse project: takes the lease, sends batches, and notes
in the journal what the server made of them. A reply that is known is noted before anything else is sent.
"""

import contextlib
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import settings
from ..journal import DamagedJournalError, Journal, JournalError, JournalSession, Mark, Row
from ..redaction import redact
from .client import Wire, is_refused_plain_http
from .otlp import request_of
from .server_reply import ServerReply, Verdict

BATCH_ROWS = 500
BATCH_BYTES = 4 * 1024 * 1024  # of text before gzip; the SDK warns at 16 MB and drops at 64
_RENEW_SECONDS = 5.0  # with the longest request still within the lease
_POLL_SECONDS = 0.05  # while another process ships


class _Stopped(Exception):  # noqa: N818 - no error: rows stay pending
    """The rest is not sent now."""

    def __init__(self, reply: ServerReply) -> None:
        self.reply = reply


class Delivery:
    """The way to one project, and to the journal; used by one thread, but for `cut`."""

    def __init__(
        self, destination: settings.Destination, seconds_left: Callable[[], float], say: Callable[[str], None]
    ) -> None:
        self.destination = destination
        self._told_to_wait = f"{destination.label} told to wait"  # a lease of who was, for as long as that
        self._seconds_left = seconds_left  # until the process must have ended
        self._say = say
        self._wire = Wire(destination)
        self._session = JournalSession()
        self._renew_at = 0.0  # monotonic seconds; 0: we have no lease
        self._journal: Journal | None = None
        self._unnoted: list[Mark] = []  # what the server said while the journal could not be written
        self.settled = 0  # rows that the server has taken or refused
        self.refused = 0  # of these

    @property
    def has_unnoted(self) -> bool:
        """Whether we know what became of rows and the journal does not."""
        return bool(self._unnoted)

    def cut(self) -> None:
        """End a request that is under way, from another thread."""
        self._wire.cut()

    def close(self) -> None:
        """Give the journal back and close the connection."""
        if self._journal is not None:
            with contextlib.suppress(JournalError):
                self._note(self._journal)
        self._session.close()
        self._wire.close()

    def abandon(self) -> None:
        """In a fork's child: leave what was inherited to the parent."""
        self._session.abandon()

    def is_refused_plain_http(self) -> bool:
        """Whether the keys would travel without TLS beyond this machine, and nobody allowed it."""
        return is_refused_plain_http(self.destination)

    def ship(self, wait_until: float) -> ServerReply | None:
        """Ship what is pending now; None where each row is delivered or rejected, else why not.

        Args:
            wait_until: monotonic seconds up to which another process that ships is waited for.

        Raises:
            OSError: the journal cannot be used now.
        """
        journal = self._session.open()
        if journal is not self._journal:
            self._journal, self._unnoted = journal, []
        try:
            self._ship_all(journal, wait_until)
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

    def _has_lease(self, journal: Journal) -> bool:
        if self._seconds_left() <= 0:
            raise _Stopped(_NO_TIME)
        if time.monotonic() >= self._renew_at:
            self._take_lease(journal)
            self._wait_as_others_were_told(journal)
        return self._renew_at > 0

    def _take_lease(self, journal: Journal) -> None:
        now = time.monotonic()
        mine = journal.take_lease(self.destination.label, self._session.process, self._session.is_alive)
        self._renew_at = now + _RENEW_SECONDS if mine else 0.0

    def _wait_as_others_were_told(self, journal: Journal) -> None:
        """Looked at after the lease was asked for: who was told noted it before giving up the lease."""
        seconds = journal.seconds_held(self._told_to_wait, self._session.process, self._session.is_alive)
        if seconds:
            raise _Stopped(ServerReply(Verdict.NOT_NOW, "it asked another process to wait", seconds))

    def _tell_others(self, journal: Journal, seconds: float | None) -> None:
        """As long as this process lives: after a start of all of them, or of the machine, Langfuse is asked again."""
        if seconds:
            with contextlib.suppress(JournalError):  # then Langfuse tells them
                journal.take_lease(self._told_to_wait, self._session.process, self._session.is_alive, seconds)

    def _give_up_lease(self, journal: Journal) -> None:
        """Or keep it: what only we know to be delivered, nobody else shall send."""
        with contextlib.suppress(JournalError):  # it ends by itself
            if self._unnoted:
                self._take_lease(journal)
            elif self._renew_at:
                self._renew_at = 0.0
                journal.give_up_lease(self.destination.label, self._session.process)

    def _ship_some(self, journal: Journal, newest: tuple[int, int]) -> None:
        """One batch of observations; scores once there are none left."""
        label = self.destination.label
        rows = journal.pending_observations(label, BATCH_ROWS, BATCH_BYTES, up_to=newest[0])
        if rows:
            self._ship_spans(rows, journal)
        else:
            for score in journal.pending_scores(label, BATCH_ROWS, up_to=newest[1]):
                self._send("scores", [score], journal)

    def _ship_spans(self, rows: list[Row], journal: Journal) -> None:
        """Send a batch; where the server refuses it for good, halve it until the row that it means is found."""
        if not self._send("observations", rows, journal):
            middle = len(rows) // 2
            self._ship_spans(rows[:middle], journal)
            self._ship_spans(rows[middle:], journal)

    def _send(self, table: str, rows: list[Row], journal: Journal) -> bool:
        """Send these rows and note what came of each; false where several are refused together."""
        if not self._has_lease(journal):
            raise _Stopped(_ELSEWHERE)
        reply = self._reply_of(table, rows)
        if reply.verdict is Verdict.REFUSED and len(rows) > 1:
            return False
        if reply.verdict not in (Verdict.DELIVERED, Verdict.REFUSED):
            self._tell_others(journal, reply.retry_after)
            raise _Stopped(reply)
        self._unnoted.append(self._mark_of(table, rows, reply))
        self.settled += len(rows)
        self._note(journal)
        return True

    def _reply_of(self, table: str, rows: list[Row]) -> ServerReply:
        encode, send = self._ways[table]
        try:
            body = encode(rows)
        except Exception as error:  # noqa: BLE001 - one unreadable row must not stop the others
            return ServerReply(Verdict.REFUSED, f"it cannot be encoded: {type(error).__name__}: {error}")
        return send(body, self._seconds_left())

    @property
    def _ways(self) -> dict[str, tuple[Callable[[list[Row]], bytes], Callable[[bytes, float], ServerReply]]]:
        spans = partial(request_of, public_key=self.destination.public_key)
        return {"observations": (spans, self._wire.send_spans), "scores": (_score_body, self._wire.send_score)}

    def _mark_of(self, table: str, rows: list[Row], reply: ServerReply) -> Mark:
        keys = [(row["seq"], row["id"]) for row in rows]
        if reply.verdict is Verdict.DELIVERED:
            return Mark(table, keys, "shipped")
        words = str(redact(reply.words))
        if not self.refused:  # a server that refuses one row may refuse them all
            self._say(f"Langfuse refuses a row of {table} for good: {words}")
        self.refused += len(rows)
        return Mark(table, keys, "rejected", words)

    def _note(self, journal: Journal) -> None:
        """Write outcomes down. What cannot be written is kept, and written before anything else is sent."""
        while self._unnoted:
            journal.mark(self._unnoted[0])
            del self._unnoted[0]


_ELSEWHERE = ServerReply(Verdict.NOT_OURS, "another process is shipping")
_NO_TIME = ServerReply(Verdict.NOT_OURS, "the process ends")


def _score_body(rows: list[Row]) -> bytes:
    """A score as `POST /api/public/scores` takes it; on the trace, whichever observation it came from."""
    (row,) = rows
    body: dict[str, Any] = {
        "id": row["id"],
        "traceId": row["trace_id"],
        "name": row["name"],
        "value": row["value"],
        "dataType": row["data_type"],
        "comment": row["comment"],
        "environment": row["environment"],
    }
    return json.dumps({name: value for name, value in body.items() if value is not None}, allow_nan=False).encode()
