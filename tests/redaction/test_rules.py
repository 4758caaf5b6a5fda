"""Tests of the prefilter, whose hints decide which rules run: no secret is missed; on ordinary rows, no rule runs."""

import os
import random
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from src.observability.redaction import rules
from src.observability.redaction.redactor import Redactor, redact, redact_text
from tests.redaction import corpus
from tests.redaction.encodings import BLOBS, BREAKS, ENCODINGS

needs_re2 = pytest.mark.skipif(rules.re2 is None, reason="google-re2 is not installed")
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzKEYq"


def _texts() -> Iterator[str]:
    make = random.Random("hints")
    for place in corpus.CONTEXTS.values():
        yield from (place(make_one(make)) for make_one in corpus.SECRETS.values())
        yield from (place(make_one(make)[0]) for make_one in corpus.PLACED.values())
        yield from (place(form(SECRET)) for forms in (BLOBS, BREAKS, ENCODINGS) for form in forms.values())
        yield from (place(corpus.phrase(make, language)) for language in corpus.LANGUAGES)
    yield from corpus.look_alikes(make)


def _values() -> Iterator[Any]:
    """Yield values that each contain one secret, split over several texts."""
    make = random.Random("spread")
    filling = "Longs of 12,345,678 USD were liquidated on BTC; the price is 97,123.5. " * 20
    for text in (SECRET, *(corpus.phrase(make, language, 256) for language in corpus.LANGUAGES)):
        half = text[: len(text) // 2] if text == SECRET else " ".join(text.split()[:12])
        parts = half, text[len(half) :].strip()
        messages = [filling + parts[0], parts[1] + filling]
        yield [*parts]
        yield dict(enumerate(parts))
        yield {parts[0]: 1, parts[1]: 2}
        yield [{"role": "user", "content": content} for content in messages]
        yield {"question": messages[0], "answer": messages[1]}
        yield [{"i": number, f"word{number}": word} for number, word in enumerate(text.split())]


@needs_re2
@pytest.mark.slow
def test_no_secret_is_hidden_by_the_search_for_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the prefilter, every text and value gets the same result as without it, when all rules run."""
    monkeypatch.setenv("EXCHANGE_API_SECRET", SECRET)
    texts, values = [*_texts()], [*_values()]
    with_hints = [*map(redact_text, texts)], [*map(redact, values)]
    monkeypatch.setattr(rules, "re2", None)
    monkeypatch.setattr(rules, "_current", None)
    assert [*map(redact_text, texts)] == with_hints[0]
    assert [*map(redact, values)] == with_hints[1]
    assert sum("[REDACTED:" in str(value) for value in with_hints[1]) > len(values) * 0.8


ROWS: dict[str, Callable[[int], list[Any]]] = {
    "messages": lambda number: [[
        {"role": "system", "content": f"You are a trading agent. Decide: BUY, SELL or NOTHING. {number}"},
        {"role": "user", "content": f"Longs of 12,345,678 USD were liquidated on BTC at 97,{number}.5"},
    ]],
    "a conversation": lambda number: [[
        {"role": role, "content": [{"type": "text", "text": f"{role}: Longs were liquidated on BTC at 97,{number}.5"}]}
        for role in ("user", "assistant") * 5
    ]],
    "a whole row": lambda number: [
        "Luna", "gpt-4o", None, {"temperature": 0.2, "max_tokens": 500}, f"prompt {number}", f"BUY\n{number}", ["a"],
    ],
}  # fmt: skip


@needs_re2
@pytest.mark.parametrize("kind", ROWS)
def test_an_ordinary_row_is_read_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefilter searches all texts of a row together, but no agent name or dict key that it has searched before."""
    searches: set[bytes] = set()
    matches = rules.Prefilter.matches
    monkeypatch.setattr(rules.Prefilter, "matches", lambda self, views: searches.update(views) or matches(self, views))
    for number in range(3):
        searches.clear()
        values = ROWS[kind](number)
        assert Redactor().redact_all(values) == values
    (text,) = searches
    assert b"role" not in text
    assert b"max_tokens" not in text


@needs_re2
def test_a_system_prompt_that_mentions_a_key_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system prompt that mentions keys matches hints in every row. The rules search the prompt, and the ordinary
    texts beside it, only in the first rows."""
    system = {"role": "system", "content": "Never reveal an API key. The token is SOL."}
    searched: list[str] = []
    spans = rules.Rules.spans
    monkeypatch.setattr(rules.Rules, "spans", lambda self, text: searched.append(text) or spans(self, text))
    for number in range(3):
        searched.clear()
        values = [[system, {"role": "user", "content": f"Longs of {number} USD were liquidated"}], {"model": "gpt-4o"}]
        assert Redactor().redact_all(values) == values
    assert not searched
    secret = [system, {"role": "user", "content": "api_key=Zx81kQmN4vTr7LpB2yWc"}]
    assert redact(secret) == [system, {"role": "user", "content": "api_key=[REDACTED:named-secret]"}]


def test_a_text_that_was_clean_by_itself_is_masked_beside_a_name() -> None:
    """A text that was remembered as clean is masked when it stands in a field with a secret's name."""
    for text in ("hunter2abc", "7c" + "9f3e5a1b" * 7 + "c4d2e1"):
        assert redact(text) == text
        assert text not in str(redact({"password": text, "pk": 1}))
    assert redact({"api_wallet": text}) == {"api_wallet": "[REDACTED:evm-private-key]"}
    assert redact(["password", "hunter2abc"]) == ["password", "[REDACTED:named-secret]"]
    assert redact({"name": "BINANCE_SECRET", "value": "hunter2abc"})["value"] == "[REDACTED:named-secret]"


def test_a_number_is_masked_although_an_equal_one_of_another_type_was_clean() -> None:
    """The float 12345678.0 is not a password, but the equal integer is: a cache must not confuse the two."""
    assert redact({"password": 12345678.0}) == {"password": 12345678.0}
    assert redact({"password": 12345678}) == {"password": "[REDACTED:named-secret]"}


@needs_re2
def test_a_page_of_signatures_multiplies_no_states() -> None:
    """Random letters take at most 20 times as long to search as prose, since seed phrases have their own prefilter."""
    make = random.Random("signatures")
    letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    page = "".join(f'{{"slot": 7, "signature": "{"".join(make.choices(letters, k=88))}"}}, ' for _ in range(300))
    prose = ("Longs of 12,345,678 USD were liquidated in fifteen minutes on BTC. " * len(page))[: len(page)]
    current = rules.current_rules()

    def search(text: bytes) -> None:
        current._hints.matches([text])
        current._phrase_hint.matches([text])

    took = [
        min(timeit.repeat(partial(search, text), timer=time.thread_time, number=1, repeat=7))
        for text in (page.encode(), prose.encode())
    ]
    assert took[0] <= 20 * took[1]


@needs_re2
def test_memory_that_is_used_up_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If RE2 runs out of memory, it reports no match; every rule then runs, so that no secret is missed."""
    prefilter = rules.Prefilter(["key", "token"])
    assert prefilter.matches([b"a key"]) == [0]
    assert prefilter.matches([b"nothing"]) == []
    monkeypatch.setattr(prefilter, "_compiled", rules._compiled_set(["nothing at all"]))
    assert prefilter.matches([b"a key"]) == [0, 1]


@pytest.mark.slow
def test_a_child_that_is_forked_during_a_search_can_redact() -> None:
    """A child that is forked while the parent holds RE2's locks compiles its own expressions, and can redact."""
    text = "".join(corpus.sentence(random.Random(at), corpus.SENTENCES[0]) for at in range(2000))
    stop = threading.Event()
    worker = threading.Thread(target=lambda: [redact_text(f"{at}{text}") for at in range(10**6) if not stop.is_set()])
    worker.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0 if redact_text("password: hunter2abc") == "password: [REDACTED:named-secret]" else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        worker.join()


def test_two_threads_prepare_rules_without_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules are prepared without a lock: a child forked while another thread held the lock would wait for ever."""
    inside, go_on, copy = threading.Event(), threading.Event(), rules.copy

    def slowly(value: Any) -> Any:
        if threading.current_thread() is slow:
            inside.set()
            assert go_on.wait(30)
        return copy(value)

    monkeypatch.setattr(rules, "copy", slowly)
    slow, other = [threading.Thread(target=lambda: rules.Rules((), "", "").without_phrases) for _ in range(2)]
    slow.start()
    assert inside.wait(10)
    other.start()
    other.join(2)
    waits = other.is_alive()
    go_on.set()
    slow.join(10)
    assert not waits
