"""One table per SDK of the methods that make requests to providers, and the functions that read their answers.

To add an SDK: `docs/add-an-sdk.md`.
"""

from .anthropic import ANTHROPIC
from .google import GOOGLE
from .http import HTTP
from .media import ELEVENLABS
from .ollama import OLLAMA
from .openai import GROQ, OPENAI

__all__ = ["ANTHROPIC", "ELEVENLABS", "GOOGLE", "GROQ", "HTTP", "OLLAMA", "OPENAI"]
