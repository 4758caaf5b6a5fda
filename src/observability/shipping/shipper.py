"""
🌙 Moon Dev's Shipper
Built with love by Moon Dev 🚀

The thread that has pending rows delivered: when it tries, how long it waits after a failure, and what it does as the
process ends. What it delivers, and how, stands in `delivery.py`, which this thread imports: nobody waits for it.
"""

import random
import threading
import time
from typing import TYPE_CHECKING

from .. import settings
from ..background import OWN_THREADS, PAUSE_SECONDS
from ..terminal import warn
from .server_reply import ServerReply, Verdict

if TYPE_CHECKING:
    from .delivery import Delivery

_FIRST_BACKOFF_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 60.0
_MOST_DOUBLINGS = 16
_NOTE_SECONDS = 5.0  # while the journal cannot be told what Langfuse said: sooner than the lease ends
_SHORTEST_PAUSE_SECONDS = 0.1
_LONGEST_FLUSH_SECONDS = 60.0  # where the caller sets no limit
_GRACE_SECONDS = 0.5  # for a connection that was cut to be noticed
_NEVER = float("inf")


class Shipper:
    """Ships while the process runs, and once more as it ends."""

    def __init__(self) -> None:
        self.last_error: str | None = None
        self.last_error_at: float | None = None  # Unix seconds
        self._delivery: Delivery | None = None
        self._thread: threading.Thread | None = None
        self._is_left_to_stop = False
        self._starting = threading.Lock()
        self._importing = threading.Lock()
        self._wake = threading.Event()
        self._flushes: list[_Flush] = []
        self._deadline = _NEVER  # monotonic seconds, once the process is ending
        self._patience = _Patience()
        self._unusable: settings.Destination | None = None  # until the settings change

    @property
    def _stopping(self) -> bool:
        return self._deadline < _NEVER

    def start(self) -> None:
        """Begin shipping, if that has not begun yet; waits for no lock, which a signal may have left held."""
        if self._thread is not None or self._stopping or not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=f"{OWN_THREADS}-shipper", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:  # the interpreter is past starting threads
            self._is_left_to_stop = True
        finally:
            self._starting.release()

    def flush(self, timeout: float | None) -> bool:
        """Ship what is pending now; whether all of it is shipped, within `timeout` seconds (a minute unless given).

        One attempt is made: where Langfuse cannot be reached, the answer is False at once.
        """
        if settings.destination() is None:
            return True
        if self._stopping:
            return False
        self.start()
        flush = _Flush(time.monotonic() + (_LONGEST_FLUSH_SECONDS if timeout is None else timeout))
        self._flushes.append(flush)
        self._wake.set()
        flush.done.wait(_LONGEST_FLUSH_SECONDS if timeout is None else timeout)
        return flush.all_shipped

    def stop(self, seconds: float) -> None:
        """One last pass, of at most `seconds`; then the connection is cut."""
        self._deadline = time.monotonic() + seconds
        self._wake.set()
        if self._thread is None:
            if self._is_left_to_stop:
                self._run()
            return
        self._thread.join(seconds)
        if self._delivery is not None:
            self._delivery.cut()
        self._thread.join(_GRACE_SECONDS)

    def pause(self) -> bool:
        """Before a fork: wait until the thread has imported what it needs; whether `resume` is due."""
        return self._importing.acquire(timeout=PAUSE_SECONDS)

    def resume(self) -> None:
        """After a fork, in the parent."""
        self._importing.release()

    def abandon(self) -> None:
        """In a fork's child: leave what was inherited to the parent."""
        if self._delivery is not None:
            self._delivery.abandon()

    def _run(self) -> None:
        last = False
        while not last:
            self._wake.clear()
            flushes, self._flushes = self._flushes, []
            last = self._stopping
            done = self._pass(max((flush.deadline for flush in flushes), default=0.0), hurried=last or bool(flushes))
            for flush in flushes:
                flush.answer(done)
            if not self._flushes and not self._stopping:
                self._wake.wait(self._pause())
        if self._delivery is not None:
            self._delivery.close()

    def _pass(self, wait_until: float, *, hurried: bool) -> bool:
        """Ship all that is pending; False where something is left, or was refused."""
        destination = settings.destination()
        if destination is None:
            return True
        try:
            delivery = self._delivery_to(destination)
            if self._must_wait(delivery, hurried):
                return False
            settled, refused = delivery.settled, delivery.refused
            reply = delivery.ship(wait_until)
            if delivery.settled > settled:
                self._patience.won()
            if delivery.refused > refused and reply is None:
                return False
        except Exception as error:  # noqa: BLE001 - a locked or missing journal, anything: tried again later
            reply = ServerReply(Verdict.NOT_NOW, f"{type(error).__name__}: {error}")
        return self._answer(destination, reply)

    def _delivery_to(self, destination: settings.Destination) -> "Delivery":
        with self._importing:  # and httpx imports the half of itself only for the first client
            from .delivery import Delivery

            if self._delivery is None or self._delivery.destination != destination:
                if self._delivery is not None:
                    self._delivery.close()
                    self._patience = _Patience()  # what the last host asked for is not this one's
                self._delivery = Delivery(destination, self._seconds_left, self._say)
            return self._delivery

    def _must_wait(self, delivery: "Delivery", hurried: bool) -> bool:
        if delivery.is_refused_plain_http():
            self._say(
                f"{delivery.destination.host} has no TLS, and your keys would travel in the open. Use https://, or set"
                " LANGFUSE_ALLOW_HTTP=true if the way there is safe"
            )
            return True
        return delivery.destination == self._unusable or self._patience.must_wait(hurried)

    def _answer(self, destination: settings.Destination, reply: ServerReply | None) -> bool:
        """What follows from how a pass ended; whether all was shipped."""
        if reply is None:
            self._patience.won()
        elif reply.verdict is Verdict.LOCKED_OUT:
            self._unusable = destination
            self._say(
                f"{destination.host} refuses the key {destination.public_key} ({reply.words}). Correct"
                " LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY or LANGFUSE_HOST; until then rows stay pending"
            )
        elif reply.verdict is Verdict.NOT_NOW and self._patience.lost(reply.retry_after) == 1 and not self._stopping:
            self._say(f"Langfuse cannot be reached now ({reply.words}). Rows stay pending and are sent later")
        return reply is None

    def _say(self, words: str) -> None:
        from ..redaction import redact_line

        said, self.last_error, self.last_error_at = self.last_error, redact_line(words), time.time()
        if self.last_error != said:
            warn(f"⚠️ {self.last_error}.")

    def _seconds_left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    def _pause(self) -> float:
        """Until the next pass: the interval, or sooner after a failure that may be over soon."""
        if self._delivery is not None and self._delivery.has_unnoted:
            self._patience.back_off_at_most(_NOTE_SECONDS)
        wait = self._patience.seconds() or float(settings.setting("LANGFUSE_FLUSH_INTERVAL"))
        return max(wait, _SHORTEST_PAUSE_SECONDS)


class _Patience:
    """When to try again: capped exponential backoff with jitter, never before the time that the server named."""

    def __init__(self) -> None:
        self._failed = 0  # in a row
        self._backoff_until = 0.0  # monotonic seconds
        self._told_until = 0.0

    def won(self) -> None:
        self._failed, self._backoff_until, self._told_until = 0, 0.0, 0.0

    def lost(self, retry_after: float | None) -> int:
        """One more failure; how many there were in a row."""
        longest = min(_FIRST_BACKOFF_SECONDS * 2 ** min(self._failed, _MOST_DOUBLINGS), _LONGEST_BACKOFF_SECONDS)
        now = time.monotonic()
        self._backoff_until = now + longest * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
        self._told_until = now + (retry_after or 0.0)
        self._failed += 1
        return self._failed

    def back_off_at_most(self, seconds: float) -> None:
        """Where it is not the server that is waited for."""
        self._backoff_until = min(self._backoff_until, time.monotonic() + seconds)

    def must_wait(self, hurried: bool) -> bool:
        """Whether it is too early; who is in a hurry waits only where the server said so."""
        now = time.monotonic()
        return now < self._told_until or (now < self._backoff_until and not hurried)

    def seconds(self) -> float:
        """Until it may be tried again; 0 where it may."""
        return max(max(self._backoff_until, self._told_until) - time.monotonic(), 0.0)


class _Flush:
    """Somebody waits, until `deadline` (monotonic seconds), for what is pending to be shipped."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.done = threading.Event()
        self.all_shipped = False

    def answer(self, all_shipped: bool) -> None:
        self.all_shipped = all_shipped
        self.done.set()
