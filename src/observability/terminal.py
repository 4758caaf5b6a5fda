"""Prints lines that contain untrusted text (a model's reason, a setting, a path), redacted.

Constant lines need no redaction (`printing.py`). `tests/test_architecture.py` checks the distinction.
"""

import sys

from termcolor import colored

from .interruption import ignoring
from .printing import print_now


def echo(text: str, colour: str) -> None:
    """Print an agent's line on stdout, redacted; the output is the same with tracing on, off or failing.

    Args:
        text: the line, which may contain untrusted text.
        colour: green, yellow, red or cyan, as termcolor knows them.
    """
    line = colored(redacted(text), colour)
    with ignoring(OSError, ValueError):  # an unwritable log must not stop a trade
        try:
            print(f"{line}\n", end="")  # in one write, so that two threads' lines do not mix
        except UnicodeEncodeError:
            print(line.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding))


def warn(text: str, colour: str = "yellow") -> None:
    """Print one redacted line about observability itself on stderr, to keep the agent's stdout unchanged.

    Never blocks and never raises. A line that cannot be printed at once is dropped and counted.
    """
    print_now(redacted(text), colour, to_stderr=True)


def redacted(text: str) -> str:
    """Return the line redacted. Return a placeholder if redaction cannot be imported, as at exit or when no file
    descriptor is left."""
    with ignoring(ImportError, OSError):
        from .redaction import redact_line  # imported lazily, since many processes print nothing

        return redact_line(text)
    return "[message hidden: the part that removes secrets cannot be loaded]"
