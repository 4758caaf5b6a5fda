"""An agent whose provider is overloaded at first, so that the SDK sends the request again."""

import os
import sys
from pathlib import Path

from openai import OpenAI

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.config import XAI_URL


class BusyAgent:
    def tweet(self):
        client = OpenAI(api_key=os.environ["GROK_API_KEY"], base_url=XAI_URL)
        raw = client.chat.completions.with_raw_response.create(
            model="grok-4", messages=[{"role": "user", "content": "A tweet"}]
        )
        print(raw.status_code, raw.retries_taken, raw.parse().choices[0].message.content)


if __name__ == "__main__":
    BusyAgent().tweet()
