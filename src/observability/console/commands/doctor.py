"""`doctor`: checks that tracing itself works, and lists the findings, worst first, each with its cure."""

import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from termcolor import cprint

from ... import settings
from ...journal import DamagedJournalError, Journal, JournalError
from ..checks.findings import Finding, Severity, by_subject, is_there
from ..options import AsJson
from ..queries import health
from ..render.format import how_many, safe
from ..render.layout import show, show_json

_ICONS = {Severity.FAULT: ("❌", "red"), Severity.WARNING: ("⚠️", "yellow"), Severity.FINE: ("✅", "green")}


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Set a damaged journal aside, and retry rejected rows.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, keys, server, journal, disk and prices. Exit status 1 on any fault.

    --json prints one line per finding.

    Example: python -m src.observability doctor
    """
    if fix:
        _fix()
    findings = sorted(_findings(), key=lambda finding: finding.severity)
    if as_json:
        for finding in findings:
            show_json(finding.as_json())
    else:
        show(_table(by_subject(findings)))
    if findings[0].severity is Severity.FAULT:
        raise typer.Exit(1)


def _findings() -> list[Finding]:
    """Run all checks, and redact the text `what` of each finding, since no key may be printed.

    Redaction works even if the operator's own patterns are invalid.
    """
    # Imported here because every command imports this module, and loading redaction's rules takes longer than most
    # commands.
    from ...redaction import redact_line
    from ..checks import alerts, local, server

    checks = (
        local.package,
        local.settings_readable,
        local.journal,
        local.sdks,
        local.prices,
        server.server,
        server.otlp_endpoint,
        alerts.alerts,
    )
    findings = [finding for check in checks for finding in check()]
    return [
        finding._replace(what=safe(redact_line(finding.what)), cure=finding.cure and safe(finding.cure))
        for finding in findings
    ]


def _table(findings: list[Finding]) -> Table:
    table = Table.grid(padding=(0, 1))
    for finding in findings:
        icon, colour = _ICONS[finding.severity]
        text = Text(f"{finding.about}: ", style="bold").append(finding.what, style="not bold")
        if finding.cure:
            text.append(f"\n→ {finding.cure}", style=f"not bold {colour}")
        table.add_row(icon, text)
    return table


def _fix() -> None:
    path = settings.journal_path()
    if not is_there(path):
        return
    try:
        # If the file is not a journal, `Journal` sets it aside and starts a new journal.
        journal = Journal(path)
    except JournalError as error:
        cprint(f"❌ {safe(str(error))}", "red", file=sys.stderr)
        return
    try:
        _repair(journal)
    finally:
        journal.close()


def _repair(journal: Journal) -> None:
    try:
        damage = health.first_fault(journal)
        if damage is not None:
            raise DamagedJournalError(damage)
        if retried := health.requeue(journal):
            cprint(f"✅ {how_many(retried, 'rejected row')} will be sent again", "green", file=sys.stderr)
    except DamagedJournalError as error:
        journal.set_aside(error)
        Journal(journal.path).close()
