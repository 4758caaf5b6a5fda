"""
🌙 Moon Dev's Observability Module
Built with love by Moon Dev 🚀

Records every model call of an agent in a local journal, and in Langfuse if Langfuse's keys are set.
"""

from typing import TYPE_CHECKING

from .lazy import lazy_exports

if TYPE_CHECKING:
    from .context import ObservabilityContext
    from .langfuse_tracker import LangFuseTracker
    from .tracing import observe_llm

__version__ = "1.1.0"  # CHANGELOG.md lists the changes of each version
__all__ = ["LangFuseTracker", "ObservabilityContext", "observe_llm"]

__getattr__ = lazy_exports(
    __name__,
    {"context": "ObservabilityContext", "langfuse_tracker": "LangFuseTracker", "tracing": "observe_llm"},
)
