"""
🌙 Moon Dev's Export
Built with love by Moon Dev 🚀

The journal as a file for other programs: observations or scores, any number of them.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer
from termcolor import cprint

from ...journal import OBSERVATION_COLUMNS, SCORE_COLUMNS, Journal, JournalError, Row
from ..options import MOST, SINCE, Agent, Model, Since, known_names, opened, since_ns
from ..queries import pages as queries_pages
from ..render.format import how_many
from . import export_formats
from .export_formats import Format

_ROWS = {Format.otlp: 500}  # of a page; a message is what the shipper sends at once
_MOST_ROWS = 5000


def export(
    form: Annotated[Format, typer.Option("--format", help="What kind of file.")] = Format.jsonl,
    output: Annotated[
        Path | None, typer.Option(help="Where to; a file of that name is replaced. Stdout unless given.")
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Scores and outcomes, not observations.")] = False,
    agent: Agent = None,
    model: Model = None,
    limit: Annotated[int | None, typer.Option(min=1, max=MOST, help="The newest so many; all unless given.")] = None,
    since: Since = SINCE,
) -> None:
    """Everything that has ended, as recorded (and so redacted), in order of arrival; or every score.

    A file is there whole or not at all, and replaces one of that name.

    In CSV, text that begins like a formula has a ' before it.

    Example: python -m src.observability export --format parquet --output november.parquet --since 2026-11-01
    """
    if scores and form is Format.otlp:
        raise typer.BadParameter("scores are no OTLP spans: take jsonl, csv or parquet", param_hint="--scores")
    if form is Format.parquet and output is None and sys.stdout.isatty():
        raise typer.BadParameter("a Parquet file is no text: name an --output", param_hint="--format")
    begin = since_ns(since)
    with opened() as journal, written_to(output) as file:
        wanted = queries_pages.Wanted(*known_names(journal, agent, model), begin, limit)
        rows = _export(journal, wanted, form, scores, file)
    if output is not None:
        cprint(f"✅ {how_many(rows, 'score' if scores else 'observation')} in {output}", "green", file=sys.stderr)


def _export(journal: Journal, wanted: queries_pages.Wanted, form: Format, scores: bool, file: IO[bytes]) -> int:
    at_once = _ROWS.get(form, _MOST_ROWS)
    if not scores:
        pages = queries_pages.observation_pages(journal, wanted, at_once)
        return export_formats.write(form, pages, ("seq", *OBSERVATION_COLUMNS, "reason"), journal, file)
    columns = ["seq", *SCORE_COLUMNS, "reason"]
    columns[columns.index("value") : columns.index("value") + 1] = ["number", "text"]
    found = (list(map(_plain_score, page)) for page in queries_pages.score_pages(journal, wanted, at_once))
    return export_formats.write(form, found, columns, journal, file)


def _plain_score(row: Row) -> Row:
    """`value` is a number or a text: two columns, for formats that want one type in each."""
    value = row.pop("value")
    return {
        **row,
        "number": None if isinstance(value, str) else value,
        "text": value if isinstance(value, str) else None,
    }


@contextmanager
def written_to(output: Path | None) -> Iterator[IO[bytes]]:
    """Stdout, a device, or a file that takes its name once it is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        if output.exists() and not output.is_file():
            with output.open("wb") as file:
                yield file
        else:
            with _whole(output) as file:
                yield file
    except JournalError:
        raise
    except OSError as error:
        raise JournalError(f"{output} cannot be written: {error.strerror or error}") from None


@contextmanager
def _whole(output: Path) -> Iterator[IO[bytes]]:
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
            yield file
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
