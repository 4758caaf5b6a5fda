"""Secrets spread over the fields of a value: a seed phrase, a key of 64 bytes, a secret of ours in a stream's chunks.

No text alone shows them: a phrase may have a word in each message, row or key, a key may stand in rows of sixteen
numbers. So redacted data (plain, finite and without cycles) is read once more across its texts: column by column, as
in `[{"word": …}, {"word": …}]`, and all values in a row.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from .own_secrets import OwnSecrets
from .scan import Scan, Span, marker, masked, pieces, regex, shifted
from .seed_phrases import RULE, rest_of_phrases, seed_phrases
from .wallets import is_secret_numbers

_PHRASE, _NUMBERS = marker(RULE), marker("solana-secret-key")
_MARKER = regex(r"\[(?:REDACTED|NOT RECORDED):[^\]]{0,80}\]")
_BREAK, _MASKED = "0", "\ue000"  # stand-ins for a gap that ends a phrase, and for a masked phrase (private use)
_READ = {str, dict, list, tuple}
_EDGE = 400  # characters at either end of a long text, where a phrase may begin or go on
_SHORTEST = 23  # characters: twelve words of one letter


def without_spread(value: Any, own: OwnSecrets) -> Any:
    """`value`, which is redacted, without seed phrases, keys and secrets of ours that are spread over it.

    The same object where there are none.
    """
    if not isinstance(value, dict | list | tuple):
        return value
    value = _without_numbers(value)[0]
    masks = _Texts(value, own).masks() if type(value) in _READ else {}
    return _Masker(masks).masked(value) if masks else value


class _Place:
    """The texts that are read together: the same field of every row."""

    def __init__(self, places: "list[_Place]") -> None:
        self.numbers: list[int] = []  # of its texts
        self.keys: list[int] = []  # of the keys of its dicts
        self._inside: dict[Any, _Place] = {}
        self._places = places
        places.append(self)

    def at(self, key: Any) -> "_Place":
        """The place of a field of its dicts; `word1` and `word2` are one."""
        if key not in self._inside:
            name = key.rstrip("0123456789") if type(key) is str else 0
            self._inside[key] = self._inside.get(name) or _Place(self._places)
            self._inside[name] = self._inside[key]
        return self._inside[key]


class _Texts:
    """The texts of a value, in the order of `_Masker`, and their columns."""

    def __init__(self, value: Any, own: OwnSecrets) -> None:
        self._own = own
        self._texts: list[str] = []
        self._values: list[int] = []  # numbers of the texts that are not keys
        self._places: list[_Place] = []
        self._read(value, _Place(self._places))

    def _read(self, value: Any, place: _Place) -> None:
        if type(value) is str:
            place.numbers.append(len(self._texts))
            self._values.append(len(self._texts))
            self._texts.append(value)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if type(key) is str:
                    place.keys.append(len(self._texts))
                    self._texts.append(key)
                if type(inner) in _READ:
                    self._read(inner, place.at(key))
        else:
            inside = place.at(None)
            for inner in value:
                if type(inner) in _READ:
                    self._read(inner, inside)

    def masks(self) -> dict[int, list[Span]]:
        """Number of a text -> its parts that belong to a phrase."""
        masks: dict[int, list[Span]] = {}
        columns = [self._values, *(numbers for place in self._places for numbers in (place.numbers, place.keys))]
        for column in {tuple(column) for column in columns if len(column) > 1}:  # a text alone was searched before
            for number, part in (*self._phrases_in(column), *self._own_in(column)):
                masks.setdefault(number, []).append(part)
        return masks

    def _phrases_in(self, column: Sequence[int]) -> Iterator[tuple[int, Span]]:
        lines = [_readable(self._texts[number]) for number in column]
        joined = "\n".join(lines)
        spans = list(_phrases(joined)) if len(joined) >= _SHORTEST else []
        spans += rest_of_phrases(joined, _MASKED) if _MASKED in joined else []
        yield from self._parts(column, lines, spans, gap=1)

    def _own_in(self, column: Sequence[int]) -> Iterator[tuple[int, Span]]:
        """A secret of ours in the pieces of a stream."""
        lines = [_readable(self._texts[number]) for number in column]
        joined = pieces("".join(lines))
        spans = [span for start, piece in joined for span in shifted(self._own.spans(Scan(piece)), start)]
        yield from self._parts(column, lines, spans, gap=0)

    def _parts(
        self, column: Sequence[int], lines: list[str], spans: list[Span], gap: int
    ) -> Iterator[tuple[int, Span]]:
        """The number of each text that a span covers, and the part of it that is covered."""
        begins = list(accumulate((len(line) + gap for line in lines), initial=0)) if spans else []
        for start, end, rule in spans:
            for at in range(bisect_right(begins, start) - 1, bisect_left(begins, end)):
                first, last = max(start - begins[at], 0), min(end - begins[at], len(lines[at]))
                if first < last:
                    yield column[at], Span(*self._in_text(column[at], len(lines[at]), first, last), rule)

    def _in_text(self, number: int, length: int, start: int, end: int) -> tuple[int, int]:
        """Map a part of the readable text to the text itself."""
        cut = len(self._texts[number]) - length  # left out of its middle
        return start + (cut if start > _EDGE else 0), end + (cut if end > _EDGE else 0)


def _sign(marker: re.Match[str]) -> str:
    return (_MASKED if marker.group() == _PHRASE else _BREAK) * len(marker.group())


def _readable(text: str) -> str:
    """Return the parts of a text that may belong to a phrase: not its markers, nor the middle of a long one."""
    if "[" in text:
        text = _MARKER.sub(_sign, text)
    return text if len(text) <= 2 * _EDGE else f"{text[:_EDGE]}\n{_BREAK}\n{text[-_EDGE:]}"


def _phrases(text: str) -> Iterator[Span]:
    for start, piece in pieces(text):
        yield from shifted(seed_phrases(Scan(piece)), start)


class _Masker:
    """Walks a value in the order of `_Texts`, and puts a marker on each mask."""

    def __init__(self, masks: dict[int, list[Span]]) -> None:
        self._masks = masks
        self._number = -1

    def masked(self, value: Any) -> Any:
        """`value` with its masks."""
        if type(value) is str:
            return self._text(value)
        if isinstance(value, dict):
            return self._dict(value)
        return type(value)(map(self.masked, value)) if isinstance(value, list | tuple) else value

    def _text(self, text: str) -> str:
        self._number += 1
        return masked(text, self._masks.get(self._number, ()))

    def _dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        done: dict[Any, Any] = {}
        counts: dict[Any, int] = {}
        for key, inner in value.items():
            name = self._text(key) if type(key) is str else key
            done[unused(name, done, counts) if name in done else name] = self.masked(inner)
        return done


def unused(key: Any, existing: dict[Any, Any], counts: dict[Any, int]) -> str:
    """The first of `key (2)`, `key (3)`, … that `existing` lacks, as several secrets have one marker.

    `counts` remembers the last number of each key: without it, thousands of markers would take quadratic time.
    """
    while True:
        counts[key] = counts.get(key, 1) + 1
        name = f"{key} ({counts[key]})"
        if name not in existing:
            return name


_BYTES, _NUMBERED = 64, 128  # numbers of a Solana secret key; with an index each


def _without_numbers(value: Any) -> tuple[Any, list[int]]:
    """Return `value` without keys in rows of numbers, and its numbers, as many as a key may have."""
    names, items = (list(value), list(value.values())) if isinstance(value, dict) else (None, list(value))
    numbers: list[int] = []
    changed = False
    for at, item in enumerate(items):
        if type(item) is int and len(numbers) <= _NUMBERED:
            numbers.append(item)
        elif type(item) in _READ and type(item) is not str:
            items[at], inner = _without_numbers(item)
            changed = changed or items[at] is not item
            numbers += inner[: _NUMBERED + 1 - len(numbers)]
    if _is_key(numbers):
        return _NUMBERS, []
    if not changed:
        return value, numbers
    return (dict(zip(names, items, strict=True)) if names is not None else type(value)(items)), numbers


def _is_key(numbers: list[Any]) -> bool:
    if len(numbers) == _NUMBERED and numbers[0] in (0, 1):  # [[0, 174], [1, 47], …]
        numbered = range(numbers[0], numbers[0] + _BYTES)
        return numbers[::2] == [*numbered] and is_secret_numbers(numbers[1::2])
    return len(numbers) == _BYTES and is_secret_numbers(numbers)
