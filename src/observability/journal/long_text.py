"""Encodes JSON in pieces, between which other threads can run. Python's own encoder would block these threads."""

import json
from collections.abc import Iterator
from json import encoder
from typing import Any

from ..background import yielding

LONG = 65_536  # a value with more characters is encoded in pieces; encoding this many takes about a millisecond
_CONTAINERS = (dict, list, tuple)
WINDOW = 16_384  # characters in each piece of a text longer than `LONG`

# The encoder is created only once. `dumps` and `JSONEncoder.encode` create one at every call, which takes as long as
# encoding a small dict.
_encoder_in_c: Any = getattr(encoder, "c_make_encoder", None)
_chunks: Any = (
    _encoder_in_c(None, str, encoder.encode_basestring, None, ": ", ", ", False, False, False)
    if _encoder_in_c
    else json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str).iterencode
)


def _encode(value: Any) -> str:
    return "".join(_chunks(value, 0))


def json_text(value: Any) -> str:
    """Encode plain data as JSON. Raises ValueError on NaN and infinity."""
    return "".join(yielding(json_pieces(value))) if _is_long(value) else _encode(value)


def json_pieces(value: Any) -> Iterator[str]:
    """Yield the JSON of plain data in pieces; a short value is one piece."""
    if not _is_long(value):
        yield _encode(value)
    elif type(value) is str:
        yield '"'
        for window in windows(value):
            yield _encode(window)[1:-1]
        yield '"'
    else:
        yield from _pieces_of_items(value)


def windows(text: str) -> Iterator[str]:
    """Cut a text into pieces, never between the halves of a surrogate pair."""
    start = 0
    while start < len(text):
        end = start + WINDOW
        end += "\ud800" <= text[end - 1 : end] <= "\udbff"
        yield text[start:end]
        start = end


def _is_long(value: Any) -> bool:
    return len(value) > LONG if type(value) is str else _size_of(value) > LONG


def _size_of(value: Any) -> int:
    """Estimate the number of characters in the values of a dict or list; anything but text counts as 16."""
    if not isinstance(value, _CONTAINERS):
        return 16
    size = 0
    for item in value.values() if isinstance(value, dict) else value:
        kind = type(item)
        size += len(item) if kind is str else 16 if kind is int or kind is float else _size_of(item)
    return size


def _pieces_of_items(value: Any) -> Iterator[str]:
    is_dict = isinstance(value, dict)
    before, after = "{}" if is_dict else "[]"
    for item in value:
        yield before + (_encode({item: 0})[1:-2] if is_dict else "")
        yield from json_pieces(value[item] if is_dict else item)
        before = ", "
    yield after
