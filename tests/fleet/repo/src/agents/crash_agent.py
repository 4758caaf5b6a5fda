"""An agent that does not catch the exception of its model."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.models import model_factory


class CrashAgent:
    def run_once(self):
        print("🚀 Off we go")
        model_factory.get_model("openai", "gpt-4o").generate_response("You crash", "Now")
        print("❌ The next line fails", flush=True)
        return model_factory.get_model("openai", "refused").generate_response("You crash", "Now")


if __name__ == "__main__":
    CrashAgent().run_once()
