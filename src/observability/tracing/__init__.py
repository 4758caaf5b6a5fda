"""Records calls as observations, on the caller's thread."""

from .admission import admit_request, admitted_model, budgeting
from .attributes import PerClass, data_fields_of, field_of, fields_of, has_class, library_of, type_name
from .current import (
    Processor,
    agent_of_file,
    annotate,
    announce,
    calling_agent,
    current_observation,
    enter,
    exiting,
    finish,
    finish_request,
    latest,
    leave,
    note_error,
    on_end,
    on_start,
    recent_of_caller,
    set_processor,
    start,
    use_prompt,
)
from .media import placeholder, with_sizes, without_media
from .observation import OUTCOME, Observation, Score
from .observe import cycle_method, observe_llm
from .otel import ENVIRONMENT, experiment_of
from .requests import begin_request, enter_request, leave_request, running_request
from .signal import Signal, new_event, record_signal
from .snapshot import IMMUTABLE, IMMUTABLE_IDS, Reply, size_of, sized_snapshot, snapshot
from .threads import carry_into_threads

__all__ = [
    "ENVIRONMENT",
    "IMMUTABLE",
    "IMMUTABLE_IDS",
    "OUTCOME",
    "Observation",
    "PerClass",
    "Processor",
    "Reply",
    "Score",
    "Signal",
    "admit_request",
    "admitted_model",
    "agent_of_file",
    "annotate",
    "announce",
    "begin_request",
    "budgeting",
    "calling_agent",
    "carry_into_threads",
    "current_observation",
    "cycle_method",
    "data_fields_of",
    "enter",
    "enter_request",
    "exiting",
    "experiment_of",
    "field_of",
    "fields_of",
    "finish",
    "finish_request",
    "has_class",
    "latest",
    "leave",
    "leave_request",
    "library_of",
    "new_event",
    "note_error",
    "observe_llm",
    "on_end",
    "on_start",
    "placeholder",
    "recent_of_caller",
    "record_signal",
    "running_request",
    "set_processor",
    "size_of",
    "sized_snapshot",
    "snapshot",
    "start",
    "type_name",
    "use_prompt",
    "with_sizes",
    "without_media",
]
