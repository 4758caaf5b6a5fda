"""
🌙 Moon Dev's Redaction Scan
Built with love by Moon Dev 🚀

One text under examination, in the views that the rules search. Every view keeps the text's offsets: a view differs
from the text only in characters that were replaced one for one.
"""

import re
import string
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple


class Span(NamedTuple):
    """`text[start:end]` is a secret; `rule` is the name in its marker."""

    start: int
    end: int
    rule: str


TOKEN_LETTERS = string.ascii_letters + string.digits + "_.-"
LONG_RUN = 20  # the shortest key that is known by its shape alone: AWS's, AKIA and 16 more

# Escapes whose last letter would stick to the word behind them: "\nsk-ant-…" in JSON, "%20sk-…", "\x1b[31msk-…".
_ESCAPE = re.compile(
    r"(?<!\\)\\++(?:[nrtfbv]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})|%[0-9a-fA-F]{2}|\x1b\[[0-9;]{0,12}m"
)  # backslashes are counted once, from the first of them
_ESCAPE_STARTS = ("\\", "%", "\x1b")
_IS_TOKEN = bytes(ord("x") if chr(code) in TOKEN_LETTERS else ord(" ") for code in range(256))
_LONG = b"x" * LONG_RUN


def without_escapes(text: str) -> str:
    """`text` with escape sequences overwritten by as many spaces; the same object where there are none."""
    if not any(start in text for start in _ESCAPE_STARTS):
        return text
    return _ESCAPE.sub(lambda match: " " * len(match.group()), text)


# A line break as it comes in wrapped text, in quotes of mail, between string literals, and escaped in JSON.
_BREAK = re.compile(
    r"[\"']?[ \t]{0,40}"
    r"(?:\\{0,4}[\r\n]{1,4}|\\{1,4}r\\{1,4}n|\\{1,4}n|<br ?/?>)[ \t]{0,40}(?:[>|#*\"']{1,3}[ \t]{0,8})?"
)
_BREAK_SIGNS = ("\n", "\r", "\\", "<br")


_UNICODE = re.compile(r"\\{1,4}u([0-9a-fA-F]{4})")


class Rewritten:
    """A text with some parts replaced, and the way back to its offsets."""

    def __init__(self, text: str, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> None:
        pieces: list[tuple[int, int, str]] = []  # where each piece of the new text stood, and what it says
        done = 0
        for match in pattern.finditer(text):
            pieces += [(done, match.start(), text[done : match.start()]), (*match.span(), replace(match))]
            done = match.end()
        self._pieces = [piece for piece in [*pieces, (done, len(text), text[done:])] if piece[2]]
        self._offsets = list(accumulate((len(piece[2]) for piece in self._pieces), initial=0))[:-1]
        self.scan = Scan("".join(piece[2] for piece in self._pieces))

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where `[start:end]` of the new text, which is not empty, stands in the old one."""
        return self._bounds(start)[0], self._bounds(end - 1)[1]

    def _bounds(self, offset: int) -> tuple[int, int]:
        at = bisect_right(self._offsets, offset) - 1
        start, end, said = self._pieces[at]
        if end - start != len(said):
            return start, end
        return start + offset - self._offsets[at], start + offset - self._offsets[at] + 1


class Scan:
    """A text and its views, each built when a rule first asks for it.

    Searching bytes for a literal takes about 0.5 ns a character, a regular expression that begins with a class 10 ns:
    so rules look for literals here first, and turn to an expression only where one stands.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.ascii = text.encode("ascii", "replace")  # one byte per character: offsets are the text's

    @cached_property
    def low(self) -> bytes:
        """The text in lower case, one byte per character."""
        return self.ascii.lower()

    @cached_property
    def plain(self) -> str:
        """The text without escape sequences."""
        return without_escapes(self.text)

    @cached_property
    def joined(self) -> Rewritten | None:
        """The text without its line breaks; None where it has none."""
        if not any(sign in self.text for sign in _BREAK_SIGNS):
            return None
        return Rewritten(self.text, _BREAK, lambda _: "")

    @cached_property
    def decoded(self) -> Rewritten | None:
        r"""The text with its \u escapes decoded, which in JSON spell whole words; None where it has none."""
        if "\\u" not in self.text or not _UNICODE.search(self.text):
            return None
        return Rewritten(self.text, _UNICODE, lambda match: chr(int(match[1], 16)))

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """Where `plain` has 20 or more letters, digits, `_`, `.` or `-` in a row."""
        return list(_long_runs(self.plain))

    def anchors(self, literal: bytes) -> Iterator[int]:
        """Where `literal` (lower case) stands in the text, in any case."""
        at = self.low.find(literal)
        while at >= 0:
            yield at
            at = self.low.find(literal, at + len(literal))


def _long_runs(plain: str) -> Iterator[tuple[int, int]]:
    mapped = plain.encode("ascii", "replace").translate(_IS_TOKEN)
    start = mapped.find(_LONG)
    while start >= 0:
        end = mapped.find(b" ", start)
        end = end if end >= 0 else len(mapped)
        yield start, end
        start = mapped.find(_LONG, end)
