"""Replaces images, sounds and documents by a placeholder with type and size, to keep the journal small.

Runs on the recorder's thread, on plain data.
"""

import re
from base64 import b64decode
from typing import Any

# If a dictionary has any of these fields, its field `data` may be base64.
_ENCODED = frozenset({"media_type", "mime_type", "mimeType", "format"})
_SIGNATURES = (
    (b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"), (b"OggS", "audio/ogg"),
)  # fmt: skip
_IN_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
# The first letters of a PNG, JPEG, GIF, RIFF and PDF file in base64.
_BASE64_HEADS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "JVBERi0")
_MARK = ";base64,"
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64}")


def without_media(value: Any) -> Any:
    """Return `value` (plain data) with placeholders for media."""
    if type(value) is dict:
        return with_sizes({name: without_media(item) for name, item in value.items()})
    if type(value) is list or type(value) is tuple:
        return [without_media(item) for item in value]
    return placeholder(value)


def with_sizes(fields: dict[Any, Any]) -> dict[Any, Any]:
    """Replace the base64 in a part of a message by its size in bytes. Such parts are Anthropic's images, OpenAI's sound
    and Gemini's inline data."""
    data = fields.get("data")
    if isinstance(data, str) and not _ENCODED.isdisjoint(fields) and _BASE64.match(data):
        return {**fields, "data": f"[{_decoded_size(data)} bytes]"}
    return fields


def placeholder(value: Any) -> Any:
    """Replace bytes, a data URL or an image's base64 by a text like `[image/png, 3000 bytes]`; keep any other value."""
    if type(value) is bytes:
        return _described(_type_of(value), len(value))
    if type(value) is not str:
        return value
    if value.startswith("data:"):
        at = value.find(_MARK)  # unlike `split`, `find` does not copy the image
        return _described(value[5:at], _decoded_size(value, at + len(_MARK))) if at > 0 else value
    if value.startswith(_BASE64_HEADS) and _BASE64.match(value):
        return _described(_type_of(b64decode(value[:64])), _decoded_size(value))
    return value


def _described(media_type: str | None, size: int) -> str:
    return f"[{media_type}, {size} bytes]" if media_type else f"[{size} bytes]"


def _decoded_size(text: str, start: int = 0) -> int:
    return (len(text) - start - text[max(start, len(text) - 2) :].count("=")) * 3 // 4


def _type_of(data: bytes) -> str | None:
    if data.startswith(b"RIFF"):
        return _IN_RIFF.get(data[8:12])
    return next((media_type for head, media_type in _SIGNATURES if data.startswith(head)), None)
