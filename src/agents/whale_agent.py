"""
🌙 Moon Dev's Whale Agent
Built with love by Moon Dev 🚀

Dez watches open interest: when it changes by more than usual, he asks a model whether to BUY, SELL or do NOTHING.

    python src/agents/whale_agent.py            # live, with MOONDEV_API_KEY in .env
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, Python puts this folder there instead

import pandas as pd
from termcolor import cprint

from src import config
from src.agents.api import MoonDevAPI
from src.agents.base_agent import BaseAgent
from src.agents.three_lines import INSTRUCTION, Decision

THRESHOLD = 1.31  # times the average change
CHECK_INTERVAL_MINUTES = 5
HISTORY_FILE = config.REPO_ROOT / "src/data/oi_history.csv"
_SYMBOLS = {"btc_oi": "BTCUSDT", "eth_oi": "ETHUSDT"}
_CHANGES = {"btc_change_pct": "btc_oi", "eth_change_pct": "eth_oi", "total_change_pct": "total_oi"}

SYSTEM_PROMPT = f"You are an open interest analyst. {INSTRUCTION}"


class WhaleAgent(BaseAgent):
    """Dez. Live he looks every five minutes."""

    def __init__(self) -> None:
        super().__init__("whale")
        self.api = MoonDevAPI()

    def look(self) -> Decision | None:
        """One live pass: the open interest now against the history."""
        frame = self.api.get_oi_data()
        if frame is None:
            return None
        history = _history()
        record = _record(frame, history)
        _keep([*history, record])
        return self.consider(record, history)

    def consider(self, record: dict[str, Any], history: list[dict[str, Any]]) -> Decision | None:
        """Ask the model where the change is larger than usual; None where it is not."""
        change = record["total_change_pct"]
        usual = _usual_change(history)
        with self.observed_cycle(input={**record, "usual_change_pct": usual}) as cycle:
            print(f"🐋 Open interest ${record['total_oi']:,.0f} ({change:+.2f}%, usual {usual:.2f}%)")
            if not usual or abs(change) <= THRESHOLD * usual:
                cycle.set_output("No unusual change: the model was not asked")
                return None
            decision = self.decide(SYSTEM_PROMPT, _question(record, usual))
            cprint(f"   🤖 {decision.action} ({decision.confidence:.0f}%) {decision.reason}", "cyan")
            return decision

    def run(self) -> None:
        """The live loop."""
        cprint(f"🤖 Dez looks every {CHECK_INTERVAL_MINUTES} minutes. Ctrl-C stops him", "cyan")
        self.run_forever(self.look, CHECK_INTERVAL_MINUTES)


def _record(frame: pd.DataFrame, history: list[dict[str, Any]]) -> dict[str, Any]:
    """What is now, in USD, and by how many percent it differs from the last record."""
    newest = frame.sort_values("time").groupby("symbol").last()
    usd = (newest["openInterest"] * newest["price"]).to_dict()
    sizes = {name: float(usd.get(symbol, 0.0)) for name, symbol in _SYMBOLS.items()}
    sizes["total_oi"] = sum(sizes.values())
    last = history[-1] if history else {}
    changes = {change: _percent(last.get(name, 0.0), sizes[name]) for change, name in _CHANGES.items()}
    return {"timestamp": datetime.now(UTC).isoformat(), **sizes, **changes}


def _percent(before: float, now: float) -> float:
    return 100 * (now - before) / before if before > 0 else 0.0


def _usual_change(history: list[dict[str, Any]]) -> float:
    """The average size of a change, in percent; 0 where nothing is known."""
    changes = [abs(each["total_change_pct"]) for each in history[1:]]
    return sum(changes) / len(changes) if changes else 0.0


def _question(record: dict[str, Any], usual: float) -> str:
    return (
        f"Open interest changed by {record['total_change_pct']:+.2f}% in five minutes; usual is {usual:.2f}%.\n"
        f"BTC: ${record['btc_oi']:,.0f} ({record['btc_change_pct']:+.2f}%)\n"
        f"ETH: ${record['eth_oi']:,.0f} ({record['eth_change_pct']:+.2f}%)\n"
        f"{INSTRUCTION}"
    )


def _history() -> list[dict[str, Any]]:
    frame = pd.read_csv(HISTORY_FILE) if HISTORY_FILE.exists() else pd.DataFrame()
    return [{str(name): value for name, value in record.items()} for record in frame.to_dict("records")]


def _keep(records: list[dict[str, Any]]) -> None:
    HISTORY_FILE.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(records).to_csv(HISTORY_FILE, index=False)


def main() -> int:
    """The script; returns the exit status."""
    agent = WhaleAgent()
    if config.MOONDEV_API_KEY:
        agent.run()
    else:
        cprint("⚠️ Set MOONDEV_API_KEY in .env to run live", "yellow")
    return 0


if __name__ == "__main__":
    sys.exit(main())
