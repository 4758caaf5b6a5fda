"""Reads requests to providers on the recorder's thread; merges a call's only request into the call's row."""

from ..tracing import Observation, field_of


def complete(observation: Observation) -> None:
    """Complete an observation with data from the SDK's arguments and answer.

    If a call made only one request, the fields of the request are copied to the call.
    """
    if observation.complete is not None:
        observation.complete(observation)
    request = observation.request
    if request is not None and request.complete is not None:  # the request has ended, but has not been read
        request.complete(request)
        _take_over(observation, request)


def _take_over(call: Observation, request: Observation) -> None:
    """Copy the request's model to its call, and the request's other fields where the call has none.

    Token counts are not copied, since `row` reads them from the request.
    """
    call.model = request.model or call.model
    if call.provider is None and not isinstance(field_of(call.owner, "model_type"), str):
        call.provider = request.provider
    if call.model_parameters is None:
        call.model_parameters = request.model_parameters
    if call.level is None:
        call.level, call.status_message = request.level, request.status_message
    call.metadata = {**(request.metadata or {}), **(call.metadata or {})} or None
    call.first_token = call.first_token or request.first_token
    if request.output is not None:
        call.replies = call.replies or (request.output,)


def is_over_requests(observation: Observation) -> bool:
    """Whether the observation is a span around provider requests that have rows of their own."""
    return observation.type == "span" and (observation.requests is not None or observation.over_generations)
