"""Models by provider. Each model is built when it is first requested."""

import os

from .claude_model import ClaudeModel
from .compatible_models import DeepSeekModel, OpenRouterModel, XAIModel
from .groq_model import GroqModel
from .openai_model import OpenAIModel


class ModelFactory:
    MODEL_IMPLEMENTATIONS = {
        "claude": (ClaudeModel, "ANTHROPIC_KEY"),
        "openai": (OpenAIModel, "OPENAI_KEY"),
        "deepseek": (DeepSeekModel, "DEEPSEEK_KEY"),
        "xai": (XAIModel, "GROK_API_KEY"),
        "openrouter": (OpenRouterModel, "OPENROUTER_API_KEY"),
        "groq": (GroqModel, "GROQ_API_KEY"),
    }

    def __init__(self):
        self._models = {}

    def get_model(self, model_type, model_name):
        if (model_type, model_name) not in self._models:
            implementation, key = self.MODEL_IMPLEMENTATIONS[model_type]
            self._models[model_type, model_name] = implementation(os.environ[key], model_name)
        return self._models[model_type, model_name]


model_factory = ModelFactory()
