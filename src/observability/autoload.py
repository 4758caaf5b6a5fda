"""Observe provider SDKs from here on: imported by one line of `src/__init__.py`.

A failure prints one line on stderr, with its cure, and the program goes on.
"""

import sys


def _say(message: str) -> None:
    if sys.stderr is not None:
        print(f"\033[31m❌ Observability: {message}\033[0m", file=sys.stderr)  # termcolor may be missing


def _load() -> None:
    try:
        from . import runtime  # noqa: F401 - takes the observations
        from .instrumentation import install

        install()
    except ModuleNotFoundError as error:
        _say(f"{error.name} is missing, calls are not recorded: pip install -r src/observability/requirements.txt")
    except Exception as error:  # noqa: BLE001 - failing telemetry is never an error of the trading code
        _say(f"calls are not recorded: {type(error).__name__}. ENABLE_LANGFUSE=false turns it off")


_load()
