"""The SDKs whose methods are requests to providers, each as a table, and how their answers are read.

To add an SDK: `docs/add-an-sdk.md`.
"""

from .anthropic import ANTHROPIC
from .google import GOOGLE
from .http import HTTP
from .media import ELEVENLABS
from .ollama import OLLAMA
from .openai import GROQ, OPENAI

__all__ = ["ANTHROPIC", "ELEVENLABS", "GOOGLE", "GROQ", "HTTP", "OLLAMA", "OPENAI"]
