"""Google's two SDKs for Gemini: google.genai, and its predecessor google.generativeai 0.8."""

from typing import Any

from ...tracing import fields_of, library_of
from ..reading import Shape, Unread
from ..targets import GENERATOR, Method, Sdk

GEMINI_PROMPTS = (("system_instruction", "system"), ("systemInstruction", "system"), ("contents", "user"))


def text_of_candidates(answer: dict[str, Any]) -> Any:
    """Return the candidate's text, or its parts if it calls functions. For several candidates, return a list."""
    outputs = [_output(candidate) for candidate in answer.get("candidates") or () if isinstance(candidate, dict)]
    return outputs[0] if len(outputs) == 1 else outputs or None


def _output(candidate: dict[str, Any]) -> Any:
    parts = [part for part in _parts(candidate) if not part.get("thought")]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    if len(texts) == len(parts):
        return "".join(texts) or None
    return [{name: value for name, value in part.items() if value is not None} for part in parts]


def _parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    parts = (candidate.get("content") or {}).get("parts") or ()
    return [part for part in parts if isinstance(part, dict)]


def fold_candidates(chunks: list[Any]) -> dict[str, Any]:
    """Combine a stream's chunks into one response. Each chunk reports the usage up to that point."""
    answer: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        if not isinstance(chunk, dict):
            continue
        answer |= {name: value for name, value in chunk.items() if value}
        for candidate in chunk.get("candidates") or ():
            whole = candidates.setdefault(candidate.get("index") or 0, {"content": {"parts": []}})
            whole["content"]["parts"] += _parts(candidate)
            whole |= {name: candidate[name] for name in ("finish_reason", "finishReason") if candidate.get(name)}
    return {**answer, "candidates": [candidates[index] for index in sorted(candidates)]}


def _of_genai(_args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "model": _bare(kwargs.get("model"))}


def _of_generativeai(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the call's arguments. The arguments of the model's constructor fill in what the call leaves out."""
    model = fields_of(args[0])
    given = {"contents": args[1], **kwargs} if len(args) > 1 else kwargs
    contents = given.get("contents")
    if isinstance(contents, list) and any(library_of(type(item)) == "google" for item in contents):
        given = {**given, "contents": Unread(contents)}  # need not be copied: a chat makes a new list for each message
    system, config = model.get("_system_instruction"), given.get("generation_config")
    if config is None or type(config) is dict:  # a chat passes an empty config
        given = {**given, "generation_config": {**(model.get("_generation_config") or {}), **(config or {})}}
    return {
        "model": _bare(model.get("_model_name")),
        "system_instruction": None if system is None else Unread(system),
        **given,
    }


def _bare(model: Any) -> Any:
    return model.removeprefix("models/") if type(model) is str else model


def _google() -> Sdk:
    new = Shape(
        "google.genai", "generate_content", GEMINI_PROMPTS, text_of_candidates, fold_candidates,
        provider="gemini", arguments=_of_genai,
    )  # fmt: skip
    old = new._replace(sdk="google.generativeai", arguments=_of_generativeai)
    models, model = ("google.genai.models",), ("google.generativeai.generative_models",)
    methods = (
        Method(models, "Models", "generate_content", new),
        Method(models, "Models", "generate_content_stream", new, GENERATOR),
        Method(model, "GenerativeModel", "generate_content", old, async_name="generate_content_async"),
    )
    return Sdk("google", methods)


GOOGLE = _google()
