"""Requests to chat APIs without an SDK: POSTs by `requests`, `httpx` and `httpx2`, recognised by the URL's path.

Only bodies that are in memory are read: an answer that the caller streams is recorded without its text. Headers are
not recorded.
"""

import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from ...tracing import Observation, fields_of
from ..calls import observe_awaited, observe_call
from ..reading import Shape
from ..targets import Method, Sdk
from .anthropic import MESSAGES
from .google import GEMINI_PROMPTS, fold_candidates, text_of_candidates
from .ollama import CHAT_PROMPTS, GENERATE_PROMPTS, fold_ollama, text_of_ollama
from .openai import CHAT, RESPONSES

_GEMINI = Shape("gemini", "generate_content", GEMINI_PROMPTS, text_of_candidates, fold_candidates)
_OLLAMA = Shape("ollama", "chat", CHAT_PROMPTS, text_of_ollama, fold_ollama)
# End of a URL's path -> the API that answers there.
_APIS = {
    "/chat/completions": CHAT,
    "/v1/messages": MESSAGES,
    "/responses": RESPONSES,
    ":generateContent": _GEMINI,
    ":streamGenerateContent": _GEMINI,
    "/api/chat": _OLLAMA,
    "/api/generate": _OLLAMA._replace(api="generate", prompts=GENERATE_PROMPTS),
}
_ENDS = tuple(_APIS)
_HTTPX = ("httpx", "httpx2")
# Names under which a request keeps its URL and its body until the recorder's thread has read the body.
_URL, _BODY = "(url)", "(body)"
_OPEN = "(with prompts)"  # name of an argument that is present only if prompts are recorded


class _Post(Shape):
    """A chat API that the agent calls without an SDK, by a POST of an HTTP library."""

    @property
    def hidden(self) -> frozenset[str]:
        """The names of the arguments that are left out if prompts are not recorded; `_OPEN` is one of them."""
        return super().hidden | {_OPEN}

    def complete(self, request: Observation) -> None:
        """Fill in the request's fields from its HTTP body.

        This runs twice for a request that is recorded before it ends. The body is read only the first time.
        """
        url = request.kwargs.get(_URL)
        if url is not None:
            hidden = frozenset[str]() if _OPEN in request.kwargs else self.hidden
            body = _json_of(request.kwargs.get(_BODY))
            given = {"model": _model_in(url), **(body if isinstance(body, dict) else {})}
            request.client = SimpleNamespace(_base_url=url)
            request.kwargs = {name: value for name, value in given.items() if name not in hidden}
        super().complete(request)

    def _answer(self, request: Observation) -> None:
        response = fields_of(request.output)
        status = response.get("status_code")
        super()._answer(request)
        if type(status) is int and status >= 400:
            request.level, request.status_message = "ERROR", f"HTTP {status}: {_error_in(response)}"
        elif response and type(response.get("_content")) is not bytes:
            request.level = "DEFAULT"  # a streamed answer is not recorded; this is not an error
            request.add_metadata({"stream": "not recorded"})


def _model_in(url: str) -> str | None:
    """Return Gemini's model, which the URL's path contains; None for other APIs."""
    name, action, _ = url.rpartition("/")[2].partition(":")
    return name if action else None


def _json_of(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str | bytes) else None
    except ValueError:
        return None


def _fields(fold: Callable[[list[Any]], dict[str, Any]], response: Any) -> dict[str, Any] | None:
    """Return the answer in a response's body, which is one JSON object or all events of a stream."""
    content = fields_of(response).get("_content")
    if type(content) is not bytes:
        return None
    answer = _json_of(content)
    if answer is None:
        answer = [event for line in content.splitlines() if (event := _json_of(line.removeprefix(b"data:")))]
    return fold(answer) if isinstance(answer, list) and answer else answer if isinstance(answer, dict) else None


def _error_in(response: dict[str, Any]) -> str:
    """Return the error message in the provider's response."""
    answer = _json_of(response.get("_content"))
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else "no message"


def _end_of(request: Any) -> str | None:
    """Return the key of `_APIS` with which a POST request's path ends; None for every other request."""
    try:
        fields = request.__dict__  # faster than `fields_of`: every HTTP request of the process passes here
        if fields["method"] != "POST":
            return None
        url = fields["url"]
        path = url if type(url) is str else url.__dict__["_uri_reference"].path
    except (AttributeError, KeyError):  # not a request object of the libraries requests or httpx
        return None
    if "?" in path:
        path = path.partition("?")[0]
    return next(end for end in _ENDS if path.endswith(end)) if path.endswith(_ENDS) else None


def _given(args: tuple[Any, ...], _kwargs: dict[str, Any]) -> dict[str, Any]:
    fields = fields_of(args[1])
    url = fields["url"]
    if type(url) is not str:
        scheme, _, host, port, path, *_ = fields_of(url)["_uri_reference"]
        url = f"{scheme}://{host}{'' if port is None else f':{port}'}{path}"
    return {_URL: url.partition("?")[0], _BODY: fields.get("body", fields.get("_content")), _OPEN: True}


def _shapes_of(library: Shape) -> dict[str, _Post]:
    return {
        end: _Post(*api)._replace(
            sdk=library.sdk, provider=api.sdk, arguments=_given, fields=partial(_fields, api.fold)
        )
        for end, api in _APIS.items()
    }


def _posting(library: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    shapes = _shapes_of(library)

    def wrap(send: Callable[..., Any]) -> Callable[..., Any]:
        def observed(client: Any, request: Any, **kwargs: Any) -> Any:
            end = _end_of(request)
            if end is None:
                return send(client, request, **kwargs)
            return observe_call(shapes[end], send, (client, request), kwargs)

        return observed

    return wrap


def _async_posting(library: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    shapes = _shapes_of(library)

    def wrap(send: Callable[..., Any]) -> Callable[..., Any]:
        async def observed(client: Any, request: Any, **kwargs: Any) -> Any:
            end = _end_of(request)
            if end is None:
                return await send(client, request, **kwargs)
            args = client, request
            return await observe_awaited(shapes[end], lambda: send(client, request, **kwargs), args, kwargs)

        return observed

    return wrap


def _http() -> Sdk:
    homes = {"requests": ("requests.sessions", "Session"), **{name: (f"{name}._client", "Client") for name in _HTTPX}}
    methods = (
        Method((module,), name, "send", CHAT._replace(sdk=library), (_posting, _async_posting))
        for library, (module, name) in homes.items()
    )
    return Sdk("http", tuple(methods))


HTTP = _http()
