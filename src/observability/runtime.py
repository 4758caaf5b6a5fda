"""
🌙 Moon Dev's Observability Runtime
Built with love by Moon Dev 🚀

The one running recorder and shipper of this process, begun with the first observation, ended with the process. It
lives beside `LangFuseTracker`, which is only its face, so that a test that nulls the singleton orphans nothing.
"""

import atexit
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from . import forks
from .internal_errors import failures, guarded
from .recording import JOURNAL_SECONDS, Recorder
from .settings import setting, tracing_on
from .tracing import Observation, carry_into_threads, set_processor

if TYPE_CHECKING:
    from collections.abc import Callable

    from .recording import Sink
    from .shipping import Shipper


class Runtime:
    """A recorder, and a shipper once there is something to ship or to wait for."""

    def __init__(self) -> None:
        self.recorder = Recorder(self._make_sink)
        self._shipper: Shipper | None = None

    @property
    def shipper(self) -> "Shipper":
        """The shipper, made on first use; its module is imported then, on an agent's thread."""
        with _creating:
            if self._shipper is None:
                from .shipping import Shipper

                self._shipper = Shipper()
            return self._shipper

    def _make_sink(self) -> "Sink":
        """Import everything that our threads need, before one of them starts."""
        from .recording import JournalSink

        return JournalSink(self.shipper.start)

    def flush(self, timeout: float | None) -> bool:
        """Journal what is queued, ship what is pending; whether nothing is left, within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        written = self.recorder.flush(timeout, patient=timeout is not None)
        return written and self.shipper.flush(None if deadline is None else max(deadline - time.monotonic(), 0.0))

    def close(self, exit_seconds: float) -> None:
        """Journal everything, also what other threads do meanwhile; spend at most `exit_seconds` on the network."""
        self.recorder.flush(JOURNAL_SECONDS, patient=False)
        if self._shipper is not None:
            self._shipper.stop(exit_seconds)
        self.recorder.stop(JOURNAL_SECONDS)

    def pause(self) -> "tuple[Callable[[], None], ...]":
        """Before a fork: wait until neither imports anything, for a child inherits half-done imports as they are; what
        is to be called after it, in the parent."""
        return (self.recorder.resume,) if self.recorder.pause() else ()

    def abandon(self) -> None:
        """In a fork's child: all of this is the parent's."""
        self.recorder.abandon()
        if self._shipper is not None:
            self._shipper.abandon()


class _Starter:
    """The processor until the first observation, which begins the runtime."""

    def on_start(self, observation: Observation) -> None:
        running().recorder.on_start(observation)

    def on_end(self, observation: Observation) -> None:
        running().recorder.on_end(observation)


active: Runtime | None = None
_starter = _Starter()
set_processor(_starter)
_ending = False
_creating = threading.RLock()
_inherited: list[Runtime] = []  # a fork's child never closes, and never uses, what its parent had open


def running() -> Runtime:
    """The runtime of this process."""
    return active or _begin()


def _begin() -> Runtime:
    global active
    with _creating:
        if active is None:
            carry_into_threads()
            _close_with_the_process()
            active = Runtime()
            active.recorder.at_once = _ending
            set_processor(active.recorder)
        return active


def flush(timeout: float | None = None) -> bool:
    """Journal what is queued and ship what is pending; whether nothing is left, within `timeout` seconds."""
    if active is None and not tracing_on():
        return True
    return running().flush(timeout)


def close() -> None:
    """Journal and ship what there is, and stop; the next observation begins a new runtime."""
    global active
    if active is None:
        return
    try:
        with guarded:
            active.close(setting("OBSERVABILITY_EXIT_SECONDS"))
    finally:
        active = None
        set_processor(_starter)


def _end() -> None:
    """Close; what other threads still record is on disk before their call returns, for the process may end any time."""
    global _ending
    _ending = True
    if active is not None:
        active.recorder.at_once = True
    close()


def _close_with_the_process() -> None:
    atexit.unregister(_end)
    atexit.register(_end)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:  # its forked children end without atexit
        multiprocessing.Finalize(None, _end, exitpriority=0)


_paused: "tuple[Callable[[], None], ...]" = ()


def _before_fork() -> None:
    global _paused
    _paused = active.pause() if active is not None else ()
    forks.before()


def _in_parent() -> None:
    forks.after()
    for resume in _paused:
        resume()


def _in_child() -> None:
    global active, _creating, _ending
    forks.after()
    if active is not None:
        active.abandon()
        _inherited.append(active)
    active, _ending = None, False
    set_processor(_starter)
    _creating = threading.RLock()
    failures.reset()


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)


def health() -> dict[str, Any]:
    """What `LangFuseTracker().health()` reports."""
    from .health import report

    return report(running().recorder, running().shipper)
