"""One text, in the views that the rules search.

Every view keeps the text's offsets: it differs from the text only in characters that were replaced one for one.
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
    """`text[start:end]` is a secret; `rule` is the name in its marker."""

    start: int
    end: int
    rule: str


MASKED, NOT_RECORDED = "[REDACTED:", "[NOT RECORDED:"  # how our markers begin


def marker(rule: str) -> str:
    """The marker in place of a secret."""
    return f"{MASKED}{rule}]"


def merged(groups: Iterable[Iterable[Span]]) -> Iterator[Span]:
    """Yield overlapping spans as one, in order; where they overlap, the first of a group names the rule.

    Each group is sorted by itself: to sort a hundred thousand spans holds the interpreter.
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
    """`text` with a marker in place of each span; the same object where there are none."""
    parts, done = [], 0
    for start, end, rule in merged(groups):
        parts += [text[done:start], marker(rule)]
        done = end
    return "".join([*parts, text[done:]]) if parts else text


class _LazyPattern:
    """A regular expression that is compiled on first use: to compile all of them takes 50 ms of the agent's time."""

    def __init__(self, source: Any, flags: int) -> None:
        self._source, self._flags = source, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(self._source, self._flags)
        for method in ("search", "match", "fullmatch", "finditer", "findall", "sub", "split"):
            setattr(self, method, getattr(compiled, method))  # from now on no attribute is missing
        return getattr(compiled, name)


def regex(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """`re.compile`, put off until the expression is used."""
    return cast("re.Pattern[AnyStr]", _LazyPattern(source, flags))


PIECE, OVERLAP = 65_536, 20_480  # characters; a piece and the overlap are read together
_CUT = 1_024  # characters in which a piece looks for a blank to begin or end at


def pieces(text: str, longest: int = 0) -> Iterator[tuple[int, str]]:
    """Yield where each piece of a long text begins, and the piece; other threads run between two of them.

    Pieces overlap by more than the longest match of any rule and the 256 characters of context that it needs. A
    private key in PEM has up to 20,000 characters, a JWT 17,900, an `Authorization` header 8,192, a value in quotes
    4,096, a key of 64 numbers 2,000. A phrase of 24 words may have 800 a word. A secret of ours has up to six
    characters for each of its own where it is escaped; `longest` is the longest of them.
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
    """The spans of a piece as spans of the text, where the piece begins at `offset`."""
    return (Span(start + offset, end + offset, rule) for start, end, rule in spans)


def _blank_before(text: str, at: int) -> int:
    """Behind the last line break or space before `at`, so that no word is cut; `at` where there is none."""
    return max(text.rfind("\n", at - _CUT, at), text.rfind(" ", at - _CUT, at)) + 1 or at


TOKEN_LETTERS = string.ascii_letters + string.digits + "_.-"
LONG_RUN = 20  # the shortest key with a shape of its own: AWS's, AKIA and 16 more
LONG_RUN_HINT = f"[a-z0-9_.+/-]{{{LONG_RUN}}}"  # base64 too

# Escapes whose last letter would stick to the word behind them: "\nsk-ant-…" in JSON, "%20sk-…", "\x1b[31msk-…". By
# what they begin with, since `re` skips to a literal ten times faster than to any of several.
_ESCAPES = {
    # backslashes are counted once, from the first of them
    "\\": regex(r"\\(?<!\\\\)\\*(?:[nrtfbv]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})"),
    "%": regex(r"%[0-9a-fA-F]{2}"),
    "\x1b": regex(r"\x1b\[[0-9;]{0,12}m"),
}
_DIGIT = regex(r"\d")
CONTINUATION = bytes(range(0x80, 0xC0))  # UTF-8 (RFC 3629): the bytes behind a character's first
_ASCII_OR_MARK = bytes(code if code < 0x80 else ord("?") for code in range(256))
_IS_TOKEN = bytes(ord("x") if chr(code) in TOKEN_LETTERS else ord(" ") for code in range(256))
_LONG = b"x" * LONG_RUN


def all_but(letters: str) -> bytes:
    """The bytes for `bytes.translate` to delete, so that these ASCII letters stay."""
    return bytes(code for code in range(256) if chr(code) not in letters)


NOT_ALNUM = all_but(string.ascii_letters + string.digits)
_OTHERS = frozenset(NOT_ALNUM)


def without_escapes(text: str) -> str:
    """`text` with escape sequences overwritten by as many spaces; the same object where there are none."""
    for start, escape in _ESCAPES.items():
        if start in text:
            text = escape.sub("   " if start == "%" else _blanks, text)
    return text


def _blanks(match: re.Match[str]) -> str:
    return " " * len(match.group())


def as_ascii(text: str) -> bytes:
    """One byte a character, `?` for what is not ASCII; `encode("ascii", "replace")` takes 30 µs for each of these."""
    return first_bytes(text, _ASCII_OR_MARK)


def first_bytes(text: str, meaning: bytes) -> bytes:
    """The first byte of each character in UTF-8, as `meaning` (256 bytes) translates it."""
    return _first_bytes(text.encode("utf-8", "surrogatepass"), meaning)


def _first_bytes(utf8: bytes, meaning: bytes) -> bytes:
    return utf8.translate(meaning) if utf8.isascii() else utf8.translate(meaning, CONTINUATION)


# Reduced: small letters, with a mark for each accent; everything else, digits too, is a space. By first bytes in UTF-8:
# c3 to c5 are Latin letters with accents, cc and cd accents that stand alone.
_ACCENTED, _ACCENT, _SPACE = 1, 2, ord(" ")


def _reduced_byte(code: int) -> int:
    if code < 0x80:
        return ord(chr(code).lower()) if chr(code).isalpha() else _SPACE
    return _ACCENTED if 0xC3 <= code <= 0xC5 else _ACCENT if 0xCC <= code <= 0xCD else _SPACE


REDUCED = bytes(map(_reduced_byte, range(256)))


# A line break as it comes in wrapped text, in quotes of mail, between string literals, and escaped in JSON.
_BREAK = regex(
    r"[\"']?[ \t]{0,40}"
    r"(?:\\{0,4}[\r\n]{1,4}|\\{1,4}r\\{1,4}n|\\{1,4}n|<br ?/?>)[ \t]{0,40}(?:[>|#*\"']{1,3}[ \t]{0,8})?"
)
_BREAK_SIGNS = ("\n", "\r", "\\", "<br")


# JSON's \u escapes and escaped slashes (RFC 8259 section 7), quotes as HTML has them, and percent-encoding (RFC 3986
# section 2.1), whose bytes of one character are read together.
_NEXT = r"%[89abAB][0-9a-fA-F]"  # a byte of a character behind its first: RFC 3629
_ENCODED = regex(
    r"\\{1,4}(?:u[0-9a-fA-F]{4}|/)|&(?:apos|quot|#39|#34|#x27|#x22);"
    rf"|%(?:(?:25){{0,3}}[0-7][0-9a-fA-F]|[cdCD][0-9a-fA-F]{_NEXT}|[eE][0-9a-fA-F](?:{_NEXT}){{2}}|[fF][0-7](?:{_NEXT}){{3}})"
)
ENCODED_HINT = r"\\(?:u[0-9a-f]{4}|/)|%[0-9a-f]{2}|&(?:apos|quot|#39|#34|#x27|#x22);"
_MOST_DECODED = 3  # an address that was encoded within an address that was encoded; no software goes further


@lru_cache(maxsize=4096)
def _decoded(part: str) -> str:
    if part[0] == "%" and part.count("%") == 1:  # encoded once or more
        return chr(int(part[-2:], 16))
    if part[0] == "%":
        return bytes.fromhex(part.replace("%", "")).decode(errors="replace")
    if part[0] == "&":
        return html.unescape(part)
    return "/" if part[-1] == "/" else chr(int(part[-4:], 16))


class Rewritten:
    """A text with some parts replaced, and the way back to its offsets."""

    def __init__(self, text: str, pattern: re.Pattern[str], replace: Callable[[str], str]) -> None:
        self._places: list[tuple[int, int]] = []  # where each piece of the new text stood
        self._offsets: list[int] = []  # and where it stands
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
        """Where `[start:end]` of the new text, which is not empty, stands in the old one."""
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
    """`functools.cached_property` without its lock, which takes longer than a view of a short text (Python 3.11)."""

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make = make

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, scan: Any, _: type) -> _T:
        made = scan.__dict__[self._name] = self._make(scan)
        return made


class Scan:
    """A text and its views, each built when a rule first uses it.

    A search for a literal takes about 0.5 ns a character, for an expression that begins with a class 10 ns. So rules
    search for literals first, and match an expression only where one stands.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = 0  # times that it was decoded
        self._digit = (0, -1)  # a position, and that of the first digit from there on
        self.utf8 = text.encode("utf-8", "surrogatepass")
        # one byte per character: offsets are the text's
        self.ascii = self.utf8 if text.isascii() else self.utf8.translate(_ASCII_OR_MARK, CONTINUATION)

    def digit_after(self, at: int) -> int:
        """Where the first digit from `at` on stands; the text's length where there is none."""
        known_from, digit = self._digit
        if not known_from <= at <= digit:
            match = _DIGIT.search(self.text, at)
            self._digit = at, digit = at, match.start() if match else len(self.text)
        return digit

    @_View
    def low(self) -> str:
        """The text in lower case, `?` for what is not ASCII."""
        return self.text.lower() if self.text.isascii() else self.ascii.decode().lower()

    @_View
    def plain(self) -> str:
        """The text without escape sequences."""
        return without_escapes(self.text)

    @_View
    def plain_utf8(self) -> bytes:
        """`plain` in UTF-8; of what is not ASCII it is longer than the text."""
        return self.utf8 if self.plain is self.text else self.plain.encode("utf-8", "surrogatepass")

    @_View
    def plain_ascii(self) -> bytes:
        """`plain`, one byte per character."""
        return self.ascii if self.plain is self.text else _first_bytes(self.plain_utf8, _ASCII_OR_MARK)

    @_View
    def alnum(self) -> tuple[bytes, ...]:
        """The letters and digits alone, of the text and of `plain`."""
        return tuple([view.translate(None, NOT_ALNUM) for view in self._with_and_without_escapes])

    @_View
    def alnum_places(self) -> tuple[list[int], ...]:
        """The place of each of `alnum` in the text."""
        views = self._with_and_without_escapes
        return tuple([at for at, code in enumerate(view) if code not in _OTHERS] for view in views)

    @property
    def _with_and_without_escapes(self) -> tuple[bytes, ...]:
        return (self.ascii,) if self.plain is self.text else (self.ascii, self.plain_ascii)

    @_View
    def joined(self) -> Rewritten | None:
        """The text without its line breaks; None where it has none."""
        if not any(sign in self.text for sign in _BREAK_SIGNS):
            return None
        return Rewritten(self.text, _BREAK, lambda _: "")

    @_View
    def decoded(self) -> Rewritten | None:
        r"""The text with \u escapes, escaped slashes and %XX decoded, as they spell names; None where it has none."""
        if self.depth >= _MOST_DECODED:
            return None
        view = Rewritten(self.text, _ENCODED, _decoded)
        view.scan.depth = self.depth + 1
        return view if view.scan.text != self.text else None

    @_View
    def runs(self) -> list[tuple[int, int]]:
        """Where `plain` has 20 or more letters, digits, `_`, `.` or `-` in a row."""
        return list(runs_of(_LONG, self.plain_ascii.translate(_IS_TOKEN)))

    @_View
    def reduced(self) -> bytes:
        """`plain` in small letters, one byte per character: a mark for an accent, a space for what is no letter."""
        return _first_bytes(self.plain_utf8, REDUCED)

    @_View
    def words(self) -> list[bytes]:
        """The words of `reduced`."""
        return self.reduced.split()

    def anchors(self, literal: str) -> Iterator[int]:
        """Where `literal` (lower case) stands in the text, in any case."""
        find, step = self.low.find, len(literal)
        at = find(literal)
        while at >= 0:
            yield at
            at = find(literal, at + step)


def runs_of(shortest: bytes, mapped: bytes) -> Iterator[tuple[int, int]]:
    """Where `mapped`, which is `x` and spaces, has at least as many `x` in a row as `shortest`."""
    start = mapped.find(shortest)
    while start >= 0:
        end = mapped.find(b" ", start)
        end = end if end >= 0 else len(mapped)
        yield start, end
        start = mapped.find(shortest, end)
