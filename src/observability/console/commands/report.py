"""`report`: writes the journal as one HTML page."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from termcolor import cprint

from ..options import filtered, opened, resolved
from ..queries.filter import Filter
from .export import written_to


@filtered
def report(
    rows: Filter,
    html: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path("report.html"),
) -> None:
    """Write the page of `serve` as one HTML file: decisions with their traces, profit, spend, failures, calibration.

    The file needs no network, opens from disk and on a phone, and is redacted like the journal.

    Example: python -m src.observability report --html november.html --since 2026-11-01
    """
    from ..page.frozen import frozen

    with opened() as journal, written_to(html) as file:
        file.write(frozen(journal, resolved(journal, rows)).encode())
    cprint(f"✅ {html}: open it in a browser", "green", file=sys.stderr)
