"""
🌙 Moon Dev's Liquidation Feed
Built with love by Moon Dev 🚀

Parses forced orders in the format of the Moon Dev API's `liq_data.csv`: 12 columns, or 13 with `datetime`, with or
without a header row. Broken rows are skipped and counted. Side SELL is a liquidated long, BUY a liquidated short.
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from src.agents.errors import FeedError

_COLUMNS = (12, 13)
_SYMBOL, _SIDE, _PRICE, _TIMESTAMP, _USD = 0, 1, 6, 10, 11  # column indexes; _PRICE is the fills' average price
_QUOTE = re.compile(r"(?<=\w)(USDT|USDC)$")  # removed from symbols: BTC and BTCUSDC count as the same
_EARLIEST_MS, _LATEST_MS = 1_000_000_000_000, 4_102_444_800_000  # 2001 to 2100; other times make a row broken
_EXPECTED = (
    "symbol, side (BUY or SELL), type, time_in_force, quantity, price, average_price, status, filled, total,"
    " timestamp (Unix milliseconds), usd"
)
_SAMPLE = "src/data/samples/liquidations_2025-12-11.csv"


class Feed(NamedTuple):
    """The liquidations of a feed in order of time, and the number of its broken rows.

    `events` has the columns `symbol`, `side`, `time` (UTC), `usd` and `price` (USD; NaN if the feed gives no price).
    """

    events: pd.DataFrame
    broken: int


class Window(NamedTuple):
    """The liquidations of one window, in USD."""

    start: pd.Timestamp
    end: pd.Timestamp
    longs_usd: float
    shorts_usd: float
    top_symbols: list[str]  # the three most liquidated, like "BTC $9,000", largest first
    symbol: str  # the most liquidated symbol; empty in a window without liquidations


def read_feed(path: Path) -> Feed:
    """Read a recorded feed. Raises FeedError if the file cannot be read or holds no liquidation."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            return parse_feed(lines, str(path))
    except FileNotFoundError:
        raise FeedError(f"No file {path}: give --replay a recorded feed, such as {_SAMPLE}") from None
    except OSError as error:
        raise FeedError(f"{path} cannot be read ({error.strerror}): give --replay a readable CSV file") from None


def parse_feed(lines: Iterable[str], source: str) -> Feed:
    """Parse the lines of a CSV file. Raises FeedError if they hold no liquidation."""
    events, broken = [], 0
    for number, line in enumerate(lines):
        cells = [cell.strip().strip('"') for cell in line.split(",")]  # the module `csv` merges rows at a stray quote
        event = _event(cells)
        if event is not None:
            events.append(event)
        elif line.strip() and not (number == 0 and _is_header(cells)):
            broken += 1
    if not events:
        raise FeedError(f"{source} holds no liquidation (broken rows: {broken}): each row needs {_EXPECTED}")
    frame = pd.DataFrame(events, columns=["symbol", "side", "time", "usd", "price"]).sort_values("time", kind="stable")
    return Feed(frame.assign(time=pd.to_datetime(frame["time"], unit="ms", utc=True)).reset_index(drop=True), broken)


def _event(cells: list[str]) -> tuple[str, str, int, float, float] | None:
    if len(cells) not in _COLUMNS or cells[_SIDE].upper() not in ("BUY", "SELL"):
        return None
    try:
        time, usd = int(float(cells[_TIMESTAMP])), float(cells[_USD])
    except (ValueError, OverflowError):
        return None
    if not (_EARLIEST_MS < time < _LATEST_MS and math.isfinite(usd) and usd >= 0):
        return None
    return _QUOTE.sub("", cells[_SYMBOL]), cells[_SIDE].upper(), time, usd, _price(cells[_PRICE])


def _price(cell: str) -> float:
    try:
        price = float(cell)
    except ValueError:
        return math.nan
    return price if math.isfinite(price) and price > 0 else math.nan


def _is_header(cells: list[str]) -> bool:
    return any(cell.lower() in ("symbol", "side", "timestamp") for cell in cells)


def runs_of_windows(events: pd.DataFrame, minutes: float) -> list[list[Window]]:
    """Cut the feed into runs of successive windows. After a gap longer than a window, a new run begins."""
    length = pd.Timedelta(minutes=minutes)
    run = (events["time"].diff() > length).cumsum()
    began = events.groupby(run)["time"].transform("min")
    start = began + (events["time"] - began).dt.floor(length)
    return [
        [window_of(inside, pd.Timestamp(inside["start"].iloc[0]), length) for _, inside in one_run.groupby("start")]
        for _, one_run in events.assign(start=start).groupby(run)
    ]


def window_of(events: pd.DataFrame, start: pd.Timestamp, length: pd.Timedelta) -> Window:
    """Sum up the events of one window."""
    by_side = events.groupby("side")["usd"].sum()
    by_symbol = events.groupby("symbol")["usd"].sum().nlargest(3)
    symbols = list(map(str, by_symbol.index))
    return Window(
        start,
        start + length,
        float(by_side.get("SELL", 0.0)),
        float(by_side.get("BUY", 0.0)),
        [f"{symbol} ${usd:,.0f}" for symbol, usd in by_symbol.items()],
        symbols[0] if symbols else "",
    )
