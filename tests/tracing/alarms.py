"""Raises an agent's SIGALRM at a chosen line of the code under test."""

import linecache
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_NO_HANDLER_RUNS = ("try:", "except", "self._starting.release()")  # Python runs no signal handler at these lines


@contextmanager
def alarms() -> Iterator[None]:
    """Install a handler of SIGALRM that raises TimeoutError, as an agent may."""

    def ring(*_: Any) -> None:
        raise TimeoutError("the agent's own")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


def line_of_alarm(number: int, call: Callable[[], Any], files: frozenset[str]) -> str | None:
    """Ring an alarm at the `number`-th line that the call runs in these files. Return that line, or None if the call
    runs fewer lines. Fail if the alarm does not reach the caller."""
    lines, rung = 0, None

    def trace(frame: Any, event: str, _arg: Any) -> Any:
        nonlocal lines, rung
        file = frame.f_code.co_filename
        if file not in files:
            return None
        source = linecache.getline(file, frame.f_lineno).strip()
        lines += event == "line" and not source.startswith(_NO_HANDLER_RUNS)
        if lines == number and event == "line":
            sys.settrace(None)
            rung = f"{file}:{frame.f_lineno}: {source}"
            signal.raise_signal(signal.SIGALRM)
        return trace

    sys.settrace(trace)
    try:
        call()
    except TimeoutError:
        return rung
    finally:
        sys.settrace(None)
    assert rung is None, f"the alarm at {rung} is swallowed"
    return None
