"""An agent that sends two images to Anthropic with one client."""

import base64
import os
import sys
from pathlib import Path

from anthropic import Anthropic

sys.path.append(str(Path(__file__).resolve().parents[2]))

import src

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()


class ChartVisionAgent:
    def __init__(self):
        self.client = Anthropic(api_key=os.environ["ANTHROPIC_KEY"])

    def look(self, timeframe):
        image = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        message = self.client.messages.create(
            model="claude-sonnet-4-5",
            max_tokens=1024,
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image", "source": image}, {"type": "text", "text": f"Chart of {timeframe}"}],
                }
            ],
        )
        return message.content[0].text


if __name__ == "__main__":
    agent = ChartVisionAgent()
    print([agent.look(timeframe) for timeframe in ("15m", "1h")])
