"""
🌙 Moon Dev's Journal Place
Built with love by Moon Dev 🚀

Where the journal lies, or would: what keeps this user from it. `Path.exists` raises where a folder may not be entered.
"""

import os
from pathlib import Path

from .findings import Finding, fault


def is_there(path: Path) -> bool:
    """Whether this user finds anything at `path`."""
    return os.path.exists(path)  # noqa: PTH110


def nearest_folder(path: Path) -> Path:
    """The lowest folder above `path` that this user finds."""
    return next(parent for parent in path.parents if is_there(parent))


def shut(path: Path) -> Finding | None:
    """Why this user can have no journal at `path`; None where there is something to open, or an agent may make it."""
    if os.path.isdir(path):  # noqa: PTH112
        return fault("journal", f"{path} is a folder", "let OBSERVABILITY_JOURNAL name a file in it")
    folder = nearest_folder(path)
    if is_there(path) or os.access(folder, os.W_OK | os.X_OK):
        return None
    what = f"{folder} cannot be written by this user, who has no journal at {path}"
    cure = "give it to the user who runs the agents, or let OBSERVABILITY_JOURNAL name another file"
    return fault("journal", what, cure)


def is_awaited(path: Path) -> bool:
    """Whether nothing is there yet, and an agent's first call makes it."""
    return not is_there(path) and shut(path) is None
