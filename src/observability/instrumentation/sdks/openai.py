"""The OpenAI SDK, 1.55 to 3.x, and Groq's, which has the same shape: the table of their methods that make requests.

`targets.py` patches these methods; `calls.py` observes their calls.
"""

from typing import Any

from ..reading import Shape
from ..targets import Method, Sdk, Streams
from .chat import fold_chat, text_of_chat, text_of_embeddings
from .media import openai_media

# Types of output items that the agent must answer.
_CALLS = frozenset({"function_call", "custom_tool_call", "computer_call", "local_shell_call"})


def _text_of_response(answer: dict[str, Any]) -> Any:
    """Return the text of a Responses API answer, or its output items if they call tools or have no text."""
    answer["finish_reason"] = (answer.get("incomplete_details") or {}).get("reason") or answer.get("status")
    items = [item for item in answer.get("output") or () if isinstance(item, dict)]
    parts = [part for item in items if item.get("type") == "message" for part in item.get("content") or ()]
    text = "".join(part.get("text") or part.get("refusal") or "" for part in parts if isinstance(part, dict))
    visible = [item for item in items if item.get("type") != "reasoning"]
    calls = any(item.get("type") in _CALLS for item in visible)
    return text if text and not calls else visible or None


def _fold_response(events: list[Any]) -> dict[str, Any]:
    """Return the response in a stream's final event; if the stream broke off before, the text received so far."""
    events = [event for event in events if isinstance(event, dict)]
    whole = [event["response"] for event in events if isinstance(event.get("response"), dict)]
    response: dict[str, Any] = whole[-1] if whole else {}
    if response.get("output"):
        return response
    text = "".join(event.get("delta") or "" for event in events if event.get("type") == "response.output_text.delta")
    return {**response, "output": [{"type": "message", "content": [{"text": text}]}]}


def _streams(sdk: str) -> tuple[Streams, ...]:
    return Streams(f"{sdk}._streaming", "Stream"), Streams(f"{sdk}._response", "APIResponse", close_only=True)


CHAT = Shape("openai", "chat.completions", (("messages", "user"),), text_of_chat, fold_chat)
RESPONSES = Shape(
    "openai", "responses", (("instructions", "system"), ("input", "user")), _text_of_response, _fold_response
)


def _resources(sdk: str) -> tuple[Method, ...]:
    chat = CHAT._replace(sdk=sdk)
    embeddings = Shape(sdk, "embeddings", (("input", "user"),), text_of_embeddings, fold_chat, "embedding")
    completions = f"{sdk}.resources.chat.completions"
    return (
        Method((completions, f"{completions}.completions"), "Completions", "create", chat),
        Method((f"{sdk}.resources.embeddings",), "Embeddings", "create", embeddings),
    )


def _openai() -> Sdk:
    completions = ("openai.resources.chat.completions", "openai.resources.chat.completions.completions")
    in_responses = ("openai.resources.responses", "openai.resources.responses.responses")
    methods = (
        *_resources("openai"),
        Method(completions, "Completions", "parse", CHAT),
        Method(("openai.resources.beta.chat.completions",), "Completions", "parse", CHAT),  # up to openai 1.91
        Method(in_responses, "Responses", "create", RESPONSES),
        Method(in_responses, "Responses", "parse", RESPONSES),
        *openai_media(),
    )
    helpers = (
        Streams("openai.lib.streaming.chat._completions", "ChatCompletionStream", close_only=True),
        Streams("openai.lib.streaming.responses._responses", "ResponseStream", close_only=True),
    )
    return Sdk("openai", methods, (*_streams("openai"), *helpers))


OPENAI = _openai()
GROQ = Sdk("groq", _resources("groq"), _streams("groq"))
