"""
🌙 Moon Dev's Report Command
Built with love by Moon Dev 🚀
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from termcolor import cprint

from ..options import SINCE, Agent, Model, Since, known_names, opened, since_ns
from .export import written_to


def report(
    html: Annotated[Path, typer.Option(metavar="FILE", help="Where to.")] = Path("report.html"),
    agent: Agent = None,
    model: Model = None,
    since: Since = SINCE,
) -> None:
    """One page to look at and to hand on: spend, latency, errors, decisions, confidence against outcome.

    It needs no network, opens from disk, on a phone too, and is as redacted as the journal.

    Example: python -m src.observability report --html november.html --since 2026-11-01
    """
    from ..report.page import Asked, page

    begin = since_ns(since)
    with opened() as journal, written_to(html) as file:
        file.write(page(journal, Asked(begin, *known_names(journal, agent, model))).encode())
    cprint(f"✅ {html}: open it in a browser", "green", file=sys.stderr)
