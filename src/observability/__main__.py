"""`python -m src.observability COMMAND`: the console, or one line that names the package it needs."""

import sys

from .terminal import warn

# The pip arguments for a missing module, where they differ from its name.
_PACKAGES = {
    "jinja2": "jinja2 vl-convert-python",
    "rich": "-r src/observability/requirements-console.txt",
    "typer": "-r src/observability/requirements-console.txt",
    "vl_convert": "vl-convert-python",
}

try:
    from .console.app import app

    app(prog_name="python -m src.observability")
except ModuleNotFoundError as error:
    name = (error.name or "").partition(".")[0]
    if name in ("", __package__.partition(".")[0]):
        raise
    warn(f"❌ {name} is missing: pip install {_PACKAGES.get(name, name)}", "red")
    sys.exit(1)
