"""
🌙 Moon Dev's Observability Module
Built with love by Moon Dev 🚀
"""

from src.observability.context import ObservabilityContext
from src.observability.langfuse_tracker import LangFuseTracker
from src.observability.observe import observe_llm

__all__ = ["LangFuseTracker", "ObservabilityContext", "observe_llm"]
