"""`export`: observations or scores as JSON lines, CSV, Parquet or OTLP, page by page."""

import csv
import io
import json
import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from termcolor import cprint

from ... import settings
from ...journal import OBSERVATION_COLUMNS, SCORE_COLUMNS, Journal, JournalError, Kind, Row, columns_of
from ..options import MAX_ROWS, AsJson, filtered, opened, resolved
from ..queries import pages as queries
from ..queries.filter import Filter
from ..render.format import how_many, json_text
from ..render.layout import show_json


class Format(str, Enum):
    """The file formats that `export` can write."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"
    otlp = "otlp"


Newest = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, max=MAX_ROWS, help="Only the newest N rows. Default: all.")
]
_JSON = columns_of(Kind.JSON)
_INTEGERS = {"seq", *columns_of(Kind.INTEGER)}
_FLOATS = {"number", *columns_of(Kind.REAL)}
_PAGE_ROWS = 5000
_MESSAGE_ROWS = 500  # rows per OTLP message, as in the shipper's messages
# Matches text that a spreadsheet would run as a formula. The sign that starts the formula may follow blanks, and may be
# a full-width character.
_FORMULA = re.compile(r"[\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff]*[=+\-@＝＋－＠﹢﹣﹦﹫−]|[\t\r\n]")


@filtered
def export(
    rows: Filter,
    form: Annotated[Format, typer.Option("--format", help="The format of the file.")] = Format.jsonl,
    output: Annotated[
        Path | None, typer.Option(help="The file to write; an existing file is replaced. Default: stdout.")
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Export scores and outcomes, not observations.")] = False,
    limit: Newest = None,
    as_json: AsJson = False,
) -> None:
    """Export all ended observations in order of arrival, or all scores (--scores). Texts stay redacted.

    The file is written completely or not at all, and replaces an existing file.

    In CSV, a ' precedes text that a spreadsheet would run as a formula.

    Example: python -m src.observability export --format parquet --output november.parquet --since 2026-11-01
    """
    _check(form, scores, as_json, is_printed=output is None)
    with opened() as journal, written_to(output) as file:
        rows = resolved(journal, rows)
        count = (_export_scores if scores else _export_observations)(journal, rows, limit, form, file)
    if as_json and output is not None:
        show_json({"rows": count, "output": str(output)})
    elif output is not None:
        cprint(f"✅ {how_many(count, 'score' if scores else 'observation')} in {output}", "green", file=sys.stderr)


def _check(form: Format, scores: bool, as_json: bool, is_printed: bool) -> None:
    """End the command with status 2 if its options contradict each other."""
    if scores and form is Format.otlp:
        raise typer.BadParameter("OTLP has no scores: use jsonl, csv or parquet", param_hint="--scores")
    if form is Format.parquet and is_printed and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is binary: name a file with --output", param_hint="--format")
    if as_json and is_printed and form in (Format.csv, Format.parquet):
        raise typer.BadParameter("stdout would contain rows, not JSON: name a file with --output", param_hint="--json")


def _export_observations(journal: Journal, rows: Filter, limit: int | None, form: Format, file: IO[bytes]) -> int:
    page_rows = _MESSAGE_ROWS if form is Format.otlp else _PAGE_ROWS
    pages = queries.observation_pages(journal, rows, limit, page_rows)
    return _write(form, pages, ("seq", *OBSERVATION_COLUMNS, "reason"), journal, file)


def _export_scores(journal: Journal, rows: Filter, limit: int | None, form: Format, file: IO[bytes]) -> int:
    columns = ["seq", *SCORE_COLUMNS, "reason"]
    columns[columns.index("value") : columns.index("value") + 1] = ["number", "text"]
    pages = (list(map(_typed_score, page)) for page in queries.score_pages(journal, rows, limit, _PAGE_ROWS))
    return _write(form, pages, columns, journal, file)


def _typed_score(row: Row) -> Row:
    """Replace a score's `value` by the columns `number` and `text`, for formats with one type per column."""
    value = row.pop("value")
    is_text = isinstance(value, str)
    return {**row, "number": None if is_text else value, "text": value if is_text else None}


def _write(form: Format, pages: Iterable[list[Row]], columns: Sequence[str], journal: Journal, file: IO[bytes]) -> int:
    if form is Format.parquet:
        return _write_parquet(pages, columns, file)
    rows = 0
    if form is Format.csv:
        file.write(_csv([columns]))
    for page in pages:
        rows += len(page)
        if form is Format.csv:
            file.write(_csv([[_cell(row[column]) for column in columns] for row in page]))
        else:
            lines = _objects(page) if form is Format.jsonl else _messages(journal.with_trace_tags(page))
            file.write("".join(f"{line}\n" for line in lines).encode())
    return rows


def _objects(page: list[Row]) -> Iterator[str]:
    for row in page:
        decoded = {name: json.loads(row[name]) for name in _JSON if row.get(name) is not None}
        yield json_text({**row, **decoded}, ascii_only=False)


def _messages(page: list[Row]) -> Iterator[str]:
    """Return OTLP messages like those of the shipper, one for each Langfuse project.

    Rows without a project are assigned to the configured project.
    """
    from ...shipping import json_of

    projects: dict[str, list[Row]] = defaultdict(list)
    for row in page:
        projects[(row["destination"] or "").partition("|")[2]].append(row)
    configured = settings.setting("LANGFUSE_PUBLIC_KEY") or ""
    return (json_of(rows, key or configured) for key, rows in projects.items())


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Put a quote (') before text that a spreadsheet would run as a formula.

    The character NUL becomes U+FFFD, since few CSV readers accept NUL, and Python 3.10's CSV writer rejects it.
    """
    if not isinstance(value, str):
        return value
    return f"'{value}".replace("\0", "\ufffd") if _FORMULA.match(value) else value.replace("\0", "\ufffd")


def _write_parquet(pages: Iterable[list[Row]], columns: Sequence[str], file: IO[bytes]) -> int:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    types = {**dict.fromkeys(_INTEGERS, pyarrow.int64()), **dict.fromkeys(_FLOATS, pyarrow.float64())}
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in columns])
    rows = 0
    with ParquetWriter(file, schema, compression="zstd") as writer:
        for page in pages:
            rows += len(page)
            writer.write_table(pyarrow.Table.from_pylist(page, schema=schema))
    return rows


@contextmanager
def written_to(output: Path | None) -> Iterator[IO[bytes]]:
    """Open `output` for writing, or stdout if it is None. Raises JournalError if the output cannot be written.

    A file is written under a temporary name, and renamed to `output` once it is complete.
    """
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        is_device = output.exists() and not output.is_file()
        with output.open("wb") if is_device else _complete(output) as file:
            yield file
    except JournalError:
        raise
    except OSError as error:
        raise JournalError(f"{output} cannot be written: {error.strerror or error}") from None


@contextmanager
def _complete(output: Path) -> Iterator[IO[bytes]]:
    """Open a new temporary file of mode 0600, and rename it to `output` once it is complete.

    `mkstemp` opens neither another user's file nor a link, since it uses O_EXCL and O_NOFOLLOW.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
