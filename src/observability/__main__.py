"""`python -m src.observability COMMAND`: runs the command, or prints which package is missing."""

import sys

_CONSOLE = "-r src/observability/requirements-console.txt"
_PAGE = "jinja2 starlette uvicorn"
# Module -> its pip arguments, if they differ from the module's name.
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
    red = "\033[31m{}\033[0m" if sys.stderr.isatty() else "{}"  # an ANSI code, as termcolor may be missing too
    sys.exit(red.format(f"❌ {name} is missing: pip install {_PACKAGES.get(name, name)}"))
