"""Prints this package's lines at once or not at all: the agent never waits for output, and gets no error."""

import os
import select
import sys
from typing import Any

from termcolor import colored

from .interruption import ignoring, is_interruption

dropped = 0  # number of lines that could not be printed, for `health()`


def print_now(text: str, colour: str, *, to_stderr: bool = False) -> None:
    """Print one line. If printing would block or fails (a full pipe, a closed file), drop and count the line.

    Args:
        text: the line. Lines with untrusted text must be printed by `terminal.py`, which redacts them.
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
    except ValueError:  # termcolor checks stdout, which may be closed
        return text


def _is_written(stream: Any, line: str) -> bool:
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError) as error:  # a stream in memory
        if is_interruption(error):
            raise
        stream.write(line)
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if poll.poll(0) != [(descriptor, select.POLLOUT)]:  # pipe is full, or broken: SIGPIPE may kill the process
        return False
    stream.flush()  # prints the agent's buffered lines first
    data = line.encode(stream.encoding or "utf-8", "backslashreplace")[: select.PIPE_BUF]  # larger writes may block
    return os.write(descriptor, data) == len(data)
