"""
🌙 Moon Dev's OpenAI Model
Built with love by Moon Dev 🚀
"""

import re
from typing import Any, ClassVar

from src.models.openai_compatible import OpenAICompatibleModel
from src.models.prompt import Prompt


class OpenAIModel(OpenAICompatibleModel):
    """OpenAI. Its reasoning models take `max_completion_tokens` and refuse a temperature."""

    model_type = "openai"
    api_key_name = "OPENAI_KEY"
    base_url = "https://api.openai.com/v1"
    default_model = "gpt-5-mini"
    AVAILABLE_MODELS: ClassVar[dict[str, str]] = {
        "gpt-5-nano": "least expensive, thinks first",
        "gpt-5-mini": "inexpensive, thinks first",
        "gpt-5.4-mini": "inexpensive, thinks first, newer",
        "gpt-5.5": "most capable, thinks first",
        "gpt-4.1-mini": "inexpensive, without thinking",
        "gpt-4o": "without thinking",
    }

    def _request(
        self, prompt: Prompt, temperature: float | None, max_tokens: int | None, **options: Any
    ) -> dict[str, Any]:
        if not _REASONS.match(self.model_name):
            return super()._request(prompt, temperature, max_tokens, **options)
        return super()._request(prompt, None, None, **{"max_completion_tokens": max_tokens, **options})


_REASONS = re.compile(r"(o\d|gpt-(?!.*chat)([5-9]|\d\d))")  # matches o3 and gpt-5-mini, but not gpt-5-chat-latest
