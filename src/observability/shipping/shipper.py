"""The shipper: one thread per destination, so that an unavailable destination does not delay the other.

Each thread sends pending rows, retries after failures, and sends the remaining rows at exit.
"""

import random
import threading
import time
from collections.abc import Callable

from .. import settings
from ..background import OWN_THREADS
from ..internal_errors import failures
from ..redaction import redact_line
from ..terminal import warn
from .client import ExportResult, ServerReply
from .delivery import Delivery

_FIRST_BACKOFF_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 60.0
_MOST_DOUBLINGS = 16
_NOTE_SECONDS = 5.0  # pause before sent rows are marked again if the journal failed; shorter than LEASE_SECONDS
_SHORTEST_PAUSE_SECONDS = 0.1
_LONGEST_FLUSH_SECONDS = 60.0  # default limit of a flush
_CUT_SECONDS = 0.1  # how long `stop` waits for the thread after aborting its connection
_NEVER = float("inf")
_random = random.SystemRandom()  # not the global generator, which the agent may seed


class Shipper:
    """Ships to every destination while the process runs, and once more at its end."""

    def __init__(self) -> None:
        self.workers = (
            Worker(f"{OWN_THREADS}-shipper", settings.destination),
            Worker(f"{OWN_THREADS}-shipper-otlp", settings.otlp_destination),
        )

    @property
    def last_error(self) -> str | None:
        """The last error of any destination."""
        return self._last_failed.last_error

    @property
    def last_error_at(self) -> float | None:
        """The time of the last error, in Unix seconds."""
        return self._last_failed.last_error_at

    @property
    def _last_failed(self) -> "Worker":
        return max(self.workers, key=lambda worker: worker.last_error_at or 0.0)

    def start(self) -> None:
        """Start the thread of each configured destination, unless it runs. Does not wait for a lock."""
        for worker in self.workers:
            worker.start()

    def flush(self, timeout: float | None) -> bool:
        """Ship pending rows; return whether all are shipped within `timeout` seconds (default: a minute).

        There is one attempt, without retries: if a destination is unavailable, the result is False.
        """
        deadline = time.monotonic() + (_LONGEST_FLUSH_SECONDS if timeout is None else timeout)
        flushes = [worker.flush(deadline) for worker in self.workers]  # a list, so that all start before the first wait
        return sum(flush.wait() for flush in flushes) == len(flushes)

    def stop(self, seconds: float) -> None:
        """Ship the remaining rows to all destinations in parallel, within `seconds`. Then abort the connections."""
        deadline = time.monotonic() + seconds
        for worker in self.workers:
            worker.end_by(deadline)
        for worker in self.workers:
            worker.stop()

    def abandon(self) -> None:
        """In a forked child, leave the inherited connections to the parent."""
        for worker in self.workers:
            worker.abandon()


class Worker:
    """Ships to one destination on its own thread. Before each attempt, the destination is read from the settings."""

    def __init__(self, name: str, configured: Callable[[], settings.AnyDestination | None]) -> None:
        self.last_error: str | None = None
        self.last_error_at: float | None = None  # Unix seconds
        self._name = name
        self.configured = configured
        self._delivery: Delivery | None = None
        self._thread: threading.Thread | None = None
        self._is_left_to_stop = False
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._flushes: list[Flush] = []
        self._deadline = _NEVER  # shipping at exit must end by this time (monotonic seconds)
        self._is_urgent = False
        self._backoff = Backoff()
        self._unauthorized: settings.AnyDestination | None = None  # destination whose keys were rejected

    @property
    def _stopping(self) -> bool:
        return self._deadline < _NEVER

    def start(self) -> None:
        """Start the thread, unless it already runs. Never waits for the lock: a signal handler may call this method
        after it interrupted the code that holds the lock."""
        if self.configured() is None or self._runs() or self._stopping:
            return
        if not self._starting.acquire(blocking=False):
            return
        try:
            if not self._runs():
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:  # no thread can start now; the next batch tries again; without a next batch, `stop` ships
            self._is_left_to_stop = True
        finally:
            self._starting.release()

    def _runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def flush(self, deadline: float) -> "Flush":
        """Start to ship the pending rows, for a caller that waits until `deadline` (monotonic seconds)."""
        flush = Flush(deadline)
        if self.configured() is None or self._stopping:
            flush.answer(not self._stopping)
            return flush
        self.start()
        self._flushes.append(flush)
        self._wake.set()
        return flush

    def end_by(self, deadline: float) -> None:
        """Start to ship the remaining rows at exit, until `deadline` (monotonic seconds)."""
        self._deadline = deadline
        self._wake.set()

    def stop(self) -> None:
        """Wait until the remaining rows are shipped or the deadline is reached. Then abort the connection."""
        if self._thread is None:
            if self._is_left_to_stop:
                self._run()
            return
        self._thread.join(self._seconds_left())
        if self._delivery is not None:
            self._delivery.cut()
        self._thread.join(_CUT_SECONDS)

    def abandon(self) -> None:
        """In a forked child, leave the inherited connections to the parent."""
        if self._delivery is not None:
            self._delivery.abandon()

    def _run(self) -> None:
        """Ship rows until `stop` is called. If the thread ends earlier, the next batch restarts it."""
        try:
            self._ship_until_stopped()
        except BaseException as error:  # noqa: BLE001 - a silent end would leave every later row pending
            message = f"the thread that sends recorded calls ended ({type(error).__name__}: {error})"
            failures.note("shipper", message, cure="It restarts when the next calls are recorded.")

    def _ship_until_stopped(self) -> None:
        last = False
        while not last:
            self._wake.clear()
            flushes, self._flushes = self._flushes, []
            last = self._stopping
            done = False
            try:
                done = self._pass(max((flush.deadline for flush in flushes), default=0.0), urgent=last or bool(flushes))
            finally:
                for flush in flushes:
                    flush.answer(done)
            if not last:
                self._wake.wait(self._pause())
        if self._delivery is not None:
            self._delivery.close()

    def _pass(self, wait_until: float, *, urgent: bool) -> bool:
        """Ship all pending rows; return False if a row is left or was rejected."""
        self._is_urgent = urgent
        destination = self.configured()
        if destination is None:
            return True
        try:
            delivery = self._delivery_to(destination)
            if self._must_wait(delivery, urgent):
                return False
            settled, refused = delivery.settled, delivery.refused
            reply = delivery.ship(wait_until)
            if delivery.settled > settled:
                self._backoff.reset()
            if delivery.refused > refused and reply is None:
                return False
        except Exception as error:  # noqa: BLE001 - a locked or missing journal, anything: tried again later
            reply = ServerReply(ExportResult.UNAVAILABLE, f"{type(error).__name__}: {error}")
        return self._handle(destination, reply)

    def _delivery_to(self, destination: settings.AnyDestination) -> Delivery:
        if self._delivery is None or self._delivery.destination != destination:
            if self._delivery is not None:
                self._delivery.close()
                self._backoff = Backoff()  # the previous host's Retry-After does not apply to the new one
            self._delivery = Delivery(destination, self._seconds_left, self._report, self._pause_in_backlog)
        return self._delivery

    def _pause_in_backlog(self, seconds: float) -> bool:
        """Wait between two batches; return True if a caller of `flush` waits, or if the process ends."""
        return self._is_urgent or self._wake.wait(seconds)

    def _must_wait(self, delivery: Delivery, urgent: bool) -> bool:
        if delivery.is_refused_plain_http():
            self._report(
                f"Nothing is sent to {delivery.destination.host}: your keys would travel unencrypted. Use https://, or"
                " set LANGFUSE_ALLOW_HTTP=true on a trusted network"
            )
            return True
        return delivery.destination == self._unauthorized or self._backoff.must_wait(urgent)

    def _handle(self, destination: settings.AnyDestination, reply: ServerReply | None) -> bool:
        """Return True if no row is left to send (`reply` is None). Otherwise back off or, if the keys were rejected,
        ship nothing until they are corrected."""
        if reply is None:
            self._backoff.reset()
        elif reply.result is ExportResult.UNAUTHORIZED:
            self._unauthorized = destination
            self._report(
                f"{destination.host} refuses {destination.credential} ({reply.message}). Correct"
                f" {destination.key_settings}; until then recorded calls stay in the journal"
            )
        elif reply.result is ExportResult.UNAVAILABLE:
            failed = self._backoff.fail(reply.retry_after)
            if failed == 1 and not self._stopping:
                why = f"Nothing can be sent to {destination.service} now ({reply.message})"
                self._report(f"{why}. Recorded calls stay in the journal and are sent later")
        return reply is None

    def _report(self, message: str) -> None:
        """Store a message for `health()`, and print it unless it repeats the last one."""
        message = redact_line(message[:1].upper() + message[1:] if message.startswith("the ") else message)
        previous, self.last_error, self.last_error_at = self.last_error, message, time.time()
        if self.last_error != previous:
            warn(f"⚠️ {self.last_error}.")

    def _seconds_left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    def _pause(self) -> float:
        """Seconds until the next attempt to ship: the back-off after a failure, else the interval."""
        if self._delivery is not None and self._delivery.has_unnoted:
            self._backoff.limit(_NOTE_SECONDS)
        wait = self._backoff.seconds() or float(settings.setting("LANGFUSE_FLUSH_INTERVAL"))
        return max(wait, _SHORTEST_PAUSE_SECONDS)


class Backoff:
    """Computes when to retry: capped exponential back-off with jitter, never before the server's Retry-After."""

    def __init__(self) -> None:
        self._failed = 0  # number of successive failures
        self._until = 0.0  # end of the back-off, in monotonic seconds
        self._retry_after = 0.0  # end of the server's Retry-After, in monotonic seconds

    def reset(self) -> None:
        """Reset after a success."""
        self._failed, self._until, self._retry_after = 0, 0.0, 0.0

    def fail(self, retry_after: float | None) -> int:
        """Count a failure; return the number of successive failures."""
        longest = min(_FIRST_BACKOFF_SECONDS * 2 ** min(self._failed, _MOST_DOUBLINGS), _LONGEST_BACKOFF_SECONDS)
        now = time.monotonic()
        self._until = now + longest * _random.uniform(0.5, 1.0)
        self._retry_after = now + (retry_after or 0.0)
        self._failed += 1
        return self._failed

    def limit(self, seconds: float) -> None:
        """Shorten the back-off to at most `seconds`, for a failure that the server did not cause."""
        self._until = min(self._until, time.monotonic() + seconds)

    def must_wait(self, urgent: bool) -> bool:
        """Whether it is too early for a retry. An urgent attempt waits only for the server's Retry-After."""
        now = time.monotonic()
        return now < self._retry_after or (now < self._until and not urgent)

    def seconds(self) -> float:
        """Seconds until the next retry; 0 if it is due."""
        return max(max(self._until, self._retry_after) - time.monotonic(), 0.0)


class Flush:
    """A caller's request to ship pending rows. The caller waits until `deadline` (monotonic seconds)."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._done = threading.Event()
        self._all_shipped = False

    def wait(self) -> bool:
        """Wait for the result. Return whether all rows were shipped, or False if the deadline came first."""
        self._done.wait(max(self.deadline - time.monotonic(), 0.0))
        return self._all_shipped

    def answer(self, all_shipped: bool) -> None:
        """Give the waiting caller its result."""
        self._all_shipped = all_shipped
        self._done.set()
