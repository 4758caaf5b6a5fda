"""Replaces each secret by a marker, `[REDACTED:rule]`: `redact` takes any value, `redact_text` a text.

A value that cannot be redacted becomes `[NOT RECORDED: reason]`. `docs/redaction.md` lists the rules.

All texts of a value are first searched together (`Excerpt`). In most values, no rule can match, and the search ends. In
the others, each text is searched alone, and then neighbouring texts together (`across_fields`).

`Rules.finders` returns the searches that a text needs: for the environment's secrets (`own_secrets`), seed phrases and
wallets, formats of keys, keys in URLs (`http`), values beside a secret's name (`assignments`), and the operator's
patterns. Each search yields spans, and a marker replaces each span.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from operator import is_
from typing import Any, TypeVar, cast

from .across_fields import Excerpt, small_items, unused, without_spread
from .http import cookies
from .key_formats import pem_keys, without_pem_lines
from .names import NONE, strength
from .rules import MARKERS, Finders, Rules, current_rules, depends_on_others, names_cookies
from .scan import MASKED, NOT_RECORDED, PIECE, Scan, Span, marker, masked, occurrences, regex
from .values import holds_secrets, is_made, is_secret, is_secret_item, is_secret_number
from .wallets import is_account, is_evm_key, is_keypair, is_secret_numbers

_T = TypeVar("_T")
_Check = Callable[[str, str], bool]  # (name, value) -> whether the value is a secret
_NAMED, _OWN, _EVM, _SOLANA = map(marker, ("named-secret", "own-secret", "evm-private-key", "solana-secret-key"))

CYCLE = "[NOT RECORDED: cycle]"
TOO_DEEP = "[NOT RECORDED: nested too deeply]"
TOO_MANY = "[NOT RECORDED: too many items]"
TOO_LONG = "[NOT RECORDED: text too long]"
NO_TEXT = "[NOT RECORDED: object cannot be converted to text]"
BINARY = "[NOT RECORDED: binary data]"
BAD_PATTERN = "[NOT RECORDED: OBSERVABILITY_REDACT_PATTERNS is refused]"
FAILED = "[NOT RECORDED: redaction failed]"
_PLACEHOLDERS = (CYCLE, TOO_DEEP, TOO_MANY, TOO_LONG, NO_TEXT, BINARY, BAD_PATTERN, FAILED)

_LONGEST_MARKER = 128  # upper limit of a marker's length in characters
MAX_DEPTH = 32
MAX_ITEMS = 100_000  # limit for all containers of one value together
MAX_TEXT = 16_000_000  # limit in characters; four times the largest context windows
_PASSES = 8

# Markers are kept as they are, so that redacting twice changes nothing.
_MARKERS = regex(rf"(\[REDACTED:(?:{'|'.join(sorted(MARKERS))})\]|{'|'.join(map(re.escape, _PLACEHOLDERS))})")


def redact(value: Any) -> Any:
    """Return `value` without secrets, as plain data of the same shape; never raises.

    All strings are redacted, both keys and values. The value of a field with a secret's name is masked whole. Numbers,
    booleans and None are kept, sets become lists, and any other object becomes text, which is redacted too. A string
    without a secret is returned as the same object.
    """
    return Redactor().redact(value)


def redact_text(text: str) -> str:
    """Return `text` without secrets, or the same object if it has none; never raises."""
    try:
        return _redacted(text, current_rules())
    except Exception:  # noqa: BLE001 - fail closed
        return FAILED


def redact_line(text: str) -> str:
    """Redact a line that is to be printed; never raises.

    If the operator's patterns are invalid, the line is still printed, and only the other rules apply: wrong settings of
    the tracing must not suppress an agent's output.
    """
    try:
        return _searched(text, current_rules())
    except Exception:  # noqa: BLE001 - fail closed
        return FAILED


def _redacted(text: str, rules: Rules) -> str:
    if rules.refused:
        return text if _MARKERS.fullmatch(text) else BAD_PATTERN
    return _searched(text, rules)


def _searched(text: str, rules: Rules) -> str:
    if len(text) > MAX_TEXT:
        return TOO_LONG
    is_short = len(text) <= PIECE
    if is_short and hash(text) in rules.clean:
        return text
    original = text
    # Search again after each change: a rule may recognise a secret only once a marker stands beside it. This is rare.
    for _ in range(_PASSES):
        masked_text = _masked_beside_markers(text, rules)
        if masked_text is text:
            if text is not original:
                return _without_repeated(text, _masked_keys(original, text))
            if is_short and not depends_on_others(text):
                rules.remember((text,))
            return text
        text = masked_text
    return FAILED


# If a key was found by the name beside it, its repetitions in the same row are masked too, even without the name: the
# answer may repeat a key from the prompt.
_MOST_KEYS = 64  # maximum number of keys masked in this way per row


def _masked_keys(original: Any, redacted: Any) -> Iterator[str]:
    """Yield the machine-made keys in `original` that are masked in `redacted`."""
    if type(original) is str and type(redacted) is str:
        if original is not redacted:
            yield from filter(is_made, _masked_parts(original, redacted))
    elif isinstance(original, dict) and isinstance(redacted, dict):
        for pair in zip(original.values(), redacted.values(), strict=False):
            yield from _masked_keys(*pair)
    elif isinstance(original, list | tuple) and isinstance(redacted, list | tuple):
        for pair in zip(original, redacted, strict=False):
            yield from _masked_keys(*pair)


def _masked_parts(original: str, redacted: str) -> Iterator[str]:
    first, *rest = list(_around_markers(redacted))[::2]
    at = len(first)
    for part in rest:
        end = original.find(part, at) if part else len(original)
        yield original[at:end]
        at = end + len(part)


def _without_repeated(value: _T, keys: Iterable[str]) -> _T:
    """Mask the keys wherever they stand in a redacted value; return the same object if there are no keys."""
    wanted = list(islice(dict.fromkeys(keys), _MOST_KEYS))

    def without(value: Any) -> Any:
        if type(value) is str:
            return masked(value, *(_places_of(key, value) for key in wanted if key in value))
        if isinstance(value, dict):
            return {key: without(inner) for key, inner in value.items()}
        return type(value)(map(without, value)) if isinstance(value, list | tuple) else value

    return cast("_T", without(value)) if wanted else value


def _places_of(key: str, text: str) -> Iterator[Span]:
    for at in occurrences(key, text):
        end = at + len(key)
        beside = text[max(0, at - 1) : at] + text[end : end + 1]
        if not any(letter.isascii() and letter.isalnum() for letter in beside):  # else the key is part of a longer word
            yield Span(at, end, "named-secret")


def _masked_beside_markers(text: str, rules: Rules) -> str:
    if MASKED not in text and NOT_RECORDED not in text:
        return _masked(text, rules)
    parts = list(_around_markers(text))
    masked_parts = {part: _masked(part, rules) for part in dict.fromkeys(parts[::2])}  # masks each distinct part once
    result = [part if at % 2 else masked_parts[part] for at, part in enumerate(parts)]
    return text if result == parts else "".join(result)


def _around_markers(text: str) -> Iterator[str]:
    """Split a text at its markers. Yields text and marker in turn, and finally the text after the last marker."""
    done = at = 0
    while at < len(text):
        match = _MARKERS.search(text, at, at + PIECE)  # search in pieces: other threads run between two searches
        if match:
            yield from (text[done : match.start()], match.group())
            done = at = match.end()
        else:
            at += PIECE - _LONGEST_MARKER
    yield text[done:]


def _masked(text: str, rules: Rules) -> str:
    if len(text) < 4:  # too short for a secret
        return text
    return masked(text, *rules.spans(text))


class Redactor:
    """Redacts values with the rules that were current when it was created."""

    def __init__(self) -> None:
        self._rules = current_rules()
        self._may_be_spread = True  # whether a secret may be spread over several texts
        self._key_columns: Sequence[tuple[str, ...]] = ()  # dict keys that no earlier search for secrets covered
        self._open: set[int] = set()  # ids of the containers around the current value
        self._left = 0  # number of items that the value may still have

    def redact(self, value: Any) -> Any:
        """Return `value` without secrets; never raises."""
        if type(value) is not str:
            return self.redact_all((value,))[0]
        self._may_be_spread = True
        return self._redact(value)

    def redact_all(self, values: Sequence[Any]) -> list[Any]:
        """Return each of `values` without secrets; never raises.

        All texts are first searched together. In most rows, this finds nothing, and the values are returned as is.
        """
        try:
            if not self._may_hold_any(values):
                return [*values]
        except Exception:  # noqa: BLE001 - fail closed: every rule reads every text
            self._may_be_spread = True
        redacted = [self._redact(value) for value in values]
        if _is_same(redacted, values):
            self._rules.remember(self._key_columns)
            return redacted
        try:
            return _without_repeated(redacted, _masked_keys([*values], redacted))
        except Exception:  # noqa: BLE001 - fail closed
            return [FAILED] * len(values)

    def _may_hold_any(self, values: Sequence[Any]) -> bool:
        """Whether any rule may match in `values`."""
        self._may_be_spread, self._key_columns = True, ()
        rules = self._rules
        if rules.refused or rules.patterns:
            return True
        excerpt = Excerpt(rules.clean, rules.own.numbers)
        if not excerpt.add(values):
            return True
        self._key_columns = excerpt.key_columns
        if not excerpt.lines:
            self._may_be_spread = False
            return False
        finders = rules.finders(Scan("\n".join(excerpt.lines)))
        self._may_be_spread = bool(finders.spread)
        if not finders.spread:
            rules.remember(self._key_columns)
        if any(finders) and not self._are_known(finders, excerpt.new_texts):
            return True
        # None of the new texts has a secret, is the name of a secret, or consists of 32 bytes in hex.
        rules.remember(excerpt.new)
        return False

    def _are_known(self, finders: Finders, new: list[str]) -> bool:
        """Whether `finders` are needed only for texts that were searched before.

        False if a secret may be spread over texts, such as the lines of a PEM key: these must be searched together.
        """
        if finders.spread or pem_keys in finders.others:
            return False
        return not new or not any(self._rules.without_phrases.finders(Scan("\n".join(new))))

    def _redact(self, value: Any) -> Any:
        try:
            if type(value) is str:  # the most frequent case
                return self._text(value)
            self._left = MAX_ITEMS
            return self._whole(value)
        except Exception:  # noqa: BLE001 - fail closed: a field that cannot be redacted is not recorded
            self._open.clear()
            return FAILED

    def _text(self, text: str) -> str:
        rules = self._rules
        if hash(text) in rules.clean:
            return text
        return _redacted(text, rules if self._may_be_spread else rules.without_phrases)

    def _whole(self, value: Any) -> Any:
        # Redact again after a change: if a dict key became `[REDACTED:evm-private-key]`, its value must be masked too.
        for _ in range(_PASSES):
            redacted = self.redacted(value, 0)
            value = redacted
            if self._may_be_spread:
                value = without_spread(redacted, self._rules.own_spans)
            if value is redacted:
                return redacted
            self._left = MAX_ITEMS
        return FAILED

    def redacted(self, value: Any, depth: int) -> Any:
        """Return `value` without secrets."""
        kind = type(value)
        if kind is str:
            return self._text(value)
        if value is None or kind in (int, float, bool):
            return self._number(value)
        if isinstance(value, dict | list | tuple | set | frozenset):
            return self._container(value, depth)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._binary(bytes(value))
        return self._text(_text_of(value))

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
        items = small_items(value)
        if items and hash(items) in self._rules.clean:
            return value
        fields = self._fields(value, depth)
        if type(value) is not dict or not (_is_same(fields, value) and _is_same(fields.values(), value.values())):
            return fields
        # If a secret may be spread over several texts, this dict may have a part of it, and is not remembered as clean.
        if items and not self._may_be_spread:
            self._rules.remember((items,))
        return value

    def _fields(self, value: dict[Any, Any], depth: int) -> Any:
        values = list(value.values())
        if is_secret_numbers(values):
            return _SOLANA
        fields: dict[Any, Any] = {}
        counts: dict[Any, int] = {}
        for name, key, inner in zip(_names_of(value), value, values, strict=True):
            new = self._key(key)
            fields[unused(new, fields, counts) if new in fields else new] = self._named(name, inner, depth)
        return fields

    def _number(self, value: Any) -> Any:
        return _OWN if value in self._rules.own.numbers else value

    def _key(self, name: Any) -> Any:
        if type(name) in (int, float, bool, type(None)):
            return self._number(name)
        return self._text(_text_of(name))

    def _list(self, value: Any, depth: int) -> Any:
        items = list(value)
        if is_secret_numbers(items):
            return _SOLANA
        if any(type(item) is str and "PRIVATE KEY" in item for item in items):
            items = without_pem_lines(items)
        redacted = list(self._items(items, depth))
        if type(value) in (list, tuple) and _is_same(redacted, value):
            return value
        return type(value)(redacted) if isinstance(value, tuple) else redacted

    def _items(self, items: list[Any], depth: int) -> Iterator[Any]:
        """Yield the items without secrets.

        If there are two items, the first may be the name of the second, as in a header. A flag of a command line is the
        name of the next item, as in `["bot", "--secret", "…"]`.
        """
        names_next = len(items) == 2 and {type(items[0]), type(items[1])} <= {str, bytes}
        flag = None
        for at, item in enumerate(items):
            if flag is not None or (names_next and at == 1):
                yield self._named(self.redacted(items[at - 1], depth), item, depth, is_secret_item)
            else:
                yield self.redacted(item, depth)
            flag = item if type(item) is str and item.startswith("--") else None

    def _named(self, name: Any, value: Any, depth: int, check: _Check = is_secret) -> Any:
        """Return the redacted value of a field. It is masked whole if the field has a secret's name."""
        text = _text_of(name)
        new = self._text(text)  # the redacted name is checked too, as it is the one in the journal
        stronger = text if new is text else max(text, new, key=strength)
        return _masked_field(stronger, self.redacted(value, depth), check)

    def _binary(self, value: bytes) -> str:
        if is_keypair(value):
            return _SOLANA
        try:
            return self._text(value.decode())
        except UnicodeDecodeError:
            return BINARY


def _is_same(new: Collection[Any], old: Collection[Any]) -> bool:
    """Whether both collections hold the same objects. Using `==` could run an object's own code."""
    return len(new) == len(old) and all(map(is_, new, old))


_NAME_FIELDS = ("name", "key", "Name", "Key", "field", "label", "type", "variable")
_VALUE_FIELDS = ("value", "Value")


def _names_of(fields: dict[Any, Any]) -> list[Any]:
    """Return the name of each value in a dict.

    The name is the value's key, or the content of another field, as in `{"name": "BINANCE_SECRET", "value": "…"}`.
    """
    if is_account(fields) or ("key" in fields and "secret" in fields):  # a wallet, or an exchange's key and secret
        return ["private_key" if key == "key" else key for key in fields]
    value = next((key for key in _VALUE_FIELDS if key in fields), None)
    name = next((fields[key] for key in _NAME_FIELDS if type(fields.get(key)) is str), None) if value else None
    return [name if name and key == value else key for key in fields]


def _masked_field(name: str, value: Any, check: _Check) -> Any:
    """Return the value of a field, masked if the field has a secret's name.

    Texts and numbers are masked, also those inside a list or dict.
    """
    if type(value) is str:
        return _masked_text(name, value, check)
    if isinstance(value, dict) and holds_secrets(name):
        return {key: _NAMED if type(item) is str and is_made(item) else item for key, item in value.items()}
    if strength(name) == NONE and not names_cookies(name):
        return value
    if type(value) is int:
        return _NAMED if is_secret_number(name, value) else value
    if isinstance(value, list | tuple) and all(type(item) in (str, int) for item in value):
        return _NAMED if _are_bytes(name, value) else type(value)(_masked_field(name, item, check) for item in value)
    return value


def _masked_text(name: str, value: str, check: _Check) -> str:
    if is_evm_key(name, value):
        return _EVM
    if names_cookies(name):
        return masked(value, cookies(value))
    return _NAMED if strength(name) and not _MARKERS.fullmatch(value) and check(name, value) else value


def _are_bytes(name: str, numbers: Sequence[Any]) -> bool:
    """Whether the numbers in a field called `name` are the bytes of a key."""
    bytelike = all(type(number) is int and 0 <= number < 256 for number in numbers)
    return len(numbers) >= 16 and bytelike and is_secret_number(name, 10**9)


def _text_of(value: Any) -> str:
    """Return `str(value)` as an exact `str`, or a placeholder if that fails."""
    try:
        return str.__str__(value) if isinstance(value, str) else "".join(str(value))
    except Exception:  # noqa: BLE001 - an object's own __str__ may do anything
        return NO_TEXT
