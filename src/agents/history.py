"""
🌙 Moon Dev's Agent History
Built with love by Moon Dev 🚀

The records of a live agent's last 24 hours, in a CSV file under `src/data/` that survives a restart.
"""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from src.observability.terminal import echo

_KEPT = timedelta(hours=24)

Values = Mapping[str, float | None]


class Record(NamedTuple):
    """The values that one pass recorded at the time `at`. A value is None if it was unknown."""

    at: datetime
    values: Values


class History:
    """Keeps the records of the last 24 hours in a CSV file with the column `timestamp`, then the given `columns`."""

    def __init__(self, file: Path, columns: Sequence[str]) -> None:
        self.file = file
        self.columns = tuple(columns)

    def records(self) -> list[Record]:
        """The records, oldest first. Rows that cannot be read are reported; the next `add` deletes them."""
        oldest = datetime.now(UTC) - _KEPT
        rows = [self._record(row) for row in self._rows()]
        if broken := rows.count(None):
            echo(f"⚠️ {self.file.name}: {broken} rows cannot be read and are left out", "yellow")
        return [record for record in rows if record is not None and record.at >= oldest]

    def last(self, within: timedelta) -> Values | None:
        """The newest record's values; None if there is no record, or if the newest is older than `within`."""
        records = self.records()
        recent = records and datetime.now(UTC) - records[-1].at <= within
        return records[-1].values if recent else None

    def add(self, values: Values) -> None:
        """Append a record and delete records older than a day. An interrupted write leaves the old file intact."""
        rows = [self._row(record) for record in [*self.records(), Record(datetime.now(UTC), values)]]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new_file = self.file.with_suffix(".new")
        with new_file.open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([("timestamp", *self.columns), *rows])
        new_file.replace(self.file)

    def _rows(self) -> list[dict[str, str]]:
        if not self.file.exists():
            return []
        with self.file.open(encoding="utf-8", errors="replace", newline="") as lines:
            return list(csv.DictReader(line.replace("\0", "") for line in lines))

    def _record(self, row: Mapping[str, str]) -> Record | None:
        try:
            at = datetime.fromisoformat(row["timestamp"]).astimezone(UTC)  # a time without a zone is local time
            return Record(at, {name: float(row[name]) if row[name] else None for name in self.columns})
        except (KeyError, TypeError, ValueError, OverflowError):
            return None

    def _row(self, record: Record) -> list[str]:
        numbers = [record.values.get(name) for name in self.columns]
        return [record.at.isoformat(), *("" if number is None else str(number) for number in numbers)]
