"""Finds the exact secrets of the environment in thirty forms each.

The forms are: plain, URL-encoded, escaped for JSON or HTML, base64 (also inside a larger blob, as in an
`Authorization: Basic` header), hex; each also broken over lines.

`hints` has an expression for a part of each form. The expression allows anything but letters and digits between its
letters: line breaks, quotes, other fields.
"""

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlsplit

from .environment import is_secret
from .scan import NOT_ALNUM, Rewritten, Scan, Span, as_ascii, regex
from .values import digits_of
from .wallets import is_address

RULE = "own-secret"
_MIN = 8  # characters of the shortest secret: shorter values would mask ordinary words


class Form(NamedTuple):
    """One way of writing a secret."""

    text: str
    ignore_case: bool = False
    blob: bool = False  # base64: neighbouring letters carry bits of the secret too

    @property
    def letters(self) -> bytes:
        """The form's letters and digits, in lower case if case is ignored."""
        letters = as_ascii(self.text).translate(None, NOT_ALNUM)
        return letters.lower() if self.ignore_case else letters

    def letters_of(self, scan: Scan) -> list[bytes]:
        """The letters and digits of a text and of its `plain`, comparable to `letters`."""
        return [view.lower() for view in scan.alnum] if self.ignore_case else [*scan.alnum]


_QUERY_SECRET = regex(r"key|token|secret|pass|auth|sig", re.IGNORECASE)
LINE_TAG = regex(rb"<br ?/?>", re.IGNORECASE)  # a line break, whose letters are not part of a secret
_INDENTED = regex(r"\\{1,4}[nr](?:\\{1,4}[nrt]|\s)*")  # a line break in JSON, and the indentation of the next line
_HEX_KEY = regex(r"(?:0x)?[0-9a-fA-F]{32,}$")


_FEWEST, _SIGNATURE = 4, 8  # fewest letters and digits of a form with a hint; letters and digits in a hint


class OwnSecrets:
    """The secrets of one state of the environment, prepared for searching."""

    def __init__(self, values: Sequence[str]) -> None:
        self.longest = max(map(len, values), default=0)  # characters of the longest secret
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
        """The forms that a text may contain: those with a matching hint, and those with too few letters for a hint."""
        short = [form for form in self.short if next(_find(form, scan), None)]
        return [form for number in numbers for form in self._forms[number]] + short


def own_spans(forms: Sequence[Form], scan: Scan) -> Iterator[Span]:
    """Yield the places of all forms in the text."""
    for form in forms:
        if _may_stand(form, scan):
            yield from _find(form, scan)


def _signature(letters: str) -> str:
    """The eight characters in a row with the most digits: digits are rarer in texts than words."""
    parts = [letters[at : at + _SIGNATURE] for at in range(max(1, len(letters) - _SIGNATURE + 1))]
    return max(parts, key=digits_of)


def _parts(value: str) -> Iterator[str]:
    """Yield the value and its secret parts: an error may quote only an address's password, or one key of a list."""
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
    except ValueError:  # not an address: masked as a whole
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
    """Whether a part of a list is a secret on its own: not a word of a phrase, an address, or a PEM header."""
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
    """Escape every byte, as cautious URL encoders and C strings do."""
    return sign + raw.hex(sign[-1]).replace(sign[-1], sign)


_QUOTES = ("&#x27;", "&#39;", "&apos;")  # escaped by Python, Jinja and XML


def _spellings(secret: str, raw: bytes) -> set[str]:
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    in_url = {quote(raw, safe=""), quote(raw), quote_plus(raw), quote(raw, safe="").replace("%20", "+")}
    in_url |= {re.sub("%..", lambda match: match.group().lower(), text) for text in in_url}
    in_url |= {quote(text, safe="") for text in in_url}  # inside a URL that is a parameter of another URL
    twice = {json.dumps(text)[1:-1] for text in in_json} | {text.replace("/", "\\/") for text in in_json}
    in_html = {html.escape(secret, quote=False), *(html.escape(secret).replace("&#x27;", quote) for quote in _QUOTES)}
    return {secret, repr(raw)[2:-1]} | in_html | in_json | in_url | twice


def _base64_cores(raw: bytes) -> Iterator[str]:
    """Yield the base64 letters that depend on the secret alone, for each offset in a blob (3 bytes are 4 letters)."""
    for before in range(3):
        encoded = b64encode(b"\0" * before + raw).decode()
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        core = encoded[first:last]
        yield from {core, core.replace("+", "-").replace("/", "_")}


def _may_stand(form: Form, scan: Scan) -> bool:
    """Whether the text contains the form's letters and digits in order, with any other signs between them."""
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


_SURE = 12  # a match of this many letters and digits is not a coincidence, whatever signs are between them


def _broken(form: Form, scan: Scan, count: int) -> Iterator[tuple[int, int]]:
    """Yield the places of a form that is broken by quotes, colons or invisible signs.

    Yields nothing if the form's letters and digits occur only in the `count` places that were matched whole.
    """
    letters = form.letters
    if len(letters) < (2 * _SURE if letters.isdigit() else _SURE):  # a table may contain the same digits by chance
        return
    for number, kept in enumerate(form.letters_of(scan)):
        if kept.count(letters) > count:
            yield from _in_a_row(letters, kept, scan.alnum_places[number])


def _in_a_row(letters: bytes, kept: bytes, offsets: list[int]) -> Iterator[tuple[int, int]]:
    at = kept.find(letters)
    while at >= 0:
        yield offsets[at], offsets[at + len(letters) - 1] + 1
        at = kept.find(letters, at + len(letters))


def _occurrences(form: Form, scan: Scan) -> Iterator[tuple[int, int]]:
    text, sought = (scan.low, form.text.lower()) if form.ignore_case else (scan.text, form.text)
    at = text.find(sought)
    while at >= 0:
        yield at, at + len(sought)
        at = text.find(sought, at + len(sought))


def _widened(form: Form, text: str, start: int, end: int) -> Span:
    """Extend the span of a base64 core by the neighbouring letters that hold its remaining bits, and by its padding."""
    if form.blob:
        start -= 1 if text[start - 1 : start].isalnum() else 0
        end += 1 if text[end : end + 1].isalnum() else 0
        end += len(text[end : end + 2]) - len(text[end : end + 2].lstrip("="))
    return Span(start, end, RULE)
