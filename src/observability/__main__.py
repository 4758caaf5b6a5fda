"""`python -m src.observability COMMAND`: the console, or one line that names the package it needs."""

import sys

_CONSOLE = "-r src/observability/requirements-console.txt"
_PAGE = "jinja2 starlette uvicorn"
# The pip arguments for a missing module, where they differ from its name.
_PACKAGES = {
    "dotenv": _CONSOLE,
    "mnemonic": _CONSOLE,
    "rich": _CONSOLE,
    "starlette": _PAGE,
    "termcolor": _CONSOLE,
    "typer": _CONSOLE,
    "uvicorn": _PAGE,
}

try:
    from .console.app import app

    app(prog_name="python -m src.observability")
except ModuleNotFoundError as error:
    name = (error.name or "").partition(".")[0]
    if name in ("", __package__.partition(".")[0]):
        raise
    red = "\033[31m{}\033[0m" if sys.stderr.isatty() else "{}"  # termcolor may be the one that is missing
    sys.exit(red.format(f"❌ {name} is missing: pip install {_PACKAGES.get(name, name)}"))
