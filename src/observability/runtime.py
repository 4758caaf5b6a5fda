"""The one running recorder and shipper of this process: begun with the first observation, closed at its end.

`LangFuseTracker` is only their face, so that a test that nulls the singleton orphans nothing.
"""

import atexit
import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from . import forks
from .background import OWN_THREADS
from .internal_errors import failures, guarded
from .recording import Recorder
from .settings import journal_path, setting, tracing_on
from .tracing import Observation, budgeting, carry_into_threads, set_processor

if TYPE_CHECKING:
    from .budgets import Keeper
    from .recording import Sink
    from .shipping import Shipper

_LEAST_DISK_SECONDS = 0.2  # for a healthy disk, where the exit budget is zero or used up by the network


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

        return JournalSink(self.shipper.start, _keeper())

    def flush(self, timeout: float | None) -> bool:
        """Journal what is queued, ship what is pending; whether nothing is left, within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        written = self.recorder.flush(timeout, wait_while_failing=timeout is not None)
        return written and self.shipper.flush(None if deadline is None else max(deadline - time.monotonic(), 0.0))

    def close(self, seconds: float) -> None:
        """Journal everything, also what other threads record meanwhile, and ship it, within `seconds` for both."""
        deadline = time.monotonic() + seconds
        try:
            self.recorder.flush(max(seconds, _LEAST_DISK_SECONDS), wait_while_failing=False)
            if self._shipper is not None:
                self._shipper.stop(max(deadline - time.monotonic(), 0.0))
            self.recorder.stop(max(deadline - time.monotonic(), _LEAST_DISK_SECONDS))
        except BaseException:  # Ctrl-C
            self.recorder.count_lost("the end of the process was interrupted")
            raise

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


def _keeper() -> "Keeper | None":
    """Install the gate of the budgets, if there are any; nothing of `budgets` is imported otherwise."""
    global _prepared, _known
    keeper, _prepared = _prepared, None
    if keeper is None and setting("OBSERVABILITY_BUDGETS"):
        from .budgets import keeper_of_settings

        keeper = keeper_of_settings()
        if keeper is not None and _known is not None:
            keeper.gate.inherit(_known)
    _known = None
    budgeting.gate = None if keeper is None else keeper.gate
    return keeper


_prepared: "Keeper | None" = None  # for the recorder, once it starts
_known: Any = None  # the gate of the parent of this process


def prepare_budgets() -> None:
    """Begin to read how the budgets stand, on a thread of ours, so that the first call finds them known."""
    global _prepared
    with guarded:
        _prepared = keeper = _keeper()
        if keeper is not None:
            name = f"{OWN_THREADS}-budgets"
            threading.Thread(target=keeper.read, args=(journal_path(),), name=name, daemon=True).start()


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
            active.recorder.synchronous = _ending
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
        active = budgeting.gate = None
        set_processor(_starter)


def _end() -> None:
    """Close. Calls that other threads still make return once they are on disk: the process may end at any time."""
    global _ending
    _ending = True
    if active is not None:
        active.recorder.synchronous = True
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C while we wait: `close` has counted the rest as lost
        close()


def _close_with_the_process() -> None:
    atexit.unregister(_end)
    atexit.register(_end)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:  # its forked children end without atexit
        multiprocessing.Finalize(None, _end, exitpriority=0)


def _in_child() -> None:
    global active, _creating, _ending, _known, _prepared
    forks.after_in_child()
    if active is not None:
        active.abandon()
        _inherited.append(active)
    active, _ending = None, False
    _known = budgeting.gate
    budgeting.gate = _prepared = None
    set_processor(_starter)
    _creating = threading.RLock()
    failures.reset()


os.register_at_fork(before=forks.before, after_in_parent=forks.after_in_parent, after_in_child=_in_child)


def health() -> dict[str, Any]:
    """What `LangFuseTracker().health()` reports."""
    from .health import report

    return report(running().recorder, running().shipper)
