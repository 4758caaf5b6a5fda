"""An agent that asks several models at once, in threads, for a one-word answer."""

import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from src.models import model_factory

MODELS = {
    "claude": (True, "claude", "claude-sonnet-4-5"),
    "deepseek": (True, "deepseek", "deepseek-chat"),
    "xai": (True, "xai", "grok-4-fast-reasoning"),
    "openrouter": (True, "openrouter", "qwen/qwen3-max"),
    "openai": (False, "openai", "gpt-5"),
}


class SwarmAgent:
    def __init__(self, custom_models=None):
        configured = (custom_models or MODELS).items()
        self.models = {name: model_factory.get_model(kind, model) for name, (on, kind, model) in configured if on}

    def query(self, prompt, system_prompt=None):
        with ThreadPoolExecutor(max_workers=len(self.models)) as pool:
            asked = {pool.submit(self._ask, model, prompt, system_prompt): name for name, model in self.models.items()}
            return {asked[future]: future.result() for future in as_completed(asked)}

    def _ask(self, model, prompt, system_prompt):
        return model.generate_response(system_prompt or "One word: Buy, Sell or Do Nothing", prompt).content


if __name__ == "__main__":
    print(sorted(SwarmAgent().query("Should I buy BTC?").items()))
