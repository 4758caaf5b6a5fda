"""
🌙 Moon Dev's Redaction
Built with love by Moon Dev 🚀

A secret is masked here, before anything touches disk or wire: `redact(value)` for anything, `redact_text(text)` for a
line. A match becomes `[REDACTED:rule]`; what cannot be redacted becomes `[NOT RECORDED: why]`, never the original.
`docs/redaction.md` says what is covered and what is not.

    redact ─▶ walk ─▶ redact_text ─▶ Scan ─▶ rules ─▶ spans ─▶ markers
                                             own secrets           redaction_own.py
                                             wallets, seeds        redaction_wallets.py, redaction_seeds.py
                                             shapes of keys        redaction_rules.py
                                             names, headers, URLs  redaction_names.py
                                             the operator's        below
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from src import config
from src.observability.redaction_names import STRONG, WEAK, headers, is_value, looks_random, named, strength, urls
from src.observability.redaction_own import OwnSecrets
from src.observability.redaction_rules import SHAPES, pem_keys, shapes
from src.observability.redaction_scan import Scan, Span
from src.observability.redaction_seeds import seed_phrases
from src.observability.redaction_wallets import byte_arrays, is_keypair, is_secret_numbers, wallet_keys

# Where two rules claim the same text, the earlier one names it.
_FINDERS: tuple[Callable[[Scan], Iterable[Span]], ...] = (
    seed_phrases, wallet_keys, byte_arrays, pem_keys, shapes, urls, headers, named,
)  # fmt: skip

RULES = frozenset(SHAPES) | {
    "authorization", "evm-private-key", "extended-private-key", "named-secret", "operator", "own-secret",
    "pem-private-key", "rpc-url", "seed-phrase", "solana-secret-key", "url-credentials", "webhook-url",
    "wif-private-key",
}  # fmt: skip

CYCLE = "[NOT RECORDED: cycle]"
TOO_DEEP = "[NOT RECORDED: too deep]"
TOO_MANY = "[NOT RECORDED: too many items]"
TOO_LONG = "[NOT RECORDED: text too long]"
NO_TEXT = "[NOT RECORDED: no text can be made of it]"
BINARY = "[NOT RECORDED: binary data]"
BAD_PATTERN = "[NOT RECORDED: OBSERVABILITY_REDACT_PATTERNS is refused]"
FAILED = "[NOT RECORDED: redaction failed]"
_PLACEHOLDERS = (CYCLE, TOO_DEEP, TOO_MANY, TOO_LONG, NO_TEXT, BINARY, BAD_PATTERN, FAILED)

MAX_DEPTH = 32
MAX_ITEMS = 100_000  # of all containers of one value together
MAX_TEXT = 16_000_000  # characters; four times what the largest context windows hold
_PASSES = 8

# Our own markers are left alone, so that redaction of redacted text changes nothing.
_MARKERS = re.compile(rf"(\[REDACTED:(?:{'|'.join(sorted(RULES))})\]|{'|'.join(map(re.escape, _PLACEHOLDERS))})")


def redact(value: Any) -> Any:
    """`value` without secrets, as plain data of the same shape; never raises.

    Strings are redacted anywhere, keys and values; a field whose name says secret is masked whole. Numbers, booleans
    and None stay, sets become lists, any other object becomes its redacted text. A string without a match is returned
    as the same object.
    """
    try:
        return _Walk().redacted(value, 0)
    except Exception:  # noqa: BLE001 - fail closed: a field that cannot be redacted is not recorded
        return FAILED


def redact_text(text: str) -> str:
    """`text` without secrets; the same object where there are none; never raises."""
    try:
        return _redacted(text, _rules())
    except Exception:  # noqa: BLE001 - fail closed
        return FAILED


def check_patterns() -> None:
    """Compile the operator's patterns.

    Raises:
        SettingError: naming the first pattern that is refused, and why. Until it is corrected, `redact` records no text
            at all (as a malformed LANGFUSE_CAPTURE_INPUT records no prompts): what the operator wanted hidden is
            unknown, and a journal cannot be unwritten.
    """
    _operator_patterns(config.OBSERVABILITY_REDACT_PATTERNS or "")


# A repetition inside a repetition, (a+)+, may take exponential time; `re` cannot be interrupted.
_NESTED_REPETITION = re.compile(r"\((?:[^()\\]|\\.)*(?:[*+]|,\})(?!\+)(?:[^()\\]|\\.)*\)(?:[*+]|\{\d*,\d*\})")


def _operator_patterns(text: str) -> list[re.Pattern[str]]:
    return [_operator_pattern(line.strip()) for line in text.replace("\\n", "\n").splitlines() if line.strip()]


def _operator_pattern(line: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(line)
    except (re.error, RecursionError, OverflowError) as error:
        raise _refusal(line, str(error)) from error
    if pattern.match(""):
        raise _refusal(line, "it matches the empty text")
    if _NESTED_REPETITION.search(line):
        raise _refusal(line, "a repetition inside a repetition may take forever")
    return pattern


def _refusal(line: str, reason: str) -> config.SettingError:
    return config.SettingError(f"OBSERVABILITY_REDACT_PATTERNS has {line!r}, which is refused: {reason}")


class _Rules:
    """What one state of the environment and settings asks for."""

    def __init__(self, secrets: tuple[str, ...], patterns: str, allowed: str) -> None:
        self.made_of = (secrets, patterns, allowed)
        self.own = OwnSecrets(secrets)
        self.allowed = [text for text in map(str.strip, allowed.split(",")) if text]
        try:
            self.patterns, self.refused = _operator_patterns(patterns), False
        except config.SettingError:
            self.patterns, self.refused = [], True

    def spans(self, scan: Scan) -> list[Span]:
        """What is to be masked in the text, in order of precedence."""
        found = [*self.own.spans(scan)]
        for finder in _FINDERS:
            found += finder(scan)
        for pattern in self.patterns:
            found += [Span(*match.span(), "operator") for match in pattern.finditer(scan.text) if match.group()]
        if scan.decoded:
            inner = self.spans(scan.decoded.scan)
            found += [Span(*scan.decoded.original(start, end), rule) for start, end, rule in inner]
        return found

    def allows(self, text: str, span: Span) -> bool:
        """Whether the span lies inside a string that the operator allows."""
        return any(
            text.find(allowed, max(0, span.end - len(allowed)), span.start + len(allowed)) >= 0
            for allowed in self.allowed
            if len(allowed) >= span.end - span.start
        )


_current = _Rules((), "", "")


def _rules() -> _Rules:
    """The rules for the environment as it is now: rebuilt when a secret or a setting changed."""
    global _current
    secrets = config.secret_values()
    patterns, allowed = config.OBSERVABILITY_REDACT_PATTERNS or "", config.OBSERVABILITY_REDACT_ALLOW or ""
    known = _current.made_of
    if secrets is not known[0] or patterns != known[1] or allowed != known[2]:
        _current = _Rules(secrets, patterns, allowed)
    return _current


def _redacted(text: str, rules: _Rules) -> str:
    if rules.refused:
        return text if _MARKERS.fullmatch(text) else BAD_PATTERN
    if len(text) > MAX_TEXT:
        return TOO_LONG
    for _ in range(_PASSES):  # a mask may uncover another match beside it; the second pass nearly always finds none
        done = _masked_beside_markers(text, rules)
        if done is text:
            return text
        text = done
    return FAILED


def _masked_beside_markers(text: str, rules: _Rules) -> str:
    if "[REDACTED:" not in text and "[NOT RECORDED:" not in text:
        return _masked(text, rules)
    parts = _MARKERS.split(text)
    done = [part if at % 2 else _masked(part, rules) for at, part in enumerate(parts)]
    return text if all(map(_is, parts, done)) else "".join(done)


def _is(one: str, other: str) -> bool:
    return one is other


def _masked(text: str, rules: _Rules) -> str:
    if len(text) < 4:  # nothing that short is a secret
        return text
    spans = [span for span in rules.spans(Scan(text)) if not rules.allows(text, span)]
    if not spans:
        return text
    parts, done = [], 0
    for start, end, rule in _merged(spans):
        parts += [text[done:start], f"[REDACTED:{rule}]"]
        done = end
    return "".join([*parts, text[done:]])


def _merged(spans: Sequence[Span]) -> Iterator[Span]:
    """Overlapping spans as one, named by the rule of highest precedence among them."""
    ranked = sorted((span.start, -span.end, rank, span) for rank, span in enumerate(spans))
    start, end, best = ranked[0][3].start, ranked[0][3].end, ranked[0][2]
    for _, _, rank, span in ranked[1:]:
        if span.start >= end:
            yield Span(start, end, spans[best].rule)
            start, end, best = span.start, span.end, rank
        end, best = max(end, span.end), min(best, rank)
    yield Span(start, end, spans[best].rule)


class _Walk:
    """One pass over one value: what is open above it, and how much of the bound is left."""

    def __init__(self) -> None:
        self._rules = _rules()
        self._open: set[int] = set()
        self._left = MAX_ITEMS

    def redacted(self, value: Any, depth: int) -> Any:
        """`value` without secrets."""
        kind = type(value)
        if kind is str:
            return _redacted(value, self._rules)
        if value is None or kind in (int, float, bool):
            return value
        if isinstance(value, dict | list | tuple | set | frozenset):
            return self._container(value, depth)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._binary(bytes(value))
        return _redacted(_text_of(value), self._rules)

    def _container(self, value: Any, depth: int) -> Any:
        if id(value) in self._open:
            return CYCLE
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        self._left -= len(value)
        if self._left < 0:
            return TOO_MANY
        self._open.add(id(value))
        try:
            return self._dict(value, depth + 1) if isinstance(value, dict) else self._list(value, depth + 1)
        finally:
            self._open.discard(id(value))

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        values = list(value.values())
        if is_secret_numbers(values):
            return "[REDACTED:solana-secret-key]"
        done: dict[Any, Any] = {}
        for name, inner in zip(value, self._together(values, depth, list(value)), strict=True):
            done[self._key(name, done)] = inner
        return done

    def _key(self, name: Any, taken: dict[Any, Any]) -> Any:
        key = name if type(name) in (int, float, bool, type(None)) else _redacted(_text_of(name), self._rules)
        fresh, count = key, 1
        while fresh in taken:
            count += 1
            fresh = f"{key} ({count})"
        return fresh

    def _list(self, value: Any, depth: int) -> Any:
        items = list(value)
        if is_secret_numbers(items):
            return "[REDACTED:solana-secret-key]"
        if len(items) == 2 and type(items[0]) in (str, bytes) and type(items[1]) is str:  # a header
            items = [items[0], self._named(self.redacted(items[0], depth), items[1], depth)]
        done = self._together(items, depth, None)
        return tuple(done) if isinstance(value, tuple) else done

    def _together(self, items: list[Any], depth: int, names: list[Any] | None) -> list[Any]:
        """The items redacted; as a seed phrase may be spread over twelve of them, short strings are read in a row."""
        masked = _phrase_in(items) if len(items) >= 12 else frozenset()
        done = []
        for at, item in enumerate(items):
            if at in masked:
                done.append("[REDACTED:seed-phrase]")
            else:
                done.append(self._named(names[at], item, depth) if names else self.redacted(item, depth))
        return done

    def _named(self, name: Any, value: Any, depth: int) -> Any:
        """The value of a field: masked whole where the name says secret."""
        level = strength(_text_of(name))
        done = self.redacted(value, depth)
        if level == WEAK and type(done) is str and looks_random(done):
            return "[REDACTED:named-secret]"
        return _all_masked(done) if level == STRONG else done

    def _binary(self, value: bytes) -> str:
        if is_keypair(value):
            return "[REDACTED:solana-secret-key]"
        try:
            return _redacted(value.decode(), self._rules)
        except UnicodeDecodeError:
            return BINARY


def _all_masked(value: Any) -> Any:
    """A field named as a secret: its text, its number or its list of these is masked; deeper data speaks for itself."""
    if type(value) is str:
        return value if _MARKERS.fullmatch(value) or not is_value(value) else "[REDACTED:named-secret]"
    if type(value) is int:
        return "[REDACTED:named-secret]"
    if isinstance(value, list | tuple) and all(type(item) in (str, int) for item in value) and value:
        return "[REDACTED:named-secret]" if type(value[0]) is int else type(value)(map(_all_masked, value))
    return value


_PHRASE_WORD = 24  # characters: a word, its number, its quotes


def _phrase_in(items: Sequence[Any]) -> frozenset[int]:
    """Which of the items make up a seed phrase, one word an item."""
    words = [item if type(item) is str and len(item) <= _PHRASE_WORD else "0" for item in items]
    text = "\n".join(words)
    spans = list(seed_phrases(Scan(text)))
    found, start = set(), 0
    for at, word in enumerate(words):
        if any(span.start < start + len(word) and start < span.end for span in spans):
            found.add(at)
        start += len(word) + 1
    return frozenset(found)


def _text_of(value: Any) -> str:
    """`str(value)`, exactly a string; a placeholder where that fails."""
    try:
        return str.__str__(value) if isinstance(value, str) else "".join(str(value))
    except Exception:  # noqa: BLE001 - an object's own __str__ may do anything
        return NO_TEXT
