"""
🌙 Moon Dev's Gemini Model
Built with love by Moon Dev 🚀
"""

from typing import ClassVar

from src.models.openai_compatible import OpenAICompatibleModel


class GeminiModel(OpenAICompatibleModel):
    """Google Gemini through its OpenAI-compatible endpoint. Only the count `total_tokens` includes thinking tokens."""

    model_type = "gemini"
    api_key_name = "GEMINI_KEY"
    base_url = "https://generativelanguage.googleapis.com/v1beta/openai"
    default_model = "gemini-3.5-flash-lite"
    AVAILABLE_MODELS: ClassVar[dict[str, str]] = {
        "gemini-2.5-flash": "fast, thinks first",
        "gemini-2.5-pro": "capable, thinks first",
        "gemini-3.5-flash-lite": "fast and inexpensive",
        "gemini-3.8-flash": "fast and capable",
        "gemini-3.1-pro-preview": "most capable",
    }
