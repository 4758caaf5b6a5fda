"""
🌙 Moon Dev's Models
Built with love by Moon Dev 🚀
"""

from src.models.base_model import BaseModel, ModelResponse
from src.models.claude_model import ClaudeModel
from src.models.deepseek_model import DeepSeekModel
from src.models.gemini_model import GeminiModel
from src.models.groq_model import GroqModel
from src.models.local_model import LocalModel
from src.models.model_factory import ModelFactory, model_factory
from src.models.ollama_model import OllamaModel
from src.models.openai_model import OpenAIModel
from src.models.openrouter_model import OpenRouterModel
from src.models.xai_model import XAIModel

__all__ = [
    "BaseModel",
    "ClaudeModel",
    "DeepSeekModel",
    "GeminiModel",
    "GroqModel",
    "LocalModel",
    "ModelFactory",
    "ModelResponse",
    "OllamaModel",
    "OpenAIModel",
    "OpenRouterModel",
    "XAIModel",
    "model_factory",
]
