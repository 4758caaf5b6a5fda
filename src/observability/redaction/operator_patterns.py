"""
🌙 Moon Dev's Redaction of the Operator's Own
Built with love by Moon Dev 🚀

OBSERVABILITY_REDACT_PATTERNS: regular expressions, one a line. `re` cannot be interrupted and holds the interpreter's
lock, so a pattern that takes exponential time would stop trading. It does where what repeats can be read in several
ways, a repetition or a choice inside a repetition: such are refused at the start, by their text, with what to write
instead. Polynomial time is bounded by searching a window at a time, between which other threads run.
"""

import math
import re
from collections.abc import Iterator

from .. import settings
from .scan import Span

_PARTS = re.compile(
    r"(?P<open>\(\??)|\||(?P<part>(?P<close>\))|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^()|])"
    r"(?:(?P<many>[*+?]|\{\d+\}|\{\d*,\d*\})(?P<how>[+?])?)?",
    re.DOTALL,
)
_FEW = 8  # times: a repetition of up to as many may hold choices, as in (?:\d{1,3}\.){3}
_WINDOW, _OVERLAP = 4096, 2048  # characters
_CURE = "write what repeats as one class, as [a-z-]+ for (?:[a-z]+-)+ and [^,]* for .*"


def operator_patterns(text: str) -> list[re.Pattern[str]]:
    """The patterns of OBSERVABILITY_REDACT_PATTERNS, one a line. Raises SettingError on the first that is refused."""
    return [_operator_pattern(line.strip()) for line in text.splitlines() if line.strip()]


def _operator_pattern(line: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(line)
    except (re.error, RecursionError, OverflowError) as error:
        raise _refusal(line, str(error)) from error
    if pattern.match(""):
        raise _refusal(line, "it matches the empty text")
    if _may_take_forever(line):
        raise _refusal(line, f"a repetition or a choice inside a repetition, or a second .*, may take forever: {_CURE}")
    return pattern


_FIXED, _CHOICE, _OPEN = 0, 1, 2  # how many readings a part has: one, a few, or as many as the text is long


def _may_take_forever(line: str) -> bool:
    groups = [_FIXED]  # how many readings there are of each group that is open
    wild = 0
    for part in _PARTS.finditer(line):
        least, most = _times(part["many"])
        readings = _CHOICE if part.group() == "|" or least != most else _FIXED
        wild += part["part"] == "." and most == math.inf
        if part["close"] and len(groups) > 1:
            inner = groups.pop()
            if (inner == _CHOICE and most > _FEW) or (inner == _OPEN and most > 1):
                return True
            readings = max(inner, readings)
        if part["open"]:
            groups.append(_FIXED)
        elif part["how"] != "+":  # possessive: what it has taken it never gives back
            groups[-1] = max(groups[-1], _OPEN if least != most and most > _FEW else readings)
    return wild > 1


def _times(quantifier: str | None) -> tuple[float, float]:
    """How often what stands before the quantifier is repeated, at least and at most."""
    if quantifier is None:
        return 1, 1
    if quantifier in _SIGNS:
        return _SIGNS[quantifier]
    least, comma, most = quantifier.strip("{}").partition(",")
    return int(least or 0), int(most) if most else math.inf if comma else int(least or 0)


_SIGNS = {"*": (0, math.inf), "+": (1, math.inf), "?": (0, 1)}


def operator_spans(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    """Where the pattern stands: exactly up to 2,048 characters, of a longer match perhaps a part."""
    for start in range(0, max(len(text) - _OVERLAP, 1), _WINDOW - _OVERLAP):
        end = min(start + _WINDOW, len(text))
        for match in pattern.finditer(text, start, end):
            whole = match.end() < end or end == len(text) or match.start() < end - _OVERLAP
            if match.group() and whole:  # else the next window has it, and what follows
                yield Span(*match.span(), "operator")


def _refusal(line: str, reason: str) -> settings.SettingError:
    return settings.SettingError(f"OBSERVABILITY_REDACT_PATTERNS has {line!r}, which is refused: {reason}")
