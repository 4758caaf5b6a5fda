"""
🌙 Moon Dev's Recorder
Built with love by Moon Dev 🚀

The queue between the agents and the journal, and the one thread that empties it. The caller appends and leaves; it
takes no lock, and wakes the thread only where that has gone to sleep.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from src.observability.guard import failures
from src.observability.observation import Observation

OWN_THREADS = "moondev-observability"  # how our threads are named
MAX_QUEUED = 50_000  # observations
MAX_QUEUED_BYTES = 64 * 1024 * 1024
MAX_WAIT_SECONDS = 0.05  # what a caller waits for room before its observation is dropped and counted
_POLL_SECONDS = 0.01  # between looks at the queue while calls come in: on disk well within 50 ms
_IDLE_POLL_SECONDS = 0.025  # and while none do; a caller need wake nobody, which would cost it a lock
_IDLE_AFTER = 100  # empty looks
_BATCH = 200  # observations in one transaction
_PAUSE_SECONDS = 2.0  # what a fork waits for a batch at most
_RETRY_SECONDS = 0.5  # while the journal cannot be written


class Sink(Protocol):
    """What the recorder writes to."""

    def write(self, opened: list[Observation], ended: list[Observation]) -> None:
        """Journal these in one transaction; raises where that failed and should be tried again."""

    def close(self) -> None:
        """Give the journal back."""

    def abandon(self) -> None:
        """Leave what was inherited by a fork to the parent."""


class Recorder:
    """Takes observations from any thread, and journals them from its own."""

    def __init__(self, make_sink: Callable[[], Sink]) -> None:
        self._make_sink = make_sink  # called on the recorder's thread: it imports what the caller's need not wait for
        self._sink: Sink | None = None
        self._queue: deque[Any] = deque()  # Observation: ended; (Observation,): opened; Event: all before it is written
        self._queued_bytes = 0
        self._hurry = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._at_work = threading.Lock()  # held while the sink writes, and imports what it needs
        self.journalled = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """How many entries are not journalled yet."""
        return len(self._queue)

    def opened(self, observation: Observation) -> None:
        """Note that an observation has begun, as evidence should the process die in it."""
        self._append((observation,))

    def put(self, observation: Observation) -> None:
        """Hand over an ended observation; at the queue's bound, wait a little, then drop and count it."""
        if self._full() and not self._wait_for_room():
            self._drop(1)
            return
        self._queued_bytes += observation.size
        self._append(observation)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything handed over so far is journalled; False where that took longer than `timeout` s."""
        if self._thread is None and not self._queue:
            return True
        written = threading.Event()
        self._append(written)
        self._hurry.set()
        return written.wait(timeout)

    def stop(self, timeout: float) -> bool:
        """Journal what is queued and end the thread; False where that took longer than `timeout` seconds."""
        self._stopping = True
        self._hurry.set()
        if self._thread is None:  # nothing was recorded, or the interpreter is past starting threads
            if self._queue:
                self._run()
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """In a fork's child: what is queued and open here is the parent's to write."""
        if self._sink is not None:
            self._sink.abandon()

    def pause(self) -> bool:
        """Before a fork: wait until the thread is between two batches, for a child inherits half-done imports as they
        are; whether `resume` is due."""
        return self._at_work.acquire(timeout=_PAUSE_SECONDS)

    def resume(self) -> None:
        """After a fork, in the parent."""
        self._at_work.release()

    def _append(self, entry: Any) -> None:
        self._queue.append(entry)
        if self._thread is None:
            self._start()

    def _drop(self, count: int) -> None:
        self.dropped += count
        failures.note("dropped", "the recorder cannot keep up, observations are dropped", cure="health() counts them.")

    def _full(self) -> bool:
        return len(self._queue) >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES

    def _wait_for_room(self) -> bool:
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.002)
            if not self._full():
                return True
        return False

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=f"{OWN_THREADS}-recorder", daemon=True)
                with contextlib.suppress(RuntimeError):  # the interpreter is ending: `stop` writes what is queued
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        empty_looks = 0
        while self._queue or not self._stopping:
            if self._queue:
                empty_looks = 0
                self._write_batch()
            else:
                empty_looks += 1
                self._hurry.wait(_POLL_SECONDS if empty_looks < _IDLE_AFTER else _IDLE_POLL_SECONDS)
                self._hurry.clear()
        if self._sink is not None:
            self._sink.close()

    def _write_batch(self) -> None:
        opened, ended, flushes = self._take_batch()
        while not self._try_write(opened, ended):
            if self._stopping:
                self._drop(len(ended))
                break
            time.sleep(_RETRY_SECONDS)
        for flush in flushes:
            flush.set()

    def _take_batch(self) -> tuple[list[Observation], list[Observation], list[threading.Event]]:
        opened: list[Observation] = []
        ended: list[Observation] = []
        flushes: list[threading.Event] = []
        while self._queue and len(ended) < _BATCH:
            entry = self._queue.popleft()
            if type(entry) is Observation:
                ended.append(entry)
                self._queued_bytes -= entry.size
            elif type(entry) is tuple:
                opened.append(entry[0])
            else:
                flushes.append(entry)
        if not self._queue:
            self._queued_bytes = 0  # callers add to it without a lock: what they lost is put right here
        return opened, ended, flushes

    def _try_write(self, opened: list[Observation], ended: list[Observation]) -> bool:
        try:
            with self._at_work:
                if self._sink is None:
                    self._sink = self._make_sink()
                self._sink.write(opened, ended)
        except Exception as error:  # noqa: BLE001 - disk full, file gone, anything: calls go on, we try again
            failures.note("journal", f"the journal cannot be written: {error}", cure="Trying again; calls go on.")
            return False
        self.journalled += len(ended)
        return True
