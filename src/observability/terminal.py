"""Print lines with other people's text in them (a model's reason, a setting, a path), redacted first.

Constant lines need no redaction: `tests/test_architecture.py` holds the two apart.
"""

import sys

from termcolor import colored

from .interruption import ignoring
from .printing import print_now


def echo(text: str, colour: str) -> None:
    """Print one redacted line of an agent's on stdout; the same whether tracing is on, off or failing.

    Args:
        text: the line, which may contain other people's text.
        colour: green, yellow, red or cyan, as termcolor knows them.
    """
    from .redaction import redact_line  # a process that prints nothing does not load it

    line = colored(redact_line(text), colour)
    with ignoring(OSError, ValueError):  # a log that cannot be written is no reason to miss a trade
        try:
            print(f"{line}\n", end="")  # one write: two threads' lines do not mix
        except UnicodeEncodeError:
            print(line.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding))


def warn(text: str, colour: str = "yellow") -> None:
    """Print one redacted line about observability itself, on stderr: an agent's stdout is the same without us.

    Never blocks and never raises. A line that cannot be printed at once is dropped and counted.
    """
    with ignoring(ImportError, OSError):  # the process ends, or has no descriptor left
        from .redaction import redact_line

        print_now(redact_line(text), colour, to_stderr=True)
