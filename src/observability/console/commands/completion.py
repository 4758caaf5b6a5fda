"""`completion`: prints a shell script that defines `moon`, a function that runs the console, and its tab completion."""

import shlex
import sys
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

import typer

from ... import settings
from .costs import By
from .export import Format

_TIMES = "today yesterday 1h 24h 7d 30d all"
_VALUES = {
    "--action": "BUY SELL NOTHING", "--since": _TIMES, "--until": _TIMES, "--older-than": "7d 14d 30d all",
    "--by": " ".join(by.value for by in By), "--format": " ".join(form.value for form in Format),
}  # fmt: skip


class Shell(str, Enum):
    """The shells for which a completion script can be printed."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(context: typer.Context, shell: Annotated[Shell, typer.Argument()] = Shell.bash) -> None:
    """Print a script that defines `moon`, short for `python -m src.observability`, and its tab completion.

    The script contains this version's commands and options, so that completion does not start Python.

    Example: python -m src.observability completion bash >> ~/.bashrc
    """
    assert context.parent is not None  # noqa: S101 - the console is the parent
    commands = {name: _choices_of(command) for name, command in context.parent.command.commands.items()}  # type: ignore[attr-defined]
    print((_fish if shell is Shell.fish else _bash)(commands, shell))


def _choices_of(command: Any) -> dict[str, str]:
    """Map each option to its possible values, separated by spaces."""
    names = (name for parameter in command.params for name in parameter.opts if name.startswith("--"))
    return {name: _VALUES.get(name, "") for name in names}


def _run() -> str:
    return f"PYTHONPATH={shlex.quote(str(settings.REPO_ROOT))} {shlex.quote(sys.executable)} -m src.observability"


def _bash(commands: Mapping[str, Mapping[str, str]], shell: Shell) -> str:
    """Return the script for bash, or for zsh in its bash-compatible mode."""
    values = {option: values for options in commands.values() for option, values in options.items() if values}
    of_option = "\n".join(f"        {option}) choices={shlex.quote(text)} ;;" for option, text in values.items())
    of_command = "\n".join(
        f"        {name}) choices={shlex.quote(' '.join(options))} ;;" for name, options in commands.items()
    )
    return f"""{"autoload -U +X bashcompinit && bashcompinit" if shell is Shell.zsh else "# bash"}
moon() {{ {_run()} "$@"; }}
_moon() {{
    local choices={shlex.quote(" ".join(commands))}
    if [ "$COMP_CWORD" -gt 1 ]; then
        choices=
        case "${{COMP_WORDS[1]}}" in
{of_command}
        esac
        case "${{COMP_WORDS[COMP_CWORD-1]}}" in
{of_option}
        esac
    fi
    COMPREPLY=($(compgen -W "$choices" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _moon moon"""


def _fish(commands: Mapping[str, Mapping[str, str]], _shell: Shell) -> str:
    lines = [
        f"function moon; env {_run()} $argv; end",
        f"complete -c moon -f -n __fish_use_subcommand -a {shlex.quote(' '.join(commands))}",
    ]
    for name, options in commands.items():
        for option, values in options.items():
            argument = f" -x -a {shlex.quote(values)}" if values else ""
            lines.append(f"complete -c moon -n '__fish_seen_subcommand_from {name}' -l {option[2:]}{argument}")
    return "\n".join(lines)
