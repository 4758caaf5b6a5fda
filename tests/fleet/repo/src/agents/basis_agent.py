"""An agent that gives Anthropic's SDK a temperature. The newest SDK raises an error, which the agent swallows."""

import os
import sys
from pathlib import Path

import anthropic

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.config import *


class BasisAgent:
    def __init__(self):
        self.client = anthropic.Anthropic(api_key=os.environ["ANTHROPIC_KEY"])

    def analyze(self):
        try:
            message = self.client.messages.create(
                model="claude-3-haiku-20240307",
                max_tokens=AI_MAX_TOKENS,
                temperature=AI_TEMPERATURE,
                messages=[{"role": "user", "content": "BTC basis is 12 % a year"}],
            )
        except Exception as error:
            print(f"❌ {type(error).__name__}")
            return None
        print(type(message).__name__, message.usage.output_tokens, re.sub(r"\s+", " ", message.content[0].text))
        return message


if __name__ == "__main__":
    BasisAgent().analyze()
