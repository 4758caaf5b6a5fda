"""
🌙 Moon Dev's DeepSeek Model
Built with love by Moon Dev 🚀
"""

from typing import ClassVar

from src.models.openai_compatible import OpenAICompatibleModel


class DeepSeekModel(OpenAICompatibleModel):
    """DeepSeek. Its reasoner models return their thinking separately from the answer."""

    model_type = "deepseek"
    api_key_name = "DEEPSEEK_KEY"
    base_url = "https://api.deepseek.com"
    default_model = "deepseek-chat"
    AVAILABLE_MODELS: ClassVar[dict[str, str]] = {
        "deepseek-chat": "fast, without thinking",
        "deepseek-reasoner": "thinks first",
        "deepseek-v4-flash": "fast and inexpensive, thinks by default",
        "deepseek-v4-pro": "most capable",
    }
