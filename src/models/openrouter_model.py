"""
🌙 Moon Dev's OpenRouter Model
Built with love by Moon Dev 🚀
"""

from typing import Any, ClassVar

from src.models.openai_compatible import OpenAICompatibleModel
from src.models.prompt import Prompt


class OpenRouterModel(OpenAICompatibleModel):
    """OpenRouter: many providers behind one key. It reports the cost of each call."""

    model_type = "openrouter"
    api_key_name = "OPENROUTER_API_KEY"
    base_url = "https://openrouter.ai/api/v1"
    default_model = "anthropic/claude-haiku-4.5"
    AVAILABLE_MODELS: ClassVar[dict[str, str]] = {
        "anthropic/claude-haiku-4.5": "fast and inexpensive",
        "openai/gpt-5-mini": "inexpensive, thinks first",
        "deepseek/deepseek-chat": "least expensive",
        "x-ai/grok-4.7": "capable",
        "google/gemini-2.5-flash": "fast, thinks first",
    }

    def _request(
        self, prompt: Prompt, temperature: float | None, max_tokens: int | None, **options: Any
    ) -> dict[str, Any]:
        request = super()._request(prompt, temperature, max_tokens, **options)
        return {**request, "extra_body": {**request.get("extra_body", {}), "usage": {"include": True}}}
