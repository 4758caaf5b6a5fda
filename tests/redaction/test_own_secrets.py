"""Tests that the operator's own secrets are masked in every encoding, and that the operator's patterns are applied."""

import json
import os
import random
import re
import string
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from src.observability import settings
from src.observability.redaction import environment, is_secret, rules
from src.observability.redaction.redactor import BAD_PATTERN, redact, redact_line, redact_text
from src.observability.redaction.rules import check_patterns
from tests.cases import cases
from tests.redaction.corpus import CONTEXTS
from tests.redaction.encodings import BLOBS, BREAKS, ENCODINGS, found

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzKEYq"
MASK = "[REDACTED:own-secret]"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXCHANGE_API_SECRET", SECRET)


OURS = (
    SECRET, "abcdefghijklm", "пароль-секрет-9", "1234567890123", "Tr4de&Pass/word+1", 'quote"d\\secret77',
    "hunter2-hunter2", "ünïcode-pässwörd-9",
)  # fmt: skip


@cases("secret", OURS)
def test_a_secret_in_every_form(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is masked in every encoding, and no part of the secret is left."""
    environment.forget()
    monkeypatch.setenv("EXCHANGE_API_SECRET", secret)
    done = {form: redact_text(f"see {ENCODINGS[form](secret)} there").replace("\\", "") for form in ENCODINGS}
    assert done == dict.fromkeys(ENCODINGS, f"see {MASK} there")


def _random_secret(make: random.Random) -> str:
    """Return a random secret of 14 to 43 letters and digits; some secrets also have punctuation."""
    letters = make.choice((string.ascii_letters + string.digits, string.ascii_letters + string.digits + "!$&+/=?@_-"))
    return "x9" + "".join(make.choices(letters, k=make.randrange(10, 40))) + "K7"


@cases("place", CONTEXTS)
def test_a_secret_in_every_form_in_every_text_of_a_trading_process(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each kind of text, a secret is masked in every encoding; not even the middle of the secret is left."""
    environment.forget()
    secret = _random_secret(random.Random(place))
    monkeypatch.setenv("EXCHANGE_API_SECRET", secret)
    for form in ENCODINGS:
        _assert_masked(CONTEXTS[place], ENCODINGS[form](secret), secret)


def _assert_masked(place: Callable[[str], str], written: str, secret: str) -> None:
    done = redact_text(place(written))
    assert MASK in done, place(written)
    assert not found([written, secret[2:-2]], done.encode()), done


@pytest.mark.slow
@pytest.mark.parametrize("form", ENCODINGS)
def test_hundreds_of_our_own_secrets_are_found_wherever_they_stand(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each encoding, random secrets are masked in every kind of text that a trading process writes."""
    make = random.Random(form)
    for place in CONTEXTS.values():
        secret = _random_secret(make)
        monkeypatch.setenv("EXCHANGE_API_SECRET", secret)
        _assert_masked(place, ENCODINGS[form](secret), secret)


@cases("secret", OURS)
def test_a_secret_in_a_larger_blob(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret inside longer base64 text is masked at any offset; neighbouring letters that encode other bytes stay."""
    environment.forget()
    monkeypatch.setenv("EXCHANGE_API_SECRET", secret)
    for form in BLOBS:
        done = redact_text(f"see {BLOBS[form](secret)} there")
        assert re.fullmatch(r"see [A-Za-z0-9]{8,11}\[REDACTED:own-secret\][A-Za-z0-9]{0,2}=* there", done), done


@cases("form", BREAKS)
def test_a_secret_broken_by_anything(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is interrupted by other characters is masked if it has at least twelve letters and digits."""
    monkeypatch.setenv("SHORT_SECRET", "x9Ab3dEf6hIj")
    for secret in (SECRET, "x9Ab3dEf6hIj"):
        assert redact_text(f"see {BREAKS[form](secret)} there") == f"see {MASK} there"


def test_a_secret_of_the_env_file_is_one(monkeypatch: pytest.MonkeyPatch, write_env_file: Any) -> None:
    """A secret in `.env` is masked, whether it is loaded into the environment or not."""
    write_env_file("ONLY_IN_FILE_TOKEN=only-in-the-file-0123\n")
    monkeypatch.setenv("SOMETHING", "else")  # redaction reads `.env` again after any change of the environment
    assert redact_text("see only-in-the-file-0123") == f"see {MASK}"


def test_what_was_clean_is_masked_once_it_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that redaction remembers as clean is masked once it becomes a secret in the environment."""
    value = [{"note": "Zq8xT4vK1mWp", "count": 3}, "Zq8xT4vK1mWp"]
    assert redact(value) == redact(value) == value
    monkeypatch.setenv("BOT_SECRET", "Zq8xT4vK1mWp")
    assert redact(value) == [{"note": MASK, "count": 3}, MASK]


def test_numbers_of_a_table_are_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a secret is a number, its digits are masked only where they stand together, not split over two table cells."""
    monkeypatch.setenv("PIN_TOKEN", "1234567890123")
    assert redact_text("| 12345.67 | 890123 |") == "| 12345.67 | 890123 |"


def test_a_secret_number_is_masked_as_a_number_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is a number is masked as an integer, as a float and as a dictionary key."""
    monkeypatch.setenv("PIN_TOKEN", "1234567890123")
    assert redact({"n": 1234567890123, "f": [1234567890123.0], 1234567890123: True}) == {
        "n": MASK,
        "f": [MASK],
        MASK: True,
    }
    assert redact([123456789012, True, None, 2.5]) == [123456789012, True, None, 2.5]


def test_each_of_several_keys_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a variable lists several keys, each key is a secret; words, short items and wallet addresses are not."""
    address = "9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump"
    monkeypatch.setenv("OPENAI_API_KEYS", f"multiKeyOneXx11, multiKeyTwoYy22;short,electric,{address}")
    assert redact_text("bad multiKeyOneXx11 or multiKeyTwoYy22") == f"bad {MASK} or {MASK}"
    assert redact_text(f"electric short {address}") == f"electric short {address}"


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("https://rpc.other.xyz/v1/8c5f18bebbce5aed6cd996991afeb6b9", "8c5f18bebbce5aed6cd996991afeb6b9"),
        ("https://rpc.example/?cluster=mainnet-beta&api-key=zzzz-9999-keyval", "zzzz-9999-keyval"),
        ("redis://:rEdisPw99x@db", "rEdisPw99x"),
    ],
)
def test_the_credential_of_an_address_is_a_secret(value: str, quoted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a variable holds a URL with a credential, the URL and the credential are masked; a network's name stays."""
    monkeypatch.setenv("SOLANA_NODE", value)
    assert redact_text(f"for {value} there") == f"for {MASK} there"
    assert redact_text(f"for {quoted} on mainnet-beta") == f"for {MASK} on mainnet-beta"


def test_each_of_several_addresses_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a variable lists URLs, only their credentials are secrets. An invalid URL is masked as a whole."""
    public = "https://api.mainnet-beta.solana.com"
    monkeypatch.setenv("RPC_URLS", f"{public},https://rpc.example/?api-key=zzzz-9999-keyval")
    assert redact_text(f"{public} or zzzz-9999-keyval") == f"{public} or {MASK}"
    monkeypatch.setenv("RPC_URLS", "https://[no-address?api-key=zzzz-9999-keyval")
    assert redact_text("for https://[no-address?api-key=zzzz-9999-keyval") == f"for {MASK}"


def test_a_secret_that_is_set_as_a_public_key_stays_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in LANGFUSE_PUBLIC_KEY is masked; a real public key is not, even in another variable."""
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", SECRET)
    assert redact_text(f"see {SECRET}") == f"see {MASK}"
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-0123456789")
    monkeypatch.setenv("LF_KEY", "pk-lf-0123456789")
    assert redact_text("see pk-lf-0123456789") == "see pk-lf-0123456789"


def test_the_operators_own_addresses_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A public key, the traded token, a path and a row of dashes are not masked."""
    shown = {
        "SOLANA_PUBLIC_KEY": "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T",
        "TARGET_TOKEN": "9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump",
        "SSH_KEY": "/home/u/.ssh/id_ed25519",
        "D_SECRET": "--------",
    }
    for name, value in shown.items():
        monkeypatch.setenv(name, value)
    text = "buy {TARGET_TOKEN} from {SOLANA_PUBLIC_KEY}, see {SSH_KEY}\n|{D_SECRET}|".format(**shown)
    assert redact_text(text) is text


@cases(
    "address", ["bot@h.example", "h.example/?token=1", "h.example/?my_secret=1", "h.example/abcdefghijklmnopqrstuvwx"]
)
def test_a_variables_name_may_mark_an_address(address: str) -> None:
    """A URL that might hold a credential is a secret only if its variable is named like a URL, such as `RPC_URL`."""
    names = "RPC_URL", "RPC_URI", "RPC_ENDPOINTS", "ALERT_WEBHOOK", "RPC_URL_2", "RPC_URL3"
    assert all(is_secret(name, f"https://{address}") for name in names)
    assert not is_secret("HOMEPAGE", f"https://{address}")


def test_a_key_in_hex_is_masked_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in hex is masked with and without 0x, in upper and lower case. Letters that touch a secret stay."""
    key = "7c9f3e5a1b9f3e5a1b9f3e5a1b9f3e5a1b"
    monkeypatch.setenv("WALLET_PK", f"0x{key}")
    assert redact_text(f"see {key}, {key.upper()} or 0x{key}") == f"see {MASK}, {MASK} or {MASK}"
    assert redact_text(f"x{SECRET}y") == f"x{MASK}y"


def test_a_header_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a variable holds HTTP headers, their URL-decoded credentials are masked too; short values and `Basic` stay."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=desk,authorization=Basic%20d3Jvbmc6d3Jvbmc5")
    assert redact_text("Basic desk, d3Jvbmc6d3Jvbmc5") == f"Basic desk, {MASK}"


def test_clean_texts_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redaction remembers a limited number of clean texts, so that its memory does not grow."""
    monkeypatch.setattr(rules, "_MAX_CLEAN", 10)
    for number in range(100):
        redact_text(f"row {number}")
    assert len(rules.current_rules().clean) <= 10


def test_a_number_that_a_key_has_is_left_to_it() -> None:
    """Dictionary keys that get the same marker are numbered; a number that another key already has is skipped."""
    three = {SECRET: [1.5], f"{MASK} (2)": [2.5], SECRET.encode(): [3.5]}
    assert list(redact(three).values()) == list(three.values())


@pytest.mark.slow
def test_nothing_beside_our_own_secrets_takes_more_than_its_time() -> None:
    """Redaction of near-matches and repeated secrets takes at most three seconds of CPU time per megabyte."""
    for text in ("%77" * 66_000, "\\x77" * 50_000, SECRET[:-1] * 6_000, "a\\n\\t" * 40_000):
        began = time.thread_time()
        redact_text(text)
        assert time.thread_time() - began < 0.6


needs_re2 = pytest.mark.skipif(rules.re2 is None, reason="google-re2 is not installed")
REFUSED = {
    "(": "missing \\)",
    "(?<=desk )london": "look-around",
    "london(?! desk)": "look-around",
    r"(\w+) \1": "back-references",
    "(a++)b": "bad repetition operator",
    "x*": "it matches the empty text",
    r"[\s\S]{1,900}x": "it is too large: write \\+ or \\*",
}
# Accepted pattern -> a text that it matches from start to end. With some of these patterns `re` would never finish.
ACCEPTED = {
    "acct-[0-9]+": "acct-123", r"(?:\d{1,3}\.){3}\d{1,3}": "10.0.0.1", r"(?i)desk-(?:london|york)": "DESK-York",
    r"\(a|b\)+": "b))", "x[+*(|]+y": "x+(y", "k(?:ey|EY)=\\w+": "kEY=v", "(?:ab){2,}c": "ababc",
    r"\w+@\w+": "me@here", ".*hidden": "this is hidden", r"BEGIN[\s\S]*?END": "BEGIN" + "x\n" * 700 + "END",
    r"one\ntwo": "one\ntwo", "(a|aa)+b": "aaab", "(a+)+b": "aab", "(?:[a-z]+-)*acct": "my-acct", "(.*,){3}x": "a,b,c,x",
    r"(?m)^desk \d+$": "desk 7", "é+": "éé", "🌙+": "🌙🌙",
}  # fmt: skip


@needs_re2
@cases("pattern", REFUSED)
def test_a_refused_pattern_is_named_with_the_reason(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a pattern is refused, the error names it and the reason. No text is recorded until it is corrected."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", pattern)
    with pytest.raises(settings.SettingError, match=REFUSED[pattern]) as error:
        check_patterns()
    assert repr(pattern) in str(error.value)
    assert redact_text("x" * 50) == BAD_PATTERN


def test_patterns_without_their_library_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without google-re2, the error names the package to install, and no text is recorded."""
    monkeypatch.setattr(rules, "re2", None)
    monkeypatch.setattr(rules, "_current", None)
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", "acct-[0-9]+")
    with pytest.raises(settings.SettingError, match="pip install google-re2"):
        check_patterns()
    assert redact_text("acct-1") == BAD_PATTERN


@needs_re2
@cases("pattern", ACCEPTED)
def test_an_ordinary_pattern_is_accepted_and_masks(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long texts are searched in parts: a match of the pattern is masked even across the border of two parts."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", pattern)
    check_patterns()
    for before in (0, 1, 2040, 4090, 10_000):
        for filling in "-ü":
            assert (
                redact_text(filling * before + f"\n{ACCEPTED[pattern]}\n")
                == filling * before + "\n[REDACTED:operator]\n"
            )


@needs_re2
def test_the_edges_of_a_window_are_no_edges_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    r"""Long texts are searched in parts: the edges of a part do not match `^`, `$` or `\b`."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", "^aa\naa$\n\\baa\n aa\\b")
    text = f"b{'a' * 20_000}b"
    assert redact_text(text) is text


@needs_re2
def test_a_text_that_utf_8_cannot_hold_is_searched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text with half of a surrogate pair, as in truncated JSON, is searched like any other text."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", "acct-[0-9]+")
    assert redact_text("\ud83c acct-12 é") == "\ud83c [REDACTED:operator] é"


@pytest.mark.slow
@needs_re2
@pytest.mark.parametrize("pattern", [r"\w+@\w+", ".*hidden", r"BEGIN[\s\S]*?END", "(a|aa)+b", "(.*,){8}x"])
@pytest.mark.parametrize("repeated", ["a", "@a", "BEGIN", "a,"])
def test_no_accepted_pattern_stops_trading(pattern: str, repeated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redaction takes linear time with every accepted pattern: four times the text takes about four times as long."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", pattern)
    took = []
    for size in (6_000, 24_000):
        began = time.thread_time()
        redact_text((repeated * size)[:size])
        took.append(time.thread_time() - began)
    assert took[1] < max(10 * took[0], 0.5)


def test_a_refused_pattern_leaves_what_an_agent_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a refused pattern, printed lines are still masked by the other rules, and no text is recorded."""
    monkeypatch.setenv("OBSERVABILITY_REDACT_PATTERNS", "(")
    assert redact_line(f"✅ BUY (85%) not {SECRET}") == f"✅ BUY (85%) not {MASK}"
    assert redact_line("✅ BUY (85%)") == "✅ BUY (85%)"
    assert redact_text("✅ BUY (85%)") == BAD_PATTERN
    assert json.dumps(redact({"note": "✅ BUY (85%)"})).count(BAD_PATTERN) == 2


def test_a_key_that_was_popped_from_the_environment_stays_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is masked even if an agent removes it from the environment before the record is redacted."""
    redact_text("at the start")
    monkeypatch.delenv("EXCHANGE_API_SECRET")
    assert redact_text(f"call with {SECRET}") == f"call with {MASK}"


def test_only_the_newest_values_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest values of a token that is renewed often are kept and masked, so that memory is bounded."""
    monkeypatch.setenv("STEADY_API_SECRET", "steady-secret-0")
    for number in range(200):
        monkeypatch.setenv("EXCHANGE_API_SECRET", f"renewed-secret-{number:03}")
        environment.secret_values()
    assert len(environment.secret_values()) <= environment._MOST_REMEMBERED + 1
    assert redact_text("renewed-secret-000 renewed-secret-150") == f"renewed-secret-000 {MASK}"
    assert redact_text("steady-secret-0") == MASK


@pytest.mark.slow
def test_the_secrets_of_a_process_are_read_when_redaction_is_imported() -> None:
    """A key is masked even if the agent removes it from the environment before the first text is redacted."""
    code = (
        "import os; import src.observability.redaction.redactor as redactor; os.environ.pop('MEXC_API_KEY');"
        "print(redactor.redact_text('key mx0vglQ7e2Lr5sT9wZ1aB3cD6f'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=settings.REPO_ROOT, check=True,
        env={**os.environ, "MEXC_API_KEY": "mx0vglQ7e2Lr5sT9wZ1aB3cD6f"},
    )  # fmt: skip
    assert done.stdout == f"key {MASK}\n"
