"""Print a line of ours at once or not at all: the agent never waits for a reader of its output, and gets no error."""

import os
import select
import sys
from typing import Any

from termcolor import colored

from .interruption import ignoring

dropped = 0  # lines that could not be printed; `health()` has the number


def print_now(text: str, colour: str, *, to_stderr: bool = False) -> None:
    """Print one line, or drop and count it where that would block or fails (a full pipe, a closed or full file).

    Args:
        text: the line. Only `terminal.py` may put other people's text into it, and redacts it.
        colour: green, yellow, red or cyan, as termcolor knows them.
        to_stderr: to stderr instead of stdout.
    """
    global dropped
    with ignoring(Exception):
        if _is_written(sys.stderr if to_stderr else sys.stdout, f"{_coloured(text, colour)}\n"):
            return
    dropped += 1


def _coloured(text: str, colour: str) -> str:
    try:
        return colored(text, colour)
    except ValueError:  # termcolor looks at stdout, which may be closed
        return text


def _is_written(stream: Any, line: str) -> bool:
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError):  # a stream in memory
        stream.write(line)
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if poll.poll(0) != [(descriptor, select.POLLOUT)]:  # full; or broken, where SIGPIPE may kill
        return False
    stream.flush()  # in the order of the agent's own lines
    data = line.encode(stream.encoding or "utf-8", "backslashreplace")[: select.PIPE_BUF]  # as much as fits at once
    return os.write(descriptor, data) == len(data)
