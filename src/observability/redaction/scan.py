"""Views of a text that the rules search, such as the text in lower case.

Most views replace characters one for one, so offsets in a view are those of the text. `Rewritten` has another length,
and maps its offsets back.
"""

import html
import re
import string
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from heapq import merge
from typing import Any, AnyStr, Generic, NamedTuple, TypeVar, cast


class Span(NamedTuple):
    """The place of a secret, `text[start:end]`, and the name of the rule in its marker."""

    start: int
    end: int
    rule: str


MASKED, NOT_RECORDED = "[REDACTED:", "[NOT RECORDED:"  # beginnings of all markers


def marker(rule: str) -> str:
    """The marker that replaces a secret."""
    return f"{MASKED}{rule}]"


def merged(groups: Iterable[Iterable[Span]]) -> Iterator[Span]:
    """Merge overlapping spans, and yield all spans in order of their start.

    Of the spans that are merged into one, the span that came first in its group gives the rule. Each group is sorted
    separately: sorting a hundred thousand spans at once would block other threads.
    """
    ranked = merge(*(sorted((start, -end, rank, rule) for rank, (start, end, rule) in enumerate(g)) for g in groups))
    first, last, best = 0, 0, (0, "")
    for start, end, rank, rule in ranked:
        if start >= last:
            if last:
                yield Span(first, last, best[1])
            first, best = start, (rank, rule)
        last, best = max(last, -end), min(best, (rank, rule))
    if last:
        yield Span(first, last, best[1])


def masked(text: str, *groups: Iterable[Span]) -> str:
    """Replace each span of `text` with a marker; return the same object if there are no spans."""
    parts, done = [], 0
    for start, end, rule in merged(groups):
        parts += [text[done:start], marker(rule)]
        done = end
    return "".join([*parts, text[done:]]) if parts else text


class _LazyPattern:
    """A regular expression that is compiled on first use: compiling all of them would delay the agent by 50 ms."""

    def __init__(self, source: Any, flags: int) -> None:
        self._source, self._flags = source, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(self._source, self._flags)
        for method in ("search", "match", "fullmatch", "finditer", "findall", "sub", "split"):
            setattr(self, method, getattr(compiled, method))  # so that `__getattr__` is not called again
        return getattr(compiled, name)


def regex(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Like `re.compile`, but compiled on first use."""
    return cast("re.Pattern[AnyStr]", _LazyPattern(source, flags))


# Long texts are searched in pieces. Sizes of a piece, and of its overlap with the next piece, in characters.
PIECE, OVERLAP = 65_536, 20_480
_CUT = 1_024  # maximum number of characters by which a piece is shortened, so that it ends at a blank


def pieces(text: str, longest: int = 0) -> Iterator[tuple[int, str]]:
    """Yield the pieces of a text with their offsets. Other threads run between the searches of two pieces.

    Pieces overlap by more than the longest match of any rule and its 256 characters of context. A private key in PEM
    has up to 20,000 characters, a JWT 17,900, an `Authorization` header 8,192, a value in quotes 4,096, a key of 64
    numbers 2,000. A phrase of 24 words may have 800 characters per word. Escaping makes an environment secret up to
    six times as long; `longest` is the length of the longest secret.
    """
    overlap = max(OVERLAP, 6 * longest)
    size = PIECE + overlap
    start = 0
    while len(text) - start > size:
        end = _blank_before(text, start + size)
        yield start, text[start:end]
        start = _blank_before(text, end - overlap)
    yield start, text[start:] if start else text


def shifted(spans: Iterable[Span], offset: int) -> Iterator[Span]:
    """Convert the spans of a piece to spans of the text; the piece begins at `offset`."""
    return (Span(start + offset, end + offset, rule) for start, end, rule in spans)


def _blank_before(text: str, at: int) -> int:
    """Return the position after the last line break or space in the `_CUT` characters before `at`; `at` if none."""
    return max(text.rfind("\n", at - _CUT, at), text.rfind(" ", at - _CUT, at)) + 1 or at


TOKEN_LETTERS = string.ascii_letters + string.digits + "_.-"
LONG_RUN = 20  # length of the shortest keys: AWS's have `AKIA` and 16 more characters
LONG_RUN_HINT = f"[a-z0-9_.+/-]{{{LONG_RUN}}}"  # also matches base64

# Escapes whose last letter would be read as part of the next word: "\nsk-ant-…" in JSON, "%20sk-…", "\x1b[31msk-…".
# There is an expression for each first character: `re` finds a single literal ten times faster than one of several.
_ESCAPES = {
    # A match starts only at the first of successive backslashes, so that each of them is read only once.
    "\\": regex(r"\\(?<!\\\\)\\*(?:[nrtfbv]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})"),
    "%": regex(r"%[0-9a-fA-F]{2}"),
    "\x1b": regex(r"\x1b\[[0-9;]{0,12}m"),
}
_DIGIT = regex(r"\d")
CONTINUATION = bytes(range(0x80, 0xC0))  # all bytes of a UTF-8 character but its first (RFC 3629)
_ASCII_OR_MARK = bytes(code if code < 0x80 else ord("?") for code in range(256))
_IS_TOKEN = bytes(ord("x") if chr(code) in TOKEN_LETTERS else ord(" ") for code in range(256))
_LONG = b"x" * LONG_RUN


def all_but(letters: str) -> bytes:
    """All bytes except these ASCII letters, for deletion by `bytes.translate`."""
    return bytes(code for code in range(256) if chr(code) not in letters)


NOT_ALNUM = all_but(string.ascii_letters + string.digits)
_OTHERS = frozenset(NOT_ALNUM)


def without_escapes(text: str) -> str:
    """Overwrite each escape sequence with spaces of the same length; return the same object if there are none."""
    for start, escape in _ESCAPES.items():
        if start in text:
            text = escape.sub("   " if start == "%" else _blanks, text)
    return text


def _blanks(match: re.Match[str]) -> str:
    return " " * len(match.group())


def as_ascii(text: str) -> bytes:
    """Encode as ASCII, with `?` for other characters. `encode("ascii", "replace")` would take 30 µs for each `?`."""
    return first_bytes(text, _ASCII_OR_MARK)


def first_bytes(text: str, meaning: bytes) -> bytes:
    """Return the first UTF-8 byte of each character, translated by the table `meaning` (256 bytes)."""
    return _first_bytes(text.encode("utf-8", "surrogatepass"), meaning)


def _first_bytes(utf8: bytes, meaning: bytes) -> bytes:
    return utf8.translate(meaning) if utf8.isascii() else utf8.translate(meaning, CONTINUATION)


# In a reduced text, ASCII letters are in lower case, an accented letter becomes `_ACCENTED`, and a separate accent
# `_ACCENT`. All else, digits too, becomes a space. In UTF-8, accented Latin letters begin with the bytes c3 to c5,
# and separate accents with cc or cd.
_ACCENTED, _ACCENT, _SPACE = 1, 2, ord(" ")


def _reduced_byte(code: int) -> int:
    if code < 0x80:
        return ord(chr(code).lower()) if chr(code).isalpha() else _SPACE
    return _ACCENTED if 0xC3 <= code <= 0xC5 else _ACCENT if 0xCC <= code <= 0xCD else _SPACE


REDUCED = bytes(map(_reduced_byte, range(256)))


# Line breaks in wrapped text, in quoted mail, between string literals, and escaped in JSON.
_BREAK = regex(
    r"[\"']?[ \t]{0,40}"
    r"(?:\\{0,4}[\r\n]{1,4}|\\{1,4}r\\{1,4}n|\\{1,4}n|<br ?/?>)[ \t]{0,40}(?:[>|#*\"']{1,3}[ \t]{0,8})?"
)
_BREAK_SIGNS = ("\n", "\r", "\\", "<br")


# `_ENCODED` matches JSON's \u escapes and escaped slashes (RFC 8259 section 7), HTML's quotes, and percent-encoding
# (RFC 3986 section 2.1). The percent-encoded bytes of one character are matched, and so decoded, together.
_NEXT = r"%[89abAB][0-9a-fA-F]"  # any byte of a UTF-8 character but its first (RFC 3629), percent-encoded
_ENCODED = regex(
    r"\\{1,4}(?:u[0-9a-fA-F]{4}|/)|&(?:apos|quot|#39|#34|#x27|#x22);"
    rf"|%(?:(?:25){{0,3}}[0-7][0-9a-fA-F]|[cdCD][0-9a-fA-F]{_NEXT}|[eE][0-9a-fA-F](?:{_NEXT}){{2}}|[fF][0-7](?:{_NEXT}){{3}})"
)
ENCODED_HINT = r"\\(?:u[0-9a-f]{4}|/)|%[0-9a-f]{2}|&(?:apos|quot|#39|#34|#x27|#x22);"
_MOST_DECODED = 3  # maximum number of times a text is decoded: a URL in a URL is encoded twice


@lru_cache(maxsize=4096)
def _decoded(part: str) -> str:
    if part[0] == "%" and part.count("%") == 1:  # one ASCII character, encoded once or more: `%2F`, `%252F`
        return chr(int(part[-2:], 16))
    if part[0] == "%":
        return bytes.fromhex(part.replace("%", "")).decode(errors="replace")
    if part[0] == "&":
        return html.unescape(part)
    return "/" if part[-1] == "/" else chr(int(part[-4:], 16))


class Rewritten:
    """A text in which some parts were replaced. Maps offsets in the new text to offsets in the original."""

    def __init__(self, text: str, pattern: re.Pattern[str], replace: Callable[[str], str]) -> None:
        self._places: list[tuple[int, int]] = []  # span of each piece in the original
        self._offsets: list[int] = []  # offset of each piece in the new text
        pieces: list[str] = []
        done = length = 0
        for match in pattern.finditer(text):
            start, end = match.span()
            for piece, place in ((text[done:start], (done, start)), (replace(match.group()), (start, end))):
                if piece:
                    pieces.append(piece)
                    self._places.append(place)
                    self._offsets.append(length)
                    length += len(piece)
            done = end
        self._places.append((done, len(text)))
        self._offsets.append(length)
        self.scan = Scan("".join([*pieces, text[done:]]))

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return where the part `[start:end]` of the new text is in the original. The part must not be empty."""
        return self._bounds(start)[0], self._bounds(end - 1)[1]

    def _bounds(self, offset: int) -> tuple[int, int]:
        at = bisect_right(self._offsets, offset) - 1
        start, end = self._places[at]
        following = self._offsets[at + 1] if at + 1 < len(self._offsets) else len(self.scan.text)
        if end - start != following - self._offsets[at]:
            return start, end
        return start + offset - self._offsets[at], start + offset - self._offsets[at] + 1


_T = TypeVar("_T")


class _View(Generic[_T]):
    """Like `functools.cached_property`, without its lock in Python 3.11: locking takes longer than building a view."""

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make = make

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, scan: Any, _: type) -> _T:
        made = scan.__dict__[self._name] = self._make(scan)
        return made


class Scan:
    """A text and its views (other forms of the text). Each view is built when a rule first uses it.

    A search for a literal takes about 0.5 ns per character; a search for an expression that begins with a class takes
    10 ns. Rules therefore search for literals first, and match an expression only around a literal.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = 0  # number of times that the text was decoded
        # a position in the text, and the position of the first digit at or after it
        self._digit = (0, -1)
        self.utf8 = text.encode("utf-8", "surrogatepass")
        # `ascii` has one byte per character, so that an offset in `ascii` is also an offset in the text
        self.ascii = self.utf8 if text.isascii() else self.utf8.translate(_ASCII_OR_MARK, CONTINUATION)

    def digit_after(self, at: int) -> int:
        """Return the position of the first digit from `at` on; the text's length if there is none."""
        known_from, digit = self._digit
        if not known_from <= at <= digit:
            match = _DIGIT.search(self.text, at)
            self._digit = at, digit = at, match.start() if match else len(self.text)
        return digit

    @_View
    def low(self) -> str:
        """The text in lower case, with `?` for characters outside ASCII."""
        return self.text.lower() if self.text.isascii() else self.ascii.decode().lower()

    @_View
    def plain(self) -> str:
        """The text with escape sequences overwritten by spaces."""
        return without_escapes(self.text)

    @_View
    def plain_utf8(self) -> bytes:
        """`plain` in UTF-8; longer than the text if the text has characters outside ASCII."""
        return self.utf8 if self.plain is self.text else self.plain.encode("utf-8", "surrogatepass")

    @_View
    def plain_ascii(self) -> bytes:
        """`plain` with one byte per character: `?` stands for each character outside ASCII."""
        return self.ascii if self.plain is self.text else _first_bytes(self.plain_utf8, _ASCII_OR_MARK)

    @_View
    def alnum(self) -> tuple[bytes, ...]:
        """The ASCII letters and digits of the text, without all other characters.

        If the text has escape sequences, a second item has the letters and digits of `plain`.
        """
        return tuple([view.translate(None, NOT_ALNUM) for view in self._with_and_without_escapes])

    @_View
    def alnum_places(self) -> tuple[list[int], ...]:
        """For each item of `alnum`, the positions in the text of its letters and digits."""
        views = self._with_and_without_escapes
        return tuple([at for at, code in enumerate(view) if code not in _OTHERS] for view in views)

    @property
    def _with_and_without_escapes(self) -> tuple[bytes, ...]:
        return (self.ascii,) if self.plain is self.text else (self.ascii, self.plain_ascii)

    @_View
    def joined(self) -> Rewritten | None:
        """The text without its line breaks. It is None if the text cannot contain a line break."""
        if not any(sign in self.text for sign in _BREAK_SIGNS):
            return None
        return Rewritten(self.text, _BREAK, lambda _: "")

    @_View
    def decoded(self) -> Rewritten | None:
        r"""The text with \u, `\/`, HTML quotes and %XX decoded; None if unchanged, or already decoded three times."""
        if self.depth >= _MOST_DECODED:
            return None
        view = Rewritten(self.text, _ENCODED, _decoded)
        view.scan.depth = self.depth + 1
        return view if view.scan.text != self.text else None

    @_View
    def runs(self) -> list[tuple[int, int]]:
        """The (start, end) of each run of 20 or more letters, digits, `_`, `.` or `-` in `plain`."""
        return list(runs_of(_LONG, self.plain_ascii.translate(_IS_TOKEN)))

    @_View
    def reduced(self) -> bytes:
        """`plain` in lower case, with one byte per character.

        An accent or an accented letter becomes a marker byte. Any other character that is not a letter becomes a space.
        """
        return _first_bytes(self.plain_utf8, REDUCED)

    @_View
    def words(self) -> list[bytes]:
        """The words of `reduced`, which are separated by spaces."""
        return self.reduced.split()

    def anchors(self, literal: str) -> Iterator[int]:
        """Yield the positions of `literal` in the text, ignoring case. `literal` must be in lower case."""
        return occurrences(literal, self.low)


def occurrences(part: AnyStr, text: AnyStr) -> Iterator[int]:
    """Yield the positions of `part` in `text`; occurrences that overlap an earlier one are left out."""
    find, step = text.find, len(part)
    at = find(part)
    while at >= 0:
        yield at
        at = find(part, at + step)


def runs_of(shortest: bytes, mapped: bytes) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of each run of `x` in `mapped` that is at least as long as `shortest`.

    `mapped` consists of `x` and spaces, and `shortest` of `x`.
    """
    start = mapped.find(shortest)
    while start >= 0:
        end = mapped.find(b" ", start)
        end = end if end >= 0 else len(mapped)
        yield start, end
        start = mapped.find(shortest, end)
