"""
🌙 Moon Dev's Voice
Built with love by Moon Dev 🚀

What we print that is not ours alone (a model's reason, a setting, a path, an exception's text) is redacted first.
Our own words go to `cprint` as they are: `tests/test_architecture.py` holds the two apart.
"""

import contextlib
import sys
from typing import TextIO

from termcolor import colored


def say(text: str, colour: str, *, file: TextIO | None = None) -> None:
    """Print one redacted line; the same whether tracing is on, off or failing.

    Args:
        text: the line, with whatever was put into it.
        colour: green, yellow, red or cyan, as termcolor knows them.
        file: where to, if not stdout.
    """
    from .redaction import redact_line  # a process that says nothing does not load it

    print(f"{colored(redact_line(text), colour)}\n", end="", file=file)  # at once: two threads' lines do not mix


def complain(text: str, colour: str = "yellow") -> None:
    """One redacted line about observability itself, on stderr: what an agent prints is the same however tracing fares.

    Never raises: a stderr that is full, closed or gone is no error of the agent's, nor an end of ours; and a process
    that is ending may import nothing any more.
    """
    with contextlib.suppress(OSError, ValueError, ImportError):
        if sys.stderr is not None:
            say(text, colour, file=sys.stderr)
