"""Commands that read the trading agents' journal: decisions, reasons, costs. They need no key and no network.

Exit status: 0 success; 1 an error, printed with its cure; 2 a wrong command or option; 130 stopped by Ctrl-C.
"""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .commands import completion, costs, decisions, doctor, export, report, serve, status, tail, traces
from .commands.manage import adopt, budgets, dashboard, delete, outcomes, prune, ship, watch
from .options import zoned


class _Commands(TyperGroup):
    """All commands as one group. It exits normally if a reader of the output, such as `head`, closes the pipe early."""

    def invoke(self, ctx: Any) -> object:
        """Run the command and flush its output, so that a closed pipe is detected here."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # lets Python's own flush at exit succeed
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=_Commands, no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip

for command in (
    status.status,
    decisions.decisions,
    costs.costs,
    traces.traces,
    traces.trace,
    outcomes.outcome,
    outcomes.outcomes,
    tail.tail,
    export.export,
    report.report,
    serve.serve,
    ship.ship,
    prune.prune,
    delete.delete,
    doctor.doctor,
    completion.completion,
    dashboard.dashboard,
    budgets.budgets,
    watch.watch,
    watch.alerts,
    adopt.adopt,
):
    app.command()(zoned(command))
# `run` passes all options after the script's name on to the script.
app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})(adopt.run)


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=adopt.version, is_eager=True, help="Print the package's version.")
    ] = False,
) -> None:
    """Options of the console itself."""
