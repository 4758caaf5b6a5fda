"""
🌙 Moon Dev's Redaction of Our Own Secrets
Built with love by Moon Dev 🚀

The exact values of our environment's secrets, in the forms in which software writes them: as they are, URL-encoded,
escaped for JSON or HTML, base64 (also inside a larger blob, as in an `Authorization: Basic`), hex; each also broken
over lines.

A text is searched for a hundred such forms in microseconds because it is first reduced to its capitals (or digits, or
small letters): what a form is reduced to stands in what the text is reduced to, line breaks or not, and that is short.
"""

import html
import json
import re
import string
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlsplit

from src.observability.redaction_scan import Scan, Span, without_escapes

RULE = "own-secret"
_MIN = 8  # characters: shorter values would mask ordinary words


class Form(NamedTuple):
    """One way in which a secret may be written."""

    text: str
    ignore_case: bool = False
    blob: bool = False  # base64: neighbouring letters carry bits of the secret too


def _all_but(letters: str) -> bytes:
    return bytes(code for code in range(256) if chr(code) not in letters)


# What a text is reduced to, by deleting everything else; the first that leaves a form enough to be told by.
_REDUCTIONS = (_all_but(string.ascii_uppercase), _all_but(string.digits), _all_but(string.ascii_lowercase))
_ENOUGH = (4, 5, 6)
_BY_DIGITS, _BY_SMALL = 1, 2  # hex goes by its digits: its letters come in both cases

_HEX_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{32,}$")


class OwnSecrets:
    """The secrets of one state of the environment, ready to be searched for."""

    def __init__(self, values: Iterable[str]) -> None:
        self._reduced: tuple[dict[bytes, list[Form]], ...] = ({}, {}, {})
        self._short: list[Form] = []
        for secret in {part for value in values for part in _parts(value)}:
            for form in _forms(secret):
                self._file(form)

    def _file(self, form: Form) -> None:
        for kind in range(len(_REDUCTIONS)):
            if form.ignore_case and kind != _BY_DIGITS:
                continue
            reduced = _reduce(form.text, kind)
            if len(reduced) >= _ENOUGH[kind]:
                self._reduced[kind].setdefault(reduced, []).append(form)
                return
        self._short.append(form)

    def spans(self, scan: Scan) -> Iterator[Span]:
        """Where any form of any secret stands in the text."""
        for form in self._candidates(scan):
            yield from _find(form, scan)

    def _candidates(self, scan: Scan) -> Iterator[Form]:
        for kind, forms in enumerate(self._reduced):
            if forms:
                letters = _reduce(scan.plain if kind == _BY_SMALL else scan.text, kind)
                for reduced in [reduced for reduced in forms if reduced in letters]:
                    yield from forms[reduced]
        yield from self._short


def _reduce(text: str, kind: int) -> bytes:
    source = (
        without_escapes(text) if kind == _BY_SMALL else text
    )  # the "n" of an escaped line break is no letter of a secret
    return source.encode("ascii", "ignore").translate(None, _REDUCTIONS[kind])


def _parts(value: str) -> Iterator[str]:
    """The value, and where it is an address with credentials, these alone too: errors quote them without the rest."""
    yield value
    if "://" in value:
        address = urlsplit(value)
        pieces = [address.password or "", *(pair.partition("=")[2] for pair in address.query.split("&"))]
        pieces += [piece for piece in address.path.split("/") if len(piece) >= 16 and any(map(str.isdigit, piece))]
        yield from (unquote(piece) for piece in pieces if len(piece) >= _MIN)


def _forms(secret: str) -> set[Form]:
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {Form(text) for text in _writings(secret, raw)}
    forms |= {Form(core, blob=True) for core in _base64_cores(raw)}
    forms.add(Form(raw.hex(), ignore_case=True))
    if _HEX_KEY.match(secret):
        forms.add(Form(secret.removeprefix("0x"), ignore_case=True))
    return forms


def _writings(secret: str, raw: bytes) -> set[str]:
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    in_url = {quote(raw, safe=""), quote(raw), quote_plus(raw), quote(raw, safe="").replace("%20", "+")}
    in_url |= {re.sub("%..", lambda match: match.group().lower(), text) for text in in_url}
    twice = {json.dumps(text)[1:-1] for text in in_json} | {text.replace("/", "\\/") for text in in_json}
    return {secret, html.escape(secret), html.escape(secret, quote=False)} | in_json | in_url | twice


def _base64_cores(raw: bytes) -> Iterator[str]:
    """The letters that are the secret's alone wherever it begins in a blob: RFC 4648, three bytes to four letters."""
    for before in range(3):
        encoded = b64encode(b"\0" * before + raw).decode()
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        core = encoded[first:last]
        yield from {core, core.replace("+", "-").replace("/", "_")}


def _find(form: Form, scan: Scan) -> Iterator[Span]:
    for start, end in _occurrences(form, scan):
        yield _widened(form, scan.text, start, end)
    if joined := scan.joined:
        for start, end in _occurrences(form, joined.scan):
            yield _widened(form, scan.text, *joined.original(start, end))
    if " " in form.text:
        for match in re.finditer(r"\s+".join(map(re.escape, form.text.split())), scan.plain):
            yield Span(match.start(), match.end(), RULE)


def _occurrences(form: Form, scan: Scan) -> Iterator[tuple[int, int]]:
    text: Any = scan.low if form.ignore_case else scan.text
    sought: Any = form.text.lower().encode("ascii", "replace") if form.ignore_case else form.text
    at = text.find(sought)
    while at >= 0:
        yield at, at + len(sought)
        at = text.find(sought, at + len(sought))


def _widened(form: Form, text: str, start: int, end: int) -> Span:
    """The span, with the letters beside a base64 core that carry the rest of its bits, and with its padding."""
    if form.blob:
        start -= 1 if text[start - 1 : start].isalnum() else 0
        end += 1 if text[end : end + 1].isalnum() else 0
        end += len(text[end : end + 2]) - len(text[end : end + 2].lstrip("="))
    return Span(start, end, RULE)
