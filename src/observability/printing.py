"""Prints this package's lines, or drops those that would have to wait: the agent never waits, and gets no error."""

import os
import select
import sys
from typing import Any

from termcolor import colored

from .interruption import ignoring, is_interruption

dropped = 0  # number of lines that could not be printed; `health()` reports it


def print_now(text: str, colour: str, *, to_stderr: bool = False) -> None:
    """Print one line. If printing would block or fails (a full pipe, a closed file), drop and count the line.

    Args:
        text: the line. A line with untrusted text must be printed by `terminal.py`, which redacts it.
        colour: a colour of termcolor: green, yellow, red or cyan.
        to_stderr: print to stderr instead of stdout.
    """
    global dropped
    with ignoring(Exception):
        if _is_written(sys.stderr if to_stderr else sys.stdout, f"{_coloured(text, colour)}\n"):
            return
    dropped += 1


def _coloured(text: str, colour: str) -> str:
    try:
        return colored(text, colour)
    except ValueError:  # stdout is closed, and termcolor asks whether it is a terminal
        return text


def _is_written(stream: Any, line: str) -> bool:
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError) as error:  # a stream in memory has no file descriptor
        if is_interruption(error):
            raise
        stream.write(line)
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    # The pipe may be full, so that writing would block, or broken, so that SIGPIPE might kill the process.
    if poll.poll(0) != [(descriptor, select.POLLOUT)]:
        return False
    stream.flush()  # the agent's buffered lines must be printed before this line
    # A write of more than PIPE_BUF bytes could block.
    data = line.encode(stream.encoding or "utf-8", "backslashreplace")[: select.PIPE_BUF]
    return os.write(descriptor, data) == len(data)
