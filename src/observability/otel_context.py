"""
🌙 Moon Dev's OpenTelemetry Context
Built with love by Moon Dev 🚀

Lets spans of other libraries nest under our observations, and ours under theirs. Only where a process uses
OpenTelemetry: with no tracer provider set and no span active nobody reads the context, and none is made.
"""

import sys
from typing import TYPE_CHECKING, Any

from src.observability.guard import guarded

if TYPE_CHECKING:
    from src.observability.observation import Observation


def foreign_parent() -> tuple[int, int] | None:
    """The active span of another library as (trace id, span id), or None."""
    trace, context = sys.modules.get("opentelemetry.trace"), sys.modules.get("opentelemetry.context")
    if trace is None or context is None or not context.get_current():
        return None
    active = trace.get_current_span().get_span_context()
    return (active.trace_id, active.span_id) if active.is_valid else None


def attach(observation: "Observation") -> Any:
    """Make the observation the parent of spans begun from here on; returns what `detach` takes, or None."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or getattr(trace, "_TRACER_PROVIDER", trace) is None:
        return None  # no span is made here that could nest; the public getter reads the environment, 1 µs each time
    with guarded:
        return _attached(trace, observation)


def _attached(trace: Any, observation: "Observation") -> Any:
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    from opentelemetry import context

    ours = trace.SpanContext(observation.trace_id, observation.id, is_remote=False, trace_flags=trace.TraceFlags(1))
    return context.attach(trace.set_span_in_context(trace.NonRecordingSpan(ours)))


def detach(token: Any) -> None:
    """Undo `attach`."""
    if token is not None:
        with guarded:
            from opentelemetry import context

            context.detach(token)
