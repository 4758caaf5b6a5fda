"""Tests that seed phrases are masked in any notation, in one text or over several, and that look-alikes are not."""

import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import base58
import pytest

from src.observability.recording.row import row_of
from src.observability.redaction.redactor import redact, redact_text
from src.observability.tracing.observation import Observation
from tests.cases import cases
from tests.redaction.corpus import LANGUAGES, SECRETS, phrase

Words = Sequence[str]
MARKER = "[REDACTED:seed-phrase]"


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd', 21: 'st', 22: 'nd', 23: 'rd'}.get(number, 'th') }"


def _each(words: Words, form: Callable[[int, str], str], separator: str = "\n") -> str:
    return separator.join(form(number, word) for number, word in enumerate(words, start=1))


TEXTS: dict[str, Callable[[Words], str]] = {
    "a list of HTML": lambda words: f"<ol>{_each(words, lambda _, word: f'<li>{word}</li>', '')}</ol>",
    "spans with numbers": lambda words: _each(words, lambda at, word: f"<span>{at}</span><span>{word}</span>", ""),
    "ordinals": lambda words: _each(words, lambda at, word: f"{_ordinal(at)} {word}", ", "),
    "variables": lambda words: _each(words, lambda at, word: f"SEED_WORD_{at}={word}"),
    "and before the last": lambda words: f"{', '.join(words[:-1])} and {words[-1]}",
    "log lines": lambda words: _each(words, lambda at, word: f"2025-12-11 10:00:{at:02d},123 INFO {word}"),
    "bracketed log lines": lambda words: _each(words, lambda at, word: f"[2025-12-11T10:00:{at:02d}Z] [DEBUG] {word}"),
    "halves": lambda words: f"{' '.join(words[:6])}\nand the second half:\n{' '.join(words[6:])}",
    "first and last": lambda words: f"First 6 words: {' '.join(words[:6])}\nLast words: {' '.join(words[6:])}",
    "far apart": lambda words: (" " * 50).join(words),
    "objects in JSON": lambda words: json.dumps([{"index": at, "word": word} for at, word in enumerate(words)]),
    "messages in JSON": lambda words: json.dumps([{"role": "user", "content": word} for word in words]),
    "rows in JSON": lambda words: json.dumps([words[at : at + 4] for at in range(0, len(words), 4)]),
    "numbered": lambda words: _each(words, lambda at, word: f"{at}. {word}"),
    "labelled": lambda words: _each(words, lambda at, word: f"Word #{at} - {word}"),
    "a table": lambda words: "| # | word |\n|---|---|\n" + _each(words, lambda at, word: f"| {at} | {word} |"),
}

DATA: dict[str, Callable[[Words], Any]] = {
    "objects": lambda words: [{"index": at, "word": word} for at, word in enumerate(words, start=1)],
    "objects of one field": lambda words: [{"w": word} for word in words],
    "pairs": lambda words: [[at, word] for at, word in enumerate(words)],
    "rows of four": lambda words: [list(words[at : at + 4]) for at in range(0, len(words), 4)],
    "keys": lambda words: {word: at for at, word in enumerate(words)},
    "keys of rows": lambda words: [{word: True} for word in words],
    "halves": lambda words: [" ".join(words[:6]), " ".join(words[6:])],
    "halves by name": lambda words: {"first": " ".join(words[:6]), "second": " ".join(words[6:])},
    "messages": lambda words: [{"role": "user", "content": word} for word in words],
    "a dialogue": lambda words: [
        {"role": ("user", "assistant")[at % 2], "content": word} for at, word in enumerate(words)
    ],
    "messages with prose around": lambda words: [
        {"content": f"They are: {' '.join(words[:5])}"}, {"content": " ".join(words[5:]) + " . Bye."}
    ],
    "numbered fields": lambda words: {f"word{at}": word for at, word in enumerate(words, start=1)},
    "a list": list,
    "a tuple": tuple,
}  # fmt: skip


def _strings(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace(MARKER, "").lower()


def _left(words: Words, value: Any) -> list[str]:
    """Return the words of over four letters that are left in `value`; shorter words could be parts of other words."""
    return [word for word in words if len(word) > 4 and word.lower() in _strings(value)]


@cases("form", TEXTS)
def test_a_phrase_in_a_text_is_found_however_it_is_written(form: str) -> None:
    """Seed phrases of every language are masked in lists, log lines, variables, tables and JSON, also if cut in two."""
    make = random.Random(form)
    for language, strength in itertools.product(LANGUAGES, (128, 192, 256)):
        words = phrase(make, language, strength).split()
        done = redact_text(TEXTS[form](words))
        assert MARKER in done, TEXTS[form](words)
        assert not _left(words, done), done


def _different(make: random.Random, language: str, strength: int) -> Words:
    """Return a seed phrase without repeated words, so that its words can be the keys of a dict."""
    while True:
        words = phrase(make, language, strength).split()
        if len(set(words)) == len(words):
            return words


@pytest.mark.slow
@pytest.mark.parametrize("form", DATA)
def test_a_phrase_is_found_that_is_spread_over_data(form: str) -> None:
    """A seed phrase that is split over items, rows, messages or keys, a word or more in each, is masked. The result has
    the same shape, and redacting it again changes nothing."""
    make = random.Random(form)
    for language, strength in itertools.product(LANGUAGES, (128, 192, 256)):
        words = _different(make, language, strength)
        value = DATA[form](words)
        done = redact(value)
        assert MARKER in json.dumps(done), value
        assert not _left(words, done), done
        assert (type(done), len(done)) == (type(value), len(value))
        assert redact(done) == done


def _nested(make: random.Random, pieces: list[str]) -> Any:
    """Distribute `pieces`, in their order, over nested lists and dicts."""
    if len(pieces) == 1:
        return pieces[0]
    cut = make.randrange(1, len(pieces))
    parts = [_nested(make, pieces[:cut]), _nested(make, pieces[cut:])]
    return make.choice([parts, tuple(parts), dict(zip("ab", parts, strict=True)), [7, *parts]])


@pytest.mark.slow
def test_a_phrase_is_found_however_it_is_cut_and_nested() -> None:
    """A seed phrase that is cut into pieces, nested at any depth, is masked except for at most two words."""
    make = random.Random("nested")
    for _ in range(300):
        words = phrase(make, make.choice(LANGUAGES), make.choice((128, 160, 192, 224, 256))).split()
        cuts = sorted(make.sample(range(1, len(words)), make.randrange(1, 6)))
        pieces = [" ".join(words[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(words)], strict=True)]
        value = _nested(make, pieces)
        done = redact(value)
        assert len(_left(words, done)) <= 2, (value, done)
        assert redact(done) == done


@cases("language", ["english", "spanish", "french", "italian", "czech", "portuguese"])
def test_words_that_are_cut_to_four_letters_are_found(language: str) -> None:
    """Seed phrases cut to four letters a word, as on steel plates, are masked: four letters identify a BIP-39 word."""
    import unicodedata

    make = random.Random(language)
    for strength in (128, 256):
        words = [unicodedata.normalize("NFC", word)[:4] for word in phrase(make, language, strength).split()]
        assert redact_text(f"steel: {' '.join(words)}") == f"steel: {MARKER}"


@cases("words", ["abandon " * 11 + "about", "zoo " * 11 + "wrong", "test " * 11 + "junk"])
def test_the_wallets_of_tests_are_found(words: str) -> None:
    """Well-known test phrases that repeat a word, such as BIP-39's vectors and Hardhat's default, are masked."""
    assert redact_text(f"mnemonic is {words}.") == f"mnemonic is {MARKER}."
    assert set(redact(words.split())) == {MARKER}


def _key_of_bytes() -> list[int]:
    return list(base58.b58decode(SECRETS["solana-secret-key"](random.Random(3))))


KEYS: dict[str, Callable[[list[int]], Any]] = {
    "rows of sixteen": lambda key: [key[at : at + 16] for at in range(0, 64, 16)],
    "halves": lambda key: {"first": key[:32], "second": key[32:]},
    "pairs": lambda key: [[at, byte] for at, byte in enumerate(key)],
    "objects": lambda key: [{"index": at, "value": byte} for at, byte in enumerate(key, start=1)],
}


@cases("form", KEYS)
def test_a_key_of_bytes_is_found_in_rows(form: str) -> None:
    """A key is masked if a table's rows or the pairs of `Object.entries` hold its bytes; 64 other numbers stay."""
    key = _key_of_bytes()
    assert redact({"rows": KEYS[form](key)}) == {"rows": "[REDACTED:solana-secret-key]"}
    other = {"rows": KEYS[form]([*key[:-1], key[-1] ^ 1])}
    assert redact(other) == other


def test_a_phrase_over_messages_never_reaches_a_row() -> None:
    """A seed phrase split over messages is masked in the journal's columns, which keep valid JSON of the same shape."""
    words = phrase(random.Random(11)).split()
    observation = Observation("generation", "call")
    observation.input = [{"role": "user", "content": word} for word in words]
    observation.ended = observation.started
    stored = json.loads(row_of(observation)["input"])
    assert stored == [{"role": "user", "content": MARKER} for _ in words]


def test_a_phrase_over_two_fields_is_found_each_time() -> None:
    """A phrase split over two fields is masked every time: redaction does not remember the first field as clean."""
    words = phrase(random.Random(14)).split()
    value = {"note": f"The key token: {' '.join(words[:6])}", "rest": " ".join(words[6:])}
    for _ in range(3):
        assert redact(value) == {"note": f"The key token: {MARKER}", "rest": MARKER}
        assert redact([value]) == [{"note": f"The key token: {MARKER}", "rest": MARKER}]


def test_what_stands_around_a_spread_phrase_stays() -> None:
    """In messages that each hold half of a phrase, only the phrase's words are masked; numbers and prose stay."""
    words = phrase(random.Random(12)).split()
    value = [{"n": 1, "say": f"My words are: {' '.join(words[:7])}"}, {"n": 2, "say": f"{' '.join(words[7:])}. Bye."}]
    assert redact(value) == [{"n": 1, "say": f"My words are: {MARKER}"}, {"n": 2, "say": f"{MARKER}. Bye."}]


def test_long_texts_are_read_together_at_their_ends() -> None:
    """A phrase is masked if one long prompt ends with its first half, and the next begins with its second half."""
    words, prose = phrase(random.Random(13)).split(), "Longs were liquidated on BTC. " * 100
    value = [f"{prose}{' '.join(words[:6])}", f"{' '.join(words[6:])}. {prose}"]
    assert redact(value) == [f"{prose}{MARKER}", f"{MARKER}. {prose}"]


COLUMNS = ("long", "short", "trade", "hold", "sell", "price", "limit")


@pytest.mark.slow
def test_columns_of_the_market_stay() -> None:
    """Columns of only seven different BIP-39 words stay: a seed phrase has at least eight different words."""
    make = random.Random("columns")
    for _ in range(200):
        rows = [{"side": make.choice(COLUMNS), "order": make.choice(COLUMNS), "qty": at} for at in range(40)]
        assert redact(rows) == rows
        text = "\n".join(f"{at}. {row['side']}" for at, row in enumerate(rows[:24], start=1))
        assert redact_text(text) is text


@pytest.mark.slow
def test_failing_checksums_stay_in_data_too() -> None:
    """Words of BIP-39's list in rows and messages are masked only if they are a phrase with a valid checksum."""
    from mnemonic import Mnemonic

    make, known, tried = random.Random("failing"), Mnemonic("english"), 0
    while tried < 100:
        words = make.choices(known.wordlist, k=12)
        if not known.check(" ".join(words)) and len(set(words)) == 12 and "secret" not in words:
            tried += 1
            for form in DATA.values():
                assert redact(form(words)) == form(words)


def test_ordinary_conversations_stay_as_they_are() -> None:
    """A hundred messages of random words from this file are not masked."""
    prose = Path(__file__).read_text(encoding="utf-8").split()
    make = random.Random("prose")
    value = [{"role": "user", "content": " ".join(make.choices(prose, k=9))} for _ in range(100)]
    assert redact(value) == value
