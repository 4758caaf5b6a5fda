"""The encodings in which software writes a secret, and the transformations of text before it is stored or sent."""

import base64
import html
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

Encoding = Callable[[str], str]


def _bytes_of(secret: str) -> list[str]:
    """Return the secret's bytes, each as two hex digits."""
    return secret.encode().hex(" ").split()


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _wrapped(text: str) -> str:
    return "\n".join(text[at : at + 20] for at in range(0, len(text), 20))


def _broken_by(between: str) -> Encoding:
    return lambda secret: f"{secret[:9]}{between}{secret[9:]}"


ENCODINGS: dict[str, Encoding] = {
    "plain": lambda secret: secret,
    "URL-encoded": lambda secret: quote(secret, safe=""),
    "URL-encoded, slashes kept": quote,
    "URL-encoded, every byte": lambda secret: "".join(f"%{byte.upper()}" for byte in _bytes_of(secret)),
    "URL-encoded, every byte, small": lambda secret: "".join(f"%{byte}" for byte in _bytes_of(secret)),
    "URL-encoded twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "JSON-escaped": _in_json,
    "JSON-escaped twice": lambda secret: _in_json(_in_json(secret)),
    "HTML-escaped": html.escape,
    "escaped by Python": lambda secret: repr(secret)[1:-1],
    "the repr of bytes": lambda secret: repr(secret.encode())[2:-1],
    "escaped as in C": lambda secret: "".join(f"\\x{byte}" for byte in _bytes_of(secret)),
    "escaped as in C, in JSON": lambda secret: "".join(f"\\\\x{byte}" for byte in _bytes_of(secret)),
    "base64": lambda secret: _base64(secret.encode()),
    "base64, URL-safe": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    "base64, wrapped": lambda secret: _wrapped(_base64(secret.encode())),
    "hex": lambda secret: secret.encode().hex(),
    "hex, upper case": lambda secret: secret.encode().hex().upper(),
    "hex, wrapped": lambda secret: _wrapped(secret.encode().hex()),
    "hex with colons": lambda secret: ":".join(_bytes_of(secret)),
    "hex with spaces": lambda secret: " ".join(_bytes_of(secret)).upper(),
    "over two lines": _broken_by("\n"),
    "over two lines of Windows": _broken_by("\r\n"),
    "over two lines in JSON": _broken_by("\\n"),
    "over indented lines in JSON": _broken_by("\\n\\t"),
    "over indented lines in JSON in JSON": _broken_by("\\\\n\\\\t\\\\t"),
    "over two lines of HTML": _broken_by("<br>"),
    "over two lines of mail": _broken_by("\n> "),
}

# Base64 of a longer text with the secret inside. A letter that holds bits of the secret and of other text is masked.
BLOBS: dict[str, Encoding] = {
    f"base64 behind {len(before)} bytes": lambda secret, before=before: _base64(f"{before}{secret}:".encode())
    for before in ("trader:", "trader1:", "trader12:")
}

# Breaks inside a secret. Redaction finds the secret across them, if it has at least twelve letters and digits.
BREAKS: dict[str, Encoding] = {
    "with an invisible character inside": _broken_by("\u200b"),
    "in two strings of a list": _broken_by('"\n    "'),
    "with an ellipsis inside": _broken_by("…\n"),
    "over two lines of a diff": _broken_by("\n+ "),
    "over two lines of a comment": _broken_by("\n// "),
    "as a sum of strings": _broken_by(" + "),
}

_ESCAPES: tuple[Encoding, ...] = (
    _in_json,
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
)


def at_rest(text: str) -> Iterable[str]:
    """Return the text as it may be stored: unchanged, or escaped once or twice by JSON or `repr`."""
    once = dict.fromkeys([text, *(escape(text) for escape in _ESCAPES)])
    return dict.fromkeys([*once, *(escape(each) for each in once for escape in _ESCAPES)])


def found(texts: Iterable[str], where: bytes) -> list[str]:
    """Return those texts that occur in these bytes, in any stored form."""
    return [text for text in texts if any(form.encode() in where for form in at_rest(text))]


def bytes_under(folder: Path) -> bytes:
    """Return the bytes of all files in a folder."""
    return b"\n".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())
