"""An agent that queries SwarmAgent once for each market, and prints the decision of most of its models."""

import sys
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.agents.swarm_agent import SwarmAgent


class DeskAgent:
    def __init__(self):
        self.swarm = SwarmAgent()

    def run_trading_cycle(self):
        for symbol in ("BTC", "ETH"):
            answers = self.swarm.query(f"{symbol} +2 % in an hour").values()
            votes = Counter(answer.upper().strip("*.").split("\n")[0] for answer in answers)
            print(f"🗳️ {symbol}: {sorted(votes.items())} → {votes.most_common(1)[0][0]}")


if __name__ == "__main__":
    DeskAgent().run_trading_cycle()
