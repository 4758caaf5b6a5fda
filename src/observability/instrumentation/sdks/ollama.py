"""The Ollama SDK: the table of its methods that make requests, and how answers of Ollama's own API are read."""

from collections.abc import Callable
from types import MethodType, ModuleType
from typing import Any

from ..reading import Shape
from ..targets import GENERATOR, Method, Sdk

CHAT_PROMPTS = (("messages", "user"),)
GENERATE_PROMPTS = (("system", "system"), ("prompt", "user"))


def text_of_ollama(answer: dict[str, Any]) -> Any:
    """Return the answer's text, or its message as a dict if it calls tools."""
    message = answer.get("message")
    if not isinstance(message, dict):
        return answer.get("response") or None
    if message.get("tool_calls"):
        return {name: value for name, value in message.items() if value is not None}
    return message.get("content") or None


def fold_ollama(chunks: list[Any]) -> dict[str, Any]:
    """Combine a stream's chunks into one answer. The last chunk has the token counts."""
    answer: dict[str, Any] = {}
    message: dict[str, Any] = {}
    response = ""
    for chunk in chunks:
        if isinstance(chunk, dict):
            answer |= chunk
            response += chunk.get("response") or ""
            _add(message, chunk.get("message") or {})
    return {**answer, "message": message} if message else {**answer, "response": response}


def _add(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    for name in ("content", "thinking"):
        if isinstance(text := piece.get(name), str):
            whole[name] = (whole.get(name) or "") + text
    if piece.get("tool_calls"):
        whole["tool_calls"] = [*whole.get("tool_calls", []), *piece["tool_calls"]]


def _text_of_vectors(answer: dict[str, Any]) -> dict[str, int]:
    """Return the number of embedding vectors and their length. The values are left out."""
    vectors = answer.pop("embeddings", None) or []
    answer["eval_count"] = answer.get("eval_count") or 0  # vectors are not charged as output
    return {"vectors": len(vectors), **({"dimensions": len(vectors[0])} if vectors else {})}


def _named(*names: str) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """Return a function that returns a call's arguments by name; `names` are the positional arguments' names."""
    return lambda args, kwargs: {**dict(zip(names, args[1:], strict=False)), **kwargs}


def _rebind(module: ModuleType) -> None:
    """Bind `ollama.chat`, `generate` and `embed` again, since they were bound before their class was patched."""
    for name in ("chat", "generate", "embed"):
        bound = vars(module).get(name)
        if type(bound) is MethodType:
            setattr(module, name, MethodType(getattr(type(bound.__self__), name), bound.__self__))


def _ollama() -> Sdk:
    chat = Shape("ollama", "chat", CHAT_PROMPTS, text_of_ollama, fold_ollama, arguments=_named("model", "messages"))
    generate = chat._replace(api="generate", prompts=GENERATE_PROMPTS, arguments=_named("model", "prompt", "suffix"))
    embed = Shape(
        "ollama", "embed", (("input", "user"),), _text_of_vectors, fold_ollama, "embedding",
        arguments=_named("model", "input"),
    )  # fmt: skip
    client = ("ollama._client",)
    methods = (
        Method(client, "Client", "chat", chat, GENERATOR),
        Method(client, "Client", "generate", generate, GENERATOR),
        Method(client, "Client", "embed", embed),
    )
    return Sdk("ollama", methods, others=(("ollama", _rebind),))


OLLAMA = _ollama()
