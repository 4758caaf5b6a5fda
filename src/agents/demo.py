"""
🌙 Moon Dev's Demo
Built with love by Moon Dev 🚀

Replays a recorded feed through the liquidation agent, Luna, and records the outcomes of her decisions: `make demo`.
"""

import contextlib
import io
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from termcolor import cprint

from src import config
from src.observability import ObservabilityContext, settings
from src.observability.terminal import echo

with contextlib.redirect_stdout(io.StringIO()):  # hides notices about missing keys: the demo prints its own notices
    from src.agents.base_agent import run_as_script
    from src.agents.liquidation_agent import LiquidationAgent, pairs_of_windows
    from src.agents.liquidations import read_feed

SAMPLE = config.REPO_ROOT / "src/data/samples/liquidations_2025-12-11.csv"
WINDOW_MINUTES = 8
HORIZON = timedelta(minutes=15)
STAKE_USD = 1_000
_SIGNS = {"BUY": 1, "SELL": -1}


class Move(NamedTuple):
    """A symbol's price in USD at the time of a decision (`before`), and one HORIZON later (`after`)."""

    before: float
    after: float

    @property
    def percent(self) -> float:
        """The change of the price in percent."""
        return 100 * (self.after / self.before - 1)


def move_of(events: pd.DataFrame, symbol: str, at: pd.Timestamp, horizon: timedelta = HORIZON) -> Move | None:
    """The last price up to `at`, and the last one from `at` to `at + horizon`.

    None if one of the two prices is missing, or if the feed ends before `at + horizon`.
    """
    if events["time"].iloc[-1] < at + horizon:
        return None
    prices = events[events["symbol"] == symbol].dropna(subset=["price"]).set_index("time")["price"]
    before, after = prices[:at], prices[at : at + horizon]
    return Move(float(before.iloc[-1]), float(after.iloc[-1])) if len(before) and len(after) else None


def main(file: Path = SAMPLE) -> int:
    """Run the demo and return the exit status."""
    agent = _introduced()
    if agent is None:
        return 1
    feed = read_feed(file)
    pairs = list(pairs_of_windows(feed.events, WINDOW_MINUTES))
    outcomes = 0
    for number, (before, now) in enumerate(pairs, 1):
        print(f"{number:2}/{len(pairs)} ", end="", flush=True)
        decision = agent.run_safely(partial(agent.consider, before, now))
        if decision and agent.last_trace and decision.action in _SIGNS:
            move = move_of(feed.events, now.symbol, now.end)
            outcomes += move is not None
            if move is not None:
                _record(agent.last_trace, now.symbol, move, _SIGNS[decision.action])
    minutes = int(HORIZON.total_seconds() / 60)
    echo(f"⚖️ Recorded {outcomes} outcomes: the profit or loss {minutes} minutes after a BUY or SELL", "cyan")
    return 1 if agent.failed_passes else 0


def _introduced() -> LiquidationAgent | None:
    """Print what the demo will do and return the agent, or None if no model can be built."""
    agent = LiquidationAgent(WINDOW_MINUTES)
    # The notices are shown only if no model can be built. Otherwise the lines below replace them.
    with contextlib.redirect_stdout(io.StringIO()) as notices:
        model = agent.model
    if model is None:
        print(notices.getvalue(), end="")
        return None
    cprint("🌙 Moon Dev's demo: 100 minutes of real liquidations, recorded on 2025-12-11", "cyan")
    kept = "in the local journal and in Langfuse" if settings.destination() else "in the local journal"
    print(f"   When liquidations jump, Luna asks a model: BUY, SELL or NOTHING? Each call is recorded {kept}.")
    if model.model_type == "local":
        print("   The model is tiny (135 million parameters), runs here without a key, and picks from a few phrases.")
        print("   The market data is old and the decisions are worthless. Do not trade on them.")
    else:
        print(f"   The model is {model.model_type}'s {model.model_name}. Its calls may cost money.")
    return agent


def _record(trace_id: str, symbol: str, move: Move, sign: int) -> None:
    percent = sign * move.percent
    note = (
        f"{symbol} {move.before:,.6g} ▸ {move.after:,.6g} in {HORIZON.total_seconds() / 60:.0f} minutes;"
        f" ${STAKE_USD:,} at stake"
    )
    ObservabilityContext.record_outcome(trace_id, percent / 100 * STAKE_USD, percent, note)


if __name__ == "__main__":
    sys.exit(run_as_script(main))
