"""Run a script as `python SCRIPT …` does, and observe its LLM calls.

The interpreter restarts with `hook/sitecustomize.py` first on PYTHONPATH. That module installs the hooks before the
script begins, and restores PYTHONPATH. Everything else is as in a plain Python run: `__main__`, arguments, tracebacks,
exit codes, POSIX signals.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

_HOOK = Path(__file__).resolve().parent / "hook"


def command_of(script: str, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment for `os.execve`. The options of the running interpreter are kept."""
    options = sys.orig_argv[1 : sys.orig_argv.index("-m")] if "-m" in sys.orig_argv else []
    path = os.environ.get("PYTHONPATH")
    hooked = f"{_HOOK}{os.pathsep}{path}" if path else str(_HOOK)
    return [sys.executable, *options, script, *arguments], {**os.environ, "PYTHONPATH": hooked}
