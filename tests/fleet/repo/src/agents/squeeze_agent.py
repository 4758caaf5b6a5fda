"""A subclass of BaseAgent. In each cycle it asks DeepSeek about two markets by OpenAI's SDK, then stores the advice."""

import os
import sys
from pathlib import Path

from openai import OpenAI

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src import config
from src.agents.base_agent import BaseAgent

HISTORY = Path("src/data/squeeze_history.csv")


class SqueezeAgent(BaseAgent):
    def __init__(self):
        super().__init__("squeeze")
        self.client = OpenAI(api_key=os.environ["DEEPSEEK_KEY"], base_url=config.DEEPSEEK_URL)

    def run_monitoring_cycle(self):
        HISTORY.parent.mkdir(parents=True, exist_ok=True)
        for symbol in ("BTC", "ETH"):
            action, reason, _ = self._analyze(symbol).split("\n")
            with HISTORY.open("a", encoding="utf-8") as history:
                history.write(f"{symbol},{action},{reason}\n")

    def _analyze(self, symbol):
        response = self.client.chat.completions.create(
            model="deepseek-chat",
            messages=[
                {"role": "system", "content": "Three lines: action, reason, Confidence: X%"},
                {"role": "user", "content": f"{symbol} shorts liquidated: +80 %"},
            ],
            max_tokens=150,
            temperature=0.7,
        )
        print(f"🌊 {symbol}: {response.choices[0].message.content}")
        return response.choices[0].message.content.strip()


if __name__ == "__main__":
    agent = SqueezeAgent()
    for _ in range(2):
        agent.run_monitoring_cycle()
