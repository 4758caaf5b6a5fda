"""The cost of redaction, counted in function calls and characters: a count is the same on a busy machine.

`benchmarks/bench_redaction.py` has the milliseconds.
"""

import gc
import itertools
import random
import re
import time
import timeit
from collections import Counter
from collections.abc import Callable
from typing import Any

import base58
import pytest

from src.observability.redaction import wallets
from src.observability.redaction.redactor import redact, redact_text
from src.observability.redaction.rules import current_rules
from src.observability.redaction.scan import OVERLAP, PIECE, Scan, pieces
from tests.cases import cases
from tests.redaction.corpus import FEED, PLACED, SECRETS
from tests.tracing.counting import counted, longest_call

Row = Callable[[random.Random], str]


def _hash(make: random.Random) -> str:
    return f"0x{make.randbytes(32).hex()}"


def _base58(make: random.Random, size: int) -> str:
    return base58.b58encode(make.randbytes(size)).decode()


# Kind of row -> a function that makes one row, and the most function calls and regex searches that redaction may need
# for one more row in a prompt.
ROWS: dict[str, tuple[Row, float, float]] = {
    "transactions": (lambda make: f'{{"symbol": "BTC", "price": 97123.5, "tx": "{_hash(make)}"}}, ', 13, 0),
    "transactions and a key": (lambda make: f'{{"key": "a", "price": 97123.5, "tx": "{_hash(make)}"}}, ', 16, 0),
    "signatures": (lambda make: f'{{"slot": 7, "signature": "{_base58(make, 64)}"}}, ', 25, 1),
    "addresses": (lambda make: f'{{"rank": 1, "owner": "{_base58(make, 32)}"}}, ', 6, 0),
    "key levels": (lambda _: "| BTC | 97,123.5 | +1.2% | key level |\n", 0, 0),
    "tokens": (lambda _: '{"token": "BONK", "price": 0.0001}, ', 1, 0),
    "news": (lambda _: '{"url": "https://coindesk.com/markets/2025/12/11/btc-falls"}, ', 14, 0),
    "Japanese": (lambda _: "ビットコインの価格が急落し、ロングの清算が相次いだ。", 0, 0),
    "Chinese": (lambda _: "比特币价格上涨，多头清算一千二百万美元，市场情绪谨慎。\n", 0, 0),
    "Korean": (lambda _: "비트코인 가격이 급락하며 롱 포지션 청산이 이어졌다.\n", 0, 0),
    "French": (lambda _: "Le marché a chuté après les liquidations; la clé est la prudence.\n", 0, 0),
    "market rows": (lambda make: f"BTC,SELL,LIMIT,IOC,{make.random():.3f},97123.5,FILLED,1765417055314\n", 0, 0),
}


def _calls(value: Any) -> Counter[str]:
    """Return how many function calls and regular expression searches the redaction of `value` takes."""
    redact(value)  # does imports and fills caches
    current_rules().clean.clear()  # else redaction remembers that the text is clean
    with counted() as calls:
        redact(value)
    searches = sum(number for name, number in calls.items() if ".Pattern." in name)
    return Counter(calls=calls.total(), searches=searches)


@pytest.mark.slow
@pytest.mark.parametrize("rows", ROWS)
def test_one_row_more_costs_next_to_nothing(rows: str) -> None:
    """If a prompt has one more ordinary row, redaction takes only a few more function calls and searches."""
    row, most_calls, most_searches = ROWS[rows]
    make = random.Random(rows)
    page = [row(make) for _ in range(400)]  # short enough to be searched in one piece
    few, many = _calls("".join(page[:200])), _calls("".join(page))
    assert redact_text("".join(page)) == "".join(page)
    assert many["calls"] - few["calls"] <= most_calls * 200 + 20
    assert many["searches"] - few["searches"] <= most_searches * 200 + 20


def test_an_ordinary_prompt_costs_as_many_calls_whatever_its_length() -> None:
    """A text repeated six times takes about as many calls as one copy, as each rule searches a whole piece at once."""
    text = FEED.read_text(encoding="utf-8")[:10_000]
    assert len(text * 6) <= PIECE
    assert _calls(text * 6)["calls"] <= _calls(text)["calls"] * 1.2
    assert _calls(text * 40)["calls"] <= _calls(text)["calls"] * 1.5 * 7


@cases("text", ["x " * 200_000, "x" * 400_000, "é" * 400_000, "x\n" * 200_000, "xy" * 45_001])
def test_a_long_text_is_read_in_pieces_that_overlap(text: str) -> None:
    """A long text is searched in pieces that overlap. Any passage shorter than the overlap is whole in one piece."""
    places = [(start, start + len(piece)) for start, piece in pieces(text)]
    assert all(text[start:end] == piece for (start, end), (_, piece) in zip(places, pieces(text), strict=True))
    assert max(end - start for start, end in places) <= PIECE + OVERLAP
    assert places[0][0] == 0
    assert places[-1][1] == len(text)
    for (_, end), (start, _) in itertools.pairwise(places):
        assert OVERLAP <= end - start <= OVERLAP + 1_024


def test_a_text_that_fits_is_not_copied() -> None:
    """A text that fits into one piece, as nearly all texts do, is not copied."""
    text = "x" * (PIECE + OVERLAP)
    assert [piece for _, piece in pieces(text)] == [text]
    assert next(pieces(text))[1] is text


@pytest.mark.parametrize("filling", ["row 12,5 of the market\n", pytest.param("x-", marks=pytest.mark.slow)])
@pytest.mark.parametrize("before", [5, *(pytest.param(signs, marks=pytest.mark.slow) for signs in (300, 40, 0))])
@cases("rule", [*SECRETS, *PLACED])
def test_nothing_is_missed_at_a_seam(rule: str, filling: str, before: int) -> None:
    """A secret of each rule is found even where a piece of a long text begins or ends."""
    make = random.Random(rule)
    long = (filling * 100_000)[:200_000]
    seam = next(itertools.islice(pieces(long), 1, 2))[0]
    for edge in (seam, seam + OVERLAP):
        text, secret = (SECRETS[rule](make),) * 2 if rule in SECRETS else PLACED[rule](make)
        done = redact_text(f"{long[: edge - before - 1]} {text} {long[:5000]}")
        assert f"[REDACTED:{rule}]" in done
        assert secret[-12:] not in done


def test_a_list_of_small_numbers_is_read_once() -> None:
    """The search for keys in lists of numbers reads each number at most twice, not once for each possible key."""
    make = random.Random("percentages")
    rows = [", ".join(str(make.randrange(100)) for _ in range(60)) for _ in range(400)]
    lists = list(wallets._lists(Scan("\n".join(f"RSI: {row}" for row in rows))))
    assert sum(match.end() - match.start() for match in lists) <= sum(map(len, rows)) * 2


def test_percentages_are_no_key() -> None:
    """A list of numbers up to 127 holds no key, since about half of a key's 64 bytes are above 127."""
    make = random.Random("series")
    assert list(wallets._windows([str(make.randrange(128)) for _ in range(2000)])) == []


NEAR_MATCHES = (
    "助记词的一是",
    "的 ",
    "abandon ",
    "zoo, ",
    "1. abandon ",
    "word 1: zoo ",
    "<li>zoo</li>",
    "long short ",
)


@pytest.mark.slow
@pytest.mark.parametrize("repeated", NEAR_MATCHES)
def test_near_matches_of_seed_phrases_take_linear_time(repeated: str) -> None:
    """Twice as many words of incomplete seed phrases take twice the calls, not four times."""
    once, twice = (_calls(repeated * count)["calls"] for count in (1000, 2000))
    assert twice <= once * 2.2


def _longest_call(text: str) -> float:
    gc.disable()  # garbage collection would add to the rules' time
    try:
        with longest_call() as longest:
            redact_text(text)
    finally:
        gc.enable()
    return longest[-1][0]


HEAVY = (
    "key=", "key: ", "token ", "secret,'", 'password: "', "Authorization: ", "sk-", "ghs_a", "eyJ", "%41", "%2525",
    "https://a:b@c ", "助记词的一是", "word 1: zoo ", "-----BEGIN PRIVATE KEY-----", "1, ", "[REDACTED:", "[", "a",
    "curl ", "clave: 1", "api_key (1 ",
    "AKIAABCDEFGHIJKLMNOP " + "aB1" * 13 + "a ",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("repeated", HEAVY)
def test_no_step_holds_the_interpreter_for_long(repeated: str) -> None:
    """No call in redaction takes longer than three regex searches of a piece: 4 ms, below Python's switch interval."""
    text = "[REDACTED:operator]" + repeated * ((PIECE + OVERLAP) // len(repeated))
    plain = min(timeit.repeat(lambda: re.search(r"\w\d\d", "a1" * (PIECE // 2)), number=1, repeat=9))
    assert any(_longest_call(text) <= 3 * plain for _ in range(4))


@pytest.mark.slow
@cases("repeated", (*HEAVY, "12, 45, 77, 31, " * 15 + "x "))
def test_a_megabyte_takes_seconds_at_most(repeated: str) -> None:
    """A megabyte is redacted in a few seconds: meanwhile later rows wait, and a kill would lose them."""
    plain = min(timeit.repeat(lambda: re.search(r"\w\d\d", "a1" * (PIECE // 2)), number=1, repeat=9))
    began = time.thread_time()
    redact_text(repeated * (1_000_000 // len(repeated)))
    assert time.thread_time() - began <= 2000 * plain  # 2.5 s


@pytest.mark.slow
def test_a_text_of_words_of_the_list_is_checked_up_to_a_bound() -> None:
    """If a text has so many BIP-39 words that checking their checksums would take long, they are masked unchecked."""
    from mnemonic import Mnemonic

    words = random.Random(1).choices(Mnemonic("english").wordlist, k=20_000)
    assert redact_text(" ".join(words)) == "[REDACTED:seed-phrase]"
    assert _calls(" ".join(words))["calls"] < 20 * len(words)


@pytest.mark.slow
def test_thousands_of_keys_with_one_marker_take_linear_time() -> None:
    """If thousands of dictionary keys get the same marker, none is lost, and twice the keys take twice the calls."""
    make = random.Random(1)
    once, twice = ({SECRETS["aws-key"](make): [None] for _ in range(count)} for count in (500, 1000))
    assert len(redact(twice)) == 1000
    assert _calls(twice)["calls"] <= _calls(once)["calls"] * 2.2
