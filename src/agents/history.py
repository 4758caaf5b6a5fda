"""
🌙 Moon Dev's Agent History
Built with love by Moon Dev 🚀

What a live agent saw in its last passes: a CSV file under `src/data/`, a day of records, for the agent's next start.
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
    """What was seen at a time; None for what was not known."""

    at: datetime
    values: Values


class History:
    """The records of the last day in `file`: a `timestamp`, then `columns`."""

    def __init__(self, file: Path, columns: Sequence[str]) -> None:
        self.file = file
        self.columns = tuple(columns)

    def records(self) -> list[Record]:
        """The records, oldest first. Rows that cannot be read are said, and gone with the next `add`."""
        oldest = datetime.now(UTC) - _KEPT
        read = [self._record(row) for row in self._rows()]
        if broken := read.count(None):
            echo(f"⚠️ {self.file.name}: {broken} rows cannot be read and are left out", "yellow")
        return [record for record in read if record is not None and record.at >= oldest]

    def last(self, within: timedelta) -> Values | None:
        """The newest record, unless it is older than `within`: too old to be compared with."""
        records = self.records()
        recent = records and datetime.now(UTC) - records[-1].at <= within
        return records[-1].values if recent else None

    def add(self, values: Values) -> None:
        """Append a record of now, and let go of those older than a day. A file that is cut short leaves the old one."""
        rows = [self._row(record) for record in [*self.records(), Record(datetime.now(UTC), values)]]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        written = self.file.with_suffix(".new")
        with written.open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([("timestamp", *self.columns), *rows])
        written.replace(self.file)

    def _rows(self) -> list[dict[str, str]]:
        if not self.file.exists():
            return []
        with self.file.open(encoding="utf-8", errors="replace", newline="") as lines:
            return list(csv.DictReader(line.replace("\0", "") for line in lines))

    def _record(self, row: Mapping[str, str]) -> Record | None:
        try:
            at = datetime.fromisoformat(row["timestamp"]).astimezone(UTC)  # without a zone it is this machine's time
            return Record(at, {name: float(row[name]) if row[name] else None for name in self.columns})
        except (KeyError, TypeError, ValueError, OverflowError):
            return None

    def _row(self, record: Record) -> list[str]:
        numbers = [record.values.get(name) for name in self.columns]
        return [record.at.isoformat(), *("" if number is None else str(number) for number in numbers)]
