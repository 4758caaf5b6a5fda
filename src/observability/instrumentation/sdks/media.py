"""OpenAI's and ElevenLabs' methods for speech, transcription, images and videos; files are recorded by size only."""

from typing import Any

from ...tracing import fields_of
from ..reading import Shape, plain
from ..targets import GENERATOR, Method, Sdk


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, with each file replaced by its size.

    ElevenLabs takes the voice by position, and calls the model `model_id`.
    """
    given = {**dict(zip(("voice_id",), args[1:], strict=False)), **kwargs}
    if "model_id" in given:
        given["model"] = given.pop("model_id")
    return {name: _sized(value) for name, value in given.items()}


def _sized(value: Any) -> Any:
    if type(value) is bytes:
        return f"[{len(value)} bytes]"
    return [_sized(item) for item in value] if type(value) in (tuple, list) else value


def _fields(result: Any) -> dict[str, Any] | None:
    """Return an answer's fields: its text, the size of a binary response, or the fields of a pydantic model."""
    if type(result) is str:
        return {"text": result}
    fields = fields_of(result)
    content = fields_of(fields.get("http_response") or fields.get("response")).get("_content")
    if type(content) is bytes:
        return {"bytes": len(content)}
    answer = plain(result)
    return answer if isinstance(answer, dict) else None


def _size_of(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the text, size or state in an answer; for images, their number and total size."""
    images = answer.pop("data", None)
    if isinstance(images, list):
        encoded = [image["b64_json"] for image in images if isinstance(image, dict) and image.get("b64_json")]
        return {"images": len(images), **({"bytes": sum(map(len, encoded)) * 3 // 4} if encoded else {})}
    names = ("text", "bytes", "id", "status", "seconds", "size")
    return {name: answer[name] for name in names if answer.get(name) is not None}


def _sum_sizes(sizes: list[Any]) -> dict[str, Any]:
    """The total size of an audio stream, whose pieces were recorded as sizes."""
    return {"bytes": sum(size for size in sizes if type(size) is int)}


def _shape(sdk: str, api: str, *prompts: str) -> Shape:
    roles = tuple((name, "user") for name in prompts)
    return Shape(sdk, api, roles, _size_of, _sum_sizes, "tool", arguments=_arguments, fields=_fields)


def openai_media() -> tuple[Method, ...]:
    """OpenAI's methods for speech, transcription, images and videos."""
    homes = (
        ("audio.speech", "Speech", "create", "instructions", "input"),
        ("audio.transcriptions", "Transcriptions", "create", "prompt"),
        ("audio.translations", "Translations", "create", "prompt"),
        ("images", "Images", "generate", "prompt"),
        ("images", "Images", "edit", "prompt"),
        ("videos", "Videos", "create", "prompt"),
    )
    return tuple(
        Method((f"openai.resources.{home}",), name, method, _shape("openai", f"{home}.{method}", *prompts))
        for home, name, method, *prompts in homes
    )


def _elevenlabs() -> Sdk:
    homes = (
        ("text_to_speech", "TextToSpeechClient", "convert", "text"),
        ("text_to_speech", "TextToSpeechClient", "stream", "text"),
        ("text_to_sound_effects", "TextToSoundEffectsClient", "convert", "text"),
        ("speech_to_text", "SpeechToTextClient", "convert"),
    )
    methods = (
        Method(
            (f"elevenlabs.{home}.client",), name, method, _shape("elevenlabs", f"{home}.{method}", *texts), GENERATOR
        )
        for home, name, method, *texts in homes
    )
    return Sdk("elevenlabs", tuple(methods))


ELEVENLABS = _elevenlabs()
