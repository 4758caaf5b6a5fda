"""
🌙 Moon Dev's Observability Signals
Built with love by Moon Dev 🚀

SIGTERM ends the process as ever, once everything is journalled.

Python runs a handler on the main thread, between two of its steps: in the middle of an import, or of anything that
holds a lock. What the recorder waits for then is the main thread, which must go on. So the handler does nothing but
wait a little; a thread of ours closes, and ends the process.

A signal that comes in the moment before the main thread goes to sleep, or that the system hands to another thread,
would wait until that sleep is over: an agent sleeps fifteen minutes. So each signal also puts a byte into a pipe, which
wakes our thread, and that thread wakes the main one.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from .recording.recorder import OWN_THREADS

_PATIENCE_SECONDS = 0.5  # that the main thread stands still for; then it goes on until all is closed
_LOOK_SECONDS = 0.01
_WAKE_SECONDS = 0.1

_end: Callable[[], None] | None = None
_closed = False
_watching = False
_pipe: tuple[int, int] | None = None


def catch_sigterm(end: Callable[[], None]) -> None:
    """Call `end` on SIGTERM, where the application has no handler of its own; one that it has, or sets later, stays."""
    global _end
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set a handler
    if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, _on_sigterm):
        _end = end
        signal.signal(signal.SIGTERM, _on_sigterm)
        _open_pipe()


def watch() -> None:
    """Begin the thread that closes, from any thread."""
    global _watching
    if _pipe is not None and not _watching:
        _watching = True
        threading.Thread(target=_wait, args=(_pipe[0],), name=f"{OWN_THREADS}-signals", daemon=True).start()


def _on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    if _pipe is not None and _watching:
        with contextlib.suppress(BlockingIOError):  # it is full of signals already
            os.write(_pipe[1], bytes([signal.SIGTERM]))  # asyncio has the system's byte, where it set the wake-up first
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _closed and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if not _closed:
            return
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)  # end as ever: the parent sees the same exit status


def _open_pipe() -> None:
    global _pipe
    if _pipe is not None:
        return
    _pipe = os.pipe()
    os.set_blocking(_pipe[1], False)
    before = signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)
    if before != -1:  # the application's own, which asyncio sets too: it is awake
        signal.set_wakeup_fd(before)


def _wait(pipe: int) -> None:
    global _closed
    while signals := os.read(pipe, 64):  # a byte a signal: its number
        if signal.SIGTERM in signals and _is_ours():
            try:
                if _end is not None:
                    _end()
            finally:
                _closed = True
            while _is_ours():
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                time.sleep(_WAKE_SECONDS)


def _is_ours() -> bool:
    return signal.getsignal(signal.SIGTERM) is _on_sigterm


def _in_child() -> None:
    """A signal to a fork's child must not wake its parent."""
    global _pipe, _closed, _watching
    if _pipe is not None:
        woken = signal.set_wakeup_fd(-1)
        if woken not in (-1, _pipe[1]):  # asyncio's, set since
            signal.set_wakeup_fd(woken)
        for end in _pipe:
            os.close(end)
    _pipe, _closed, _watching = None, False, False


os.register_at_fork(after_in_child=_in_child)
