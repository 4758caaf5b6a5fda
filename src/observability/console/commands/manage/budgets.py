"""`budgets`: shows the remainder of each budget. `budgets raise`: raises a budget's limit until a given time."""

import re
import sys
import time
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text
from termcolor import cprint

from ....budgets import Budget, Status, amount_text, configured, raise_budget, statuses_now
from ....journal import Journal
from ... import time_range
from ...options import AsJson, opened, print_error
from ...render.format import moment
from ...render.layout import Column, paragraph, show, show_json, table, width

_SETTING = "OBSERVABILITY_BUDGETS"
_NS = 10**9
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def budgets(
    action: Annotated[str | None, typer.Argument(metavar="[raise]", help="Raise a budget until a given time.")] = None,
    scope: Annotated[str | None, typer.Argument(help="The budget's scope, such as WhaleAgent.")] = None,
    amount: Annotated[float | None, typer.Argument(min=0, help="The amount to add, in the budget's unit.")] = None,
    until: Annotated[
        str | None, typer.Option(help="End of the raise: tomorrow, 24h, 2026-12-01. Default: end of the period.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show each budget: its limit, the amounts spent, reserved and left, and when its period ends; or raise a budget.

    The reserved amount is held back for calls that are running or about to start.

    Example: python -m src.observability budgets raise WhaleAgent 5 --until tomorrow
    """
    chosen = configured()
    if not chosen:
        cprint(f'🤖 No budgets: set one in .env, such as {_SETTING}="fleet 20 USD/day"', "cyan", file=sys.stderr)
        raise typer.Exit(0 if action is None else 1)
    with opened() as journal:
        if action is not None:
            _raise(journal, chosen, action, scope, amount, until)
        statuses, _ = statuses_now(journal, chosen, time.time())
    for status in statuses if as_json else ():
        show_json(_as_json(status))
    if not as_json:
        show(*_table(statuses))


def _raise(
    journal: Journal, chosen: list[Budget], action: str, scope: str | None, amount: float | None, until: str | None
) -> None:
    if action != "raise" or scope is None or not amount:
        raise typer.BadParameter("use `budgets`, or `budgets raise WhaleAgent 5` to add 5 to WhaleAgent's budget")
    budget = _named(chosen, scope)
    now = time.time()
    end = budget.period_at(now).end if until is None else _end(budget, until, now)
    if end <= now:
        raise typer.BadParameter("this time has passed", param_hint="--until")
    with journal.transaction() as db:
        raise_budget(db, budget, amount, now, end)
    print_raised = f"{budget.text}: raised by {amount_text(amount)} {budget.unit} until {moment(int(end * _NS))}"
    cprint(paragraph("✅", print_raised), "green", file=sys.stderr)


def _named(chosen: list[Budget], scope: str) -> Budget:
    """Return the only budget whose scope, key or text is `scope`, ignoring case.

    If no budget or several budgets match, end the command with status 1.
    """
    name = " ".join(scope.lower().split())
    matching = [budget for budget in chosen if name in (budget.scope, budget.key.lower(), budget.text.lower())]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(f"{budget.key!r}" for budget in matching)
        print_error(f"Several budgets have the scope {scope!r}", f"name one of them: {names}")
    else:
        print_error(f"No budget named {scope!r}", f"known budgets: {', '.join(budget.scope for budget in chosen)}")
    raise typer.Exit(1)


def _end(budget: Budget, until: str, now: float) -> float:
    """Convert the text given with --until to Unix seconds. `tomorrow` is the next midnight in the budget's zone."""
    text = until.strip().lower()
    if text == "tomorrow":
        day = datetime.fromtimestamp(now, budget.zone).date() + timedelta(days=1)
        return datetime(day.year, day.month, day.day, tzinfo=budget.zone).timestamp()
    if span := re.fullmatch(r"(\d{1,6})([mhdw])", text):
        return now + int(span[1]) * _SECONDS[span[2]]
    try:
        return time_range.parse_time(until) / _NS
    except ValueError:
        raise typer.BadParameter(
            f"{until!r} is not a time: use tomorrow, 24h or 2026-12-01", param_hint="--until"
        ) from None


def _table(statuses: list[Status]) -> list[Text]:
    columns = [
        Column("budget", [status.budget.text for status in statuses], 9, 12),
        Column("limit", [amount_text(status.limit) for status in statuses], 8, right=True),
        Column("spent", [_spent(status) for status in statuses], 7, right=True),
        Column("reserved", [amount_text(status.reserved) for status in statuses], 3, right=True),
        Column("left", [Text(amount_text(status.left), style=_style(status)) for status in statuses], 6, right=True),
        Column("resets at", [moment(int(status.resets_at * _NS)) for status in statuses], 5),
    ]
    lines = table(columns, width())
    if any(status.unpriced for status in statuses):
        lines.append(Text("~ includes estimates for calls whose price or tokens are unknown", style="yellow"))
    return lines


def _spent(status: Status) -> str:
    return f"{'~' if status.unpriced else ''}{amount_text(status.spent)}"


def _style(status: Status) -> str:
    if status.left <= 0:
        return "red"
    return "yellow" if status.is_low else "green"


def _as_json(status: Status) -> dict[str, object]:
    return {
        "budget": status.budget.text,
        "scope": status.budget.scope,
        "unit": status.budget.unit,
        "period": status.budget.period,
        "limit": status.limit,
        "spent": status.spent,
        "reserved": status.reserved,
        "left": status.left,
        "estimated_calls": status.unpriced,
        "resets_at": status.budget.local(status.resets_at).isoformat(),
    }
