"""Secrets spread over several fields of a value: a seed phrase, a 64-byte key, an environment secret in chunks.

No single text shows such a secret: each message, row or field may hold one word of a phrase or 16 numbers of a key.
Redacted data (plain, finite and without cycles) is therefore searched again across its texts: once in each column (the
texts of one field, such as `word` in `[{"word": …}, {"word": …}]`), and once in all values in order.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Hashable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from .scan import PIECE, Scan, Span, marker, masked, pieces, regex, shifted
from .seed_phrases import RULE, rest_of_phrases, seed_phrases
from .wallets import is_secret_numbers

_PHRASE, _KEY = marker(RULE), marker("solana-secret-key")
_MARKER = regex(r"\[(?:REDACTED|NOT RECORDED):[^\]]{0,80}\]")
# In the searched text, `_MASKED` (from Unicode's private use area) stands for the marker of a masked phrase. `_BREAK`,
# across which no phrase matches, stands for any other marker and for the middle of a long text.
_BREAK, _MASKED = "0", "\ue000"
_READ, _NUMBERS = {str, dict, list, tuple}, {int, float, bool}
_PLAIN = {str, int, float, bool, type(None)}
_EDGE = 400  # characters searched at both ends of a long text, where a phrase that spans several texts begins or ends
_DEEPEST, _MOST = 32, 5_000  # a value with deeper nesting or more items is not searched together with other values
_SHORTEST = 23  # length of the shortest possible phrase: twelve words of one letter and eleven spaces


def without_spread(value: Any, own_spans: Callable[[Scan], Iterable[Span]]) -> Any:
    """Mask seed phrases, keys and environment secrets that are spread over several texts or numbers of `value`.

    Each text of `value` is already redacted. Returns the same object if nothing has to be masked.
    """
    if not isinstance(value, dict | list | tuple):
        return value
    value = _without_numbers(value)[0]
    masks = Texts(value).masks(own_spans) if type(value) in _READ else {}
    return _Masker(masks).masked(value) if masks else value


class Texts:
    """The texts in a value, in the order in which `_Masker` visits them, grouped by field in `columns`."""

    def __init__(self, value: Any, secret_numbers: Container[Any] = ()) -> None:
        self.is_plain = True  # False for secret numbers, too many items, deep nesting or types other than plain data
        self.texts: list[str] = []
        self.values: list[int] = []  # indexes in `texts` of the texts that are not keys of a dict
        self.columns: defaultdict[str, list[int]] = defaultdict(list)  # path of a field -> indexes of its texts
        self._secret_numbers = secret_numbers
        self._integers = 0
        self._left = _MOST
        self._read(value, "", 0)
        if self._integers >= _BYTES and self.is_plain:
            self.is_plain = _without_numbers(value)[0] is value

    def _read(self, value: Any, path: str, depth: int) -> None:
        kind = type(value)
        if kind is str:
            self.columns[path].append(len(self.texts))
            self.values.append(len(self.texts))
            self.texts.append(value)
        elif kind is dict:
            self._enter(value.values(), depth)
            for key, inner in value.items() if self.is_plain else ():
                self._read(inner, self._field(key, path), depth + 1)
        elif kind is list or kind is tuple:
            self._enter(value, depth)
            for inner in value if self.is_plain else ():
                self._read(inner, f"{path}\0", depth + 1)
        elif value is not None:
            self._integers += kind is int
            if kind not in _NUMBERS or value in self._secret_numbers:
                self.is_plain = False

    def _field(self, key: Any, path: str) -> str:
        """Add a dict key, and return the path of its value. Keys such as `word1` and `word2` give the same path."""
        if type(key) is str:
            self.columns[f"{path}\1"].append(len(self.texts))
            self.texts.append(key)
            return f"{path}\0{key.rstrip('0123456789')}"
        if key is not None and (type(key) not in _NUMBERS or key in self._secret_numbers):
            self.is_plain = False
        return path

    def _enter(self, items: Collection[Any], depth: int) -> None:
        self._left -= len(items)
        if depth >= _DEEPEST or self._left < 0 or (len(items) >= _BYTES and is_secret_numbers([*items])):
            self.is_plain = False

    def masks(self, own_spans: Callable[[Scan], Iterable[Span]]) -> dict[int, list[Span]]:
        """Return the parts of texts that belong to a seed phrase or an environment secret.

        The dict's keys are indexes in `texts`.
        """
        masks: dict[int, list[Span]] = {}
        for column in {tuple(column) for column in (self.values, *self.columns.values()) if len(column) > 1}:
            for number, part in (*self._phrases_in(column), *self._own_in(column, own_spans)):
                masks.setdefault(number, []).append(part)
        return masks

    def _phrases_in(self, column: Sequence[int]) -> Iterator[tuple[int, Span]]:
        lines = [_readable(self.texts[number]) for number in column]
        joined = "\n".join(lines)
        spans = list(_phrases(joined)) if len(joined) >= _SHORTEST else []
        spans += rest_of_phrases(joined, _MASKED) if _MASKED in joined else []
        yield from self._parts(column, lines, spans, gap=1)

    def _own_in(self, column: Sequence[int], own_spans: Callable[[Scan], Iterable[Span]]) -> Iterator[tuple[int, Span]]:
        """Yield the parts of an environment secret that is split over successive texts, as in a stream."""
        lines = [_readable(self.texts[number]) for number in column]
        joined = pieces("".join(lines))
        spans = [span for start, piece in joined for span in shifted(own_spans(Scan(piece)), start)]
        yield from self._parts(column, lines, spans, gap=0)

    def _parts(
        self, column: Sequence[int], lines: list[str], spans: list[Span], gap: int
    ) -> Iterator[tuple[int, Span]]:
        """Yield the index of each text that overlaps one of `spans`, and the part of the text that overlaps.

        The spans refer to the joined `lines`, with `gap` characters between two lines.
        """
        begins = list(accumulate((len(line) + gap for line in lines), initial=0)) if spans else []
        for start, end, rule in spans:
            for at in range(bisect_right(begins, start) - 1, bisect_left(begins, end)):
                first, last = max(start - begins[at], 0), min(end - begins[at], len(lines[at]))
                if first < last:
                    yield column[at], Span(*self._in_text(column[at], len(lines[at]), first, last), rule)

    def _in_text(self, number: int, length: int, start: int, end: int) -> tuple[int, int]:
        """Convert offsets in the result of `_readable`, which has `length` characters, to offsets in text `number`."""
        cut = len(self.texts[number]) - length  # number of characters that `_readable` left out
        return start + (cut if start > _EDGE else 0), end + (cut if end > _EDGE else 0)


def small_items(value: Any) -> Hashable:
    """Return the types and items of a small dict without inner containers, such as a message; else None.

    The types distinguish `1` from `1.0`, which are equal: in a password's field only the `int` is masked.
    """
    if type(value) is not dict or not 0 < len(value) < _BYTES:
        return None
    kinds = (*map(type, value), *map(type, value.values()))
    return (kinds, *value.items()) if _PLAIN.issuperset(kinds) else None


class Excerpt:
    """The texts that a single search must cover to rule out a secret in any of several values.

    New texts are searched whole. A text that was searched before is left out if it stands alone or in a dict known to
    `small_items`. In other containers, its two ends are searched again: a secret may be spread over texts.
    """

    def __init__(self, clean: Container[int], secret_numbers: Container[Any]) -> None:
        self.lines: list[str] = []
        self.new: set[Hashable] = set()  # texts, and results of `small_items`, that were not searched before
        self.key_columns: list[tuple[str, ...]] = []
        self._clean = clean  # hashes of everything searched before: texts, tuples of the keys of dicts, small dicts
        self._secret_numbers = secret_numbers
        self._left = PIECE  # characters that may still be added

    def add(self, values: Iterable[Any]) -> bool:
        """Add values; return False if they are too long, or not plain data."""
        for value in values:
            if type(value) is str:
                if hash(value) not in self._clean and self._has_room((value,)):
                    self.new.add(value)
                    self.lines.append(value)
            elif value is not None and not self._is_known(value) and not self._add_structure(value):
                return False
        return self._left >= 0

    def _is_known(self, value: Any) -> bool:
        """Whether the value is a small dict that was searched before. A new small dict is added to `self.new`."""
        items = small_items(value)
        if not items:
            return False
        if hash(items) in self._clean:
            return True
        self.new.add(items)
        return False

    @property
    def new_texts(self) -> list[str]:
        """The texts that were not searched before."""
        return [text for text in self.new if type(text) is str]

    def _add_structure(self, value: Any) -> bool:
        texts = Texts(value, self._secret_numbers)
        if not texts.is_plain or not self._has_room(texts.texts):
            return False
        self.new.update([text for text in texts.texts if hash(text) not in self._clean])
        self._add_values(texts)
        self._add_columns(texts)
        return True

    def _has_room(self, texts: Sequence[str]) -> bool:
        self._left -= sum(map(len, texts))
        return self._left >= 0

    def _add_values(self, texts: Texts) -> None:
        values = map(texts.texts.__getitem__, texts.values)
        self.lines += [text if text in self.new else _readable(text) for text in values]

    def _add_columns(self, texts: Texts) -> None:
        for path, numbers in texts.columns.items():
            if path[-1:] == "\1":
                self._add_keys(tuple([texts.texts[number] for number in numbers]))
            elif 1 < len(numbers) < len(texts.values):
                first, *between, last = [texts.texts[number] for number in numbers]
                self.lines += [first[-_EDGE:], *map(_readable, between), last[:_EDGE]]

    def _add_keys(self, keys: tuple[str, ...]) -> None:
        if hash(keys) in self._clean:
            self.lines += [key for key in keys if key in self.new]
        else:
            self.key_columns.append(keys)
            self.lines += keys


def _sign(marker: re.Match[str]) -> str:
    return (_MASKED if marker.group() == _PHRASE else _BREAK) * len(marker.group())


def _readable(text: str) -> str:
    """Return `text` with `_BREAK` or `_MASKED` for each marker, and with `_BREAK` for the middle of a long text."""
    if "[" in text:
        text = _MARKER.sub(_sign, text)
    return text if len(text) <= 2 * _EDGE else f"{text[:_EDGE]}\n{_BREAK}\n{text[-_EDGE:]}"


def _phrases(text: str) -> Iterator[Span]:
    for start, piece in pieces(text):
        yield from shifted(seed_phrases(Scan(piece)), start)


class _Masker:
    """Visits the texts of a value in the order of `Texts`, and replaces the parts in `masks` with markers."""

    def __init__(self, masks: dict[int, list[Span]]) -> None:
        self._masks = masks
        self._number = -1

    def masked(self, value: Any) -> Any:
        """Return `value` with markers in place of the masked parts."""
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
    """Return the first of `key (2)`, `key (3)`, … that is not in `existing`.

    Needed because masked keys of a dict may have the same marker. `counts` holds the last number given to each key:
    counting from 2 every time would take quadratic time for thousands of markers.
    """
    while True:
        counts[key] = counts.get(key, 1) + 1
        name = f"{key} ({counts[key]})"
        if name not in existing:
            return name


# A Solana secret key is a list of 64 numbers, or of 128 if each byte is preceded by its index.
_BYTES, _NUMBERED = 64, 128


def _without_numbers(value: Any) -> tuple[Any, list[int]]:
    """Mask secret keys that are written as rows of numbers.

    Return the new value and its first numbers, at most 129: a secret key may continue in the value's neighbours.
    """
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
        return _KEY, []
    if not changed:
        return value, numbers
    return (dict(zip(names, items, strict=True)) if names is not None else type(value)(items)), numbers


def _is_key(numbers: list[Any]) -> bool:
    if len(numbers) == _NUMBERED and numbers[0] in (0, 1):  # each byte has an index: [[0, 174], [1, 47], …]
        numbered = range(numbers[0], numbers[0] + _BYTES)
        return numbers[::2] == [*numbered] and is_secret_numbers(numbers[1::2])
    return len(numbers) == _BYTES and is_secret_numbers(numbers)
