"""
🌙 Moon Dev's Export Formats
Built with love by Moon Dev 🚀

Pages of journal rows as JSON lines, CSV, Parquet or OTLP/JSON lines, written as they come.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import IO, Any

from ... import settings
from ...journal import Journal, Row
from ..signal import json_text


class Format(str, Enum):
    """What a file of observations can be."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"
    otlp = "otlp"


JSON_COLUMNS = ("model_parameters", "input", "output", "metadata", "tags", "usage", "cost")
_WHOLE = ("seq", "is_root", "start_ns", "first_token_ns", "end_ns", "timestamp_ns")
_REAL = ("cost_usd", "number")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


def write(form: Format, pages: Iterable[list[Row]], columns: Sequence[str], journal: Journal, file: IO[bytes]) -> int:
    """Write all pages; how many rows there were.

    Raises:
        JournalError: the journal cannot be read.
    """
    if form is Format.parquet:
        return _parquet(pages, columns, file)
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
        decoded = {name: json.loads(row[name]) for name in JSON_COLUMNS if row.get(name) is not None}
        yield json_text({**row, **decoded}, ascii_only=False)


def _messages(page: list[Row]) -> Iterator[str]:
    """What the shipper sends, one message a line; rows that were recorded without keys go as if we had sent them."""
    from ...shipping import json_of

    projects: dict[str, list[Row]] = defaultdict(list)
    for row in page:
        projects[(row["destination"] or "").partition("|")[2]].append(row)
    ours = settings.setting("LANGFUSE_PUBLIC_KEY") or ""
    return (json_of(rows, key or ours) for key, rows in projects.items())


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a quote before it, as one types it there."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _parquet(pages: Iterable[list[Row]], columns: Sequence[str], file: IO[bytes]) -> int:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    types = {**dict.fromkeys(_WHOLE, pyarrow.int64()), **dict.fromkeys(_REAL, pyarrow.float64())}
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in columns])
    rows = 0
    with ParquetWriter(file, schema, compression="zstd") as writer:
        for page in pages:
            rows += len(page)
            writer.write_table(pyarrow.Table.from_pylist(page, schema=schema))
    return rows
