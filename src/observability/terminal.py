"""Print lines with other people's text in them (a model's reason, a setting, a path), redacted first.

Constant lines go to `cprint` directly: `tests/test_architecture.py` holds the two apart.
"""

import contextlib
import sys
from typing import TextIO

from termcolor import colored


def echo(text: str, colour: str, *, file: TextIO | None = None) -> None:
    """Print one redacted line; the same whether tracing is on, off or failing.

    Args:
        text: the line, with whatever was put into it.
        colour: green, yellow, red or cyan, as termcolor knows them.
        file: where to, if not stdout.
    """
    from .redaction import redact_line  # a process that prints nothing does not load it

    print(f"{colored(redact_line(text), colour)}\n", end="", file=file)  # one write: two threads' lines do not mix


def warn(text: str, colour: str = "yellow") -> None:
    """Print one redacted line about observability itself on stderr, so that an agent's stdout is the same without us.

    Never raises: a stderr that is full, closed or gone is no error of the agent's, and a process that is ending may
    import nothing any more.
    """
    with contextlib.suppress(OSError, ValueError, ImportError):
        if sys.stderr is not None:
            echo(text, colour, file=sys.stderr)
