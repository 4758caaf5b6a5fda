"""The recorder: the queue between agents and journal, and the one thread that empties it.

A caller only appends to the queue, without a lock. The thread polls the queue, so no caller has to wake it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..background import OWN_THREADS
from ..internal_errors import failures, guarded
from ..interruption import is_interruption
from ..tracing import Observation

MAX_QUEUED = 50_000  # maximum number of entries in the queue
MAX_QUEUED_BYTES = 64 * 1024 * 1024
MAX_WAIT_SECONDS = 0.05  # a caller's longest wait for room in a full queue, before its observation is dropped
SYNC_SECONDS = 1.0  # a call's longest wait for the disk if OBSERVABILITY_DURABILITY=sync
# Interval at which the recorder's thread polls the queue. If callers woke the thread instead, each would need a lock. A
# shorter interval would evict the callers' CPU caches. With 20 ms, even the rows of 48 processes are on disk in 50 ms.
_POLL_SECONDS = 0.02
_START_SECONDS = 1.0  # longest wait of `stop` for another thread that is starting the recorder's thread
_BATCH = 50  # maximum number of observations in one transaction; a killed process loses the uncommitted transaction
_BATCH_BYTES = 8 * 1024 * 1024
_BACKLOG_BYTES = 4 * 1024 * 1024  # a queue that has reached this size is a backlog
_BEHIND = 100  # while the queue has more entries than this, the size of every _SAMPLE-th answer is measured
_SAMPLE = 8
_CHECK_SECONDS = 0.02  # interval at which a caller of `flush` checks whether it should stop waiting
_RETRY_SECONDS = 0.5  # pause before the recorder retries a failed write or a failed start of its thread


class Sink(Protocol):
    """Writes the recorder's batches of observations to the journal."""

    def write(self, opened: list[Observation], ended: list[Observation]) -> None:
        """Journal started and ended observations in one transaction.

        Raises:
            OSError: the same batch should be written again.
        """

    def idle(self, *, after_backlog: bool) -> None:
        """Called when a poll finds the queue empty. `after_backlog` is true at the first such poll after a backlog."""

    def close(self) -> None:
        """Close the journal."""

    def abandon(self) -> None:
        """In a forked child, close the parent's lock file. The parent goes on using its journal."""


class _Batch(NamedTuple):
    opened: list[Observation]
    ended: list[Observation]
    flushes: list[threading.Event]


class Recorder:
    """Receives observations from any thread, and journals them on its own thread."""

    def __init__(self, make_sink: Callable[[], Sink]) -> None:
        self._make_sink = make_sink  # imports modules, and is therefore first called on a caller's thread
        self._sink: Sink | None = None
        # Ended observations, and one Event per flush. The Event is set once all entries before it are written.
        self._queue: deque[Any] = deque()
        self._running: dict[Observation, bool] = {}  # the keys are the observations that have not ended
        self._queued_bytes = 0
        self._most_queued_bytes = 0  # largest value of `_queued_bytes` since the queue was last empty
        self._in_hand = 0  # number of ended observations that are taken from the queue but not written yet
        self._wake = threading.Event()
        self.synchronous = False  # True while the process ends: every call then waits for the disk
        # The Event of the last flush whose caller stopped waiting before its row was on the disk.
        self._overdue: threading.Event | None = None
        self._stopping = False
        self._failing = False  # whether the last write to the journal failed
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._start_at = 0.0  # after a failed start of the thread, the time of the next attempt (monotonic seconds)
        self._dropping = threading.RLock()  # reentrant, because a signal handler may interrupt `_drop` and call it too
        self.journalled = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """The number of ended observations that are not journalled yet."""
        return self._in_hand + sum(type(entry) is Observation for entry in self._queue.copy())

    def on_start(self, observation: Observation) -> None:
        """Register a started observation.

        If it is still running at the next poll, it is journalled as open, so that it is on record after a crash.
        """
        self._running[observation] = True
        if self._thread is None:
            self._start()
        if observation.durable:
            self._sync()

    def on_end(self, observation: Observation) -> None:
        """Queue an ended observation. If the queue stays full for `MAX_WAIT_SECONDS`, drop and count the observation.

        If the observation is durable, wait until it is on the disk, at most `SYNC_SECONDS`.
        """
        self._running.pop(observation, None)
        queue = self._queue
        length = len(queue)
        if (length >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES) and not self._has_room_soon():
            self._drop(1, "the recorder cannot keep up")
            return
        if length > _BEHIND and not length % _SAMPLE:
            observation.size += _SAMPLE * observation.response_size()
        self._queued_bytes += observation.size
        queue.append(observation)
        if self._thread is None:
            self._start()
        if observation.durable or self.synchronous:
            self._sync()

    def flush(self, timeout: float | None = None, *, wait_while_failing: bool = True) -> bool:
        """Wait until all queued observations are journalled; return False if they are not in time.

        Args:
            timeout: longest wait in seconds; None means no limit.
            wait_while_failing: keep waiting while writes to the journal fail; if false, return False once one fails.
        """
        if self._thread is None and not self._queue:
            return True
        if self._failing and not wait_while_failing:
            return False
        return self._is_written(self._request_flush(), timeout, wait_while_failing)

    def _sync(self) -> None:
        """Wait until the queued rows are on the disk, at most `SYNC_SECONDS`.

        If an earlier call gave up waiting and its rows are still not on the disk, return at once.
        """
        if self._overdue is None or self._overdue.is_set():
            written = self._request_flush()
            if self._is_written(written, SYNC_SECONDS, wait_while_failing=False):
                return
            self._overdue = written
        if not self._failing:  # a failed write has been counted already
            late = f"a call returned before its row was on disk: the disk takes longer than {SYNC_SECONDS:g} s"
            failures.note("sync", late, cure="The row is written as soon as the disk allows.")

    def _request_flush(self) -> threading.Event:
        written = threading.Event()
        self._queue.append(written)
        self._wake.set()
        if self._thread is None:
            self._start()
        return written

    def _is_written(self, written: threading.Event, timeout: float | None, wait_while_failing: bool) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not written.wait(_CHECK_SECONDS):
            is_dead = self._thread is None and not self._stopping
            gives_up = is_dead or (self._failing and not wait_while_failing)
            if gives_up or (deadline is not None and time.monotonic() >= deadline):
                return written.is_set()
        return True

    def stop(self, timeout: float) -> bool:
        """Journal all queued observations and end the thread; return False if that takes over `timeout` seconds."""
        self._stopping = True
        self._wake.set()
        deadline = time.monotonic() + timeout
        thread = self._started_thread(deadline)
        if thread is None:  # nothing was recorded, or the thread could not be started
            if self._queue:
                self._run()
            return True
        thread.join(max(deadline - time.monotonic(), 0.0))
        if thread.is_alive():
            self.count_lost("the journal could not be written before the process ended")
        return not thread.is_alive()

    def count_lost(self, why: str) -> None:
        """At the process's end, count all observations that are not journalled yet as dropped."""
        self._drop(self.waiting, why)

    def _started_thread(self, deadline: float) -> threading.Thread | None:
        """The recorder's thread, or None if it was not started. If another thread is starting it, wait for that."""
        if self._starting.acquire(timeout=min(max(deadline - time.monotonic(), 0.0), _START_SECONDS)):
            self._starting.release()
        thread = self._thread
        return thread if thread is not None and thread.ident is not None else None

    def before_fork(self) -> None:
        """Create the ids of running observations, so that each has the same ids in the parent and the child process."""
        for observation in self._running.copy():
            observation.draw_ids()

    def abandon(self) -> None:
        """In a forked child, leave the journal's connection to the parent; `runtime.py` then discards this recorder."""
        if self._sink is not None:
            self._sink.abandon()

    def _drop(self, count: int, why: str) -> None:
        if count:
            with self._dropping:
                self.dropped += count
            cure = "They will be missing from the journal; the agent is not affected."
            failures.note("dropped", f"{why}, observations are lost: {count}", cure=cure)

    def _full(self) -> bool:
        return len(self._queue) >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES

    def _has_room_soon(self) -> bool:
        deadline = time.monotonic() + (0.0 if self._failing else MAX_WAIT_SECONDS)
        while time.monotonic() < deadline:
            time.sleep(0.002)
            if not self._full():
                return True
        return False

    def _start(self) -> None:
        """Start the recorder's thread.

        Do nothing if another thread is starting it, or if the caller is a signal handler that interrupted the start.
        """
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None and (self._stopping or time.monotonic() >= self._start_at):
                if self._sink is None:
                    self._sink = self._make_sink()
                self._thread = threading.Thread(target=self._begin, name=f"{OWN_THREADS}-recorder", daemon=True)
                self._thread.start()
        except BaseException as error:  # no free thread or file descriptor, interpreter exit, or an alarm's exception
            self._thread = None
            if not isinstance(error, Exception) or is_interruption(error):
                raise
            self._handle_failed_start(error)
        finally:
            self._starting.release()

    def _handle_failed_start(self, error: Exception) -> None:
        if self._stopping:
            self._run()
        else:
            self._start_at = time.monotonic() + _RETRY_SECONDS
            failures.note("start", f"recording cannot start now: {error}", cure="Until it can, calls stay in memory.")

    def _begin(self) -> None:
        with self._starting:  # wait for the end of `_start`, which sets `_thread` to None if SIGALRM interrupts it
            is_known = self._thread is threading.current_thread()
        if is_known:
            self._run()

    def _run(self) -> None:
        """Write batches until `stop` is called. If an error ends the thread earlier, the next call restarts it."""
        try:
            self._write_until_stopped()
        except BaseException as error:  # noqa: BLE001 - a silent end would lose every call after it
            why = f"the recorder's thread ended ({type(error).__name__}: {error})"
            lost, self._in_hand, self._thread = self._in_hand, 0, None
            failures.note("recorder", why, cure="The next call restarts the thread.")
            self._drop(lost, why)

    def _write_until_stopped(self) -> None:
        while True:
            next_poll = time.monotonic() + _POLL_SECONDS
            last = self._stopping
            batch = self._take_batch()
            if any(batch):
                self._write_batch(batch)
            elif last:
                break
            else:
                self._idle()
            if len(self._queue) < _BATCH and self._queued_bytes < _BATCH_BYTES and not self._stopping:
                self._wake.wait(max(next_poll - time.monotonic(), 0))
                self._wake.clear()
        self._end()

    def _idle(self) -> None:
        if self._sink is not None and not self._failing:
            with guarded:
                self._sink.idle(after_backlog=self._most_queued_bytes >= _BACKLOG_BYTES)
        self._most_queued_bytes = 0

    def _end(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None
        self._thread = None
        if self._queue:  # entries were added after the last poll
            self._start()

    def _write_batch(self, batch: _Batch) -> None:
        while not self._try_write(batch):
            if self._stopping:
                self._drop_all()
                break
            self._wake.clear()
            self._wake.wait(_RETRY_SECONDS)
        self._in_hand = 0
        for flush in batch.flushes:
            flush.set()

    def _drop_all(self) -> None:
        lost = self.waiting
        self._queue.clear()
        self._queued_bytes = 0
        self._drop(lost, "the journal cannot be written and the process ends")

    def _take_batch(self) -> _Batch:
        batch = _Batch([], [], [])
        self._most_queued_bytes = max(self._most_queued_bytes, self._queued_bytes)
        size = 0
        while self._queue and len(batch.ended) < _BATCH and size < _BATCH_BYTES:
            entry = self._queue.popleft()
            if type(entry) is Observation:
                batch.ended.append(entry)
                size += entry.size
            else:
                batch.flushes.append(entry)
        # Read started observations after the queue, so that all that began before a flush of this batch are included.
        batch.opened.extend(self._newly_begun())
        self._in_hand = len(batch.ended)
        # Callers change `_queued_bytes` without a lock, so a change may be lost. An empty queue resets it to 0.
        self._queued_bytes = max(self._queued_bytes - size, 0) if self._queue else 0
        return batch

    def _newly_begun(self) -> list[Observation]:
        begun = [observation for observation in self._running.copy() if not observation.noted]
        for observation in begun:
            observation.noted = True
        return begun

    def _try_write(self, batch: _Batch) -> bool:
        """Write a batch. Return False if it should be retried; drop it if a retry would fail too."""
        try:
            if self._sink is None:
                self._sink = self._make_sink()
            self._sink.write(batch.opened, batch.ended)
        except OSError as error:  # for example, the disk is full or a file is missing
            failures.note("journal", f"the journal cannot be written: {error}", cure="Retrying; the agent goes on.")
            self._failing = True
            return False
        except BaseException as error:  # noqa: BLE001 - the same batch would fail for ever; an answer may raise anything
            self._drop(len(batch.ended), f"a batch could not be journalled ({type(error).__name__}: {error})")
        else:
            self.journalled += len(batch.ended)
        self._failing = False
        return True
