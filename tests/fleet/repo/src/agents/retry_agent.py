"""An agent whose model, made by `model_factory`, sends two requests inside one call."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.models import model_factory


class RetryAgent:
    def research(self):
        model = model_factory.get_model("openai", "gpt-5-mini")
        answer = model.generate_response("You research", "An idea, please", max_tokens=200)
        print("💡", answer.content, answer.usage["total_tokens"])


if __name__ == "__main__":
    RetryAgent().research()
