"""An agent that calls a model of `model_factory`, and draws seeded random numbers before and after the call."""

import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.models import model_factory


class SpreadAgent:
    def __init__(self):
        self.model = model_factory.get_model("claude", "claude-haiku-4-5")

    def decide(self):
        spread = random.gauss(1.0, 0.2)
        answer = self.model.generate_response(
            system_prompt="Three lines: action, reason, Confidence: X%",
            user_content=f"Spread is {spread:.4f}",
            temperature=0.3,
            max_tokens=100,
        )
        return answer.content.split("\n")


if __name__ == "__main__":
    random.seed(42)
    print(SpreadAgent().decide())
    print([random.random() for _ in range(5)], random.getstate()[1][-1])
