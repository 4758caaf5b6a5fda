"""All redaction rules: to add one, add an entry to `RULES`, or to `key_formats.txt` for a key format.

The operator's own patterns (OBSERVABILITY_REDACT_PATTERNS, one regular expression per line) are compiled by RE2, which
takes linear time for any pattern and text; `re` may take forever and block all threads. RE2 has no look-around, no
back-references and no possessive repetition.
"""

import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from copy import copy
from functools import partial
from typing import Any, NamedTuple

from .. import settings
from .assignments import COMMAND_HINT, FOREIGN_HINT, NAME_HINT, arguments, foreign_names, named
from .environment import secret_values
from .http import HEADER_HINT, URL_HINT, headers, urls
from .key_formats import FORMAT_RULES, PEM_HINT, formats, pem_keys
from .names import NONE, strength
from .own_secrets import LINE_TAG, OwnSecrets, own_spans
from .scan import ENCODED_HINT, LONG_RUN_HINT, Rewritten, Scan, Span, pieces, shifted
from .seed_phrases import PHRASE_HINT, may_hold_phrase, seed_phrases
from .wallets import BYTES_HINT, HASH_LENGTHS, byte_arrays, wallet_keys

try:
    import re2
except ImportError:
    # Without google-re2, every rule runs on every text, and the operator's patterns are refused.
    re2 = None

Finder = Callable[[Scan], Iterable[Span]]


class Rule(NamedTuple):
    """A kind of secret, and the search for it.

    `hint` is a case-insensitive RE2 expression. It matches every text in which `spans` may find anything, and few other
    texts. All hints are tested in one pass over a text, and only the rules whose hint matches run on it.
    """

    markers: str  # the names that the rule's markers show, separated by blanks
    spans: Finder
    hint: str


# If two rules match the same part of a text, the marker names the earlier rule. Secrets of the environment come before
# all rules.
RULES = (
    Rule("seed-phrase", seed_phrases, PHRASE_HINT),
    Rule("solana-secret-key evm-private-key wif-private-key extended-private-key", wallet_keys,
         LONG_RUN_HINT),
    Rule("solana-secret-key", byte_arrays, BYTES_HINT),
    Rule("pem-private-key", pem_keys, PEM_HINT),
    Rule(" ".join(FORMAT_RULES), formats, LONG_RUN_HINT),
    Rule("url-credentials rpc-url webhook-url", urls, URL_HINT),
    Rule("authorization", headers, HEADER_HINT),
    Rule("named-secret", named, NAME_HINT),
    Rule("named-secret", foreign_names, FOREIGN_HINT),
    Rule("named-secret", arguments, COMMAND_HINT),
)  # fmt: skip
MARKERS = {"own-secret", "operator"}.union(*(rule.markers.split() for rule in RULES))


class Prefilter:
    """Determines which of many RE2 expressions match a text. RE2 does so in linear time, in one pass, without the GIL.

    If google-re2 is missing or runs out of memory, all expressions count as matching: running a rule without need costs
    only time.
    """

    def __init__(self, expressions: Sequence[str]) -> None:
        self._all, self._always = list(range(len(expressions))), len(expressions)
        self._compiled = _compiled_set([*expressions, r"\z"])  # \z matches every text

    def matches(self, views: Sequence[bytes]) -> list[int]:
        """Return the numbers of the expressions that match at least one of the views, in ascending order."""
        numbers: set[int] = set()
        for view in views:
            matching = (self._compiled and self._compiled.Match(view)) or ()
            if self._always not in matching:  # RE2 reports no match when out of memory
                return self._all
            if len(matching) > 1:
                numbers.update(matching)
        return sorted(numbers - {self._always}) if numbers else []


def _compiled_set(expressions: Sequence[str]) -> Any:
    if re2 is None:
        return None
    options = re2.Options()
    options.case_sensitive, options.never_capture, options.log_errors = False, True, False
    options.encoding = re2.Options.Encoding.LATIN1  # RE2 then matches bytes, which is a third faster
    options.max_mem = 1 << 26
    compiled = re2.Set.SearchSet(options)
    for expression in expressions:
        compiled.Add(expression)
    compiled.Compile()
    return compiled


def _searched_views(scan: Scan) -> list[bytes]:
    """Return the versions of the text to search, as bytes: unchanged, without escapes, and without escapes and `<br>`.

    The letters `br` would otherwise be taken for part of a secret.
    """
    views = [scan.utf8]
    if scan.plain is not scan.text:
        views.append(scan.plain_utf8)
    # The search for the single character `<` is much faster, and dismisses most texts.
    if "<" in scan.text and ("<br" in scan.text or "<BR" in scan.text):
        views.append(LINE_TAG.sub(b"", scan.plain_utf8))
    return views


class Finders(NamedTuple):
    """The searches that a text needs, in order of precedence. Most texts need none."""

    spread: list[Finder]  # searches for secrets that may be spread over several texts
    others: list[Finder]


# Maximum number of texts that are remembered as free of secrets. Names, models, symbols and system prompts recur in
# every row, and are therefore searched only once.
_MAX_CLEAN = 4096
_forks = 0


class Rules:
    """The rules for given secrets of the environment and given settings."""

    _searches_phrases = True

    def __init__(self, secrets: tuple[str, ...], patterns: str, allowed: str) -> None:
        self.secrets = secrets
        self.made_of = (patterns, allowed, _forks)
        self.own = OwnSecrets(secrets)
        self.clean: set[int] = set()  # hashes of what needs no second search: texts, all keys of a dict, small dicts
        self._allowed = [text for text in map(str.strip, allowed.split(",")) if text]
        self._finders: list[Finder] = [*(rule.spans for rule in RULES[1:]), self._in_decoded]
        phrases, *others = [rule.hint for rule in RULES]
        # Phrases have a prefilter of their own, since RE2 needs many states to count the words of a phrase.
        self._phrase_hint = Prefilter([phrases])
        self._hints = Prefilter([*others, ENCODED_HINT, *self.own.hints])
        try:
            self.patterns, self.refused = operator_patterns(patterns), False
        except settings.SettingError:
            self.patterns, self.refused = [], True
        self.without_phrases = copy(self)  # the rules for texts that were already searched for seed phrases
        self.without_phrases._searches_phrases = False

    def finders(self, scan: Scan) -> Finders:
        """Return the searches needed for the text."""
        views = _searched_views(scan)
        numbers = self._hints.matches(views)
        spread = self._own_in(scan, numbers) if numbers or self.own.short else []
        if self._searches_phrases and self._phrase_hint.matches(views) and may_hold_phrase(scan):
            spread.append(seed_phrases)
        return Finders(spread, [self._finders[number] for number in numbers if number < len(self._finders)])

    def _own_in(self, scan: Scan, numbers: Sequence[int]) -> list[Finder]:
        first = len(self._finders)
        forms = self.own.forms([number - first for number in numbers if number >= first], scan)
        return [partial(own_spans, forms)] if forms else []

    def own_spans(self, scan: Scan) -> Iterator[Span]:
        """Yield the places of the environment's secrets in the text."""
        for find in self._own_in(scan, self._hints.matches(_searched_views(scan))):
            yield from find(scan)

    def spans(self, text: str) -> Iterator[list[Span]]:
        """Yield the spans to mask: a list for each piece of the text, then a list for each of the operator's patterns.

        Within a list, the spans of earlier rules come first.
        """
        for start, piece in pieces(text, self.own.longest):
            yield self._without_allowed(text, shifted(self._spans_of(Scan(piece)), start))
        for pattern in self.patterns:
            yield self._without_allowed(text, operator_spans(pattern, text))

    def _spans_of(self, scan: Scan) -> Iterator[Span]:
        spread, others = self.finders(scan)
        for find in (*spread, *others):
            yield from find(scan)

    def _in_decoded(self, scan: Scan) -> Iterator[Span]:
        if decoded := scan.decoded:
            for pattern in self.patterns:
                yield from _originals(decoded, operator_spans(pattern, decoded.scan.text))
            yield from _originals(decoded, self._spans_of(decoded.scan))

    def remember(self, texts: Iterable[Hashable]) -> None:
        """Store the hashes of texts without a secret. Stores nothing while the operator's patterns are refused."""
        if self.refused:
            return
        if len(self.clean) >= _MAX_CLEAN:
            self.clean.clear()
        self.clean.update(map(hash, texts))

    def _without_allowed(self, text: str, spans: Iterable[Span]) -> list[Span]:
        """Return the spans that are not inside a string allowed by the operator."""
        return [span for span in spans if not (self._allowed and self._allows(text, span))]

    def _allows(self, text: str, span: Span) -> bool:
        return any(
            text.find(allowed, max(0, span.end - len(allowed)), span.start + len(allowed)) >= 0
            for allowed in self._allowed
            if len(allowed) >= span.end - span.start
        )


def _originals(text: Rewritten, spans: Iterable[Span]) -> Iterator[Span]:
    return (Span(*text.original(start, end), rule) for start, end, rule in spans)


def names_cookies(name: str) -> bool:
    """Whether a field of this name holds cookies."""
    return name.lower().endswith("cookie")


def depends_on_others(text: str) -> bool:
    """Whether this text must be judged together with its neighbours.

    It must if it names a secret or cookies (a neighbour may hold them), or is as long as 32 bytes in hex (a neighbour
    may name them).
    """
    return len(text) in HASH_LENGTHS or strength(text) != NONE or names_cookies(text.removesuffix("s"))


_current: Rules | None = None


def current_rules() -> Rules:
    """The rules for the current environment, rebuilt if a secret or a setting has changed."""
    global _current
    secrets = secret_values()
    patterns = settings.read("OBSERVABILITY_REDACT_PATTERNS") or ""
    allowed = settings.read("OBSERVABILITY_REDACT_ALLOW") or ""
    rules = _current
    if rules is None or rules.secrets is not secrets or rules.made_of != (patterns, allowed, _forks):
        rules = _current = Rules(secrets, patterns, allowed)
    return rules


def _count_fork() -> None:
    """Make a forked child process rebuild its rules: it may have inherited a lock inside RE2 that is never released."""
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


# ── The operator's patterns ──────────────────────────────────────────────────────────────────────────────────────────

_WINDOW, _OVERLAP = 4096, 2048  # a text is searched in windows; sizes of a window and of its overlap in characters
# Maximum number of steps in a compiled pattern. At 15 ns per step and character, a window takes at most 60 ms.
_MOST_STEPS = 1_000
_SURROGATE = re.compile("[\ud800-\udfff]")  # surrogates cannot be encoded in UTF-8, which RE2 reads


def check_patterns() -> None:
    """Compile the operator's patterns.

    Raises:
        SettingError: names the first refused pattern and the reason. Until the pattern is corrected, `redact` replaces
            every text with a placeholder: the journal would otherwise keep texts that the operator wants hidden.
    """
    operator_patterns(settings.setting("OBSERVABILITY_REDACT_PATTERNS") or "")


def operator_patterns(text: str) -> list[Any]:
    """Return the compiled patterns. Raises SettingError on the first invalid pattern."""
    return [_compiled(line.strip()) for line in text.splitlines() if line.strip()]


def _compiled(line: str) -> Any:
    if re2 is None:
        raise _refusal(line, "patterns need google-re2: pip install google-re2")
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(line, options)
    except re2.error as error:
        raise _refusal(line, f"{_reason(error)} (RE2 has no look-around and no back-references)") from error
    if pattern.match(""):
        raise _refusal(line, "it matches the empty text")
    if pattern.programsize > _MOST_STEPS:
        raise _refusal(line, "it is too large: write + or * instead of a high count such as {1,500}")
    return pattern


def operator_spans(pattern: Any, text: str) -> Iterator[Span]:
    """Yield the pattern's matches. A match over 2,048 characters may be yielded only in part.

    The text is searched in windows, so that other threads run in between. Each window includes one more character on
    either side, for `^`, `$` and `\\b`.
    """
    text = _SURROGATE.sub("?", text) if not text.isascii() else text
    for start in range(0, max(len(text) - _OVERLAP, 1), _WINDOW - _OVERLAP):
        end, before = min(start + _WINDOW, len(text)), min(start, 1)
        for match in pattern.finditer(text[start - before : end + 1], before, before + end - start):
            first, last = (start - before + offset for offset in match.span())
            whole = last < end or end == len(text) or first < end - _OVERLAP
            if last > first and whole:  # other matches belong to the next window
                yield Span(first, last, "operator")


def _reason(error: Exception) -> str:
    message = error.args[0]
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)


def _refusal(line: str, reason: str) -> settings.SettingError:
    return settings.SettingError(f"OBSERVABILITY_REDACT_PATTERNS has {line!r}, which is refused: {reason}")
