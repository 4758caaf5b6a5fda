"""Asks the operator for confirmation before a command changes something."""

import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer
from termcolor import cprint

from ...options import print_error

INTERRUPTED = 130  # exit status after Ctrl-C

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def _end(message: str, cure: str) -> NoReturn:
    print_error(message, cure)
    raise typer.Exit(1)


def confirm(question: str, outcome: str, end: Callable[[str, str], NoReturn] = _end) -> None:
    """Ask the question, and return if the operator agrees. Else end the command: status 130 on Ctrl-C, otherwise 1.

    Args:
        question: the question to print.
        outcome: the message to print if the operator does not agree, such as `nothing was sent`.
        end: the function that ends the command if there is no terminal. It receives an error message and its cure.
    """
    try:
        if typer.confirm(question, err=True):
            return
    except typer.Abort as abort:  # raised on Ctrl-C or without a terminal: `__context__` tells which
        print(file=sys.stderr)
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise typer.Exit(INTERRUPTED) from None
        end(f"No confirmation (no terminal): {outcome}", "add --yes to skip the question")
    cprint(f"🤖 {outcome.capitalize()}", "cyan", file=sys.stderr)
    raise typer.Exit(1)
