"""Fills in an observation's fields from the arguments and the answer of an SDK call, on the recorder's thread.

A `Shape` is one API: the names of its arguments, and how its answer and its streamed events are read.
"""

import json
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from ..tracing import (
    IMMUTABLE,
    IMMUTABLE_IDS,
    Observation,
    Reply,
    field_of,
    fields_of,
    has_class,
    library_of,
    placeholder,
    with_sizes,
)
from .providers import provider_of

_MAX_DEPTH = 24
_MAX_PARAMETER = 200  # in characters; a longer argument is recorded as metadata, not as a parameter
_SILENT = frozenset({"stream", "stream_options"})  # not recorded: other columns show whether the answer was streamed


NOT_RECORDED = frozenset({"extra_headers", "extra_query", "timeout", "http_options", "request_options"})
_PARAMETERS = ("options", "config", "generation_config", "generationConfig")  # arguments that are dicts of parameters


class Unread(NamedTuple):
    """An argument that is kept by reference. The recorder's thread reads its content later."""

    value: Any


def _keywords(_args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs


class Shape(NamedTuple):
    """One API of an SDK, and how requests to it are recorded."""

    sdk: str
    api: str
    prompts: tuple[tuple[str, str], ...]  # argument that holds a prompt -> role of the message made from it
    text_of: Callable[[dict[str, Any]], Any]  # returns an answer's text
    fold: Callable[[list[Any]], dict[str, Any]]  # combines a stream's events into one answer
    type: str = "generation"
    provider: str | None = None  # the provider if the client's host is unknown; None: the SDK's name
    arguments: Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]] = _keywords  # returns arguments by name
    fields: Callable[[Any], dict[str, Any] | None] | None = None  # reads an answer that is not a pydantic model

    @property
    def name(self) -> str:
        """The name of an observation of this API: the SDK and its method."""
        return f"{self.sdk}.{self.api}"

    @property
    def hidden(self) -> frozenset[str]:
        """The names of the arguments that are left out if prompts are not recorded."""
        return NOT_RECORDED | {"extra_body", "tools", *dict(self.prompts)}

    def complete(self, request: Observation) -> None:
        """Fill in the request's provider and arguments and, once it has ended, its answer."""
        ended = request.ended is not None
        given = _flat(request.kwargs)
        model = given.pop("model", None)
        request.model = model if isinstance(model, str) else None
        request.provider = provider_of(request.client, self.provider or self.sdk)
        request.input = self._input(given)
        request.model_parameters, rest = _parameters(given)
        if ended:  # not before the end, since the caller's thread may add metadata until then
            request.metadata = {**(request.metadata or {}), **rest} or None
            self._answer(request)

    def _answer(self, request: Observation) -> None:
        events = request.events
        answer = (self.fields or _fields)(request.output) if events is None else self.fold(plain(events))
        if answer is not None:
            text = self.text_of(answer)
            if request.pieces_left_out:
                text = f"[NOT RECORDED: a stream of {len(events or ()) + request.pieces_left_out} events]"
            request.output = Reply(text, answer.get("usage"), None, answer)
        else:
            request.output = None
        request.complete = request.client = request.events = None
        request.kwargs = {}

    def _input(self, given: dict[str, Any]) -> Any:
        """Return the prompts as messages, in the order of `self.prompts`.

        A list of messages is kept unchanged. A system prompt or a text becomes one message.
        """
        messages: list[Any] = []
        for name, role in self.prompts:
            value = given.pop(name, None)
            if isinstance(value, list):
                messages += value if role != "system" else [{"role": role, "content": value}]
            elif value is not None:
                messages.append({"role": role, "content": value})
        return plain(messages) or None


def _flat(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments. A dict that `_PARAMETERS` names (`config`, `options`) is replaced by its entries."""
    given = {name: plain(value.value) if type(value) is Unread else value for name, value in kwargs.items()}
    for name in _PARAMETERS:
        if isinstance(given.get(name), dict):
            given = {**given.pop(name), **given}
    return given


def _parameters(given: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Split the arguments into the model's parameters, which are the short values, and all others."""
    sent = {name: value for name, value in given.items() if name not in _SILENT and value is not None}
    small = {
        name: value for name, value in sent.items() if type(value) in IMMUTABLE and len(str(value)) <= _MAX_PARAMETER
    }
    return small or None, {name: plain(value) for name, value in sent.items() if name not in small}


def _fields(result: Any) -> dict[str, Any] | None:
    """Return an answer's fields, read from the SDK's object or a raw response's body; None if there is no answer."""
    if result is None:
        return None
    response = getattr(result, "__dict__", {}).get("http_response")
    answer = plain(result) if response is None else _body(response)
    return answer if isinstance(answer, dict) else None


def _body(response: Any) -> Any:
    content = vars(response).get("_content")
    try:
        return json.loads(content) if isinstance(content, bytes) else None
    except ValueError:
        return None


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` as plain data.

    Pydantic models (the SDKs' answers) become dicts. An image or a sound becomes a text with its size, and any other
    object a text with the name of its type. No method of an answer is called, except `to_dict` of Google's messages.
    """
    kind = type(value)
    if id(kind) in IMMUTABLE_IDS:
        return placeholder(value) if kind is str or kind is bytes else value
    if depth > _MAX_DEPTH:
        return f"[left out: nested deeper than {_MAX_DEPTH} levels]"
    if kind is dict:
        return _plain_dict(value, depth)
    if kind is list or kind is tuple:
        return [plain(item, depth + 1) for item in value]
    if has_class(kind, "pydantic.main", "BaseModel"):
        fields = {**fields_of(value), **(field_of(value, "__pydantic_extra__") or {})}
        return _plain_dict({name: item for name, item in fields.items() if name[:1] != "_"}, depth)
    if issubclass(kind, Enum):
        return plain(field_of(value, "_value_"), depth + 1)
    if library_of(kind) in ("google", "proto"):
        return _plain_google(value, kind, depth)
    return f"[{kind.__name__}]"


def _plain_google(value: Any, kind: Any, depth: int) -> Any:
    """Return a `proto` message as plain data. An answer of google.generativeai has such a message inside."""
    result = field_of(value, "_result")
    if result is not None:
        return plain(result, depth + 1)
    if not has_class(kind, "proto.message", "Message"):
        return f"[{kind.__name__}]"
    return plain(kind.to_dict(value, use_integers_for_enums=False), depth + 1)


def _plain_dict(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    return with_sizes({str(key): item if item is None else plain(item, depth + 1) for key, item in value.items()})
