"""
🌙 Moon Dev's Observability Console
Built with love by Moon Dev 🚀

`python -m src.observability COMMAND`: what the agents decided, why, and what it cost, read from the journal. Needs no
key and no network.

Exit status: 0 all is well; 1 something is wrong, which is said; 2 a command or an option is; 130 Ctrl-C ended it.
"""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from .commands import costs, doctor, export, outcomes, report, ship, status, tail, traces


class _Commands(TyperGroup):
    """A reader that left, as `head` does, has all that it wanted: status 0."""

    def invoke(self, ctx: Any) -> object:
        """Run the command, and have all it printed arrive."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    help=__doc__.split("\n\n", 1)[1],
    pretty_exceptions_enable=False,
)

for command in (
    status.status,
    traces.decisions,
    costs.costs,
    traces.traces,
    traces.trace,
    outcomes.outcome,
    outcomes.outcomes,
    tail.tail,
    export.export,
    report.report,
    ship.ship,
    ship.prune,
    doctor.doctor,
):
    app.command()(command)
