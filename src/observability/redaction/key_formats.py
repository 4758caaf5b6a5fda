"""Recognises keys of model providers, payments, mail, nodes, databases, messengers and registries by their format.

A format is one line of `key_formats.txt`: its first letters, an expression for the rest, an example, and its source.
The expressions `_START` and `_BY_START` are built from these lines. The end of this file handles private keys in PEM.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, NamedTuple

from .scan import Scan, Span, marker, regex

_CLASSES = {  # parts of expressions; `key_formats.txt` refers to them by name, as in `{alnum}`
    "alnum": "[A-Za-z0-9]",
    "url": "[A-Za-z0-9_-]",
    "hex": "[0-9a-f]",
    "end": r"(?![A-Za-z0-9])",
    "uuid": "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "jumbled": r"(?=[A-Za-z_-]{0,60}\d)(?=[a-z0-9_-]{0,60}[A-Z])",  # needs digits and capitals (unlike `risk-service`)
    "mixed": "(?=[a-z_-]{0,30}[A-Z0-9])(?=[A-Z0-9_-]{0,30}[a-z])",  # needs small letters, and capitals or digits
    "kinds": "(?:proj|svcacct|admin|None|service|org)",  # the kinds of OpenAI's keys
}


class Format(NamedTuple):
    """The format of one kind of key. It is a line of `key_formats.txt`; the head of that file describes the columns."""

    rule: str  # the rule's name, which the marker shows
    starts: str  # the key's possible first letters, separated by blanks; empty for a format with `head`
    rest: str
    example: str
    unlike: str = "A-Za-z0-9"  # characters not allowed right before the key; if empty, all are allowed: `tokenghp_…`
    head: str = ""  # for a format without `starts`: an expression for a fixed part inside the key

    @property
    def pattern(self) -> str:
        """The expression for the whole key. It begins with a literal if possible, which `re` finds fastest."""
        starts = [re.escape(start) for start in self.starts.split()]
        if self.unlike:
            starts = [f"{start}(?<![{self.unlike}]{start})" for start in starts]
        return f"(?:{'|'.join(starts)}){self.rest}" if self.starts else self.rest


def _entry(line: str) -> Format:
    rule, starts, rest, example, *options = re.split(r"\s{2,}", line.partition("  # ")[0].strip())
    return Format(
        rule, "" if starts == "-" else starts, rest, example, **dict(option.split("=", 1) for option in options)
    )


def _entries() -> Iterator[Format]:
    """Yield the formats in `key_formats.txt`. If two formats match a key, the rule of the earlier one is used."""
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    for name, expression in _CLASSES.items():
        text = text.replace(f"{{{name}}}", expression)
    return (_entry(line) for line in text.splitlines() if line and not line.startswith("#"))


FORMATS = tuple(_entries())
FORMAT_RULES = frozenset(entry.rule for entry in FORMATS)

_STARTS = sorted({start for entry in FORMATS for start in entry.starts.split()})
# A Telegram token begins with a number and a separator, as in "1234567890:". Both together have at most 17 characters.
_TELEGRAM_ID = 17


def _by_first_letter(literals: list[str]) -> Iterator[str]:
    for letter, group in groupby(literals, key=lambda literal: literal[0]):
        yield f"{letter}(?:{'|'.join(re.escape(literal[1:]) for literal in group)})"


def _any_of(numbers: Iterable[int]) -> Any:
    return regex("|".join(f"(?P<f{number}>{FORMATS[number].pattern})" for number in numbers))


# Matches the `starts` of all formats, grouped by first letter. `re` tests all first letters as one set, and so
# dismisses a blockchain address in a fraction of a microsecond.
_START = regex("|".join(_by_first_letter(_STARTS)))
# The expressions of all formats whose keys begin with the same two letters. Only a handful of the hundred formats is
# therefore tried at each place.
_BY_START = {
    letters: _any_of(at for at, entry in enumerate(FORMATS) if any(s[:2] == letters for s in entry.starts.split()))
    for letters in {start[:2] for start in _STARTS}
}
_WITHOUT_START = [at for at, entry in enumerate(FORMATS) if not entry.starts]
_HEAD = regex("|".join(FORMATS[at].head for at in _WITHOUT_START))
_HEADED = _any_of(_WITHOUT_START)


def _of_letters_alone(entry: Format) -> bool:
    return re.sub(r"\{\w+\}", "", entry.example).isalnum()


# A run of only letters and digits is searched only if it begins with one of `_ALNUM_STARTS`, follows a separator in
# `_BEFORE_KEY`, or if the text contains one of `_GLUED_STARTS`. This dismisses whole pages of signatures and addresses.
_ALNUM_STARTS = tuple(start.encode() for entry in FORMATS if _of_letters_alone(entry) for start in entry.starts.split())
_GLUED_STARTS = tuple(
    start.encode()
    for entry in FORMATS
    if _of_letters_alone(entry) and "a-z" not in entry.unlike
    for start in entry.starts.split()
)
_BEFORE_KEY = b":|"  # separators inside Telegram's and Facebook's tokens


def formats(scan: Scan) -> Iterator[Span]:
    """Yield keys in one of the `FORMATS`. Only long runs of the characters that occur in keys are searched."""
    plain = scan.plain_ascii
    glued = bool(scan.runs) and any(start in plain for start in _GLUED_STARTS)
    covered = 0
    for start, end in scan.runs:
        may_be_one = glued or plain.startswith(_ALNUM_STARTS, start) or plain[start - 1] in _BEFORE_KEY
        if end <= covered or (not may_be_one and plain[start:end].isalnum()):
            continue
        for match in _matches(scan.plain, max(covered, start - _TELEGRAM_ID), end):
            covered = match.end()
            rule = FORMATS[int((match.lastgroup or "f0")[1:])].rule
            yield Span(match.start(), match.end(), rule)
            yield from _beside(match, rule)


def _matches(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    if _HEAD.search(text, start, end):
        yield from _HEADED.finditer(text, start, end)
    while literal := _START.search(text, start, end):
        at = literal.start()
        match = _BY_START[text[at : at + 2]].match(text, at)  # not limited to `end`: a key may be longer than the run
        start = match.end() if match else at + 1
        if match:
            yield match


# The secret half of an AWS key (40 letters of base64) and a Twilio account's token (32 hex digits) have no format of
# their own. They are recognised by the access key ID or account ID beside them. Sources: docs.aws.amazon.com/IAM
# (access keys), twilio.com/docs/iam/access-tokens.
_AWS_SECRET = regex(
    r"(?<![A-Za-z0-9+/])(?=[a-z0-9+/]{0,39}[A-Z])(?=[A-Z0-9+/]{0,39}[a-z])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])"
)
_AWS_REACH = 200  # maximum distance in characters from the access key ID
# Of 40 letters, `_WORDY` matches 29 or more in a path, but only about 9 in a random value.
_WORDY = regex("[a-z]{3,}|/")
_MOST_WORDY = 26
_TWILIO_TOKEN = regex(r"[\\\"'\s,:]{1,24}([0-9a-f]{32})(?![A-Za-z0-9])")


def _beside(match: re.Match[str], rule: str) -> Iterator[Span]:
    """Yield the secret beside the access key ID of AWS or the account ID of Twilio that `match` found."""
    if rule == "aws-key":
        around = max(0, match.start() - _AWS_REACH), match.end() + _AWS_REACH
        for secret in _AWS_SECRET.finditer(match.string, *around):
            if sum(max(3, len(part)) for part in _WORDY.findall(secret.group())) <= _MOST_WORDY:
                yield Span(*secret.span(), rule)
    elif rule == "twilio-key" and (token := _TWILIO_TOKEN.match(match.string, match.end())):
        yield Span(*token.span(1), rule)


# First and last lines of private keys in PEM (RFC 7468), of PGP (RFC 9580 section 6.2) and SSH2 (RFC 4716). In a
# submitted web form, each space is a plus.
_PEM_EDGE = regex(r"-{4,5} ?(?P<edge>BEGIN|END)[ +](?:[A-Z0-9]{1,20}[ +]){0,4}PRIVATE[ +]KEY(?:[ +]BLOCK)? ?-{4,5}")
PEM_HINT = "private[ +]key"
_PEM_LONGEST = 20_000  # maximum length of a key in characters; a key of 16,384 bits has 12,700
_PEM_GAP = 200  # maximum number of characters between two runs of base64: headers, or the wrapping of lines
_PEM_RUN = regex(r"[A-Za-z0-9+/=]{16,}")
_PEM_REST = regex(  # the last line of a key, which may be short
    r"[^\w+/=\n]{0,8}(?:\\{0,4}n|\n)?[^\w+/=\n]{0,8}[A-Za-z0-9+/=]{1,15}(?![A-Za-z0-9+/=])"
)


def pem_keys(scan: Scan) -> Iterator[Span]:
    """Yield private keys, from `-----BEGIN … PRIVATE KEY-----` to their last line. Lines may be wrapped in any way.

    If the last line is missing, the key ends where the base64 ends; if the first line is missing, it begins where the
    base64 begins.
    """
    covered = 0
    edges = list(_PEM_EDGE.finditer(scan.text))
    for edge, after in zip(edges, [*edges, None][1:], strict=True):
        if edge.end() > covered:
            start = _body_start(scan.text, covered, edge.start()) if edge["edge"] == "END" else edge.start()
            covered = edge.end() if edge["edge"] == "END" else _body_end(scan.text, edge.end(), after)
            yield Span(start, covered, "pem-private-key")


def without_pem_lines(items: list[Any]) -> list[Any]:
    """Replace with a marker each item that is a line of a private key. The items may be from `readlines`."""
    lines = [item if type(item) is str else "" for item in items]
    begins = list(accumulate((len(line) + 1 for line in lines), initial=0))
    masked = list(items)
    for start, end, rule in pem_keys(Scan("\n".join(lines))):
        for at in range(bisect_right(begins, start) - 1, bisect_left(begins, end)):
            masked[at] = marker(rule) if lines[at] else items[at]
    return masked


def _body_end(text: str, start: int, after: re.Match[str] | None) -> int:
    """Return where a key ends: after its last line, or, without a last line, after its base64."""
    limit = min(start + _PEM_LONGEST, after.start() if after else len(text))
    if after and after["edge"] == "END" and after.start() == limit:
        return after.end()
    end = start
    while run := _PEM_RUN.search(text, end, min(limit, end + _PEM_GAP)):
        end = run.end()
    rest = _PEM_REST.match(text, end, limit) if end > start else None
    return rest.end() if rest else end


def _body_start(text: str, covered: int, end: int) -> int:
    """Return where the base64 of a private key begins, if its first line is missing."""
    start = end
    for run in reversed(list(_PEM_RUN.finditer(text, max(covered, end - _PEM_LONGEST), end))):
        if start - run.end() > _PEM_GAP:
            break
        start = run.start()
    return start
