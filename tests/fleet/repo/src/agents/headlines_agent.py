"""An agent made of functions, without a class, that calls a chat API with `requests.post`."""

import os
import sys
from pathlib import Path

import requests

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.config import OPENROUTER_URL


def search(query):
    response = requests.post(
        f"{OPENROUTER_URL}/chat/completions",
        headers={"Authorization": f"Bearer {os.environ['OPENROUTER_API_KEY']}", "X-Title": "Headlines"},
        json={"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": query}], "max_tokens": 500},
        timeout=30,
    )
    response.raise_for_status()
    return response.json()["choices"][0]["message"]["content"]


if __name__ == "__main__":
    print(f"📰 {search('What moves BTC today?')}")
