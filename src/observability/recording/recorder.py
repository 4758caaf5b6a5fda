"""
🌙 Moon Dev's Recorder
Built with love by Moon Dev 🚀

The queue between the agents and the journal, and the one thread that empties it. The caller appends and leaves; it
takes no lock and wakes nobody: the thread looks by itself.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..background import OWN_THREADS, PAUSE_SECONDS
from ..internal_errors import failures
from ..tracing import Observation

MAX_QUEUED = 50_000  # entries
MAX_QUEUED_BYTES = 64 * 1024 * 1024
MAX_WAIT_SECONDS = 0.05  # what a caller waits for room before its observation is dropped and counted
# Between looks at the queue: a fleet of 48 has 50 ms for one journal. To be woken would cost the callers a lock, and to
# look more often what the processor's caches hold for their next call.
_POLL_SECONDS = 0.015
_START_SECONDS = 1.0  # for a thread to be started; a signal's handler may have interrupted who does it
_BATCH = 200  # observations in one transaction
_BATCH_BYTES = 8 * 1024 * 1024
_BEHIND = 100  # entries: from here on answers are weighed with all that they hold
JOURNAL_SECONDS = 20.0  # what an ending process, or a call that is to be on disk, waits for the disk
_LOOK_SECONDS = 0.02  # at whether the journal fails, by who waits for it
_RETRY_SECONDS = 0.5  # while the journal cannot be written


class Sink(Protocol):
    """What the recorder writes to."""

    def write(self, opened: list[Observation], ended: list[Observation]) -> None:
        """Journal these in one transaction; OSError where that failed and should be tried again."""

    def close(self) -> None:
        """Give the journal back."""

    def abandon(self) -> None:
        """Leave what was inherited by a fork to the parent."""


class _Batch(NamedTuple):
    opened: list[Observation]
    ended: list[Observation]
    flushes: list[threading.Event]


class Recorder:
    """Takes observations from any thread, and journals them from its own."""

    def __init__(self, make_sink: Callable[[], Sink]) -> None:
        self._make_sink = make_sink  # called on the recorder's thread: it imports what the caller's need not wait for
        self._sink: Sink | None = None
        self._queue: deque[Any] = deque()  # Observation: ended; Event: somebody waits until all before it is written
        self._running: dict[int, Observation] = {}  # begun and not ended, by id
        self._queued_bytes = 0
        self._in_hand = 0  # ended ones, taken from the queue and not written yet
        self._hurry = threading.Event()
        self.at_once = False  # the process ends: a call waits until it is on disk
        self._stopping = False
        self._failing = False  # the journal cannot be written
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._dropping = threading.RLock()  # a signal's handler may drop while what it interrupts does
        self._at_work = threading.Lock()  # held while the sink writes, and imports what it needs
        self.journalled = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """How many ended observations are not journalled yet."""
        return self._in_hand + sum(type(entry) is Observation for entry in self._queue.copy())

    def on_start(self, observation: Observation) -> None:
        """An observation has begun: where it still runs when the thread looks, that is noted, as evidence should the
        process die in it."""
        self._running[observation.id] = observation
        if self._thread is None:
            self._start()
        if observation.durable:
            self.flush(JOURNAL_SECONDS, patient=False)

    def on_end(self, observation: Observation) -> None:
        """Hand over an ended observation; a durable one is on disk when this returns, where the disk takes it. At the
        queue's bound, wait a little, then drop and count it."""
        self._running.pop(observation.id, None)
        queue = self._queue
        length = len(queue)
        if (length >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES) and not self._has_room_soon():
            self._drop(1, "the recorder cannot keep up")
            return
        self._queued_bytes += observation.weigh(whole=length > _BEHIND)
        queue.append(observation)
        if self._thread is None:
            self._start()
        if observation.durable or self.at_once:
            self.flush(JOURNAL_SECONDS, patient=False)

    def flush(self, timeout: float | None = None, *, patient: bool = True) -> bool:
        """Wait until everything handed over so far is journalled; False where that took longer than `timeout` seconds.

        Args:
            timeout: seconds.
            patient: wait also while the journal cannot be written; else the answer is False as soon as that is known.
        """
        if self._thread is None and not self._queue:
            return True
        if self._failing and not patient:
            return False
        written = threading.Event()
        self._append(written)
        self._hurry.set()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not written.wait(_LOOK_SECONDS):
            if (self._failing and not patient) or (deadline is not None and time.monotonic() >= deadline):
                return False
        return True

    def stop(self, timeout: float) -> bool:
        """Journal what is queued and end the thread; False where that took longer than `timeout` seconds."""
        self._stopping = True
        self._hurry.set()
        deadline = time.monotonic() + timeout
        thread = self._started(deadline)
        if thread is None:  # nothing was recorded, or the interpreter is past starting threads
            if self._queue:
                self._run()
            return True
        thread.join(max(deadline - time.monotonic(), 0.0))
        if thread.is_alive():
            self._drop(self.waiting, f"the journal could not be written within {timeout:g} s")
        return not thread.is_alive()

    def _started(self, deadline: float) -> threading.Thread | None:
        """The thread, if there is one; where another one is just starting it, once that is done."""
        if self._starting.acquire(timeout=min(max(deadline - time.monotonic(), 0.0), _START_SECONDS)):
            self._starting.release()
        thread = self._thread
        return thread if thread is not None and thread.ident is not None else None

    def abandon(self) -> None:
        """In a fork's child: what is queued and open here is the parent's to write."""
        if self._sink is not None:
            self._sink.abandon()

    def pause(self) -> bool:
        """Before a fork: wait until the thread is between two batches; whether `resume` is due."""
        return self._at_work.acquire(timeout=PAUSE_SECONDS)

    def resume(self) -> None:
        """After a fork, in the parent."""
        self._at_work.release()

    def _append(self, entry: Any) -> None:
        self._queue.append(entry)
        if self._thread is None:
            self._start()

    def _drop(self, count: int, why: str) -> None:
        if count:
            with self._dropping:
                self.dropped += count
            failures.note("dropped", f"{why}, observations are lost: {count}", cure="health() counts them.")

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
        """Begin the thread, unless somebody is just doing so: a signal may have left the lock held."""
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                if self._sink is None:
                    self._sink = self._make_sink()
                self._thread = threading.Thread(target=self._run, name=f"{OWN_THREADS}-recorder", daemon=True)
                self._thread.start()
        except RuntimeError:  # the interpreter is ending: `stop` writes what is queued, later calls write here
            self._thread = None
            if self._stopping:
                self._run()
        finally:
            self._starting.release()

    def _run(self) -> None:
        while True:
            next_look = time.monotonic() + _POLL_SECONDS
            last = self._stopping
            batch = self._take_batch()
            if any(batch):
                self._write_batch(batch)
            elif last:
                break
            if len(self._queue) < _BATCH and self._queued_bytes < _BATCH_BYTES and not self._stopping:
                self._hurry.wait(max(next_look - time.monotonic(), 0))
                self._hurry.clear()
        self._end()

    def _end(self) -> None:
        with self._at_work:
            if self._sink is not None:
                self._sink.close()
                self._sink = None
        self._thread = None
        if self._queue:  # came between the last look and now
            self._start()

    def _write_batch(self, batch: _Batch) -> None:
        while not self._try_write(batch):
            if self._stopping:
                self._drop_all()
                break
            self._hurry.clear()
            self._hurry.wait(_RETRY_SECONDS)
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
        size = 0
        while self._queue and len(batch.ended) < _BATCH and size < _BATCH_BYTES:
            entry = self._queue.popleft()
            if type(entry) is Observation:
                batch.ended.append(entry)
                size += entry.size
            else:
                batch.flushes.append(entry)
        batch.opened.extend(self._newly_begun())  # last: what a flush waits for has begun before it
        self._in_hand = len(batch.ended)
        # Callers add to it without a lock: what they lost is put right whenever the queue is empty.
        self._queued_bytes = max(self._queued_bytes - size, 0) if self._queue else 0
        return batch

    def _newly_begun(self) -> list[Observation]:
        begun = [each for each in self._running.copy().values() if not each.noted]
        for each in begun:
            each.noted = True
        return begun

    def _try_write(self, batch: _Batch) -> bool:
        """Whether the batch is done with."""
        try:
            with self._at_work:
                if self._sink is None:
                    self._sink = self._make_sink()
                self._sink.write(batch.opened, batch.ended)
        except OSError as error:  # disk full, file gone: calls go on, we try again
            failures.note("journal", f"the journal cannot be written: {error}", cure="Trying again; calls go on.")
            self._failing = True
            return False
        except Exception as error:  # noqa: BLE001 - our own mistake: the same batch would fail for ever
            self._drop(len(batch.ended), f"a batch could not be journalled ({type(error).__name__}: {error})")
        else:
            self.journalled += len(batch.ended)
        self._failing = False
        return True
