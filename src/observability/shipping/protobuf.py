"""OTLP's protobuf encoding of the messages in `encoding.py`, without the protobuf library.

JSON is optional for a receiver, and some accept only protobuf (Phoenix). Field numbers: opentelemetry/proto,
trace/v1, common/v1 and resource/v1; wire types: https://protobuf.dev/programming-guides/encoding/.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..background import yielding
from ..journal import windows

_VARINT, _FIXED64, _BYTES = 0, 1, 2  # wire types


def message_of(spans: Iterable[dict[str, Any]], resource: dict[str, Any], scope: dict[str, Any]) -> Iterator[bytes]:
    """The pieces of an `ExportTraceServiceRequest`; the arguments are those of `encoding.message_of`."""
    encoded = [_tag(2, _BYTES) + _with_length(_encode(span, _SPAN)) for span in yielding(spans)]
    scope_spans = [_encode(scope, _SCOPE_SPANS), *encoded]
    of_scope = [_encode(resource, _RESOURCE_SPANS), _tag(2, _BYTES), _varint(_length(scope_spans)), *scope_spans]
    yield _tag(1, _BYTES) + _varint(_length(of_scope))
    yield from of_scope


def response_of(data: bytes) -> dict[str, Any]:
    """Decode an `ExportTraceServiceResponse` to its JSON form. Raises ValueError on anything else."""
    partial = next((value for number, value in _fields(data) if number == 1 and isinstance(value, bytes)), b"")
    fields = dict(_fields(partial))
    message = fields.get(2, b"")
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else ""
    return {"partialSuccess": {"rejectedSpans": fields.get(1, 0), "errorMessage": text}}


def _encode(message: dict[str, Any], fields: "_Fields") -> bytes:
    parts: list[bytes] = []
    for name, value in message.items():
        tag, encode = fields[name]
        for item in value if isinstance(value, list) else (value,):
            parts += (tag, encode(item))
    return b"".join(parts)


def _length(parts: Iterable[bytes]) -> int:
    return sum(map(len, parts))


def _varint(value: int) -> bytes:
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    value &= (1 << 64) - 1  # two's complement of a negative number
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_ONE_BYTE = [bytes([value]) for value in range(0x80)]


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _with_length(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _string(value: str) -> bytes:
    return _with_length(b"".join([window.encode("utf-8", "replace") for window in windows(value)]))


def _hex(value: str) -> bytes:
    return _with_length(bytes.fromhex(value))


def _integer(value: Any) -> bytes:
    return _varint(int(value))


def _fixed64(value: Any) -> bytes:
    return struct.pack("<Q", int(value))


def _double(value: float) -> bytes:
    return struct.pack("<d", value)


_Encoder = Callable[[Any], bytes]
_Fields = dict[str, tuple[bytes, _Encoder]]  # a field's name -> its encoded tag, and the encoder of its value
_WIRE_TYPES: dict[_Encoder, int] = {_integer: _VARINT, _fixed64: _FIXED64, _double: _FIXED64}  # other encoders: _BYTES


def _table(**fields: tuple[int, _Encoder]) -> _Fields:
    """Return the fields of a message. The arguments give each field's number and encoder."""
    return {name: (_tag(number, _WIRE_TYPES.get(code, _BYTES)), code) for name, (number, code) in fields.items()}


def _message(fields: _Fields) -> _Encoder:
    return lambda value: _with_length(_encode(value, fields))


_VALUE = _table(stringValue=(1, _string), boolValue=(2, _integer), intValue=(3, _integer), doubleValue=(4, _double))
_VALUE |= _table(arrayValue=(5, _message(_table(values=(1, _message(_VALUE))))))
_ATTRIBUTE = _table(key=(1, _string), value=(2, _message(_VALUE)))
_SPAN = _table(
    traceId=(1, _hex),
    spanId=(2, _hex),
    parentSpanId=(4, _hex),
    name=(5, _string),
    kind=(6, _integer),
    startTimeUnixNano=(7, _fixed64),
    endTimeUnixNano=(8, _fixed64),
    attributes=(9, _message(_ATTRIBUTE)),
    status=(15, _message(_table(message=(2, _string), code=(3, _integer)))),
)
_SCOPE = _table(name=(1, _string))
_SCOPE_SPANS = _table(scope=(1, _message(_SCOPE)), schemaUrl=(3, _string))
_RESOURCE = _table(attributes=(1, _message(_ATTRIBUTE)))
_RESOURCE_SPANS = _table(resource=(1, _message(_RESOURCE)), schemaUrl=(3, _string))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == _VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
        elif tag & 7 == _BYTES:
            length, at = _read_varint(data, at)
            if at + length > len(data):
                raise ValueError("the message is truncated")
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            raise ValueError("the message has a field of an unexpected wire type")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return value, at + 1
        at, shift = at + 1, shift + 7
    raise ValueError("the message is truncated")
