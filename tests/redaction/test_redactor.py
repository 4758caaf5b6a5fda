"""All generated secrets are found, look-alikes are not masked, and any value can be redacted."""

import itertools
import json
import random
import re
import string
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import base58
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from src.models.model_factory import ModelFactory
from src.observability.redaction import http, rules, wallets
from src.observability.redaction.key_formats import FORMATS, Format
from src.observability.redaction.redactor import (
    BINARY,
    CYCLE,
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_TEXT,
    NO_TEXT,
    TOO_DEEP,
    TOO_LONG,
    TOO_MANY,
    redact,
    redact_text,
)
from src.observability.redaction.rules import MARKERS
from tests.cases import cases
from tests.providers.wire import Provider, ask
from tests.redaction import corpus as corpus
from tests.redaction.corpus import CONTEXTS, FEED, LANGUAGES, PLACED, SECRETS, look_alikes, phrase

needs_re2 = pytest.mark.skipif(rules.re2 is None, reason="google-re2 is not installed")
NOT_GENERATED = {"operator", "own-secret"}  # rules for values of the operator, of which the corpus has none


def assert_gone(secret: str, done: str) -> None:
    """Check that no eight successive characters of the secret are left; a shorter secret must not be left whole."""
    size = min(8, len(secret))
    left = [secret[at : at + size] for at in range(len(secret) - size + 1) if secret[at : at + size] in done]
    assert not left, (left, done)


@needs_re2
def test_every_rule_has_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus has a secret for every rule, and redacting all these secrets produces every marker."""
    assert SECRETS.keys() | PLACED.keys() == MARKERS - NOT_GENERATED
    monkeypatch.setenv("EXCHANGE_API_SECRET", "Tr4de&Pass/word+1")
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", r"ACC-\d{6}")
    make = random.Random("every rule")
    texts = [make_one(make) for make_one in SECRETS.values()] + [make_one(make)[0] for make_one in PLACED.values()]
    seen = [
        re.findall(r"\[REDACTED:([a-z-]+)\]", redact_text(text)) for text in [*texts, "ACC-123456 Tr4de&Pass/word+1"]
    ]
    assert {rule for rules in seen for rule in rules} == MARKERS


def test_every_node_has_its_address() -> None:
    """For each host whose addresses contain keys, the corpus has an example address."""
    addresses = [make_one(random.Random(1))[0] for make_one in corpus.NODES.values()]
    for host in http._NODES + http._BY_QUERY:
        assert any(host in address for address in addresses), host


@pytest.mark.slow
@pytest.mark.parametrize("rule", SECRETS)
def test_a_secret_is_found_wherever_it_stands(rule: str) -> None:
    """Hundreds of secrets of each rule are masked in prompts, answers, JSON, tracebacks, URLs, tables and errors."""
    make = random.Random(rule)
    for place in CONTEXTS.values():
        for _ in range(16):
            secret = SECRETS[rule](make)
            done = redact_text(place(secret))
            assert f"[REDACTED:{rule}]" in done, place(secret)
            for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote_plus(secret)):
                assert_gone(form, done)


@pytest.mark.parametrize("name", ["claude", "openai"])
def test_a_secret_is_found_in_the_errors_of_the_real_sdks(
    name: str, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If an SDK's exception quotes a provider's error that contains a secret, the secret is masked in the message."""
    monkeypatch.setenv("AI_MAX_RETRIES", "0")
    provider = Provider(name)
    provider.recorded["errors"]["503"] = {"error": {"message": "Incorrect API key provided: SECRET."}}
    provider.play(httpserver, "503")
    provider.configure(monkeypatch, httpserver.url_for(""))
    with pytest.raises(Exception, match="SECRET") as error:
        ask(ModelFactory.create_model(name), "generate")
    for rule, make_one in SECRETS.items():
        make = random.Random(rule)
        for _ in range(16):
            secret = make_one(make)
            assert_gone(secret, redact_text(str(error.value).replace("SECRET", repr(secret)[1:-1])))


@cases("rule", PLACED)
def test_a_secret_is_known_by_its_name_or_place(rule: str) -> None:
    """Secrets in headers, addresses and named fields are masked in every context of the corpus except a web form."""
    make = random.Random(rule)
    for place in (place for context, place in CONTEXTS.items() if context != "a form"):
        for _ in range(16):
            text, secret = PLACED[rule](make)
            done = redact_text(place(text))
            for form in (secret, quote(secret, safe="")):
                assert_gone(form, done)
            assert "[REDACTED:" in done


@cases("rule", corpus.GLUED)
def test_a_key_is_found_that_is_glued_to_a_word(rule: str) -> None:
    """A key that is glued to a word is recognised by its prefix and masked; the word before the key stays."""
    make = random.Random(f"glued {rule}")
    for number in range(240):
        before, secret = ("key", "token", "apikeyis", "Bearer")[number % 4], corpus.glued(make, rule)
        assert redact_text(f"BUY {before}{secret} now") == f"BUY {before}[REDACTED:{rule}] now"


def test_words_that_begin_like_a_key_stay() -> None:
    """Slugs and identifiers that happen to contain a key's prefix are not masked."""
    for words in corpus.LIKE_KEYS:
        for text in (words, f"see {words}.", json.dumps({"slug": words}), f"| {words} | 12 |"):
            assert redact_text(text) is text


@cases("other", corpus.BESIDE_IDS)
def test_what_is_no_secret_stays_beside_an_id(other: str) -> None:
    """Beside an AWS or Twilio key id, a value is masked only if it has the format of the matching secret key."""
    make = random.Random(other)
    for rule, account in {"aws-key": SECRETS["aws-key"](make), "twilio-key": f"AC{make.randbytes(16).hex()}"}.items():
        assert redact_text(f"{account} {other}") == f"[REDACTED:{rule}] {other}"
        assert redact_text(f"{other}, by {account}") == f"{other}, by [REDACTED:{rule}]"


@pytest.mark.slow
@pytest.mark.parametrize("host", [*corpus.NODES, *corpus.WEBHOOKS])
def test_the_key_in_an_address_is_found_in_any_notation(host: str) -> None:
    """A key in a URL is masked however it is written: whole, without scheme, encoded, or split into host and path."""
    make = random.Random(host)
    for notation in corpus.ADDRESSES.values():
        for _ in range(24):
            address, secret = (corpus.NODES | corpus.WEBHOOKS)[host](make)
            done = redact_text(notation(address))
            assert_gone(secret, done)
            assert "[REDACTED:" in done


def test_addresses_without_a_key_stay() -> None:
    """Links to guides and explorers, addresses with placeholders, and user names before a host are not masked."""
    for address in corpus.GUIDES:
        for text in (address, f"see {address}, and", json.dumps({"url": address}), quote(address, safe="")):
            assert redact_text(text) is text


@cases("scheme", ["postgres", "postgresql+asyncpg", "mysql", "mongodb+srv", "redis"])
def test_the_password_of_a_database_is_found(scheme: str) -> None:
    """A database password is masked even if it has characters that should be encoded, or if its address is encoded."""
    for mark in ("", "#", "/", "?", "@", "'", "%23"):
        address = f"{scheme}://bob:hunt3{mark}er2abc@db.internal:5432/trades"
        in_json = json.dumps(address).replace("/", "\\/")
        for text in (address, quote(address, safe=""), in_json, f"cannot open '{address}'"):
            done = redact_text(text)
            assert "er2abc" not in done
            assert "hunt3" not in done
            assert "db" in done


@cases("kind", corpus.KEYS)
def test_a_key_is_known_by_its_name_in_any_notation(kind: str) -> None:
    """A key after a secret's name is masked in Markdown, YAML, TOML, tables, prose, headers, cookies, URLs, shells."""
    make = random.Random(kind)
    for notation in corpus.KEY_NOTATIONS:
        for number in range(8):
            secret = corpus.KEYS[kind](make)
            text = _filled(notation, "K", secret)
            done = redact_text(text if number % 2 else f"Longs are out.\n{text}\nnext line")
            assert_gone(secret, done)


def _filled(notation: str, letter: str, secret: str) -> str:
    """Return `notation` with `secret` in place of its placeholder, which is a single letter outside any word."""
    return re.sub(rf"(?<![A-Za-z]){letter}(?![A-Za-z])|(?<=3D){letter}", lambda _: secret, notation)


@cases("password", corpus.PASSWORDS)
def test_a_password_is_known_by_its_name_in_any_notation(password: str) -> None:
    """A password after a name such as `password` is masked in every notation, even inside an error message."""
    for notation in corpus.PASSWORD_NOTATIONS:
        text = _filled(notation, "P", password)
        for written in (text, f"login failed: {text}", f"{text}\nnext line"):
            assert_gone(password, redact_text(written))


@cases("notation", corpus.WORD_NOTATIONS)
def test_a_password_of_letters_alone(notation: str) -> None:
    """A plain-word password is masked if "=" stands before it, or a line end, quote, bracket or comma after it."""
    for password in corpus.WORD_PASSWORDS:
        assert password not in redact_text(_filled(notation, "P", password))


@cases("password", [*corpus.QUOTED_PASSWORDS, *corpus.LINE_PASSWORDS])
def test_a_password_may_look_like_a_placeholder_or_like_code(password: str) -> None:
    """A password that only resembles a placeholder or code is masked; in `.env`, it ends where its line ends."""
    quoted = [f'PASSWORD="{password}"', json.dumps({"password": password}), repr({"db_password": password})]
    for text in quoted + [f"DB_PASSWORD={password}\nNEXT=1"] * (password in corpus.LINE_PASSWORDS):
        assert_gone(password, redact_text(text))
    assert redact({"password": password}) == {"password": "[REDACTED:named-secret]"}


@cases("password", ['ab"cd9efg', "ab'cd9efg", "ab\\cd9efg", "ab\\", "a\"b'c9\\defg", "line1abc\nline2def9"])
def test_quotes_in_a_value_do_not_end_it(password: str) -> None:
    """Quotes inside a password do not end it, even escaped three times as in nested JSON; the text after it stays."""
    once = json.dumps({"password": password, "symbol": "BTC"})
    for text in (once, json.dumps(once), json.dumps(json.dumps(once)), repr({"password": password, "symbol": "BTC"})):
        done = redact_text(text)
        assert "9" not in done
        assert "REDACTED" in done
        assert "symbol" in done
        assert "BTC" in done


@cases("kind", corpus.KEYS)
@cases("notation", corpus.LIST_NOTATIONS)
def test_the_items_of_a_list_are_known_by_its_name(notation: str, kind: str) -> None:
    """A list after a secret's name is masked in JSON, nested JSON and Python, on one line or more; other text stays."""
    make = random.Random(notation + kind)
    for _ in range(8):
        secrets = [corpus.KEYS[kind](make) for _ in range(3)]
        done = redact_text(f"{{{notation.format(*secrets)}, 'symbol': 'BTC'}}")
        for secret in secrets:
            assert_gone(secret, done)
        assert done.endswith(", 'symbol': 'BTC'}")


def test_lists_that_are_no_secret_stay() -> None:
    """Lists of tickers, addresses, hashes and numbers after a name with `key` or `token` are not masked."""
    make = random.Random("lists")
    for template in corpus.LISTS:
        text = corpus.sentence(make, template)
        assert redact_text(text) is text


def test_a_key_without_digits_is_no_word() -> None:
    """After a key's name, 24 random letters are masked, whether upper or lower case: they are not a word."""
    make = random.Random("letters")
    for number in range(200):
        letters = (string.ascii_lowercase, string.ascii_uppercase)[number % 2]
        secret = "".join(make.choices(letters, k=24))
        for text in (f"api_key: {secret}", f"apikey={secret}", f"API_KEY={secret}", f'{{"api_key": "{secret}"}}'):
            assert_gone(secret, redact_text(text))
    assert redact_text("api_key: qwrtzpsdfghjklmn") == "api_key: [REDACTED:named-secret]"  # 16 letters, no vowel
    assert redact_text("api_key: goodmorningevery") == "api_key: goodmorningevery"


def test_what_stands_beside_a_word_for_secrets_stays() -> None:
    """Addresses, hashes, prices, counts, tickers, code and placeholders beside a word such as `key` are not masked."""
    for template in corpus.SENTENCES:
        make = random.Random(template)
        for _ in range(8):
            text = corpus.sentence(make, template)
            assert redact_text(text) is text
            assert redact_text(f"- {text}\n- BUY") == f"- {text}\n- BUY"


@cases("fields", corpus.FIELDS)
def test_fields_that_are_no_secret_stay(fields: dict[str, object]) -> None:
    """Public account keys, token counts, cache keys, page tokens and pairs like ["password", "reset"] stay."""
    assert redact(fields) == fields


@cases("form", corpus.PEM_FORMS)
def test_a_private_key_is_found_however_its_lines_are_wrapped(form: str) -> None:
    """A PEM key is masked even if it is encoded, has headers, hyphens before its lines, or no BEGIN or END line."""
    make = random.Random(form)
    for _ in range(24):
        pem = SECRETS["pem-private-key"](make)
        done = redact_text(f"Longs are exhausted.\n\n{corpus.PEM_FORMS[form](pem)}\n\nBUY at once\n")
        for line in pem.splitlines()[1:-1]:
            assert_gone(line, done)
        assert done.startswith("Longs are exhausted.")
        assert done.endswith("BUY at once\n")


def test_the_short_last_line_of_a_private_key_is_masked() -> None:
    """If a private key is cut off, the rest of its last line is masked too, even if it has a few letters only."""
    text = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7b5f18bebbce5aed\nq6D1"
    for cut in (text, f"{text}\nBUY at once", json.dumps(text)):
        assert "q6D1" not in redact_text(cut)
        assert ("BUY at once" in cut) == ("BUY at once" in redact_text(cut))


def test_the_mention_of_a_private_key_hides_nothing_else() -> None:
    """If prose mentions only the header of a private key, only the header is masked."""
    done = redact_text(
        "It must begin with -----BEGIN PRIVATE KEY----- and so on; BUY 0.5 BTC at 97,123.5, risk is low."
    )
    assert done == "It must begin with [REDACTED:pem-private-key] and so on; BUY 0.5 BTC at 97,123.5, risk is low."


@cases("language", LANGUAGES)
def test_a_seed_phrase_is_found_however_it_is_written(language: str) -> None:
    """Seed phrases of all official languages and lengths are masked in prose, with any separator and in upper case."""
    make = random.Random(language)
    for strength, separator in itertools.product((128, 160, 192, 224, 256), (" ", "\n", ", ", "  ", " | ")):
        words = phrase(make, language, strength).split()
        for text in (separator.join(words), separator.join(words).upper(), f"my wallet is {separator.join(words)} ok"):
            done = redact_text(text)
            assert "[REDACTED:seed-phrase]" in done, text
            left = done.replace("[REDACTED:seed-phrase]", "").lower()
            assert not [word for word in words if len(word) > 4 and word in left], done


def test_a_numbered_seed_phrase_is_found() -> None:
    """Numbered seed phrases, as wallets print them, are masked."""
    words = phrase(random.Random(7)).split()
    numbered = "\n".join(f"{number}. {word}" for number, word in enumerate(words, start=1))
    assert "[REDACTED:seed-phrase]" in redact_text(f"Write these down:\n{numbered}\nKeep them safe.")
    assert "[REDACTED:seed-phrase]" in str(redact({"words": words}))


@cases("notation", corpus.BYTE_NOTATIONS)
def test_a_solana_key_is_found_in_any_notation_of_its_bytes(notation: str) -> None:
    """A Solana key is masked if written as numbers, hex or base64, alone or in a longer list; 64 random bytes stay."""
    make = random.Random(notation)
    for _ in range(12):
        key = corpus.solana(make)
        written = corpus.BYTE_NOTATIONS[notation](key)
        done = redact_text(f"id.json: {written}")
        assert "[REDACTED:solana-secret-key]" in done
        assert_gone(written[60:160], done)
        other = corpus.BYTE_NOTATIONS[notation](make.randbytes(64))
        assert redact_text(other) is other


def test_a_solana_key_as_data_is_found() -> None:
    """A Solana key given as bytes, a dict, or a list of numbers or numeric strings is masked; an invalid key is not."""
    raw = corpus.solana(random.Random(3))
    key = list(raw)
    redact(list(map(str, range(256))))  # redaction now remembers the texts "0" to "255" as clean
    for value in (
        key,
        list(map(str, key)),
        list(map(hex, key)),
        [7, 7, *key, 9],
        tuple(key),
        raw,
        dict(enumerate(key)),
        dict(enumerate(map(str, key))),
    ):
        assert redact(value) == "[REDACTED:solana-secret-key]"
    other = [*key[:-1], (key[-1] + 1) % 256]
    assert redact(other) == other
    assert redact(list(map(str, other))) == list(map(str, other))


def test_a_keypair_is_verified_as_ed25519_has_it() -> None:
    """Ed25519 key pairs from RFC 8032 and from a library are valid; with any one bit changed, they are not."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert wallets.is_keypair(seed + public)
    make = random.Random("keypairs")
    for _ in range(50):
        key = corpus.solana(make)
        assert wallets.is_keypair(key)
        bit = make.randrange(512)
        assert not wallets.is_keypair((int.from_bytes(key, "big") ^ 1 << bit).to_bytes(64, "big"))


def test_an_address_is_verified_by_its_bytes() -> None:
    """Addresses of Solana, Bitcoin and EVM chains are valid; base58 of 25 or 30 bytes without a checksum is not."""
    make = random.Random("addresses")
    for _ in range(50):
        assert wallets.is_address(base58.b58encode(make.randbytes(32)).decode())
        assert wallets.is_address(base58.b58encode_check(b"\0" + make.randbytes(20)).decode())
        assert wallets.is_address(f"0x{make.randbytes(20).hex()}")
        assert not wallets.is_address(base58.b58encode(b"\1" + make.randbytes(24)).decode())
        assert not wallets.is_address(base58.b58encode(b"\1" + make.randbytes(29)).decode())
    assert not wallets.is_address("0OIl" * 9)


def test_an_evm_key_is_told_by_what_assigns_it() -> None:
    """An EVM private key is recognised by its context: a variable, a field, prose, a wallet list, a library's error."""
    make = random.Random("notations")
    for notation in corpus.EVM_NOTATIONS * 12:
        secret = "".join(make.choices("0123456789abcdef", k=64))
        text = re.sub("K(?![A-Za-z_=:])", secret, re.sub(r"\bE\b", "0x" + secret[::-1][:40], notation))
        assert_gone(secret, redact_text(text))
        assert_gone(secret, redact_text(f"Longs are out.\n{text}\nnext"))


def test_a_hash_beside_talk_of_keys_stays() -> None:
    """A transaction hash or a storage slot beside words about keys is not mistaken for a private key."""
    make = random.Random("talk")
    for template in corpus.EVM_SENTENCES * 12:
        text = corpus.sentence(make, template)
        assert redact_text(text) is text


def test_an_evm_key_as_data_is_found() -> None:
    """An EVM key is masked in fields named like a key, and in `key` beside `address`; hashes and storage keys stay."""
    secret = "0x" + "".join(random.Random(9).choices("0123456789abcdef", k=64))
    for name in corpus.EVM_FIELDS:
        assert secret not in str(redact({name: secret}))
        assert secret not in str(redact({"wallets": [{name: secret[2:]}]}))
    address = "0x" + secret[2:42]
    done = redact({"address": address, "key": secret, "balance": 5})
    assert done == {"address": address, "key": "[REDACTED:evm-private-key]", "balance": 5}
    for other in (
        {"key": secret, "value": secret},
        {"hash": secret, "blockHash": secret},
        {"address": address, "tx": secret},
    ):
        assert redact(other) == other


@pytest.mark.parametrize("times", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_look_alikes_stay(times: int) -> None:
    """Hashes, addresses, signatures, ids, images, phrases with a wrong checksum, prices and prose are not masked."""
    make = random.Random("look-alikes")
    for _ in range(times):
        for thing in look_alikes(make):
            for place in CONTEXTS.values():
                text = place(thing)
                assert redact_text(text) is text


def test_the_recorded_feed_stays() -> None:
    """A recorded market table of 1,831 rows is not masked, neither as one text nor row by row."""
    text = FEED.read_text(encoding="utf-8")
    assert redact_text(text) is text
    assert all(redact_text(line) is line for line in text.splitlines())


@pytest.mark.slow
def test_fewer_than_one_token_in_ten_thousand_is_masked_by_mistake() -> None:
    """In texts without secrets (feed, guides, look-alikes, sentences, lists), under 1 in 10,000 words is masked."""
    make = random.Random("tokens")
    texts = [FEED.read_text(encoding="utf-8"), *corpus.GUIDES]
    texts += [thing for _ in range(60) for thing in look_alikes(make)]
    texts += [corpus.sentence(make, each) for _ in range(20) for each in corpus.SENTENCES + corpus.EVM_SENTENCES]
    texts += [*corpus.LIKE_KEYS, *(corpus.sentence(make, each) for each in corpus.LISTS)]
    tokens = sum(len(re.findall(r"[\w.-]+", text)) for text in texts)
    masked = sum(redact_text(text).count("[REDACTED:") for text in texts)
    assert tokens > 30_000
    assert masked * 10_000 < tokens


def test_a_changed_environment_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is set while the process runs is masked from then on; a placeholder value is never masked."""
    text = "the value is correct-horse-battery"
    assert redact_text(text) is text
    monkeypatch.setenv("NEW_API_KEY", "correct-horse-battery")
    assert redact_text(text) == "the value is [REDACTED:own-secret]"
    monkeypatch.setenv("NEW_API_KEY", "your_new_api_key_here")
    assert redact_text("put your_new_api_key_here into .env") == "put your_new_api_key_here into .env"


@needs_re2
def test_the_operators_patterns_and_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matches of the operator's patterns are masked; a string on the allow list stays, whichever rule matches it."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", r"ACC-\d{6}" + "\n" + "desk-[a-z]+")
    assert redact_text("from ACC-123456 at desk-london") == "from [REDACTED:operator] at [REDACTED:operator]"
    key = SECRETS["groq-key"](random.Random(1))
    monkeypatch.setenv("OBSERVABILITY_REDACT_ALLOW", key)
    assert redact_text(f"a documented example: {key}") == f"a documented example: {key}"


@cases("pattern", ["(", "(a+)+\\1", "x*", "[z-a]"])
def test_a_bad_pattern_records_no_text_until_it_is_corrected(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an invalid pattern, no text is recorded: it is unknown what to mask, and records cannot be taken back."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", pattern)
    assert redact_text("some prompt") == "[NOT RECORDED: OBSERVABILITY_REDACT_PATTERNS is refused]"


def test_keys_and_nested_values_are_walked() -> None:
    """A field with a secret's name is masked whole; secrets in dictionary keys are masked; numbers and flags stay."""
    secret = SECRETS["xai-key"](random.Random(5))
    done = redact({"api_key": "anything at all", "nested": [{secret: (secret, 1, None, True, 2.5)}]})
    assert secret not in str(done)
    assert done["api_key"] == "[REDACTED:named-secret]"
    assert done["nested"][0]["[REDACTED:xai-key]"][1:] == (1, None, True, 2.5)


class Broken:
    """An object that raises when it is converted to text."""

    def __str__(self) -> str:
        raise ValueError(SECRETS["groq-key"](random.Random(1)))


def _loop() -> list[Any]:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    return loop


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else ["bottom"]


def test_what_cannot_be_redacted_says_why() -> None:
    """A value that cannot be redacted is replaced by a placeholder with the reason; its neighbouring values stay."""
    assert redact({"a": Broken(), "b": 2}) == {"a": NO_TEXT, "b": 2}
    assert redact({Broken(): 1}) == {NO_TEXT: 1}
    assert redact(_loop()) == [1, {"again": CYCLE}]
    assert "bottom" in str(redact(_nested(MAX_DEPTH - 1)))
    assert TOO_DEEP in str(redact(_nested(MAX_DEPTH)))
    assert redact(["a", [7] * MAX_ITEMS, "b"]) == ["a", TOO_MANY, "b"]
    assert redact({"image": b"\xff\xfe\x00"}) == {"image": BINARY}
    assert redact("x" * (MAX_TEXT + 1)) == TOO_LONG


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(Broken)
    | st.builds(_loop),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=30,
)


@pytest.mark.slow
@settings(deadline=None)
@given(anything)
def test_it_never_raises_and_is_idempotent(value: Any) -> None:
    """Redaction accepts any value without an exception; redacting the result again changes nothing."""
    done = redact(value)
    assert repr(redact(done)) == repr(done)


@settings(deadline=None)
@given(st.text(alphabet=" abcdefghij.,\n0123456789$%", max_size=300))
def test_text_without_a_match_is_the_same_object(text: str) -> None:
    """A text without a secret is returned as the same object: not copied, trimmed or normalised."""
    assert redact_text(text) is text


WORDS = " ".join(corpus.SENTENCES + corpus.KEY_NOTATIONS + corpus.LIKE_KEYS).split()


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=40))
def test_what_is_masked_is_marked_and_all_else_is_kept(pieces: list[str]) -> None:
    """Only secrets are replaced: a text without one is returned as the same object; redacting again changes nothing."""
    text = " ".join(pieces)
    done = redact_text(text)
    kept = map(re.escape, re.split(r"\[REDACTED:[a-z0-9-]+\]", done))
    assert re.fullmatch(".+".join(kept), text, re.DOTALL)
    assert "[REDACTED:" in done or done is text
    assert redact_text(done) is done


@settings(deadline=None)
@given(st.text(max_size=80), st.sampled_from(sorted(SECRETS)), st.text(max_size=80), st.integers(0, 999))
def test_a_secret_is_found_in_any_surroundings(before: str, rule: str, after: str, seed: int) -> None:
    """A secret is masked whatever text stands before and after it, separated by a space."""
    secret = SECRETS[rule](random.Random(seed))
    assert secret not in redact_text(f"{before} {secret} {after}")


_REPEATED = (
    "a", "0", " ", "\n", "\\", '"', "=", ":", "sk-", "sk-ant-", "eyJ", "eyJ.", "-----BEGIN ", "0x", "://", "@",
    "abandon ",
    "\\u0041", "%41", "1,", "[1,", "Bearer ", "{", "\x1b[0m", "MA.", "ü", "5K", "xprv",
    "%25", "\\/", 'password: "', "password 'x", "postgres://a:", "https://a:b@c ", "Cookie: a=", "API_KEY=", "-eyJ",
    "eyJaaaaaaaa.eyJaaaaaaaa-", "'1', ", "- 1\n", "0x1,", "password=$", "password=your ", "[" * 90, "password=a ",
    "host='mainnet.infura.io' /v3/aaaaaaaaaaaaaaaaaaaa1 ", "/services/T00000000/B00000000/", "private key (" + "1" * 64,
    "private key " + "a1" * 32 + " of ", "key" + "1)" * 78 + " " + "a1" * 32 + " ", "A" * 86 + " ",
    "key=", "key: ", "secret,'", "pass=", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
    "aAKIAABCDEFGHIJKLMNOP ", "AKIAABCDEFGHIJKLMNOP " + "aB1" * 13 + "a ", "AC" + "0" * 32 + ", ", "ghs_a",
    "ask-proj-a1", 'key=["', '"api_keys": ["a", ', "aeyJaaaaaaaa.eyJaaaaaaaa-",
)  # fmt: skip


def seconds(text: str, enough: float) -> float:
    """Return the CPU seconds of redaction: the best of up to three tries. A try under `enough` seconds is the last."""
    took = []
    while not took or (took[-1] >= enough and len(took) < 3):
        began = time.thread_time()
        redact_text(text)
        took.append(time.thread_time() - began)
    return min(took)


@pytest.mark.slow
@pytest.mark.parametrize("repeated", _REPEATED)
def test_no_repetition_takes_more_than_its_time(repeated: str) -> None:
    """Redacting repetitions and near-matches takes at most three seconds per megabyte, even on a busy machine.
    `make bench-redaction` measures the exact time."""
    assert seconds(repeated * (100_000 // len(repeated)), enough=0.3) < 0.3


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(_REPEATED), min_size=2, max_size=4))
def test_near_matches_of_several_kinds_take_no_more(pieces: list[str]) -> None:
    """A 20 KB mixture of near-matches of several rules is redacted in less than 0.1 s."""
    mixed = "".join(pieces)
    assert seconds(mixed * (20_000 // len(mixed) + 1), enough=0.1) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("repeated", [*_REPEATED, *string.printable])
def test_a_megabyte_of_a_repetition_takes_no_more_than_its_time(repeated: str) -> None:
    """A megabyte of one repeated text is redacted in less than two seconds, which quadratic time would exceed."""
    assert seconds(repeated * (1_000_000 // len(repeated)), enough=2.0) < 2.0


def test_a_name_in_bytes_names_too() -> None:
    """A value after a secret's name is masked even if the name is given as bytes, as in some clients' headers."""
    assert redact([b"pwd", b"\0"]) == ["pwd", "[REDACTED:named-secret]"]
    assert redact((b"passwort", "0p")) == ("passwort", "[REDACTED:named-secret]")


@cases(
    "text",
    [
        "--api-key {} --model x",
        "--password '{}'",
        "tool --auth-token {}",
        "<apiKey>{}</apiKey>",
        "<password>{}</password>",
    ],
)
def test_command_lines_and_xml_name_too(text: str) -> None:
    """A secret is masked after a command-line flag with a secret's name, and inside an XML element with such a name."""
    assert redact_text(text.format("4f9Ab3dEf6hIj9kLm2nOp5qRs")) == text.format("[REDACTED:named-secret]")


@cases("text", ["--max-tokens 1024 --token SOL", "set --api-key to the key", "<key>98000</key>", "a key > 5"])
def test_flags_and_elements_that_are_no_secret_stay(text: str) -> None:
    """Numbers, symbols and prose after flags or inside elements are not masked."""
    assert redact_text(text) is text


@cases("entry", FORMATS)
def test_every_format_is_found_by_its_example(entry: Format) -> None:
    """Each format's example key is masked at the start of a text, in prose, in JSON and in a URL. A format's prefix
    is not masked if no key follows it. A new format needs no other test."""
    make = random.Random(entry.example)
    for _ in range(20):
        key = corpus.expanded(make, entry.example)
        for text in (key, f"log in with {key}.", json.dumps({"note": key}), f"https://x.example/?q={key}&y=1"):
            done = redact_text(text)
            assert f"[REDACTED:{entry.rule}]" in done, text
            assert_gone(key, done)
    for start in entry.starts.split():
        assert redact_text(f"keys begin with {start} and go on") == f"keys begin with {start} and go on"
