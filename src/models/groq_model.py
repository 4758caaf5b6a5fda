"""
🌙 Moon Dev's Groq Model
Built with love by Moon Dev 🚀
"""

from typing import ClassVar

from src.models.openai_compatible import OpenAICompatibleModel


class GroqModel(OpenAICompatibleModel):
    """Groq: open-weight models on fast hardware."""

    model_type = "groq"
    api_key_name = "GROQ_API_KEY"
    base_url = "https://api.groq.com/openai/v1"
    default_model = "llama-3.3-70b-versatile"
    AVAILABLE_MODELS: ClassVar[dict[str, str]] = {
        "llama-3.3-70b-versatile": "all-round",
        "llama-3.1-8b-instant": "fastest",
        "openai/gpt-oss-20b": "fast, thinks first",
        "openai/gpt-oss-120b": "most capable, thinks first",
        "qwen/qwen3-32b": "thinks first",
    }
