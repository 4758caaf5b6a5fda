"""`completion`: its script defines the shell command `moon`, and completes commands, options and values in bash."""

import subprocess

import pytest
from typer.main import get_command

from src.observability import __version__, settings
from src.observability.console.app import app
from tests.console.printed import invoke

COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
TRY = """
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _moon; echo "${COMPREPLY[@]}"; }
complete_words moon de
complete_words moon decisions --sy
complete_words moon costs --by ""
complete_words moon costs --action S
complete_words moon ""
cd / && moon --version
"""


@pytest.mark.slow
def test_bash_completes_commands_options_and_values() -> None:
    """Bash, with the script, completes commands, options and values, and runs `moon` from any folder."""
    script = invoke("completion bash").stdout
    ended = subprocess.run(
        ["bash", "--norc", "-c", script + TRY], capture_output=True, text=True, cwd=settings.REPO_ROOT, timeout=60,
        check=False,
    )  # fmt: skip
    assert ended.stderr == ""
    start, symbol, by, action, everything, version = ended.stdout.splitlines()
    assert set(start.split()) == {"decisions", "delete"}
    assert (symbol, action, version) == ("--symbol", "SELL", __version__)
    assert {"agent", "model", "hour"} <= set(by.split())
    assert set(everything.split()) == set(COMMANDS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_every_command_and_option(shell: str) -> None:
    """Each shell's script contains all commands and options, so that completion need not start Python."""
    script = invoke(f"completion {shell}").stdout
    for name, command in COMMANDS.items():
        assert name in script
        for option in (option for parameter in command.params for option in parameter.opts if option[:2] == "--"):
            assert (f"-l {option[2:]}" if shell == "fish" else option) in script
