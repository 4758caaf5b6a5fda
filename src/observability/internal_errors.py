"""Failures of this package: each kind is printed once, all are counted, none is raised into trading code.

In tests (`strict`), failures are raised: a failure must break a test, but never a trade.
"""

import threading
import time
from types import TracebackType

from .interruption import is_interruption
from .terminal import redacted, warn

strict = False  # set by tests


class Failures:
    """Counts failures of this package by kind, for `health()`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # reentrant: a signal handler may interrupt `note` and call `note` itself
        self._counts: dict[str, int] = {}
        self.last: str | None = None
        self.last_at: float | None = None  # Unix seconds

    @property
    def total(self) -> int:
        """The number of failures since the process started."""
        return sum(self._counts.values())

    def note(self, kind: str, message: str, *, cure: str = "The agent's calls go on as before.") -> None:
        """Count one failure. Print the first failure of each kind, and `cure`: what happens next, or what to do."""
        message = redacted(message)
        with self._lock:
            earlier = self._counts.get(kind, 0)
            self._counts[kind] = earlier + 1
            self.last, self.last_at = message, time.time()
        if not earlier:
            warn(f"⚠️ Observability: {message}. {cure}")

    def reset(self) -> None:
        """Delete all counts. Forked child processes and tests call this."""
        self.__init__()  # type: ignore[misc]


failures = Failures()


def swallow(error: Exception) -> None:
    """Count and print an error of this package's bookkeeping. In tests, where `strict` is set, raise it.

    An exception of the agent's own signal handler (an alarm) is not an error of this package, and is raised again.
    """
    if strict or is_interruption(error):
        raise error
    failures.note(f"{type(error).__name__} in bookkeeping", f"{type(error).__name__}: {error}")


class _Guarded:
    """The class of `guarded`, a context manager that swallows errors of this package's bookkeeping.

    The agent's own call to an SDK never runs inside it.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception) and not strict and not is_interruption(error):
            swallow(error)
            return True
        return False


guarded = _Guarded()
