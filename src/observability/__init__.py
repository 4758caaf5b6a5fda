"""
🌙 Moon Dev's Observability Module
Built with love by Moon Dev 🚀
"""

from .context import ObservabilityContext
from .langfuse_tracker import LangFuseTracker
from .tracing import observe_llm

__all__ = ["LangFuseTracker", "ObservabilityContext", "observe_llm"]
