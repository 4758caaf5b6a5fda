"""Installs the hooks in a process that `python -m src.observability run` starts; see `script.py`.

Python imports this module before the script. This module restores the environment and `sys.path`, runs the
operator's own `sitecustomize`, and then installs the hooks.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

_FOLDER = Path(__file__).parent
_ROOT = str(_FOLDER.parents[3])
_PACKAGE = ".".join(_FOLDER.parts[-4:-2])  # src.observability


def _remove_traces() -> None:
    path = os.environ.pop("PYTHONPATH", "").removeprefix(str(_FOLDER))
    if path:
        os.environ["PYTHONPATH"] = path.removeprefix(os.pathsep)
    sys.path.remove(str(_FOLDER))


def _import_the_operators_own() -> None:
    this = sys.modules.pop("sitecustomize")
    try:
        import_module("sitecustomize")
    except ModuleNotFoundError:
        sys.modules["sitecustomize"] = this


def _observe() -> None:
    sys.path.insert(0, _ROOT)
    try:
        import_module(f"{_PACKAGE}.autoload").observe_script()
    finally:
        sys.path.remove(_ROOT)


_remove_traces()
_import_the_operators_own()
_observe()
