"""The recorder and shipper of this process: started with the first observation, closed at the process's end.

Both live here, not in `LangFuseTracker`, because agents' tests reset that singleton and the threads must outlive it.
`_before_fork` runs before a fork, and `_in_child` after it in the child; `grep register_at_fork` finds all fork hooks.
"""

import atexit
import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from . import sqlite_forks
from .background import OWN_THREADS
from .internal_errors import failures, guarded
from .recording import Recorder
from .settings import journal_path, setting, tracing_on
from .tracing import Observation, budgeting, carry_into_threads, set_processor

if TYPE_CHECKING:
    from .budgets import Keeper
    from .recording import Sink
    from .shipping import Shipper

# Writing to the disk at exit may take this long, even if OBSERVABILITY_EXIT_SECONDS is 0 or the network has used it up.
_LEAST_DISK_SECONDS = 0.2


class Runtime:
    """Holds the recorder of this process, and its shipper once it is needed."""

    def __init__(self) -> None:
        self.recorder = Recorder(self._make_sink)
        self._shipper: Shipper | None = None

    @property
    def shipper(self) -> "Shipper":
        """The shipper. At the first use, its module is imported and the shipper created, on a thread of the agent."""
        with _creating:
            if self._shipper is None:
                from .shipping import Shipper

                self._shipper = Shipper()
            return self._shipper

    def _make_sink(self) -> "Sink":
        """Create the recorder's sink.

        This also imports all modules that the threads of this package need, before these threads start.
        """
        from .recording import JournalSink

        return JournalSink(self.shipper.start, _keeper())

    def flush(self, timeout: float | None) -> bool:
        """Journal queued observations and ship pending rows within `timeout` seconds. Return False if any is left."""
        deadline = None if timeout is None else time.monotonic() + timeout
        written = self.recorder.flush(timeout, wait_while_failing=timeout is not None)
        return written and self.shipper.flush(None if deadline is None else max(deadline - time.monotonic(), 0.0))

    def close(self, seconds: float) -> None:
        """Journal and ship all observations within `seconds`, also those that other threads record meanwhile.

        Writing to the disk may take `_LEAST_DISK_SECONDS`, even if `seconds` is less.
        """
        deadline = time.monotonic() + seconds
        try:
            self.recorder.flush(max(seconds, _LEAST_DISK_SECONDS), wait_while_failing=False)
            if self._shipper is not None:
                self._shipper.stop(max(deadline - time.monotonic(), 0.0))
            self.recorder.stop(max(deadline - time.monotonic(), _LEAST_DISK_SECONDS))
        except BaseException:  # Ctrl-C
            self.recorder.count_lost("the shutdown was interrupted")
            raise

    def abandon(self) -> None:
        """In a forked child, leave the queued observations and the open connections to the parent process."""
        self.recorder.abandon()
        if self._shipper is not None:
            self._shipper.abandon()


class _Starter:
    """Receives observations until a runtime exists, and starts the runtime when the first one arrives."""

    def on_start(self, observation: Observation) -> None:
        running().recorder.on_start(observation)

    def on_end(self, observation: Observation) -> None:
        running().recorder.on_end(observation)


active: Runtime | None = None
_starter = _Starter()
set_processor(_starter)
_ending = False
_creating = threading.RLock()
# In a forked child: the parent's runtimes, which are kept so that the child never closes them.
_inherited: list[Runtime] = []


def _keeper() -> "Keeper | None":
    """Set `budgeting.gate`, which checks calls against the budgets. Return the keeper, which counts their cost.

    If no budget is set, return None and do not import the package `budgets`.
    """
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


_prepared: "Keeper | None" = None  # the keeper that `prepare_budgets` created, until the recorder takes it
_known: Any = None  # in a forked child: the parent's `budgeting.gate`, whose state the child inherits


def prepare_budgets() -> None:
    """Start a thread that reads the state of the budgets, so that the state is known at the first model call."""
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
    """Journal queued observations and ship pending rows within `timeout` seconds. Return False if any is left."""
    if active is None and not tracing_on():
        return True
    return running().flush(timeout)


def close() -> None:
    """Journal and ship all observations, and stop the runtime. The next observation starts a new one."""
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
    """Close the runtime at exit.

    From then on, a traced call of another thread waits until its row is on disk, since the process may end at any time.
    """
    global _ending
    _ending = True
    if active is not None:
        active.recorder.synchronous = True
    # suppress Ctrl-C: if it interrupts `close`, the remaining observations are already counted as lost
    with contextlib.suppress(KeyboardInterrupt):
        close()


def _close_with_the_process() -> None:
    atexit.unregister(_end)
    atexit.register(_end)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:  # its forked children call `Finalize` functions, but not those of atexit
        multiprocessing.Finalize(None, _end, exitpriority=0)


def _before_fork() -> None:
    if active is not None:
        active.recorder.before_fork()
    sqlite_forks.before()


def _in_child() -> None:
    global active, _creating, _ending, _known, _prepared
    sqlite_forks.after_in_child()
    if active is not None:
        active.abandon()
        _inherited.append(active)
    active, _ending = None, False
    _known = budgeting.gate
    budgeting.gate = _prepared = None
    set_processor(_starter)
    _creating = threading.RLock()
    failures.reset()


os.register_at_fork(before=_before_fork, after_in_parent=sqlite_forks.after_in_parent, after_in_child=_in_child)


def health() -> dict[str, Any]:
    """The report of `LangFuseTracker().health()`."""
    from .health import report

    return report(running().recorder, running().shipper)
