"""Starts observing provider SDKs when imported; one line of `src/__init__.py` imports it.

A failure prints one line on stderr, with advice, and the program continues.
"""

import sys
from importlib.util import find_spec

# These packages are looked up at the start, since some are imported only when a call is recorded.
_REQUIRED = ("dotenv", "mnemonic", "termcolor")


def _say(message: str) -> None:
    if sys.stderr is not None:
        # The colour is written by hand because termcolor may be missing.
        print(f"\033[31m❌ Observability: {message}\033[0m", file=sys.stderr)


def _check_requirements() -> None:
    for name in _REQUIRED:
        if find_spec(name) is None:
            raise ModuleNotFoundError(name=name)


def _is_console() -> bool:
    """Whether this process is `python -m src.observability COMMAND`.

    The commands call no model, and start sooner if no SDK is patched.
    """
    return sys.argv[:1] == ["-m"] and __package__ in sys.orig_argv


def _load() -> None:
    try:
        _check_requirements()
        from . import runtime  # the import registers `runtime` as the receiver of observations
        from .instrumentation import install

        install()
        runtime.prepare_budgets()
    except ModuleNotFoundError as error:
        _say(f"{error.name} is missing, calls are not recorded: pip install -r src/observability/requirements.txt")
    except Exception as error:  # noqa: BLE001 - failing telemetry is never an error of the trading code
        _say(f"calls are not recorded: {type(error).__name__}; to find the cause: python -m src.observability doctor")


def observe_script() -> None:
    """Record each cycle of the agents in the script that the command `run` is about to start."""
    # If `instrumentation` is not loaded, `_load` has failed and printed the reason.
    if f"{__package__}.instrumentation" in sys.modules:
        from .instrumentation import observe_script

        observe_script()


if sys.version_info < (3, 10):  # noqa: UP036 - the operator's Python may be any version
    _say("Python 3.10 or newer is needed, calls are not recorded")
elif not _is_console():
    _load()
