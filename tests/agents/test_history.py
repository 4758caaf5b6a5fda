"""The agents' history file: a day of records, unknown values, broken rows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from src.agents.history import History

MINUTES = timedelta(minutes=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of a history, in a folder that does not exist yet."""
    return tmp_path / "data" / "history.csv"


def written(file: Path, *rows: str) -> History:
    """Return a history whose file has these rows."""
    file.parent.mkdir()
    file.write_text("\n".join(["timestamp,longs,shorts", *rows]), encoding="utf-8")
    return History(file, ("longs", "shorts"))


def ago(minutes: float) -> str:
    """Return the ISO timestamp of the moment this many minutes ago."""
    return (datetime.now(UTC) - minutes * MINUTES).isoformat()


def test_what_was_added_is_there_in_the_next_process(file: Path) -> None:
    """An added record is read by a new `History` of the file; an unknown value stays unknown."""
    assert History(file, ("longs", "shorts")).last(within=MINUTES) is None
    History(file, ("longs", "shorts")).add({"longs": 1.5, "shorts": None})
    assert History(file, ("longs", "shorts")).last(within=MINUTES) == {"longs": 1.5, "shorts": None}
    assert file.read_text().startswith("timestamp,longs,shorts")
    assert [path.name for path in file.parent.iterdir()] == ["history.csv"]


def test_a_record_of_long_ago_is_no_comparison(file: Path) -> None:
    """If the last record is 90 minutes old, it is too old to compare with, but it stays in the file for a day."""
    history = written(file, f"{ago(90)},1,2")
    assert history.last(within=30 * MINUTES) is None
    assert len(history.records()) == 1


def test_a_day_is_kept(file: Path) -> None:
    """Records older than a day are deleted by the next `add`."""
    history = written(file, f"{ago(25 * 60)},1,2", f"{ago(23 * 60)},3,4")
    history.add({"longs": 5, "shorts": 6})
    assert [record.values["longs"] for record in history.records()] == [3, 5]
    assert len(file.read_text().splitlines()) == 3


def test_the_existing_repos_timestamps_are_read(file: Path) -> None:
    """Timestamps without a zone, as Moon Dev's original agents write them, are read as this machine's local time."""
    naive = datetime.now(UTC).astimezone().replace(tzinfo=None).isoformat(sep=" ")
    assert written(file, f"{naive},1,2").last(within=MINUTES) == {"longs": 1, "shorts": 2}


def test_unreadable_rows_are_reported(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of another program and rows cut short by a crash are skipped; a printed line states their number."""
    history = written(file, "yesterday,1,2", f"{ago(2)},x,2", f"{ago(1)},3,4", f"{ago(0)[:15]}\0")
    assert history.last(within=30 * MINUTES) == {"longs": 3, "shorts": 4}
    assert "⚠️ history.csv: 3 rows cannot be read and are left out" in capsys.readouterr().out
