"""Every command prints and parses times in the operator's zone, or in UTC with --utc."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from src.observability.console import time_range
from src.observability.console.render.format import moment
from src.observability.journal.store import Journal
from tests.console.printed import START_NS, cells, invoke, json_lines, run

pytestmark = pytest.mark.filled(4, days=0.01, until_ns=START_NS)


@pytest.fixture(autouse=True)
def in_kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the time zone of Kolkata, which is five and a half hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    time_range.use_local()
    monkeypatch.undo()
    time.tzset()


def test_every_command_shows_the_same_time_for_the_same_trace(filled: Journal) -> None:
    """The table, tree and JSON output show a trace's time with the same offset; with --utc, all show it in UTC."""
    for option, title, offset in (("", "began (+05:30)", "+05:30"), ("--utc", "began (UTC)", "+00:00")):
        (line,) = cells(run(f"traces -n 1 {option}"))
        (trace,) = json_lines(f"traces -n 1 {option}")
        first = trace["observations"][0]
        began = datetime.fromisoformat(first["start"])
        assert first["start"].endswith(offset)
        assert began.timestamp() == pytest.approx(first["start_ns"] / 1e9, abs=1e-6)
        assert line[title] == f"{began:%m-%d %H:%M:%S}"
        assert run(f"trace last {option}")[0].startswith(moment_in(began, title))
        (decision,) = json_lines(f"decisions -n 1 {option}")
        (row,) = cells(run(f"decisions -n 1 {option}"))
        assert row[f"time ({title[7:]}"] == f"{datetime.fromisoformat(decision['start']):%m-%d %H:%M:%S}"
        assert json.loads(invoke(f"status --json {option}").stdout)["began"].endswith(offset)


def moment_in(began: datetime, title: str) -> str:
    """Return a time as the tree prints it, in the zone that a column's title names."""
    return f"{began:%Y-%m-%d %H:%M:%S} {title[7:-1]}"


def test_a_time_without_an_offset_is_the_operator_s() -> None:
    """A date means midnight in the local zone, or in UTC with --utc; if a time has an offset, that offset is used."""
    midnight = int(datetime(2026, 11, 1, tzinfo=timezone.utc).timestamp() * 1e9)
    half_past_five = int(5.5 * 3600 * 1e9)
    assert time_range.parse_time("2026-11-01") == midnight - half_past_five
    assert time_range.parse_time("2026-11-01T00:00Z") == midnight
    assert moment(midnight) == "2026-11-01 05:30:00 +05:30"
    time_range.use_utc()
    assert time_range.parse_time("2026-11-01") == midnight
    assert moment(midnight) == "2026-11-01 00:00:00 UTC"


def test_today_begins_at_local_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    """`today` begins at local midnight, and `yesterday` a day before."""
    monkeypatch.setattr(time_range, "now_ns", lambda: START_NS)  # 2026-11-18 16:36:40 in Kolkata
    assert moment(time_range.parse_time("today")) == "2026-11-18 00:00:00 +05:30"
    assert moment(time_range.parse_time(" Yesterday")) == "2026-11-17 00:00:00 +05:30"


def test_days_and_hours_are_the_operator_s(filled: Journal) -> None:
    """`costs` names an hour by its local start, and counts the hour on the local day on which it starts."""
    assert {group["group"] for group in json_lines("costs --by hour")} == {
        "2026-11-18 15:30+05:30", "2026-11-18 16:30+05:30",
    }  # fmt: skip
    assert [group["group"] for group in json_lines("costs --by hour --utc")] == [
        "2026-11-18 10:00+00:00", "2026-11-18 11:00+00:00",
    ]  # fmt: skip
    assert [group["group"] for group in json_lines("costs --by day")] == ["2026-11-18"]
    calls = [json_lines(f"costs --by {by}") for by in ("hour", "day", "agent")]
    assert len({sum(group["calls"] for group in groups) for groups in calls}) == 1


def test_a_table_over_a_change_of_the_clocks_has_an_offset_a_line(
    filled: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the clocks go back, a local hour occurs twice, so each line of the table shows its own UTC offset."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    change = int(datetime(2026, 10, 25, 1, tzinfo=timezone.utc).timestamp() * 1e9)
    filled.change("UPDATE observations SET start_ns = ? WHERE seq <= 3", (change - 1,))
    filled.change("UPDATE observations SET start_ns = ? WHERE seq > 3", (change,))
    times = {row["began"] for row in cells(run("traces"))}
    assert times == {"10-25 02:59:59 +02:00", "10-25 02:00:00 +01:00"}
