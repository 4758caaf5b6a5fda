"""BIP-39 seed phrases of 12, 15, 18, 21 and 24 words, confirmed by their checksum.

Phrases are found in the ten official languages, in upper or lower case, with any separator, numbered or labelled, alone
or inside prose. Sources: BIP-39, and bip-0039-wordlists.md for letters that a language treats as equal. A cheap
check comes first: most texts do not have twelve words of a list in a row.
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import cache, lru_cache, reduce
from hashlib import sha256
from itertools import groupby
from typing import Any

from mnemonic import Mnemonic

from .scan import CONTINUATION, REDUCED, Scan, Span, first_bytes, regex

RULE = "seed-phrase"
LANGUAGES = (
    "english", "japanese", "korean", "spanish", "chinese_simplified", "chinese_traditional", "french", "italian",
    "czech", "portuguese",
)  # fmt: skip
_LATIN = ("english", "spanish", "french", "italian", "czech", "portuguese")
LENGTHS = (12, 15, 18, 21, 24)
_FEWEST = min(LENGTHS)
# Words may be shortened to this number of letters, since four letters identify a word in BIP-39's Latin lists.
_CUT = 4
_ACCENTS = regex("[\u0300-\u036f]+")


@lru_cache(maxsize=8192)
def _folded(word: str) -> str:
    """`word` in lower case and without accents, which are optional in Spanish and French phrases.

    Japanese kana keep their voicing marks.
    """
    return word.lower() if word.isascii() else _unaccented(word)


def _unaccented(text: str) -> str:
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text.lower()))


@cache
def _wordlist(language: str) -> tuple[str, ...]:
    """The words of a language, read from its file on first use."""
    return tuple(Mnemonic(language).wordlist)


@cache
def _lists() -> dict[str, dict[str, int]]:
    """For each list of words, a dict from the folded word to its number in the list.

    A list's name is its language. Each Latin language has a second list, such as `english, cut`, of shortened words.
    """
    lists = {name: {_folded(word): at for at, word in enumerate(_wordlist(name))} for name in LANGUAGES}
    return lists | {f"{name}, cut": {word[:_CUT]: at for word, at in lists[name].items()} for name in _LATIN}


# ── Can the text contain a phrase? ───────────────────────────────────────────────────────────────────────────────────

# Words that may stand between the words of a seed phrase: labels of list items, HTML tags, parts of a line of a log
# or chat, and labels of a part of the seed phrase, as in `and the second half:`.
_LABELS = ("word", "index", "position", "number", "w")  # as in `word 3: …`, `{"index": 3, "word": …}`
_LEVELS = ("info", "debug", "warning", "warn", "error", "critical", "trace", "notice")
_KEYS = ("role", "content", "text", "value", "name", "type", "id", "w", "i", "n")
_ROLES = ("user", "assistant", "system", "tool")
_LINKS = ("and", "then", "the", "first", "second", "last", "next", "other", "remaining", "final", "six", "twelve")
_HALVES = ("half", "part", "words", "word", "rest")
_TAGS = ("li", "ol", "ul", "td", "tr", "p", "span", "div", "br", "b", "strong", "em", "code")
_BETWEEN = frozenset(
    word.encode()
    for word in (*_LABELS, *_LEVELS, *_KEYS, *_ROLES, *_LINKS, *_HALVES, *_TAGS, "seed", "mnemonic", "phrase", "to",
                 "st", "nd", "rd", "th", "t", "z", "utc")
)  # fmt: skip

# `PHRASE_HINT` matches any East Asian letter, and twelve or more words in a row that are as long as words of the BIP-39
# lists. Between them may be only the one- and two-letter words of `_BETWEEN`, small numbers and times of a log.
_LETTER = r"(?:[a-z](?-i:[\xcc\xcd][\x80-\xbf]){0,2}|(?-i:[\xc3-\xc5][\x80-\xbf]))"
_SHORT_WORD = "|".join(sorted(word.decode() for word in _BETWEEN if len(word) < 3))
_DIGITS = r"\d{1,4}(?:[.,]\d{1,9})?"
_SIGNS_AND_DIGITS = rf"(?-i:[^A-Za-z0-9\xc3-\xc5\xcc\xcd])+(?:{_DIGITS})?"
_APART = rf"(?:{_DIGITS}(?:{_SIGNS_AND_DIGITS})*|(?:{_SIGNS_AND_DIGITS})+)"
_NEXT_WORD = rf"(?:{_APART}(?:{_SHORT_WORD}))*{_APART}{_LETTER}{{3,9}}"
PHRASE_HINT = rf"{_LETTER}{{3,9}}(?:{_NEXT_WORD}){{{_FEWEST - 1}}}|(?-i:[\xe1\xe3-\xed])"
_REDUCED_WORD = regex(rb"[a-z\x01\x02]+")
_EAST_ASIAN_WORD = regex("[\u1100-\u11ff\u3041-\u309f\u4e00-\u9fff\uac00-\ud7a3]+")  # jamo, kana, CJK or hangul letters


@cache
def _latin() -> frozenset[bytes]:
    """The words of the six Latin lists, in the form that they have in `Scan.reduced`.

    Each word is included in three forms (accents composed, decomposed and left out), each form whole and shortened.
    """
    # one text of all words, since folding it is faster than folding each word
    words = " ".join(word for name in _LATIN for word in _wordlist(name))
    forms = " ".join((unicodedata.normalize("NFC", words), words, _unaccented(words))).split()
    return frozenset(first_bytes(" ".join((*forms, *(form[:_CUT] for form in forms))), REDUCED).split(b" "))


@cache
def _latin_or_between() -> frozenset[bytes]:
    return _latin() | _BETWEEN


@cache
def _east_asian() -> frozenset[bytes]:
    """The words of the four East Asian lists, in composed and in decomposed Unicode."""
    words = {word for name in LANGUAGES for word in _wordlist(name) if not _folded(word).isascii()}
    return frozenset(form.encode() for word in words for form in (word, unicodedata.normalize("NFC", word)))


# The first byte of a letter in UTF-8 tells whether it is kana, CJK or hangul. All letters of a listed word are of one
# kind. A clause of Japanese or Chinese prose has letters of several kinds, or more letters than a listed word.
_IS_EAST_ASIAN = bytes(
    ord("k" if code == 0xE3 else "c" if 0xE4 <= code <= 0xE9 else "h" if code == 0xE1 or 0xEA <= code <= 0xED else " ")
    for code in range(256)
)
_KINDS = frozenset({b"c"} | {kind * count for kind in (b"k", b"h") for count in range(1, 17)})
_CJK_SIGNS, _CJK_SIGN = "\u3000、。・「」", b"\xe3\x80"  # punctuation with the same first byte in UTF-8 as kana
_SIGNS = {  # first byte in UTF-8 -> expression for separators outside ASCII
    lead: regex(lead + b"[\x80-\xbf]" * rest)
    for lead, rest in ((b"\xc2", 1), (b"\xe2", 2), (b"\xe3\x80", 1), (b"\xef", 2), (b"\xf0", 3))
}
_SPACED = bytes(code if code >= 0x80 else ord(" ") for code in range(256))
_STRIDE = 3
_SAMPLED = b"\1" * (_FEWEST // _STRIDE)
_RUN = b"\1" * _FEWEST
_RUNS = regex(rb"\x01{12,}")


def _kinds(scan: Scan) -> bytes:
    """Return one byte for each character: `k` (kana), `c` (CJK), `h` (hangul) or a space (any other).

    The result is empty if the text has too few characters outside ASCII for a phrase.
    """
    few = len(scan.plain_utf8) <= len(scan.plain) + _FEWEST
    return b"" if few else scan.plain_utf8.translate(_IS_EAST_ASIAN, CONTINUATION)


def _stretches(scan: Scan, kinds: bytes) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of each run of twelve or more listed words with only separators or labels between them."""
    if _has_run(scan.words, _latin_or_between()):
        offsets = [match.span() for match in _REDUCED_WORD.finditer(scan.reduced)]
        for first, last in _runs_of(scan.words, _latin_or_between(), _latin()):
            yield offsets[first][0], offsets[last - 1][1]
    if kinds and _has_east_asian_run(scan.plain, scan.plain_utf8, kinds):
        matches = list(_EAST_ASIAN_WORD.finditer(scan.plain))
        words = [match.group().encode() for match in matches]
        for first, last in _runs_of(words, _east_asian(), _east_asian()):
            yield matches[first].start(), matches[last - 1].end()


def _has_east_asian_run(plain: str, encoded: bytes, kinds: bytes) -> bool:
    signs = {lead for lead in _SIGNS if lead in encoded}
    if _CJK_SIGN in signs:
        for sign in _CJK_SIGNS:
            plain = plain.replace(sign, " ")
        encoded = plain.encode("utf-8", "surrogatepass")
        kinds = encoded.translate(_IS_EAST_ASIAN, CONTINUATION)
    # in Korean, prose has only letters of one kind, as phrases have: `_KINDS` cannot tell them apart
    is_korean = kinds.count(b"h") > len(kinds) // 4
    if not is_korean and not _has_run(kinds.split(), _KINDS):
        return False
    for lead in signs:
        encoded = _SIGNS[lead].sub(b" ", encoded)
    return _has_run(encoded.translate(_SPACED).split(), _east_asian())


def _has_run(words: Sequence[Any], allowed: Container[Any]) -> bool:
    """Whether twelve words in a row are in `allowed`.

    Every third word is looked up first, which rules out most texts.
    """
    if len(words) < _FEWEST:
        return False
    listed = allowed.__contains__
    sampled = bytes(map(listed, words[::_STRIDE]))
    at = sampled.find(_SAMPLED)
    while at >= 0:
        begin = max(0, at * _STRIDE - _STRIDE + 1)
        window = bytes(map(listed, words[begin : at * _STRIDE + _FEWEST]))
        if _RUN in window:
            return True
        next_run = begin + window.rfind(0) + 1  # the earliest index at which another run can start
        at = sampled.find(_SAMPLED, max(at + 1, -(-next_run // _STRIDE)))
    return False


def _runs_of(words: Sequence[bytes], allowed: frozenset[bytes], listed: frozenset[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the (first, end) indices of each run of words in `allowed` that may be a phrase.

    At least twelve words of the run must be in `listed`, and at least two of these must differ.
    """
    for run in _RUNS.finditer(bytes(map(allowed.__contains__, words))):
        if _are_phrase(words[run.start() : run.end()], listed):
            yield run.span()


def _are_phrase(words: Sequence[Any], listed: Container[Any]) -> bool:
    """Whether twelve or more of the words are in `listed`, and at least two of them differ."""
    listed_words = list(filter(listed.__contains__, words))
    return len(listed_words) >= _FEWEST and len({*listed_words}) > 1


def _are_of_one_list(reduced: Sequence[bytes]) -> bool:
    """Whether the words may be a phrase of a single language.

    Field names in messages can look like a phrase, but they are words from the lists of several languages.
    """
    words = [word.decode() for word in reduced]
    return not "".join(words).isalpha() or any(_are_phrase(words, numbers) for numbers in _lists().values())


# ── Select the words of the phrase ───────────────────────────────────────────────────────────────────────────────────


def _any(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(words)})"


_WORD = regex(r"(?:[^\W\d_]|[\u0300-\u036f\u3099\u309a])+")
_NUMBER = r"(?:0?[1-9]|1\d|2[0-4])"
_GAP = regex(rf"[\W_]{{0,250}}(?:{_NUMBER}(?:[\W_]{{1,250}}|$)){{0,4}}", re.IGNORECASE)
_QUOTE = r"\\{0,4}[\"'`]"
_NOISE = regex(
    r"</?[a-z][^<>]{0,120}>"  # <li>
    # time and level of a log line: 2025-12-11 10:00:01,123 INFO
    r"|(?<!\d)(?:\d{4}-\d\d-\d\d[T ]?)?\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:Z|UTC|[+-]\d\d:?\d\d)?"
    rf"(?:[\s\[\]|:-]{{0,4}}{_any(_LEVELS)}(?![a-z]))?"
    # labels of single words: `SEED_WORD_1=`, `word 3:`, `"index": 3`
    rf"|(?<![a-z])(?:[a-z]{{1,20}}_){{0,4}}{_any(_LABELS)}"
    rf"(?=[\W_]{{0,4}}{_NUMBER}(?![a-z\d])|[\"'\\]{{0,4}}\s{{0,4}}[:=])"
    # fields of a chat message: `"role": "user", "content":`
    rf"|{_QUOTE}role{_QUOTE}\s{{0,4}}:\s{{0,4}}{_QUOTE}{_any(_ROLES)}{_QUOTE}|{_QUOTE}{_any(_KEYS)}{_QUOTE}\s{{0,4}}:"
    # labels of parts of the phrase: `and the second half:`, `words 7-12:`
    rf"|(?<![a-z\d])(?:(?:{_any(_LINKS)}|\d{{1,2}})\s{{1,2}}){{0,4}}{_any(_HALVES)}"
    r"(?:\s?\d{1,2}(?:\s?(?:-|–|to)\s?\d{1,2})?)?\s?:"
    r"|(?<![a-z])and(?![a-z])|(?<=\d)(?:st|nd|rd|th)(?![a-z])",
    re.IGNORECASE,
)

_MAY_BE_NOISY = regex(r"[\d<=:\"']|\band\b", re.IGNORECASE)


# A name before a phrase, as in `seed phrase: …`. Only a name identifies the phrases of TON and Electrum, which have the
# same words as BIP-39 but another kind of checksum.
_NAMES_PHRASE = regex(
    r"(?:seed|recovery|backup|secret|wallet|mnemonic)[\s_-]{0,3}(?:phrase|words?)?(?:\s?\(\d\d(?: words)?\))?"
    r"[\"'`*\\]{0,8}\s{0,4}(?:[:=]|->|\bis\b|\bare\b)[\s\"'`*\\\[(>|-]{0,40}$",
    re.IGNORECASE,
)
_NAME_REACH = 100  # maximum distance in characters between the name and the phrase


def may_hold_phrase(scan: Scan) -> bool:
    """Whether the text has twelve words of the BIP-39 lists, or twelve Chinese characters, in a row."""
    words = scan.words
    if _has_run(words, _latin_or_between()):
        runs = _runs_of(words, _latin_or_between(), _latin())
        if any(_are_of_one_list(words[first:last]) for first, last in runs):
            return True
    kinds = b"" if scan.ascii is scan.utf8 else _kinds(scan)
    return b"c" * _FEWEST in kinds or bool(kinds and _has_east_asian_run(scan.plain, scan.plain_utf8, kinds))


def seed_phrases(scan: Scan) -> Iterator[Span]:
    """Yield phrases with a valid checksum. After a name such as `seed phrase:`, yield them with any checksum."""
    checksums, kinds = _Checksums(), _kinds(scan)
    for start, end in _stretches(scan, kinds):
        piece = scan.plain[start:end]
        quiet = _NOISE.sub(lambda match: " " * len(match.group()), piece) if _MAY_BE_NOISY.search(piece) else piece
        # search the text both with and without its labels, since a label may also be a word of the phrase
        before = scan.plain[max(0, start - _NAME_REACH) : start]
        for view in (piece,) if quiet == piece else (piece, quiet):
            for first, last in _phrases(view, checksums, before):
                yield Span(start + first, start + last, RULE)
    if b"c" * _FEWEST in kinds:
        yield from _unspaced(scan.plain, checksums)


def _phrases(text: str, checksums: "_Checksums", before: str) -> Iterator[tuple[int, int]]:
    spans = [match.span() for match in _WORD.finditer(text)]
    words = [_folded(text[start:end]) for start, end in spans]
    for numbers in _lists().values():
        for run in _RUNS.finditer(bytes(map(numbers.__contains__, words))) if _has_run(words, numbers) else ():
            for first, last in _unbroken(spans, *run.span(), text):
                yield from _named(before + text, len(before), spans[first:last], words[first:last])
                for at, end in _valid([numbers[word] for word in words[first:last]], checksums):
                    yield spans[first + at][0], spans[first + end - 1][1]


# The first words of a run may be the phrase's name, since `seed` and `phrase` are listed words too.
_NAMING_WORDS = 4


def _named(text: str, offset: int, spans: Sequence[tuple[int, int]], words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of the words after a name such as `seed phrase:`, whatever their checksum.

    `spans` are the places of the words, counted from `offset` in `text`.
    """
    for at in range(min(_NAMING_WORDS + 1, len(words) - _FEWEST + 1)):
        start = offset + spans[at][0]
        is_named = _NAMES_PHRASE.search(text, max(0, start - _NAME_REACH), start)
        if is_named and len({*words[at:]}) >= _VARIED:
            yield spans[at][0], spans[-1][1]
            return


_REST = regex(rb"\x01{3,}")


def rest_of_phrases(text: str, marker: str) -> Iterator[Span]:
    """Yield each run of three or more words of one list that is next to `marker`, which replaces a masked phrase.

    In one of ten phrases of 24 words, a half is itself a valid phrase of twelve words. If only that half was masked,
    the other half must be masked too.
    """
    spans = [match.span() for match in _WORD.finditer(text)]
    words = [_folded(text[start:end]) for start, end in spans]
    for numbers in _lists().values():
        for run in _REST.finditer(bytes(map(numbers.__contains__, words))):
            for first, last in _unbroken(spans, *run.span(), text):
                before = spans[first - 1][1] if first else 0
                after = spans[last][0] if last < len(spans) else len(text)
                if last - first >= 3 and marker in text[before:after]:
                    yield Span(spans[first][0], spans[last - 1][1], RULE)


_PLAIN_GAPS = frozenset({" ", "\n", ",", ", ", '", "'})


def _unbroken(spans: Sequence[tuple[int, int]], first: int, last: int, text: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of words from `first` to `last` in which only separators stand between words.

    A range ends where the text between two words is more than a separator.
    """
    begin = first
    for at in range(first + 1, last):
        gap = spans[at - 1][1], spans[at][0]
        if text[slice(*gap)] not in _PLAIN_GAPS and not _GAP.fullmatch(text, *gap):
            yield begin, at
            begin = at
    yield begin, last


# ── Check the checksum ───────────────────────────────────────────────────────────────────────────────────────────────

_MOST_CHECKS = 30_000  # maximum number of checksums per text; enough for 6000 listed words, and takes 25 ms
_VARIED = 8  # minimum number of different words among twelve words of a phrase; one in 10^9 phrases has fewer


class _Checksums:
    """Checks the checksums of one text's phrases, each phrase only once, and `_MOST_CHECKS` phrases at most."""

    def __init__(self) -> None:
        self._results: dict[int, dict[int, bool]] = {length: {} for length in LENGTHS}

    def has_time_for(self, words: int) -> bool:
        return sum(map(len, self._results.values())) + words * len(LENGTHS) <= _MOST_CHECKS

    def holds(self, value: int, length: int) -> bool:
        """Whether the checksum of a phrase of `length` words is valid.

        `value` has 11 bits for each word. Its last bits are the checksum, one bit for every three words (BIP-39).
        """
        results = self._results[length]
        if value not in results:
            check = length // 3
            entropy = (value >> check).to_bytes((length * 11 - check) // 8, "big")
            results[value] = value & (1 << check) - 1 == sha256(entropy).digest()[0] >> 8 - check
        return results[value]


def _valid(numbers: Sequence[int], checksums: _Checksums) -> Iterator[tuple[int, int]]:
    """Yield the (first, end) indices of the words of each phrase with a valid checksum.

    Overlapping phrases are all yielded, since any of them may be the real one.
    """
    yield from _of_one_word(numbers, checksums)
    if len(set(numbers)) < _VARIED:  # not a phrase, but perhaps a column of `long` and `short`
        return
    if not checksums.has_time_for(len(numbers)):
        yield 0, len(numbers)  # too many to check: mask all words
        return
    varied = [len(set(numbers[at : at + _FEWEST])) >= _VARIED for at in range(len(numbers) - _FEWEST + 1)]
    for length in LENGTHS:
        mask, value = (1 << length * 11) - 1, 0
        for at, number in enumerate(numbers, start=1 - length):
            value = (value << 11 | number) & mask
            if at >= 0 and varied[at] and checksums.holds(value, length):
                yield at, at + length


def _of_one_word(numbers: Sequence[int], checksums: _Checksums) -> Iterator[tuple[int, int]]:
    """Yield phrases of test wallets, which repeat one word and end with a word that makes the checksum valid."""
    end = 0
    for number, group in groupby(numbers):
        count = len(list(group))
        end += count
        for length in LENGTHS if end < len(numbers) else ():
            if count >= length - 1 and checksums.holds(_value([*[number] * (length - 1), numbers[end]]), length):
                yield end - length + 1, end + 1


def _value(numbers: Iterable[int]) -> int:
    return reduce(lambda value, number: value << 11 | number, numbers)


# Chinese phrases are also written without spaces. One in sixteen clauses of twelve common characters has a valid
# checksum by chance, so a phrase without spaces is recognised only near one of these labels.
_PHRASE_LABEL = regex(r"助记词|助記詞|恢复|恢復|备份|備份|种子|種子|mnemonic|seed|phrase", re.IGNORECASE)
_CHINESE_WORD = regex("[\u4e00-\u9fff]{12,4096}")


def _unspaced(plain: str, checksums: _Checksums) -> Iterator[Span]:
    for word in _CHINESE_WORD.finditer(plain):
        if _PHRASE_LABEL.search(plain, max(0, word.start() - 40), word.start() + 8):
            for language in ("chinese_simplified", "chinese_traditional"):
                for start, end in _phrases_in_word(word.group(), _lists()[language], checksums):
                    yield Span(word.start() + start, word.start() + end, RULE)


def _phrases_in_word(word: str, numbers: dict[str, int], checksums: _Checksums) -> Iterable[tuple[int, int]]:
    return _valid([numbers[letter] for letter in word], checksums) if all(map(numbers.__contains__, word)) else ()
