"""Requests to providers, as an SDK's methods make them: where one begins, and which generation holds it.

A request inside a generation (`generate_response`, `observe_llm`) is held until that ends (`current.finish`): the only
one is merged into the generation's row; several are rows of their own, below it.
"""

from contextvars import ContextVar, Token
from sys import modules
from typing import Any, NamedTuple

from ..settings import CaptureSettings
from . import current
from .current import current_observation, start
from .observation import Observation
from .otel import attach, detach

_running: ContextVar[Observation | None] = ContextVar("moondev_request", default=None)


def running_request() -> Observation | None:
    """The request whose SDK method is running in this context; requests made by that method are part of it."""
    request = _running.get()
    return request if request is not None and request.ended is None else None


def begin_request(name: str, type: str, capture: CaptureSettings) -> Observation | None:
    """Begin a request by the code that is calling; None inside another request, of which the call is a part."""
    if running_request() is not None:
        return None
    parent = current_observation()
    request = start(name, type, parent, capture)
    request.capture_output = capture.capture_output
    holder = _hold(request, parent) if type == "generation" else None
    if holder is None:
        current.processor.on_start(request)
    elif not holder.capture_output:
        request.capture_output = False
    return request


def _hold(request: Observation, parent: Observation | None) -> Observation | None:
    """Have the innermost generation hold the request; those around it have a generation below them."""
    holder = None
    while parent is not None:
        if parent.type == "generation":
            if holder is None:
                holder = parent
            else:
                parent.over_generations = True
        parent = parent.parent
    if holder is not None:
        request.holder = holder
        holder.__dict__.setdefault("requests", []).append(request)  # in one step: pools' threads share a holder
    return holder


class Entered(NamedTuple):
    """Undone by `leave_request`."""

    token: "Token[Observation | None]"
    otel: Any


def enter_request(request: Observation) -> Entered:
    """The SDK's method runs from here on; spans of other libraries nest below a request that has no holder."""
    otel = attach(request) if request.holder is None and "opentelemetry.trace" in modules else None
    return Entered(_running.set(request), otel)


def leave_request(entered: Entered) -> None:
    """Undo `enter_request`."""
    _running.reset(entered.token)
    if entered.otel is not None:
        detach(entered.otel)
