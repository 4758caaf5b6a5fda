"""
🌙 Moon Dev's Doctor
Built with love by Moon Dev 🚀

Is tracing itself well? Worst first, each line with its cure.
"""

import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from termcolor import cprint

from ... import settings
from ...journal import DamagedJournalError, Journal, JournalError
from ...redaction import redact_line
from ..checks import local, server
from ..checks.findings import Finding, Weight
from ..checks.place import is_there
from ..options import AsJson
from ..queries import health
from ..render.format import safe
from ..render.layout import show, show_json

_ICONS = {Weight.FAULT: ("❌", "red"), Weight.WARNING: ("⚠️", "yellow"), Weight.FINE: ("✅", "green")}


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Set aside a damaged journal, send refused rows again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Is tracing itself well: settings, keys, server, journal, disk, prices? Exit status 1 on any fault.

    Example: python -m src.observability doctor
    """
    if fix:
        _fix()
    found = sorted(_examined(), key=lambda finding: finding.weight)
    if as_json:
        for finding in found:
            show_json({**finding._asdict(), "weight": finding.weight.name.lower()})
    else:
        show(_table(found))
    if found[0].weight is Weight.FAULT:
        raise typer.Exit(1)


def _examined() -> list[Finding]:
    """No key is ever shown: what is said goes through redaction as well, whatever the operator's patterns are."""
    checks = (local.settings_readable, local.journal, local.prices, server.server)
    found = [finding for check in checks for finding in check()]
    return [finding._replace(what=safe(redact_line(finding.what))) for finding in found]


def _table(found: list[Finding]) -> Table:
    table = Table.grid(padding=(0, 1))
    for finding in found:
        icon, colour = _ICONS[finding.weight]
        said = Text(f"{finding.about}: ", style="bold").append(finding.what, style="not bold")
        if finding.cure:
            said.append(f"\n→ {finding.cure}", style=f"not bold {colour}")
        table.add_row(icon, said)
    return table


def _fix() -> None:
    path = settings.journal_path()
    if not is_there(path):
        return
    try:
        journal = Journal(path)  # sets aside what is no journal, and begins a new one
    except JournalError as error:
        cprint(f"❌ {error}", "red", file=sys.stderr)
        return
    try:
        _mend(journal)
    finally:
        journal.close()


def _mend(journal: Journal) -> None:
    try:
        broken = health.first_fault(journal)
        if broken is not None:
            raise DamagedJournalError(broken)
        if queued := health.requeue(journal):
            cprint(f"✅ {queued:,} rows that were refused are sent again", "green", file=sys.stderr)
    except DamagedJournalError as error:
        journal.set_aside(error)
        Journal(journal.path).close()
