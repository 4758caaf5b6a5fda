"""Measures for how long a busy machine kept processes waiting, so that tests can subtract that time.

A separate process tries to run every few milliseconds, and records how much later it really ran.
"""

import os
import subprocess
import sys
import tempfile
import time
from types import TracebackType

_EVERY_SECONDS = 0.005


class Watch:
    """Records, as a context manager, how long the machine kept processes waiting. Query it after the `with` block."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `__exit__`
        self._waits: list[tuple[int, int]] = []

    def __enter__(self) -> "Watch":
        self._process = subprocess.Popen([sys.executable, "-m", __name__], stdout=self._file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._file.seek(0)
        waits = (line.split() for line in self._file.read().split("\n")[:-1])
        self._waits = [(int(wanted), int(ran)) for wanted, ran in waits]
        self._file.close()

    def rest(self, seconds: float) -> None:
        """Sleep for this many seconds, or longer on a busy machine. Call this only inside the `with` block."""
        until = self._looks() + seconds / _EVERY_SECONDS
        while self._looks() < until:
            time.sleep(_EVERY_SECONDS)

    def _looks(self) -> int:
        written = self._file.fileno()
        return os.pread(written, os.fstat(written).st_size, 0).count(b"\n")

    def kept_waiting_ns(self, since: int, until: int) -> int:
        """Return for how many nanoseconds between two monotonic times the machine kept processes waiting."""
        return sum(max(min(ran, until) - max(wanted, since), 0) for wanted, ran in self._waits)


def main() -> None:
    """Print a line after each short sleep: the time when the process wanted to run, and when it ran."""
    while True:
        wanted = time.monotonic_ns() + int(_EVERY_SECONDS * 1e9)
        time.sleep(_EVERY_SECONDS)
        print(wanted, time.monotonic_ns(), flush=True)


if __name__ == "__main__":
    main()
