"""The operator's own patterns (OBSERVABILITY_REDACT_PATTERNS), one regular expression a line.

RE2 compiles them: it takes linear time for any pattern and text, where `re` may take forever while it holds the
interpreter. It has no look-around, no back-references and no possessive repetition.
"""

import re
from collections.abc import Iterator
from typing import Any

from .. import settings
from .scan import Span

try:
    import re2
except ImportError:  # optional: it is needed only where patterns are set
    re2 = None

_WINDOW, _OVERLAP = 4096, 2048  # characters
_MOST_STEPS = 1_000  # of a compiled pattern; one step takes up to 15 ns a character, so a window takes 60 ms at most
_SURROGATE = re.compile("[\ud800-\udfff]")  # cannot be written in UTF-8, which RE2 reads


def operator_patterns(text: str) -> list[Any]:
    """Return the compiled patterns. Raises SettingError on the first that is refused."""
    return [_compiled(line.strip()) for line in text.splitlines() if line.strip()]


def _compiled(line: str) -> Any:
    if re2 is None:
        raise _refusal(line, "patterns need google-re2: pip install google-re2")
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(line, options)
    except re2.error as error:
        raise _refusal(line, f"{_words_of(error)} (RE2 has no look-around and no back-references)") from error
    if pattern.match(""):
        raise _refusal(line, "it matches the empty text")
    if pattern.programsize > _MOST_STEPS:
        raise _refusal(line, "it is too large: write + or * for a repetition that counts far, as {1,500}")
    return pattern


def operator_spans(pattern: Any, text: str) -> Iterator[Span]:
    """Yield the pattern's matches: whole up to 2,048 characters, of a longer one perhaps a part.

    The text is read in windows, between which other threads run. A character on either side of a window gives `^`,
    `$` and `\\b` their meaning.
    """
    text = _SURROGATE.sub("?", text) if not text.isascii() else text
    for start in range(0, max(len(text) - _OVERLAP, 1), _WINDOW - _OVERLAP):
        end, before = min(start + _WINDOW, len(text)), min(start, 1)
        for match in pattern.finditer(text[start - before : end + 1], before, before + end - start):
            first, last = (start - before + offset for offset in match.span())
            whole = last < end or end == len(text) or first < end - _OVERLAP
            if last > first and whole:  # else the next window has it, and what follows
                yield Span(first, last, "operator")


def _words_of(error: Exception) -> str:
    message = error.args[0]
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)


def _refusal(line: str, reason: str) -> settings.SettingError:
    return settings.SettingError(f"OBSERVABILITY_REDACT_PATTERNS has {line!r}, which is refused: {reason}")
