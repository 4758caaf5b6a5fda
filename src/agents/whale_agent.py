"""
🌙 Moon Dev's Whale Agent
Built with love by Moon Dev 🚀

Dez watches open interest: when it changes by more than usual, he asks a model whether to BUY, SELL or do NOTHING.

    python src/agents/whale_agent.py            # live, with MOONDEV_API_KEY in .env
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # lets this file import `src` when it runs as a script

import pandas as pd
from termcolor import cprint

from src import config
from src.agents.api import MoonDevAPI
from src.agents.base_agent import BaseAgent, run_as_script
from src.agents.decision import INSTRUCTION, Decision
from src.agents.errors import MarketDataError
from src.agents.history import History, Values
from src.observability.terminal import echo

THRESHOLD = 1.31  # call the model only if the change exceeds 1.31 times the average change
CHANGES_TO_LEARN = 3  # fewer changes give no meaningful average
CHECK_INTERVAL = timedelta(minutes=5)
HISTORY_FILE = config.REPO_ROOT / "src/data/oi_history.csv"
_SYMBOLS = {"btc_oi": "BTCUSDT", "eth_oi": "ETHUSDT"}
_CHANGES = {"btc_change_pct": "btc_oi", "eth_change_pct": "eth_oi", "total_change_pct": "total_oi"}
_HISTORY_COLUMNS = ("btc_oi", "eth_oi", "total_oi", *_CHANGES)

SYSTEM_PROMPT = f"You are an open interest analyst. {INSTRUCTION}"


class WhaleAgent(BaseAgent):
    """Dez, who checks the open interest every five minutes."""

    def __init__(self) -> None:
        super().__init__("whale")
        self.api = MoonDevAPI()
        self.history = History(HISTORY_FILE, _HISTORY_COLUMNS)

    def look(self) -> Decision | None:
        """Run one live pass: compare open interest with the previous pass's, unless that is too old."""
        record = _record(self.api.read_open_interest(), self.history.last(within=2 * CHECK_INTERVAL))
        decision = self.consider(record, _usual_change([past.values for past in self.history.records()]))
        self.history.add(record)
        return decision

    def consider(self, record: Values, usual: float | None) -> Decision | None:
        """If the change clearly exceeds `usual` (in percent), ask the model for a decision. Otherwise return None."""
        change = record["total_change_pct"]
        print(f"🐋 Open interest ${record['total_oi']:,.0f} ({_as_percent(change)}, usual {_as_percent(usual)})")
        if usual is None or change is None or abs(change) <= THRESHOLD * usual:
            self.pass_quietly()
            return None
        with self.observed_cycle(input={**record, "usual_change_pct": usual}):
            return self.decide(SYSTEM_PROMPT, _question(record, usual))

    def run(self) -> None:
        """Run live passes until Ctrl-C."""
        echo(f"🤖 Dez checks every {CHECK_INTERVAL.total_seconds() / 60:.0f} minutes. Ctrl-C stops him", "cyan")
        self.run_forever(self.look, CHECK_INTERVAL.total_seconds() / 60)


def _record(frame: pd.DataFrame, last: Values | None) -> dict[str, float | None]:
    """Open interest in USD, and its changes in percent since the last record (None if there is no last record)."""
    newest = frame.sort_values("time").groupby("symbol").last()
    sizes = {name: _usd(newest, symbol) for name, symbol in _SYMBOLS.items()}
    sizes["total_oi"] = sum(sizes.values())
    return {**sizes, **{change: _percent((last or {}).get(name), sizes[name]) for change, name in _CHANGES.items()}}


def _usd(newest: pd.DataFrame, symbol: str) -> float:
    if symbol not in newest.index:
        raise MarketDataError(f"oi.csv has no row for {symbol}: check MOONDEV_API_URL in .env, or try again later")
    return float(newest["openInterest"][symbol] * newest["price"][symbol])


def _percent(before: float | None, now: float) -> float | None:
    return 100 * (now - before) / before if before else None


def _usual_change(history: Sequence[Values]) -> float | None:
    """The average size of a change, in percent; None if there are fewer than CHANGES_TO_LEARN changes."""
    changes = [abs(change) for values in history if (change := values["total_change_pct"]) is not None]
    return sum(changes) / len(changes) if len(changes) >= CHANGES_TO_LEARN else None


def _as_percent(percent: float | None) -> str:
    return "unknown" if percent is None else f"{percent:+.2f}%"


def _question(record: Values, usual: float) -> str:
    return (
        f"Open interest changed by {_as_percent(record['total_change_pct'])} in five minutes; usual is {usual:.2f}%.\n"
        f"BTC: ${record['btc_oi']:,.0f} ({_as_percent(record['btc_change_pct'])})\n"
        f"ETH: ${record['eth_oi']:,.0f} ({_as_percent(record['eth_change_pct'])})\n"
        f"{INSTRUCTION}"
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m src.agents.whale_agent", description="Dez")
    parser.add_argument("--once", action="store_true", help="stop after one pass")
    once = parser.parse_args(given).once
    agent = WhaleAgent()
    if not config.MOONDEV_API_KEY:
        cprint("⚠️ Set MOONDEV_API_KEY in .env to run live", "yellow")
        return 0
    if once:
        agent.run_safely(agent.look)
    else:
        agent.run()
    return 1 if agent.failed_passes else 0


if __name__ == "__main__":
    sys.exit(run_as_script(main))
