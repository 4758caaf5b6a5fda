"""Nests spans of other OpenTelemetry libraries under observations, and observations under spans of those libraries.

Does nothing unless the process uses OpenTelemetry, with a tracer provider or an active span.
"""

from collections.abc import Callable
from contextvars import ContextVar
from sys import modules
from typing import TYPE_CHECKING, Any, NamedTuple

from ..internal_errors import guarded

if TYPE_CHECKING:
    from .observation import Observation


class ForeignParent(NamedTuple):
    """A span of another library."""

    trace_id: int
    span_id: int
    span: Any


def foreign_parent() -> ForeignParent | None:
    """The active span of another library. `opentelemetry.trace` must be imported, and `active()` must not be empty."""
    span = modules["opentelemetry.trace"].get_current_span()
    active = span.get_span_context()
    return ForeignParent(active.trace_id, active.span_id, span) if active.is_valid else None


def experiment_of(parent: ForeignParent) -> dict[str, Any]:
    """The attributes of the Langfuse experiment that the span belongs to. The SDK copies them to the span's children.

    Runs on the recorder's thread, since reading a span's attributes takes the span's lock.
    """
    attributes = getattr(parent.span, "attributes", None) or {}
    return {name: attributes[name] for name in _EXPERIMENT if name in attributes}


ENVIRONMENT = "langfuse.environment"
_EXPERIMENT = (
    ENVIRONMENT,
    *(f"langfuse.experiment.{name}" for name in ("id", "name", "metadata", "dataset.id", "item.id", "item.metadata")),
    "langfuse.experiment.item.root_observation_id",
)


def _find_active() -> Any:
    """Replace `active` by the getter of OpenTelemetry's context variable. If the variable is not found, use the
    slower public getter."""
    global active
    context = modules.get("opentelemetry.context")
    variable = getattr(getattr(context, "_RUNTIME_CONTEXT", None), "_current_context", None)
    getter = variable.get if isinstance(variable, ContextVar) else getattr(context, "get_current", None)
    if getter is None:
        return None  # no span is active while another thread is still importing OpenTelemetry
    active = getter
    return getter()


active: Callable[[], Any] = _find_active  # returns OpenTelemetry's context, which is empty if no span is active


def attach(observation: "Observation") -> Any:
    """Make the observation the parent of new spans. Return the token for `detach`; None without a tracer provider."""
    trace: Any = modules.get("opentelemetry.trace")
    try:
        if trace._TRACER_PROVIDER is None:
            # Without a provider there are no spans. This check is used since the public getter would take 1 µs.
            return None
    except AttributeError:
        if not hasattr(trace, "get_tracer_provider"):  # another thread is still importing OpenTelemetry
            return None
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
    with guarded:
        from opentelemetry import context

        context.detach(token)
