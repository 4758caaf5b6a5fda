"""Finds the exact secrets of the environment in thirty forms each.

The forms are: plain, URL-encoded, escaped for JSON or HTML, base64 (also inside a larger blob, as in an
`Authorization: Basic` header), hex; each also broken over lines.

`hints` has an expression for a part of each form. Between the part's letters and digits, the expression allows any
other characters, such as line breaks and quotes.
"""

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlsplit

from .environment import is_secret
from .scan import NOT_ALNUM, Rewritten, Scan, Span, as_ascii, occurrences, regex
from .values import digits_of
from .wallets import is_address

RULE = "own-secret"
_MIN = 8  # minimum length of a secret in characters: shorter values would mask ordinary words


class Form(NamedTuple):
    """One way of writing a secret, such as URL-encoded or in base64."""

    text: str
    ignore_case: bool = False
    blob: bool = False  # whether `text` is base64, whose neighbouring letters also carry bits of the secret

    @property
    def letters(self) -> bytes:
        """The form's letters and digits, in lower case if case is ignored."""
        letters = as_ascii(self.text).translate(None, NOT_ALNUM)
        return letters.lower() if self.ignore_case else letters

    def letters_of(self, scan: Scan) -> list[bytes]:
        """The letters and digits of the text in `scan`, with and without escapes; `letters` is searched for in both."""
        return [view.lower() for view in scan.alnum] if self.ignore_case else [*scan.alnum]


_QUERY_SECRET = regex(r"key|token|secret|pass|auth|sig", re.IGNORECASE)
LINE_TAG = regex(rb"<br ?/?>", re.IGNORECASE)  # a line break, whose letters are not part of a secret
_INDENTED = regex(r"\\{1,4}[nr](?:\\{1,4}[nrt]|\s)*")  # a line break in JSON, and the indentation of the next line
_HEX_KEY = regex(r"(?:0x)?[0-9a-fA-F]{32,}$")


# `OwnSecrets.hints` omits forms of fewer than four letters and digits, and has at most eight characters of a form.
_FEWEST, _SIGNATURE = 4, 8


class OwnSecrets:
    """The secrets in the environment, in all forms in which texts are searched for them."""

    def __init__(self, values: Sequence[str]) -> None:
        self.longest = max(map(len, values), default=0)  # length of the longest secret
        secrets = {part for value in values for part in _parts(value)}
        self.numbers = frozenset(int(text) for text in secrets if text.isdecimal() and str(int(text)) == text)
        forms = [form for secret in secrets for form in _forms(secret)]
        self.short = [form for form in forms if len(form.letters) < _FEWEST]
        by_signature: dict[str, list[Form]] = {}
        for form in forms:
            if len(form.letters) >= _FEWEST:
                by_signature.setdefault(_signature(form.letters.decode().lower()), []).append(form)
        self._forms = list(by_signature.values())
        self.hints = ["[^a-z0-9]*".join(signature) for signature in by_signature]

    def forms(self, numbers: Iterable[int], scan: Scan) -> list[Form]:
        """The forms that the text may contain: forms whose hint matches, and forms without a hint that are in the text.

        `numbers` are the indexes of the matching `hints`.
        """
        short = [form for form in self.short if next(_find(form, scan), None)]
        return [form for number in numbers for form in self._forms[number]] + short


def own_spans(forms: Sequence[Form], scan: Scan) -> Iterator[Span]:
    """Yield the places of all forms in the text."""
    for form in forms:
        if _may_stand(form, scan):
            yield from _find(form, scan)


def _signature(letters: str) -> str:
    """Return the eight successive characters with the most digits: in texts, digits are rarer than letters."""
    parts = [letters[at : at + _SIGNATURE] for at in range(max(1, len(letters) - _SIGNATURE + 1))]
    return max(parts, key=digits_of)


def _parts(value: str) -> Iterator[str]:
    """Yield the value and those parts that are secret on their own.

    An error message may quote only the password of an address, or only one key of a list.
    """
    yield value
    if "://" in value:
        for address in filter(_is_long, re.split(r"[,;\s]+", value)):
            if is_secret("", address):
                yield address
            yield from filter(_is_long, map(unquote, _credentials(address)))
    elif not value.startswith("{"):
        yield from filter(_is_piece, (piece.strip(" \"'[]") for piece in re.split("[,;|\n]", value)))


def _credentials(text: str) -> Iterator[str]:
    try:
        address = urlsplit(text)
    except ValueError:  # not an address, so it has no parts: only the whole value is masked
        return
    yield address.password or ""
    for pair in address.query.split("&"):
        name, _, value = pair.partition("=")
        if _QUERY_SECRET.search(name) or _is_jumbled(value):
            yield value
    yield from filter(_is_jumbled, address.path.split("/"))


def _is_long(piece: str) -> bool:
    return len(piece) >= _MIN


def _is_jumbled(piece: str) -> bool:
    return len(piece) >= 16 and any(map(str.isdigit, piece)) and not is_address(piece)


def _is_piece(piece: str) -> bool:
    """Whether an item of a list is a secret on its own, and not a plain word, a blockchain address or a PEM header."""
    plain = piece.isalpha() and (piece.islower() or piece.isupper() or piece.istitle())
    return _is_long(piece) and not plain and not re.search(r"\s|^--", piece) and not is_address(piece)


def _forms(secret: str) -> set[Form]:
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {Form(text) for text in _spellings(secret, raw)}
    forms |= {Form(core, blob=True) for core in _base64_cores(raw)}
    forms |= {Form(text, ignore_case=True) for text in (raw.hex(), _escaped(raw, "%"), _escaped(raw, "\\x"))}
    if _HEX_KEY.match(secret):
        forms.add(Form(secret.removeprefix("0x"), ignore_case=True))
    return forms


def _escaped(raw: bytes, sign: str) -> str:
    """Escape every byte as `sign` and two hex digits, like `%61`. Cautious URL encoders and C strings do so."""
    return sign + raw.hex(sign[-1]).replace(sign[-1], sign)


_QUOTES = ("&#x27;", "&#39;", "&apos;")  # a single quote in HTML, as escaped by Python, Jinja and XML


def _spellings(secret: str, raw: bytes) -> set[str]:
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    in_url = {quote(raw, safe=""), quote(raw), quote_plus(raw), quote(raw, safe="").replace("%20", "+")}
    in_url |= {re.sub("%..", lambda match: match.group().lower(), text) for text in in_url}
    in_url |= {quote(text, safe="") for text in in_url}  # inside a URL that is a parameter of another URL
    twice = {json.dumps(text)[1:-1] for text in in_json} | {text.replace("/", "\\/") for text in in_json}
    in_html = {html.escape(secret, quote=False), *(html.escape(secret).replace("&#x27;", quote) for quote in _QUOTES)}
    return {secret, repr(raw)[2:-1]} | in_html | in_json | in_url | twice


def _base64_cores(raw: bytes) -> Iterator[str]:
    """Yield the base64 letters that depend on the secret alone, wherever it begins in a group of three bytes."""
    for before in range(3):
        encoded = b64encode(b"\0" * before + raw).decode()
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        core = encoded[first:last]
        yield from {core, core.replace("+", "-").replace("/", "_")}


def _may_stand(form: Form, scan: Scan) -> bool:
    """Whether the text may have all letters and digits of the form in order, with only other signs in between."""
    if "<br" in scan.low:
        return True
    letters = form.letters
    return any(letters in view for view in form.letters_of(scan))


def _find(form: Form, scan: Scan) -> Iterator[Span]:
    places = list(_occurrences(form, scan))
    if joined := scan.joined:
        places = [joined.original(start, end) for start, end in _occurrences(form, joined.scan)] or places
    if not places and "\\" in scan.text:
        indented = Rewritten(scan.text, _INDENTED, lambda _: "")
        places = [indented.original(start, end) for start, end in _occurrences(form, indented.scan)]
    for start, end in [*places, *_broken(form, scan, len(places))]:
        yield _widened(form, scan.text, start, end)
    if " " in form.text:
        for match in re.finditer(r"\s+".join(map(re.escape, form.text.split())), scan.plain):
            yield Span(match.start(), match.end(), RULE)


# A match of this many letters and digits is not by chance, whatever other signs stand between them.
_SURE = 12


def _broken(form: Form, scan: Scan, count: int) -> Iterator[tuple[int, int]]:
    """Yield the places where quotes, colons or invisible signs stand between the letters of the form.

    `count` is the number of places where the form was found as written. Yields nothing if there are no other places.
    """
    letters = form.letters
    # Digits alone may also match by chance, as in a table.
    if len(letters) < (2 * _SURE if letters.isdigit() else _SURE):
        return
    for number, kept in enumerate(form.letters_of(scan)):
        if kept.count(letters) > count:
            offsets = scan.alnum_places[number]
            for at in occurrences(letters, kept):
                yield offsets[at], offsets[at + len(letters) - 1] + 1


def _occurrences(form: Form, scan: Scan) -> Iterator[tuple[int, int]]:
    text, sought = (scan.low, form.text.lower()) if form.ignore_case else (scan.text, form.text)
    return ((at, at + len(sought)) for at in occurrences(sought, text))


def _widened(form: Form, text: str, start: int, end: int) -> Span:
    """Return the span of a form that was found at `text[start:end]`.

    In base64, the span includes the padding, and the neighbouring letters that hold further bits of the secret.
    """
    if form.blob:
        start -= 1 if text[start - 1 : start].isalnum() else 0
        end += 1 if text[end : end + 1].isalnum() else 0
        end += len(text[end : end + 2]) - len(text[end : end + 2].lstrip("="))
    return Span(start, end, RULE)
