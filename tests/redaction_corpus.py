"""
🌙 Moon Dev's Redaction Corpus
Built with love by Moon Dev 🚀

Secrets of every rule, made as their issuers make them, with checksums that hold; look-alikes that must stay; and the
texts in which either stands.
"""

import base64
import hashlib
import json
import random
import string
from collections.abc import Callable
from pathlib import Path

import base58
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from mnemonic import Mnemonic

_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"
LANGUAGES = (
    "english", "japanese", "korean", "spanish", "chinese_simplified", "chinese_traditional", "french", "italian",
    "czech", "portuguese",
)  # fmt: skip


def _some(make: random.Random, count: int, letters: str = _LETTERS) -> str:
    return "".join(make.choices(letters, k=count))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _jwt(make: random.Random) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": _some(make, 12), "iat": make.randrange(10**9, 2 * 10**9)})
    return ".".join([*(_base64url(json.dumps(part).encode()) for part in parts), _base64url(make.randbytes(32))])


def _pem(make: random.Random) -> str:
    key = ec.derive_private_key(make.randrange(1, 2**200), ec.SECP256R1())
    formats = (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL)
    return key.private_bytes(serialization.Encoding.PEM, make.choice(formats), serialization.NoEncryption()).decode()


def _solana(make: random.Random) -> bytes:
    seed = make.randbytes(32)
    public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return seed + public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _wif(make: random.Random) -> str:
    version = make.choice([b"\x80", b"\xef"])
    return base58.b58encode_check(version + make.randbytes(32) + make.choice([b"", b"\1"])).decode()


def _extended(make: random.Random) -> str:
    version = make.choice(["0488ade4", "04b2430c"])  # xprv, zprv: SLIP-132
    return base58.b58encode_check(bytes.fromhex(version) + make.randbytes(41) + b"\0" + make.randbytes(32)).decode()


def phrase(make: random.Random, language: str = "english", strength: int = 128) -> str:
    """A seed phrase whose checksum holds."""
    return Mnemonic(language).to_mnemonic(make.randbytes(strength // 8))


# Rule -> makes one secret. Where a secret is known by what stands around it, the maker gives that too.
SECRETS: dict[str, Callable[[random.Random], str]] = {
    "anthropic-key": lambda make: f"sk-ant-{make.choice(['api03', 'oat01'])}-{_some(make, 93, _LETTERS + '_-')}AA",
    "openrouter-key": lambda make: f"sk-or-v1-{_some(make, 64, _HEX)}",
    "langfuse-key": lambda make: "sk-lf-" + "-".join(_some(make, size, _HEX) for size in (8, 4, 4, 4, 12)),
    "openai-key": lambda make: make.choice(
        [f"sk-proj-{_some(make, 74)}T3BlbkFJ{_some(make, 74)}", f"sk-svcacct-{_some(make, 60, _LETTERS + '_')}a",
         f"sk-{_some(make, 20)}T3BlbkFJ{_some(make, 20)}"]
    ),
    "deepseek-key": lambda make: f"sk-{_some(make, 32, _HEX)}",
    "groq-key": lambda make: f"gsk_{_some(make, 52)}",
    "xai-key": lambda make: f"xai-{_some(make, 80)}",
    "google-key": lambda make: f"AIza{_some(make, 34, _LETTERS + '_-')}x",
    "huggingface-key": lambda make: f"hf_{_some(make, 34)}",
    "aws-key": lambda make: make.choice(["AKIA", "ASIA"]) + _some(make, 16, string.ascii_uppercase + "234567"),
    "github-token": lambda make: make.choice(
        [f"ghp_{_some(make, 36)}", f"github_pat_{_some(make, 22)}_{_some(make, 59)}"]
    ),
    "slack-token": lambda make: f"xoxb-{make.randrange(10**11, 10**12)}-{make.randrange(10**12)}-{_some(make, 24)}",
    "telegram-token": lambda make: f"{make.randrange(10**8, 10**10)}:AA{_some(make, 33, _LETTERS + '_-')}",
    "discord-token": lambda make: f"M{_some(make, 23)}.{_some(make, 6)}.{_some(make, 38, _LETTERS + '_')}",
    "twilio-key": lambda make: make.choice(["SK", "AC"]) + _some(make, 32, _HEX),
    "elevenlabs-key": lambda make: f"sk_{_some(make, 48, _HEX)}",
    "jwt": _jwt,
    "pem-private-key": _pem,
    "wif-private-key": _wif,
    "extended-private-key": _extended,
    "solana-secret-key": lambda make: base58.b58encode(_solana(make)).decode(),
    "seed-phrase": lambda make: phrase(make, make.choice(LANGUAGES), make.choice((128, 160, 192, 224, 256))),
}  # fmt: skip

# Rule -> makes (text with the secret, the secret): known by its name or its place.
PLACED: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "authorization": lambda make: _placed("Authorization: Bearer {}", _some(make, 40)),
    "url-credentials": lambda make: _placed("postgres://trader:{}@db.internal:5432/trades", _some(make, 16)),
    "named-secret": lambda make: _placed(
        make.choice(["api_key = {}", 'OPENAI_KEY="{}"', '{{"password": "{}"}}', "secret: {}", "client_secret={}&x=1"]),
        _some(make, 24),
    ),
    "rpc-url": lambda make: _placed("https://mainnet.helius-rpc.com/?api-key={}", str(_uuid(make))),
    "webhook-url": lambda make: _placed("https://discord.com/api/webhooks/1098765432109876543/{}", _some(make, 68)),
    "evm-private-key": lambda make: _placed(
        make.choice(["private key: 0x{}", "HYPER_LIQUID_ETH_PRIVATE_KEY=0x{}", '{{"privateKey": "{}"}}']),
        _some(make, 64, _HEX),
    ),
}


def _placed(template: str, secret: str) -> tuple[str, str]:
    return template.format(secret), secret


def _uuid(make: random.Random) -> str:
    return "-".join(_some(make, size, _HEX) for size in (8, 4, 4, 4, 12))


# The texts of a trading process, each with a place for something.
CONTEXTS: tuple[Callable[[str], str], ...] = (
    lambda thing: thing,
    lambda thing: f"BUY\nLongs are exhausted, see {thing}.\nConfidence: 72%",
    lambda thing: json.dumps({"symbol": "BTC", "note": thing, "qty": 1.5}),
    lambda thing: json.dumps(json.dumps({"messages": [{"role": "user", "content": f"use {thing} now"}]})),
    lambda thing: (
        f'Traceback (most recent call last):\n  File "agent.py", line 7, in run\nValueError: bad value {thing!r}'
    ),
    lambda thing: f"Error code: 401 - {{'error': {{'message': 'Incorrect API key provided: {thing}.', 'code': 401}}}}",
    lambda thing: f"| symbol | note |\n|---|---|\n| ETH | {thing} |\n",
    lambda thing: f"<td>{thing}</td>",
    lambda thing: f"symbol,note,usd\nBTC,{thing},12.5\n",
    lambda thing: f"`{thing}`",
    lambda thing: f"({thing})",
    lambda thing: f"note={thing};",
)


def look_alikes(make: random.Random) -> list[str]:
    """What an operator needs to see: hashes, addresses, signatures, ids, words."""
    words = Mnemonic("english").wordlist
    wrong = _failing_phrase(make)
    return [
        "0x" + _some(make, 64, _HEX),  # a transaction or block hash
        "0x" + _some(make, 40, _HEX),  # an EVM address
        base58.b58encode(make.randbytes(32)).decode(),  # a Solana address
        base58.b58encode(make.randbytes(64)).decode(),  # a Solana signature
        base58.b58encode_check(b"\0" + make.randbytes(20)).decode(),  # a Bitcoin address
        "bc1q" + _some(make, 38, "023456789acdefghjklmnpqrstuvwxyz"),
        hashlib.sha256(make.randbytes(8)).hexdigest(),
        hashlib.md5(make.randbytes(8), usedforsecurity=False).hexdigest(),
        _uuid(make),
        "data:image/png;base64," + base64.b64encode(make.randbytes(300)).decode(),
        str(make.randrange(10**17, 10**18)),  # an order id
        "chatcmpl-" + _some(make, 29),
        "msg_01" + _some(make, 22),
        "req_011" + _some(make, 21),
        "pk-lf-" + _uuid(make),
        "claude-haiku-4-5-20251001",
        wrong,
        " ".join(make.sample([word for word in words if len(word) < 5], 11)),
        "the market will open above the old high and then fall back to test it once more",
        f"{make.uniform(1, 100000):,.2f} USDT ({make.uniform(-9, 9):+.2f}%)",
        "max_tokens: 1024, prompt_tokens: 512, token: SOL, key level 98000, sort_key: usd",
    ]


def _failing_phrase(make: random.Random) -> str:
    known = Mnemonic("english")
    while True:
        words = " ".join(make.choices(known.wordlist, k=12))
        if not known.check(words):
            return words


FEED = Path(__file__).parent.parent / "src/data/samples/liquidations_2025-12-11.csv"
