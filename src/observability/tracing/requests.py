"""Begins the observation of an SDK's request to a provider, and assigns it to the generation around it.

A request inside a generation (`generate_response`, `observe_llm`) is held until the generation ends
(`current.finish`). A single request is merged into the generation's row; several requests get rows below it.
"""

from contextvars import ContextVar
from sys import modules

from ..settings import CaptureSettings
from . import current
from .current import current_observation, start
from .observation import Observation
from .otel import attach, detach

_running: ContextVar[Observation | None] = ContextVar("moondev_request", default=None)


def running_request() -> Observation | None:
    """The request whose SDK method is running in this context; requests inside that method are part of it."""
    request = _running.get()
    return request if request is not None and request.ended is None else None


def begin_request(name: str, type: str, capture: CaptureSettings) -> Observation | None:
    """Begin a request. Return None if another request is running, since the call is then part of that request."""
    if running_request() is not None:
        return None
    parent = current_observation()
    request = start(name, type, parent, capture)
    try:
        request.capture_output = capture.capture_output
        holder = _hold(request, parent) if type == "generation" else None
        if holder is None:
            current.processor.on_start(request)
        elif not holder.capture_output:
            request.capture_output = False
        return request  # inside the `try`, since an agent's SIGALRM handler may raise at any line
    except BaseException:
        current.finish_request(request)
        raise


def _hold(request: Observation, parent: Observation | None) -> Observation | None:
    """Assign the request to the innermost generation around it. Note in the generations further out that they
    contain another generation."""
    holder = None
    while parent is not None:
        if parent.type == "generation":
            parent.has_inner_rows = True
            if holder is None:
                holder = parent
            else:
                parent.over_generations = True
        parent = parent.parent
    if holder is not None:
        request.holder = holder
        holder.__dict__.setdefault("requests", []).append(request)  # atomic: several threads may share `holder`
    return holder


def enter_request(request: Observation) -> None:
    """Make the request the running one while the SDK's method runs. If no generation holds the request, it also becomes
    the parent of OpenTelemetry spans."""
    request.token = _running.set(request)
    if request.holder is None and "opentelemetry.trace" in modules:
        request.otel = attach(request)


def leave_request(request: Observation) -> None:
    """Undo `enter_request`, if it is not undone yet."""
    token, otel = request.token, request.otel
    request.token = request.otel = None
    if token is None:
        return
    try:
        _running.reset(token)
    except ValueError:  # this code runs in another context than `enter_request`, so the token is invalid
        return
    if otel is not None:
        detach(otel)
