"""
🌙 Moon Dev's Redaction of Seed Phrases
Built with love by Moon Dev 🚀

BIP-39 seed phrases of 12, 15, 18, 21 and 24 words in the ten official languages, in any case, with any separator,
numbered or labelled, alone or inside prose; confirmed by their checksum. Sources: BIP-39, and bip-0039-wordlists.md for
what each language takes as equal.

Every text is asked one cheap question first: are there twelve words of any list in a row? Prose answers no.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from typing import NamedTuple

from src.observability.redaction_scan import Scan, Span

RULE = "seed-phrase"
LANGUAGES = (
    "english", "japanese", "korean", "spanish", "chinese_simplified", "chinese_traditional", "french", "italian",
    "czech", "portuguese",
)  # fmt: skip
LENGTHS = (12, 15, 18, 21, 24)
_FEWEST = min(LENGTHS)
_ACCENTS = re.compile("[\u0300-\u036f]+")
_LABELS = ("word", "index", "position", "number")  # numbered lists say `word 3: …`, JSON `{"index": 3, "word": …}`


def _folded(word: str) -> str:
    """`word` in small letters and without accents, which Spanish and French take as equal; kana keep their marks."""
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", word.lower()))


@cache
def _lists() -> dict[str, dict[str, int]]:
    """Language -> folded word -> its number. Read on first use: import time is the agents' time."""
    from mnemonic import Mnemonic

    return {name: {_folded(word): at for at, word in enumerate(Mnemonic(name).wordlist)} for name in LANGUAGES}


@cache
def _latin() -> frozenset[bytes]:
    """The words of the six Latin lists as they stand in a reduced text, and the numbers that lists are numbered by."""
    words = {word for name in LANGUAGES for word in _lists()[name] if word.isascii()}
    numbers = {f"{label}{number:{fill}}" for number in range(1, 25) for fill in ("", "02") for label in ("", *_LABELS)}
    return frozenset(word.encode() for word in words | numbers | set(_LABELS))


# Reduced: small letters and digits, everything else a space.
_REDUCED = bytes(ord(chr(code).lower()) if chr(code).isalnum() and code < 128 else ord(" ") for code in range(256))
# First bytes of kana, hangul (as syllables, and decomposed as the word list has them) and CJK in UTF-8.
_EAST_ASIAN = tuple(bytes([lead]) for lead in (0xE1, *range(0xE3, 0xEE)))
_ACCENTED = tuple(bytes([lead]) for lead in (0xC3, 0xC4, 0xC5, 0xCC, 0xCD))  # of Latin letters with accents
_STRIDE = 3
_SAMPLED = b"\1" * (_FEWEST // _STRIDE)
_RUN = b"\1" * _FEWEST


def seed_phrases(scan: Scan) -> Iterator[Span]:
    """Where a phrase stands whose checksum holds."""
    if _may_hold_phrase(scan):
        yield from _phrases(scan)


def _may_hold_phrase(scan: Scan) -> bool:
    if scan.text.isascii():
        return _has_run(_words(scan.plain))
    encoded = scan.text.encode("utf-8", "surrogatepass")
    if any(lead in encoded for lead in _EAST_ASIAN):
        return True
    return _has_run(_words(_folded(scan.plain) if any(lead in encoded for lead in _ACCENTED) else scan.plain))


def _words(plain: str) -> list[bytes]:
    return plain.encode("ascii", "replace").translate(_REDUCED).split()


def _has_run(words: Sequence[bytes]) -> bool:
    """Whether twelve words in a row are of the lists; looks at every third word first, as most texts end there."""
    if len(words) < _FEWEST:
        return False
    listed = _latin().__contains__
    sampled = bytes(map(listed, words[::_STRIDE]))
    at = sampled.find(_SAMPLED)
    while at >= 0:
        first = at * _STRIDE
        if _RUN in bytes(map(listed, words[max(0, first - _STRIDE + 1) : first + _FEWEST])):
            return True
        at = sampled.find(_SAMPLED, at + 1)
    return False


class _Word(NamedTuple):
    start: int
    end: int
    folded: str


_WORD = re.compile(r"(?:[^\W\d_]|[\u0300-\u036f\u3099\u309a])+")
_NUMBER = r"(?:0?[1-9]|1\d|2[0-4])"
_IS_LABEL = re.compile(
    rf"(?:{'|'.join(_LABELS)})(?=[\W_]{{0,4}}{_NUMBER}(?!\d)|[\"'\\]{{0,4}}\s{{0,4}}[:=])", re.IGNORECASE
)
# What may stand between two words of a phrase: anything but letters and digits; labels; numbers from 1 to 24.
_GAP = re.compile(
    rf"[\W_]{{0,40}}(?:(?:{'|'.join(_LABELS)}|(?:{'|'.join(_LABELS)})?{_NUMBER})(?:[\W_]{{1,40}}|$)){{0,4}}",
    re.IGNORECASE,
)
_RUNS = re.compile(rb"\x01{12,}")


def _phrases(scan: Scan) -> Iterator[Span]:
    words = [word for word in _tokens(scan.plain) if not _IS_LABEL.match(scan.plain, word.start)]
    folded = [word.folded for word in words]
    for language, numbers in _lists().items():
        for found in _RUNS.finditer(bytes(map(numbers.__contains__, folded))):
            for run in _unbroken(words[found.start() : found.end()], scan.plain):
                yield from _valid(run, [numbers[word.folded] for word in run])
        if language.startswith("chinese"):
            yield from _unspaced(words, numbers, scan.plain)


def _tokens(plain: str) -> Iterator[_Word]:
    for match in _WORD.finditer(plain):
        yield _Word(match.start(), match.end(), _folded(match.group()))


def _unbroken(words: Sequence[_Word], plain: str) -> Iterator[list[_Word]]:
    """`words` in parts that have nothing but separators between their words."""
    part = [words[0]]
    for word in words[1:]:
        if not _GAP.fullmatch(plain, part[-1].end, word.start):
            yield part
            part = []
        part.append(word)
    yield part


def _valid(run: Sequence[_Word], numbers: Sequence[int]) -> Iterator[Span]:
    """Every stretch of `run` whose checksum holds. They may overlap: all are masked, as one of them is the phrase."""
    for length in LENGTHS:
        for at in _checksums(numbers, length):
            yield Span(run[at].start, run[at + length - 1].end, RULE)


def _checksums(numbers: Sequence[int], length: int) -> Iterator[int]:
    """Where `length` words begin whose checksum holds: 11 bits a word, one bit of checksum for every 32 of entropy."""
    bits = length * 11
    check = bits // 33
    mask, size = (1 << bits) - 1, (bits - check) // 8
    value = 0
    for at, number in enumerate(numbers):
        value = (value << 11 | number) & mask
        if at >= length - 1 and value & (1 << check) - 1 == _checksum(value >> check, size, check):
            yield at - length + 1


def _checksum(entropy: int, size: int, bits: int) -> int:
    return sha256(entropy.to_bytes(size, "big")).digest()[0] >> 8 - bits


# Chinese phrases are also written without blanks; as any clause of twelve common characters has one chance in sixteen,
# there the words before it must say what it is.
_SAYS_PHRASE = re.compile(r"助记词|助記詞|恢复|恢復|备份|備份|种子|種子|mnemonic|seed|phrase", re.IGNORECASE)


def _unspaced(words: Iterable[_Word], numbers: dict[str, int], plain: str) -> Iterator[Span]:
    for word in words:
        letters = word.folded
        if len(letters) >= _FEWEST and _SAYS_PHRASE.search(plain, max(0, word.start - 40), word.start + 8):
            known = [numbers.get(letter, -1) for letter in letters]
            for length in LENGTHS:
                for at in _checksums(known, length) if -1 not in known else ():
                    yield Span(word.start + at, word.start + at + length, RULE)
