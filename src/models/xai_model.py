"""
🌙 Moon Dev's xAI Model
Built with love by Moon Dev 🚀
"""

from typing import ClassVar

from src.models.openai_compatible import OpenAICompatibleModel


class XAIModel(OpenAICompatibleModel):
    """xAI's Grok. Its count of completion tokens does not include thinking tokens."""

    model_type = "xai"
    api_key_name = "GROK_API_KEY"
    base_url = "https://api.x.ai/v1"
    default_model = "grok-4-fast-non-reasoning"
    AVAILABLE_MODELS: ClassVar[dict[str, str]] = {
        "grok-4-fast-non-reasoning": "fast and inexpensive",
        "grok-4-fast-reasoning": "inexpensive, thinks first",
        "grok-4-1-fast-reasoning": "inexpensive, thinks first, newer",
        "grok-4.7": "most capable",
    }
