"""
🌙 Moon Dev's Redaction Tests
Built with love by Moon Dev 🚀

Recall over generated secrets of every rule, precision over their look-alikes, and properties that hold for any value.
"""

import base64
import html
import json
import random
import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.observability.redaction import MAX_TEXT, RULES, TOO_LONG, redact, redact_text
from tests.redaction_corpus import CONTEXTS, FEED, LANGUAGES, PLACED, SECRETS, look_alikes, phrase

NOT_GENERATED = {"operator", "own-secret"}  # tested by themselves below


def test_every_rule_has_its_secrets() -> None:
    """The corpus and the rules that exist are the same."""
    assert SECRETS.keys() | PLACED.keys() == RULES - NOT_GENERATED


@pytest.mark.parametrize("rule", SECRETS)
def test_a_secret_is_found_wherever_it_stands(rule: str) -> None:
    """Hundreds of each rule, in prompts, answers, JSON, tracebacks, tables and errors: none is left in any."""
    make = random.Random(rule)
    for number in range(240):
        secret = SECRETS[rule](make)
        text = CONTEXTS[number % len(CONTEXTS)](secret)
        done = redact_text(text)
        assert f"[REDACTED:{rule}]" in done, text
        for form in (secret, json.dumps(secret)[1:-1]):
            assert form not in done


@pytest.mark.parametrize("rule", PLACED)
def test_a_secret_is_known_by_its_name_or_place(rule: str) -> None:
    """Headers, addresses with credentials, and fields whose name says secret."""
    make = random.Random(rule)
    for number in range(240):
        text, secret = PLACED[rule](make)
        text = (text, f"see {text}", f"{text}\nnext line", f"- {text}")[number % 4]
        done = redact_text(text)
        assert secret not in done, text
        assert "[REDACTED:" in done


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("separator", [" ", "\n", ", ", "  ", " | "])
def test_a_seed_phrase_is_found_however_it_is_written(language: str, separator: str) -> None:
    """All official languages and lengths, any separator and case, inside prose."""
    make = random.Random(language + separator)
    for strength in (128, 160, 192, 224, 256):
        words = phrase(make, language, strength).split()
        for text in (separator.join(words), separator.join(words).upper(), f"my wallet is {separator.join(words)} ok"):
            done = redact_text(text)
            assert "[REDACTED:seed-phrase]" in done, text
            left = done.replace("[REDACTED:seed-phrase]", "").lower()
            assert not [word for word in words if len(word) > 4 and word in left], done


def test_a_numbered_seed_phrase_is_found() -> None:
    """As wallets print them."""
    words = phrase(random.Random(7)).split()
    numbered = "\n".join(f"{number}. {word}" for number, word in enumerate(words, start=1))
    assert "[REDACTED:seed-phrase]" in redact_text(f"Write these down:\n{numbered}\nKeep them safe.")
    assert "[REDACTED:seed-phrase]" in str(redact({"words": words}))


def test_a_solana_key_as_numbers_is_found() -> None:
    """As `solana-keygen` writes it; 64 other numbers stay."""
    import base58

    key = list(base58.b58decode(SECRETS["solana-secret-key"](random.Random(3))))
    assert redact(key) == "[REDACTED:solana-secret-key]"
    assert redact_text(f"id.json: {key}") == "id.json: [[REDACTED:solana-secret-key]]"
    other = [*key[:-1], (key[-1] + 1) % 256]
    assert redact(other) == other


def test_look_alikes_stay() -> None:
    """Hashes, addresses, signatures, ids, images, failed checksums, prices and prose: not one is masked."""
    make = random.Random("look-alikes")
    for _ in range(300):
        for thing in look_alikes(make):
            assert redact_text(thing) is thing
            text = f"The order at {thing} was filled"
            assert redact_text(text) is text


def test_the_recorded_feed_stays() -> None:
    """A market table of 1,831 rows, as one text and row by row."""
    text = FEED.read_text(encoding="utf-8")
    assert redact_text(text) is text
    assert all(redact_text(line) is line for line in text.splitlines())


FORMS = {
    "as it is": lambda secret: secret,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in HTML": html.escape,
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in base64 of more": lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
    "in URL-safe base64": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    "in hex": lambda secret: secret.encode().hex(),
    "in upper-case hex": lambda secret: secret.encode().hex().upper(),
    "over two lines": lambda secret: f"{secret[:9]}\n{secret[9:]}",
    "over two lines in JSON": lambda secret: json.dumps(f"{secret[:9]}\n{secret[9:]}"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", ["Tr4de&Pass/word+1", 'quote"d\\secret77', "hunter2-hunter2", "ünïcode-pässwörd-9"])
def test_our_own_secrets_are_found_in_every_form(form: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of the environment whose names look like secrets, in whatever encoding software writes them."""
    monkeypatch.setenv("EXCHANGE_API_SECRET", secret)
    written = FORMS[form](secret)
    done = redact_text(f"login failed for {written}, retrying")
    assert written not in done, done
    assert "[REDACTED:" in done


def test_a_changed_environment_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is set while the process runs is masked from then on; a placeholder never is."""
    text = "the value is correct-horse-battery"
    assert redact_text(text) is text
    monkeypatch.setenv("NEW_API_KEY", "correct-horse-battery")
    assert redact_text(text) == "the value is [REDACTED:own-secret]"
    monkeypatch.setenv("NEW_API_KEY", "your_new_api_key_here")
    assert redact_text("put your_new_api_key_here into .env") == "put your_new_api_key_here into .env"


def test_the_operators_patterns_and_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern of the operator's masks, an allowed string stays whatever else says."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", r"ACC-\d{6}" + "\n" + "desk-[a-z]+")
    assert redact_text("from ACC-123456 at desk-london") == "from [REDACTED:operator] at [REDACTED:operator]"
    key = SECRETS["groq-key"](random.Random(1))
    monkeypatch.setenv("OBSERVABILITY_REDACT_ALLOW", key)
    assert redact_text(f"a documented example: {key}") == f"a documented example: {key}"


@pytest.mark.parametrize("pattern", ["(", "(a+)+", "x*", "[z-a]"])
def test_a_bad_pattern_records_no_text_until_it_is_corrected(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operator wanted hidden is unknown, and a journal cannot be unwritten."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", pattern)
    assert redact_text("some prompt") == "[NOT RECORDED: OBSERVABILITY_REDACT_PATTERNS is refused]"


def test_keys_and_nested_values_are_walked() -> None:
    """A field whose name says secret is masked whole; a secret in a key too; numbers and flags stay."""
    secret = SECRETS["xai-key"](random.Random(5))
    done = redact({"api_key": "anything at all", "nested": [{secret: (secret, 1, None, True, 2.5)}]})
    assert secret not in str(done)
    assert done["api_key"] == "[REDACTED:named-secret]"
    assert done["nested"][0]["[REDACTED:xai-key]"][1:] == (1, None, True, 2.5)


def test_what_is_too_long_is_not_recorded() -> None:
    """16 million characters are; more are a placeholder, never the original."""
    assert redact_text("x" * (MAX_TEXT + 1)) == TOO_LONG


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=30,
)


@settings(deadline=None)
@given(anything)
def test_it_never_raises_and_is_idempotent(value: Any) -> None:
    """Whatever comes; and what is redacted is redacted no further."""
    done = redact(value)
    assert repr(redact(done)) == repr(done)


@settings(deadline=None)
@given(st.text(alphabet=" abcdefghij.,\n0123456789$%", max_size=300))
def test_text_without_a_match_is_the_same_object(text: str) -> None:
    """Nothing is copied, trimmed or normalised."""
    assert redact_text(text) is text


@settings(deadline=None)
@given(st.text(max_size=80), st.sampled_from(sorted(SECRETS)), st.text(max_size=80), st.integers(0, 999))
def test_a_secret_is_found_in_any_surroundings(before: str, rule: str, after: str, seed: int) -> None:
    """Whatever stands before and after, apart by a space."""
    secret = SECRETS[rule](random.Random(seed))
    assert secret not in redact_text(f"{before} {secret} {after}")


@pytest.mark.parametrize(
    "repeated",
    ["a", "0", " ", "\n", "\\", '"', "=", ":", "sk-", "sk-ant-", "eyJ", "eyJ.", "-----BEGIN ", "0x", "://", "@", "key=",
     "key: ", "abandon ", "\\u0041", "%41", "1,", "[1,", "Bearer ", "{", "\x1b[0m", "MA.", "ü", "5K", "xprv"],
)  # fmt: skip
def test_a_megabyte_of_anything_takes_less_than_its_bound(repeated: str) -> None:
    """No repetition, and no near-match: ten times the text takes ten times as long, not a hundred times."""
    small, large = repeated * (100_000 // len(repeated)), repeated * (1_000_000 // len(repeated))
    took = []
    for text in (small, large):
        began = time.perf_counter()
        redact_text(text)
        took.append(time.perf_counter() - began)
    assert took[1] < max(40 * took[0], 1.0)


def test_a_name_in_bytes_names_too() -> None:
    """Headers come as bytes from some clients."""
    assert redact((b"passwort", "0")) == ("passwort", "[REDACTED:named-secret]")
