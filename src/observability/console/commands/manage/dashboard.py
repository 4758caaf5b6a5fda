"""`dashboard`: creates or updates the dashboard "Trading agents" in Langfuse."""

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import typer
from termcolor import cprint

from .... import settings
from ....journal import Journal, JournalError
from ...checks.findings import DOCTOR
from ...checks.obstacles import NO_KEYS, is_blocked, obstacles
from ...dashboard.langfuse import NoSuchApiError, RefusedError, make_dashboard, make_score_configs
from ...dashboard.widgets import DASHBOARD, WIDGETS
from ...options import AsJson, print_error
from ...render.format import how_many, safe
from ...render.layout import paragraph, show_json

if TYPE_CHECKING:
    from ....shipping import LangfuseClient


def dashboard(as_json: AsJson = False) -> None:
    """Create or update the dashboard "Trading agents" in Langfuse. Exit status 1 if this fails.

    Score configurations are created too. Widgets and configurations made or moved by others are kept.

    Example: python -m src.observability dashboard
    """
    from ....shipping import LangfuseClient

    destination = settings.destination()
    if destination is None or is_blocked(destination):
        obstacle = next(obstacles(), NO_KEYS)
        print_error(f"The dashboard cannot be created ({obstacle.about}: {obstacle.what})", obstacle.cure)
        raise typer.Exit(1)
    with closing(LangfuseClient(destination)) as client:
        try:
            _make(client, destination, as_json)
        except (RefusedError, OSError) as error:
            print_error(f"{destination.host}: {safe(str(error))}", f"run {DOCTOR}")
            raise typer.Exit(1) from None


def _make(client: "LangfuseClient", destination: settings.Destination, as_json: bool) -> None:
    foreign = make_score_configs(client)
    try:
        board = make_dashboard(client)
    except NoSuchApiError:
        _show_clicks(destination.host)
        raise typer.Exit(1) from None
    project = _project(client, destination)
    address = f"{destination.host}/project/{project}/dashboards/{board}" if project else destination.host
    if as_json:
        show_json({"dashboard": board, "address": address, "widgets": len(WIDGETS), "configurations_kept": foreign})
        return
    cprint(f"✅ {DASHBOARD}: {len(WIDGETS)} widgets at {safe(address)}", "green")
    if foreign:
        why = "already in Langfuse, but not made by this command or of another data type. The dashboard works anyway"
        cprint(f"⚠️ Not updated: {how_many(foreign, 'score configuration')} for the agents' scores, {why}", "yellow")


def _project(client: "LangfuseClient", destination: settings.Destination) -> str | None:
    """Return the id of the project in Langfuse. The id is also saved in the journal, if there is a journal."""
    project = client.project_id(10.0)
    if project is not None:
        try:
            with closing(Journal(settings.journal_path(), create=False)) as journal:
                journal.keep_project(destination.label, project)
        except JournalError:
            pass
    return project


def _show_clicks(host: str) -> None:
    print_error(f"{host} has no API for dashboards", "update Langfuse to 4.16 or newer, or make the dashboard by hand")
    print(paragraph("  ", f"Dashboards → New dashboard, named {DASHBOARD}; then New widget for each line:"))
    for widget in WIDGETS:
        print(paragraph("📊", f"{widget.name}: {widget.as_clicks()}"))
    sys.stdout.flush()
