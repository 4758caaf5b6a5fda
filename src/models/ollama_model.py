"""
🌙 Moon Dev's Ollama Model
Built with love by Moon Dev 🚀
"""

from typing import ClassVar

from src.models.openai_compatible import OpenAICompatibleModel


class OllamaModel(OpenAICompatibleModel):
    """Models of an Ollama server on this machine, without key or cost."""

    model_type = "ollama"
    base_url = "http://localhost:11434/v1"
    connection_cure = "Start Ollama with `ollama serve`, or set OLLAMA_BASE_URL in .env to its address"
    default_model = "llama3.2"
    AVAILABLE_MODELS: ClassVar[dict[str, str]] = {
        "llama3.2": "small, all-round; to install: `ollama pull llama3.2`",
        "qwen3:8b": "thinks first; to install: `ollama pull qwen3:8b`",
        "deepseek-r1:8b": "thinks first; to install: `ollama pull deepseek-r1:8b`",
        "gpt-oss:20b": "capable; to install: `ollama pull gpt-oss:20b`",
    }
