"""The SDKs whose methods are requests to providers, each as a table, and how their answers are read."""

from .anthropic import ANTHROPIC
from .openai import GROQ, OPENAI

__all__ = ["ANTHROPIC", "GROQ", "OPENAI"]
