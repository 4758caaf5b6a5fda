"""Parses the console's output: tables into cells, amounts and durations into numbers."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from typer.testing import CliRunner, Result

from src.observability.console.app import app

START_NS = 1_795_000_000_000_000_000  # 2026-11-18 11:06:40 UTC: the latest start of a trace in the tests of screens
_UNITS = {"ms": 1e6, "s": 1e9, "min": 60e9, "hours": 3600e9, "days": 86_400e9}  # nanoseconds


def cells(lines: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table by column name; between two columns, every line has at least two blanks."""
    head, _, *rows = lines
    edges = list(_edges([head, *rows]))
    names, *values = ([line[begin:end].strip() for begin, end in edges] for line in (head, *rows))
    return [dict(zip(names, row, strict=True)) for row in values]


def _edges(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    wide = max(map(len, lines))
    blanks = "".join(" " if all(line[at : at + 1] in ("", " ") for line in lines) else "x" for at in range(wide))
    for match in re.finditer(r"x(?:x| (?! ))*", blanks):
        yield match.span()


def amount(text: str) -> float:
    """Parse `$0.002926`, `-$12.50`, `+0.80%`, `1,796`, `free`; NaN for an unknown or missing value."""
    if text in ("–", "unknown", "price unknown", "?"):
        return math.nan
    return 0.0 if text == "free" else float(re.sub(r"[$,%]", "", text))


def least_digit(text: str) -> float:
    """Return how far a printed number may be off: half a unit of its last digit, plus a little for float errors."""
    digits = re.search(r"\.(\d+)", text)
    return 0.501 * 10.0 ** -(len(digits[1]) if digits else 0)


def is_about(text: str, value: float) -> bool:
    """Return whether a printed number is `value`, rounded to the printed digits."""
    printed = amount(text)
    return math.isnan(printed) if math.isnan(value) else abs(printed - value) <= least_digit(text)


def took_about(text: str, nanoseconds: float) -> bool:
    """Return whether a printed duration is this number of nanoseconds, rounded to the printed digits."""
    if text == "<1 ms":
        return nanoseconds < 1e6
    number, unit = text.split()
    return abs(float(number) * _UNITS[unit] - nanoseconds) <= least_digit(number) * _UNITS[unit]


def invoke(command: str, columns: int = 240) -> Result:
    """Run a command in a pipe of this width."""
    return CliRunner().invoke(app, command.split(), env={"COLUMNS": str(columns)})


def run(command: str) -> list[str]:
    """Return the printed lines of a command that succeeds, without blank lines."""
    result = invoke(command)
    assert result.exit_code == 0, result.output
    return [line for line in result.stdout.splitlines() if line.strip()]


def json_lines(command: str) -> list[Any]:
    """Return the command's JSON output."""
    return [json.loads(line) for line in run(f"{command} --json")]


def alike(left: Any, right: Any) -> bool:
    """Return whether two values are equal; for floats, ignore rounding errors, which depend on the order of adding."""
    if pd.isna(left) or pd.isna(right):
        return bool(pd.isna(left) and pd.isna(right))
    return math.isclose(left, right, rel_tol=1e-9) if isinstance(left, float) else bool(left == right)
