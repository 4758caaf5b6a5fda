"""🌙 Moon Dev's AI trading agents. Built with love by Moon Dev 🚀"""

with __import__("contextlib").suppress(Exception): from .observability import autoload as _observability  # observes LLM calls
