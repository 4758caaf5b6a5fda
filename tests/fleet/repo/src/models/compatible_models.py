"""Providers that speak OpenAI's protocol."""

from src.config import DEEPSEEK_URL, OPENROUTER_URL, XAI_URL

from .openai_model import OpenAIModel


class DeepSeekModel(OpenAIModel):
    base_url = DEEPSEEK_URL


class XAIModel(OpenAIModel):
    base_url = XAI_URL


class OpenRouterModel(OpenAIModel):
    base_url = OPENROUTER_URL
