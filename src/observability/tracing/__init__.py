"""On the caller's thread: what is being observed, and how a call becomes an observation."""

from .attributes import field_of, has_class, library_of
from .current import (
    Processor,
    annotate,
    announce,
    calling_agent,
    current_observation,
    enter,
    finish,
    leave,
    note_error,
    on_end,
    on_start,
    recent_of_caller,
    set_processor,
    start,
)
from .observation import OUTCOME, Observation, Score
from .observe import observe_llm
from .signal import Signal, new_event, record_signal
from .snapshot import IMMUTABLE, Reply, snapshot
from .threads import carry_into_threads

__all__ = [
    "IMMUTABLE",
    "OUTCOME",
    "Observation",
    "Processor",
    "Reply",
    "Score",
    "Signal",
    "annotate",
    "announce",
    "calling_agent",
    "carry_into_threads",
    "current_observation",
    "enter",
    "field_of",
    "finish",
    "has_class",
    "leave",
    "library_of",
    "new_event",
    "note_error",
    "observe_llm",
    "on_end",
    "on_start",
    "recent_of_caller",
    "record_signal",
    "set_processor",
    "snapshot",
    "start",
]
