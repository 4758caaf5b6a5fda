"""Secrets in everyday data and code: headers, environment lists, arguments, streams, wallets."""

import base64
import hashlib
import json
import random
import re
from collections.abc import Callable
from typing import Any

import base58
import pytest

from src.observability.redaction.names import word_set
from src.observability.redaction.redactor import Redactor, redact, redact_text
from tests.cases import cases
from tests.redaction import corpus

KEY = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
HEX = "7b5f18bebbce5aed6cd996991afeb6b9"
EVM = "7c" + "9f3e5a1b" * 7 + "c4d2e1"
NAMED, OWN = "[REDACTED:named-secret]", "[REDACTED:own-secret]"
COOKIE = "session=[REDACTED:authorization]"
# 24 words of BIP-39's list that fail BIP-39's checksum: TON and Electrum have checksums of their own.
TON = (
    "zebra story false kangaroo unveil three repeat ancient peasant expand thank autumn "
    "crater caution lemon permit exercise lottery robot canal shield adult write elbow"
)

DATA: dict[str, tuple[Any, Any]] = {
    "a cookie": ({"Cookie": f"session={KEY}; theme=dark"}, {"Cookie": f"{COOKIE}; theme=dark"}),
    "cookies of a response": ({"set-cookie": [f"session={KEY}; Path=/"]}, {"set-cookie": [f"{COOKIE}; Path=/"]}),
    "a jar of cookies": ({"cookies": {"sid": KEY, "theme": "dark"}}, {"cookies": {"sid": NAMED, "theme": "dark"}}),
    "a container's environment": (
        {"env": [{"name": "BINANCE_SECRET", "value": KEY}, {"name": "REGION", "value": "us-east-1"}]},
        {"env": [{"name": "BINANCE_SECRET", "value": NAMED}, {"name": "REGION", "value": "us-east-1"}]},
    ),
    "tags of AWS": ([{"Key": "DB_PASSWORD", "Value": "hunter2abc"}], [{"Key": "DB_PASSWORD", "Value": NAMED}]),
    "secrets by exchange": (
        {"secrets": {"binance": KEY, "okx": HEX, "region": "us-east-1", "enabled": "yes"}},
        {"secrets": {"binance": NAMED, "okx": NAMED, "region": "us-east-1", "enabled": "yes"}},
    ),
    "arguments": (["bot", "--secret", KEY, "--symbol", "BTC"], ["bot", "--secret", NAMED, "--symbol", "BTC"]),
    "arguments in a tuple": (("bot", "--password", "hunter2abc"), ("bot", "--password", NAMED)),
    "short headers": (
        {"Authorization": "Basic Ym90OnBhc3N3b3Jk", "proxy-authorization": "abc123def456", "authorization": "pending"},
        {"Authorization": NAMED, "proxy-authorization": NAMED, "authorization": "pending"},
    ),
    "32 bytes of a key": ({"SECRET_KEY": [*range(0, 256, 8)]}, {"SECRET_KEY": NAMED}),
    "an exchange's pair": ({"okx": {"key": HEX, "secret": KEY}}, {"okx": {"key": NAMED, "secret": NAMED}}),
    "a field of a form": ({"field": "api_secret", "value": HEX}, {"field": "api_secret", "value": NAMED}),
    "names in Japanese": ({"APIキー": HEX, "パスワード": "hunter2abc"}, {"APIキー": NAMED, "パスワード": NAMED}),
    "keys by exchange": ({"api_key_binance": HEX, "apiKeyOkx": HEX}, {"api_key_binance": NAMED, "apiKeyOkx": NAMED}),
}  # fmt: skip


@cases("shape", DATA)
def test_a_secret_in_data_is_masked(shape: str) -> None:
    """In data of every shape, only the secret is masked; masking again changes nothing."""
    value, masked = DATA[shape]
    assert redact(value) == masked
    assert redact(masked) == masked


@cases(
    "value",
    [
        {"key": "BTC", "value": "97123.5"}, {"type": "token", "value": "BONK"}, {"トークン": "BONK", "キー": 97123.5},
        {"トークン": "GKGxUidS4Whmt1A911V647bAadLn9w2tKfj6Bz9mA4Sz"}, {"key": "BTC", "secret": None},
        {"name": "token", "value": "BONK"}, {"name": "secret", "value": ""},
        {"secrets": {"count": 3, "names": ["binance"]}}, {"secrets": {"stored in": "the vault of the exchange"}},
        ["run", "--token", "SOL", "--secret"], {"cookies": {"theme": "dark", "accepted": "2025-12-11T10:00:00Z"}},
        {"credentials": {"address": "GKGxUidS4Whmt1A911V647bAadLn9w2tKfj6Bz9mA4Sz"}}, {"Cookie": "theme=dark; lang=en"},
        {"SECRET_KEY": [1, 2, 3]}, {"api_tokens": [*range(0, 256, 8)]},
    ]
)  # fmt: skip
def test_data_of_such_a_shape_without_a_secret_stays(value: Any) -> None:
    """Data shaped like data with secrets, but with only symbols, prices, counts, addresses and words, is not masked."""
    assert redact(value) == value


def test_a_private_key_in_lines_is_masked() -> None:
    """A private key in a list of lines is masked in each of its lines; other lines and the line count do not change."""
    make = random.Random("lines")
    for _ in range(20):
        lines = corpus.SECRETS["pem-private-key"](make).splitlines(keepends=bool(make.randrange(2)))
        done = redact({"lines": ["Longs are out", *lines, "BUY at once"]})["lines"]
        assert done == ["Longs are out", *["[REDACTED:pem-private-key]"] * len(lines), "BUY at once"]


TEXTS = (
    "API_KEY_BINANCE=§", "api_key_okx: §", "apiKeyBinance = '§'", "export BINANCE_SECRET_LIVE=§", "set api_key to §",
    '["bot", "--secret", "§"]', '{"name": "BINANCE_SECRET", "value": "§"}', "- name: BINANCE_SECRET\n  value: §",
    '{"secrets": {"binance": "§"}}', '{"Cookie": "session=§"}', "password=&apos;§&apos;", "api_key=&quot;§&quot;",
    "password: &#39;§&#39;", "https://bot:abc12§@h.example/", "api_key = os.getenv('API_KEY', '§')",
)  # fmt: skip


@cases("template", TEXTS)
def test_a_secret_in_text_is_masked(template: str) -> None:
    """A secret is masked also in a text that is encoded as JSON, or whose quotes are HTML entities (`&quot;`)."""
    text = template.replace("§", KEY)
    for written in (text, json.dumps(text), f"Longs are out.\n{text}\nBUY"):
        assert KEY not in redact_text(written), written


@cases("size", range(12, 17))
def test_a_token_before_a_host_is_masked(size: int) -> None:
    """In a URL, a token in the place of the user name or the password is masked; ordinary user names stay."""
    token = "tok1234567890abcdefg"[:size]
    assert redact_text(f"https://{token}@sentry.example/5") == "https://[REDACTED:url-credentials]@sentry.example/5"
    assert redact_text(f"wss://u:{token}@h.example") == "wss://u:[REDACTED:url-credentials]@h.example"
    for address in ("https://longsandshorts@h.example", "ssh://git@github.com", "https://trader1@h.example"):
        assert redact_text(address) is address


@cases(
    "call",
    [
        "const a = privateKeyToAccount('0x§')", "new ethers.Wallet('0x§', provider)", "Account.from_key('§')",
        "set private_key to 0x§", "new SigningKey('0x§')", "web3.eth.accounts.privateKeyToAddress(\"0x§\")",
    ],
)  # fmt: skip
def test_a_private_key_in_a_call_is_masked(call: str) -> None:
    """Keys in calls of viem, ethers, web3 and eth-account are masked; a transaction's hash in another call stays."""
    assert EVM not in redact_text(call.replace("§", EVM))
    other = f"getTransaction('0x{EVM}') of the wallet"
    assert redact_text(other) is other


@cases("text", ["SECRET_KEY = [§]", "secretKey := []byte{§}", "private_key: (§)", '"secret": {§}'])
def test_the_bytes_of_a_named_key_are_masked(text: str) -> None:
    """A list of 32 numbers after a key's name is masked as the key's bytes, in decimal and hex; a short list stays."""
    for form in ("{}", "{:#04x}"):
        numbers = ", ".join(form.format(number) for number in range(3, 256, 8))
        assert redact_text(text.replace("§", numbers)) == text.replace("§", NAMED)
    assert redact_text(text.replace("§", "1, 2, 3")) == text.replace("§", "1, 2, 3")


@cases("name", ["seed phrase:", "Recovery phrase (24 words):", "mnemonic =", "my backup words are", '"seed":'])
def test_a_named_phrase_needs_no_checksum(name: str) -> None:
    """A seed phrase of TON or Electrum, which has another checksum, is masked only after a name such as `mnemonic`."""
    assert "zebra" not in redact_text(f"{name} {TON}")
    assert "zebra" not in redact_text(f"the wallet\n{name}\n{TON.strip().replace(' ', ', ')}")
    assert redact_text(TON) is TON
    assert "zebra" not in str(redact({"note": f"{name} {TON}"}))


def test_a_secret_of_ours_in_the_chunks_of_a_stream_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a stream's chunks split the value of a secret setting, the value is masked; the text around it is not."""
    monkeypatch.setenv("OPENAI_KEY", "pplx-7Gk2mQ9xTz4LwB8rVn3YcJ6sHd1Fa5Ue0PoX")
    text = "use pplx-7Gk2mQ9xTz4LwB8rVn3YcJ6sHd1Fa5Ue0PoX now"
    for size in (1, 4, 9):
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        done = redact([{"choices": [{"delta": {"content": part}, "index": 0}]} for part in parts])
        content = "".join(chunk["choices"][0]["delta"]["content"] for chunk in done)
        assert content.replace(OWN, "") == "use  now"
        assert len(done) == len(parts)
        assert "".join(redact(parts)).replace(OWN, "") == "use  now"


@pytest.mark.parametrize("key", [KEY, HEX, "7b5f18be-bbce-5aed-6cd9-96991afeb6b9"])
def test_a_key_that_an_answer_repeats_is_masked(key: str) -> None:
    """A key that one text of a row names as a key is masked in all texts of the row."""
    row = [
        f"my api key is {key}",
        {"content": f"I use {key} now.", "calls": [{"arguments": [key]}]},
        f"x{key}: the {key}キー",
    ]
    masked, answer, other = Redactor().redact_all(row)
    assert masked == f"my api key is {NAMED}"
    assert answer == {"content": f"I use {NAMED} now.", "calls": [{"arguments": [NAMED]}]}
    assert other == f"x{key}: the {NAMED}キー"  # the first occurrence is a part of another word
    assert redact_text(f"api_key={key}\nlogin with {key}.") == f"api_key={NAMED}\nlogin with {NAMED}."
    assert redact([{"api_key": key}, (key,)]) == [{"api_key": NAMED}, (NAMED,)]
    assert redact_text(f"login with {key}.") == f"login with {key}."


def _ripple(make: random.Random) -> str:
    return base58.b58encode_check(b"\0" + make.randbytes(20), alphabet=base58.XRP_ALPHABET).decode()


def _polkadot(make: random.Random) -> str:
    raw = b"\0" + make.randbytes(32)
    return base58.b58encode(raw + hashlib.blake2b(b"SS58PRE" + raw).digest()[:2]).decode()


def _bech32(prefix: str, size: int) -> Callable[[random.Random], str]:
    return lambda make: prefix + "".join(make.choices("qpzry9x8gf2tvdw0s3jn54khce6mua7l", k=size))


ADDRESSES: dict[str, Callable[[random.Random], str]] = {
    "Solana": lambda make: base58.b58encode(make.randbytes(32)).decode(),
    "Ethereum": lambda make: f"0x{make.randbytes(20).hex()}",
    "Bitcoin": lambda make: base58.b58encode_check(b"\0" + make.randbytes(20)).decode(),
    "Bitcoin, taproot": _bech32("bc1p", 58), "Litecoin": _bech32("ltc1q", 38), "Cosmos": _bech32("cosmos1", 38),
    "Injective": _bech32("inj1", 38), "Cardano": _bech32("addr1q", 97), "Kaspa": _bech32("kaspa:q", 60),
    "Tron": lambda make: base58.b58encode_check(b"\x41" + make.randbytes(20)).decode(),
    "Zcash": lambda make: base58.b58encode_check(b"\x1c\xb8" + make.randbytes(20)).decode(),
    "TON": lambda make: f"EQA{base64.urlsafe_b64encode(make.randbytes(33)).decode()}a",
    "Stellar": lambda make: "G" + "".join(make.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=55)),
    "Ripple": _ripple, "Polkadot": _polkadot,
    "Algorand": lambda make: "".join(make.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=58)),
    "Monero": lambda make: "4A" + "".join(make.choices(base58.BITCOIN_ALPHABET.decode(), k=93)),
    "an extended public key": lambda make: base58.b58encode_check(b"\x04\x88\xb2\x1e" + make.randbytes(74)).decode(),
}  # fmt: skip
PREFIXES = word_set(
    "tb1 stake1 osmo1 celestia1 sei1 dydx1 terra1 juno1 akash1 kujira1 neutron1 axelar1 noble1 bitcoincash:"
)
UNDER = (
    "token: A", "TARGET_TOKEN=A", "BONK_TOKEN=A", '{"token": "A"}', "?token=A", "wallet key: A", '{"account_key": "A"}',
    "session key: A", "https://explorer.example/tx/1?token=A",
)  # fmt: skip


@cases("chain", ADDRESSES)
def test_an_address_of_any_chain_stays(chain: str) -> None:
    """An operator needs to see addresses. They are not masked, even under names with `token` or `key`."""
    make = random.Random(chain)
    for template in UNDER:
        for _ in range(10):
            text = re.sub("(?<![A-Z_])A(?![A-Z_a-z])", lambda _: ADDRESSES[chain](make), template)
            assert redact_text(text) is text


def test_an_address_is_known_by_its_prefix() -> None:
    """Bech32 addresses are not masked, whether of Bitcoin's test network, of Bitcoin Cash or of a Cosmos chain."""
    make = random.Random("prefixes")
    for prefix in PREFIXES:
        address = _bech32(prefix, 38)(make)
        assert redact_text(f"TARGET_TOKEN={address}") == f"TARGET_TOKEN={address}"
