"""`adopt` installs the package in a trading repo; `run` runs a script with its LLM calls observed."""

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from termcolor import cprint

from .... import __version__, adoption, settings
from ...options import AsJson
from ...render.format import how_many
from ...render.layout import show_json
from .confirmation import Yes, confirm

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
# How a call site is observed -> the icon and the words that are printed for it.
_PRINTED = {
    "by the line": ("✅", "through src/__init__.py"),
    "only under run": ("🤖", "only with the command `run`"),
    None: ("❌", "not observed"),
}


def adopt(
    path: Annotated[Path, typer.Argument(help="The root of the trading repo: the folder that contains src.")],
    undo: Annotated[bool, typer.Option("--undo", help="Remove the package and the added lines.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; list every LLM call site.")] = False,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes and make none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy this package into a trading repo; add an import to its src/__init__.py, and the settings and requirements.

    To update the copy later, update this repo and run the command again. --check exits with status 1 if any call site
    is not observed; with --json, it prints the call sites for scripts.

    Example: python -m src.observability adopt ../trading-bots --dry-run
    """
    root = path.expanduser().resolve()
    if check:
        _check(root, as_json)
        return
    try:
        plan = (adoption.plan_removal if undo else adoption.plan_adoption)(root)
        _show(plan)
        if plan.changes and not dry_run:
            if not yes:
                confirm(f"Make these changes in {plan.root}?", "nothing was changed")
            adoption.write_all(plan.changes)
            adoption.remove_empty_folders(root / adoption.PACKAGE)
            (_report_removal if undo else _report_adoption)(plan)
    except adoption.AdoptionError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or root}: {error.strerror or error}. Nothing was changed in {root}")


def run(
    script: Annotated[str, typer.Argument(metavar="SCRIPT", help="The script, followed by its own arguments.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="The script's own arguments.")] = None,
) -> None:
    """Run a script as `python SCRIPT …` does, and observe its LLM calls. Scripts that import src do not need this.

    Example: python -m src.observability run src/agents/websearch_agent.py
    """
    if not Path(script).resolve().is_relative_to(settings.REPO_ROOT):
        _fail(f"{script} is not in {settings.REPO_ROOT}: run `adopt` on the script's repo, then run the script there")
    command, environment = adoption.command_of(script, arguments or [])
    os.execve(command[0], command, environment)  # noqa: S606 - the operator's own script


def version(is_given: bool) -> None:
    """Print the package's version, for the option `--version`."""
    if is_given:
        print(__version__)
        raise typer.Exit


def _show(plan: adoption.Plan) -> None:
    for line in plan.diff():
        cprint(line, _COLOURS.get(line[:1]))
    if plan.copied:
        was = f"version {plan.old_version} there, {__version__} here" if plan.old_version else f"version {__version__}"
        print(f"{adoption.PACKAGE}: {plan.copied} files, {was}")
    for file in plan.kept:
        cprint(f"⚠️ {file.relative_to(plan.root)} was edited after it was installed, and is kept", "yellow")
    if not plan.changes:
        cprint(f"✅ {plan.root} already has version {__version__} of this package", "green")


def _report_adoption(plan: adoption.Plan) -> None:
    update = "has" if plan.old_version in (None, __version__) else f"was updated from {plan.old_version} to"
    cprint(f"✅ {plan.root} {update} version {__version__} of this package", "green")
    print("   → install the requirements in that repo's environment: pip install -r src/observability/requirements.txt")
    print(f"   → list its call sites: python -m src.observability adopt {plan.root} --check")


def _report_removal(plan: adoption.Plan) -> None:
    cprint(f"✅ Removed this package (version {plan.old_version}) from {plan.root}", "green")
    if plan.journal.exists():
        print(f"📒 The journal is kept: {plan.journal}")


def _check(root: Path, as_json: bool) -> None:
    sites = list(adoption.call_sites(root))
    if as_json:
        for site in sites:
            show_json({**site._asdict(), "file": str(site.file)})
    else:
        _list(sites)
    if adoption.adopted_version(root) is None and root != settings.REPO_ROOT:
        command = f"python -m src.observability adopt {root}"
        cprint(f"⚠️ This package is not installed there yet; to install it: {command}", "yellow", file=sys.stderr)
    if any(site.observed is None for site in sites):
        raise typer.Exit(1)


def _list(sites: list[adoption.CallSite]) -> None:
    for site in sites:
        icon, words = _PRINTED[site.observed]
        how = ": ".join(filter(None, (words, site.reason)))
        print(f"{icon} {site.file}:{site.line}  {site.call}  {how}")
    for folder in sorted({site.file.parent for site in sites}):
        _sum(str(folder), [site for site in sites if site.file.parent == folder])
    _sum("total", sites)


def _sum(name: str, sites: list[adoption.CallSite]) -> None:
    count = Counter(site.observed for site in sites)
    print(f"{name}: {how_many(len(sites), 'call site')}, {count['by the line']} observed through src/__init__.py, "
          f"{count['only under run']} only with the command `run`, {count[None]} not observed")  # fmt: skip


def _fail(message: str) -> NoReturn:
    cprint(f"❌ {message}", "red", file=sys.stderr)
    raise typer.Exit(1)
