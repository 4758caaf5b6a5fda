"""Parsing liquidation feeds, and cutting them into windows."""

from pathlib import Path

import pandas as pd
import pytest

from src.agents.errors import FeedError
from src.agents.liquidations import parse_feed, read_feed, runs_of_windows
from tests.agents.feed import HEADER, ROW, SAMPLE, row
from tests.cases import cases


@cases("header", [[], [HEADER], [HEADER + ",datetime"]])
@cases("extra", ["", ",2025-12-11 01:36:23"])
def test_twelve_or_thirteen_columns_with_a_header_or_without(header: list[str], extra: str) -> None:
    """A feed file may have twelve or thirteen columns, with or without a header; all these forms are read alike."""
    feed = parse_feed([*header, row(0) + extra, row(1, 500, "BUY") + extra], "feed.csv")
    assert feed.broken == 0
    assert list(feed.events["side"]) == ["SELL", "BUY"]
    assert list(feed.events["usd"]) == [1000, 500]
    assert feed.events["time"].iloc[0] == pd.Timestamp("2025-01-01", tz="UTC")


def test_broken_rows_are_skipped_and_counted() -> None:
    """Broken rows of every kind are skipped; all good rows are read."""
    broken = [
        "BTC,SELL", row(0).replace("SELL", "HOLD"), ROW.format(time="yesterday", usd=1), ROW.format(time=1e30, usd=1),
        row(0, float("nan")), row(0, float("inf")), row(0, -5), "\0,\0", row(0) + ",a,b,c", ROW.format(time=5, usd=""),
        ROW.format(time=1_735_689_600, usd=1), 'BTC,"SELL', "x" * 200_000,
    ]  # fmt: skip
    feed = parse_feed([row(0), *broken, row(1)], "feed.csv")
    assert len(feed.events) == 2
    assert feed.broken == len(broken)


def test_case_spaces_and_quotes_are_forgiven() -> None:
    """Cells may have lower-case letters, spaces and quotes; blank lines are ignored."""
    quoted = ", ".join(f'"{cell}"' for cell in row(0, 500, "buy").split(","))
    feed = parse_feed(["\n", quoted + "\r\n", "  \n"], "feed.csv")
    assert (feed.broken, list(feed.events["side"]), list(feed.events["usd"])) == (0, ["BUY"], [500])


def test_rows_come_in_order_of_time() -> None:
    """Events are sorted by time; the API's file is not."""
    feed = parse_feed([row(5), row(1), row(3)], "feed.csv")
    assert feed.events["time"].is_monotonic_increasing


@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "binary", "another csv"])
def test_what_is_no_feed_is_said_with_its_cure(kind: str, tmp_path: Path) -> None:
    """If a file is not a feed of liquidations, the error names the file and the cure."""
    path = tmp_path / "feed.csv"
    if kind == "directory":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"empty": b"", "binary": bytes(range(256)) * 9, "another csv": b"a,b\n1,2\n"}[kind])
    with pytest.raises(FeedError, match=r"--replay|each row needs") as error:
        read_feed(path)
    assert str(path) in str(error.value)


def test_windows_are_counted_from_the_first_event() -> None:
    """Windows of fifteen minutes have separate sums for longs and shorts, and the most liquidated symbols."""
    feed = parse_feed([row(2), row(10, 500, "BUY"), row(16.9), row(17.1, 7), row(30, 9, "BUY")], "feed.csv")
    (windows,) = runs_of_windows(feed.events, 15)
    assert [(window.longs_usd, window.shorts_usd) for window in windows] == [(2000, 500), (7, 9)]
    assert windows[0].start == pd.Timestamp("2025-01-01 00:02", tz="UTC")
    assert windows[1].start == windows[0].end
    assert windows[0].top_symbols == ["BTC $2,500"]


def test_a_silence_longer_than_a_window_begins_anew() -> None:
    """After a gap longer than a window, a new series begins: windows before and after the gap are not compared."""
    feed = parse_feed([row(0), row(100), row(101), row(116)], "feed.csv")
    assert [len(run) for run in runs_of_windows(feed.events, 15)] == [1, 2]


def test_the_sample_spans_the_recorded_windows() -> None:
    """The recorded sample has one stray event, then seven windows of real orders."""
    feed = read_feed(SAMPLE)
    assert (len(feed.events), feed.broken) == (1831, 0)
    assert [len(run) for run in runs_of_windows(feed.events, 15)] == [1, 7]
    assert SAMPLE.stat().st_size < 200_000
