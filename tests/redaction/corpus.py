"""Test data: secrets for every redaction rule, look-alikes that must not be masked, and texts with both."""

import base64
import hashlib
import json
import random
import re
import string
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus, urlsplit

import base58
import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from mnemonic import Mnemonic

from src.observability.redaction.key_formats import FORMAT_RULES, FORMATS

FEED = Path(__file__).parents[2] / "src/data/samples/liquidations_2025-12-11.csv"
MARKET = "\n".join(FEED.read_text(encoding="utf-8").splitlines()[:12])
_LETTERS = string.ascii_letters + string.digits
_URL_LETTERS = _LETTERS + "_-"
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


def solana(make: random.Random) -> bytes:
    """Return the 64 bytes of a Solana secret key (RFC 8032): the private half, then the public half."""
    seed = make.randbytes(32)
    public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return seed + public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _wif(make: random.Random) -> str:
    version = make.choice([b"\x80", b"\xef"])
    return base58.b58encode_check(version + make.randbytes(32) + make.choice([b"", b"\1"])).decode()


def _extended(make: random.Random) -> str:
    # the version bytes in SLIP-132 of xprv, yprv, zprv, Yprv, Zprv, tprv, uprv, vprv
    version = make.choice(
        ["0488ade4", "049d7878", "04b2430c", "0295b005", "02aa7a99", "04358394", "044a4e28", "045f18bc"]
    )
    return base58.b58encode_check(bytes.fromhex(version) + make.randbytes(41) + b"\0" + make.randbytes(32)).decode()


def phrase(make: random.Random, language: str = "english", strength: int = 128) -> str:
    """Return a seed phrase with a valid checksum."""
    return Mnemonic(language).to_mnemonic(make.randbytes(strength // 8))


# Rule -> function that makes a secret, which is recognized by its format alone.
SECRETS: dict[str, Callable[[random.Random], str]] = {
    "anthropic-key": lambda make: (
        f"sk-ant-{make.choice(['api03', 'admin01', 'oat01'])}-{_some(make, 93, _URL_LETTERS)}AA"
    ),
    "openrouter-key": lambda make: f"sk-or-v1-{_some(make, 64, _HEX)}",
    "langfuse-key": lambda make: "sk-lf-" + "-".join(_some(make, size, _HEX) for size in (8, 4, 4, 4, 12)),
    "openai-key": lambda make: make.choice(
        [f"sk-{make.choice(['proj', 'admin', 'None', 'service'])}-{_some(make, 74)}T3BlbkFJ{_some(make, 74)}",
         f"sk-svcacct-{_some(make, 60, _LETTERS + '_')}a", f"sk-{_some(make, 20)}T3BlbkFJ{_some(make, 20)}",
         f"sess-{_some(make, 40)}"]
    ),
    "deepseek-key": lambda make: f"sk-{_some(make, 32, _HEX)}",
    "groq-key": lambda make: f"gsk_{_some(make, 52)}",
    "xai-key": lambda make: f"xai-{_some(make, 80)}",
    "google-key": lambda make: make.choice(
        [f"AIzaSy{_some(make, 32, _URL_LETTERS)}x", f"AQ.Ab8RN6{_some(make, 43, _URL_LETTERS)}x",
         f"ya29.a0A{_some(make, 150, _URL_LETTERS)}x", f"GOCSPX-{_some(make, 27, _URL_LETTERS)}x"]
    ),
    "huggingface-key": lambda make: make.choice(["hf_", "api_org_"]) + _some(make, 34),
    "aws-key": lambda make: (
        make.choice(["AKIA", "ASIA", "ABIA", "ACCA"]) + _some(make, 16, string.ascii_uppercase + "234567")
    ),
    "github-token": lambda make: make.choice(
        [f"gh{make.choice('pousr')}_{_some(make, 36)}", f"github_pat_{_some(make, 22)}_{_some(make, 59)}"]
    ),
    "gitlab-token": lambda make: f"glpat-{_some(make, 20, _URL_LETTERS)}",
    "slack-token": lambda make: make.choice(
        [f"xox{make.choice('abeoprs')}-{make.randrange(10**11, 10**12)}-{make.randrange(10**12)}-{_some(make, 24)}",
         f"xoxe.xoxp-1-{_some(make, 146)}", f"xapp-1-A{_some(make, 10, string.ascii_uppercase + string.digits)}-"
         f"{make.randrange(10**12, 10**13)}-{_some(make, 64, _HEX)}"]
    ),
    "telegram-token": lambda make: f"{make.randrange(10**8, 10**10)}:AA{_some(make, 33, _LETTERS + '_-')}",
    "discord-token": lambda make: make.choice(
        [f"{make.choice('MNO')}{_some(make, 23)}.{_some(make, 6)}.{_some(make, 38, _LETTERS + '_')}",
         f"mfa.{_some(make, 84, _LETTERS + '_')}"]
    ),
    "twilio-key": lambda make: make.choice(["SK", "AC"]) + _some(make, 32, _HEX),
    "elevenlabs-key": lambda make: f"sk_{_some(make, 48, _HEX)}",
    "jwt": _jwt,
    "pem-private-key": _pem,
    "wif-private-key": _wif,
    "extended-private-key": _extended,
    "solana-secret-key": lambda make: base58.b58encode(solana(make)).decode(),
    "seed-phrase": lambda make: phrase(make, make.choice(LANGUAGES), make.choice((128, 160, 192, 224, 256))),
}  # fmt: skip

_TEMPLATE = {
    "a": _LETTERS, "h": _HEX, "u": _URL_LETTERS, "A": string.ascii_uppercase + string.digits, "d": string.digits,
    "l": string.ascii_lowercase + string.digits,
}  # fmt: skip


def expanded(make: random.Random, example: str) -> str:
    """Return a key made from the example of a format, in which `{a24}` becomes 24 letters and digits."""
    return re.sub(r"\{(\w)(\d+)\}", lambda part: _some(make, int(part[2]), _TEMPLATE[part[1]]), example)


def _maker(rule: str) -> Callable[[random.Random], str]:
    examples = [entry.example for entry in FORMATS if entry.rule == rule]
    return lambda make: expanded(make, make.choice(examples))


SECRETS |= {rule: _maker(rule) for rule in sorted(FORMAT_RULES - SECRETS.keys())}

# Rules whose keys are found even directly after letters, as in `tokenghp_…`.
GLUED = (
    "anthropic-key", "openrouter-key", "langfuse-key", "openai-key", "groq-key", "xai-key", "google-key",
    "huggingface-key", "aws-key", "github-token", "gitlab-token", "slack-token", "jwt",
)  # fmt: skip


def glued(make: random.Random, rule: str) -> str:
    """Return a key of this rule that is found even directly after letters."""
    while True:
        secret = SECRETS[rule](make)
        if not secret.startswith(("sess-", "api_org_", "ABIA", "ACCA")):
            return secret


# Texts with a secret at `{}` and, at `ID`, the AWS or Twilio id that the secret belongs to.
AWS_NOTATIONS = (
    "ID:{}", "ID {}", "| ID | {} |", 'boto3.client("s3", "eu-west-1", "ID", "{}")', "AWS asked for ID\n{}\n",
    '["ID", "{}"]', "{} belongs to ID", "s3://ID:{}@bucket",
)  # fmt: skip
TWILIO_NOTATIONS = ('Client("ID", "{}")', "curl -u ID:{}", "ID {}", '{{"ID": "{}"}}', "['ID', '{}']", "ID,{}")

# Rule -> function that makes a text and the secret in it, which is recognized by a name or its place in the text.
PLACED: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "authorization": lambda make: _placed("Authorization: Bearer {}", _some(make, 40)),
    "url-credentials": lambda make: _placed("postgres://trader:{}@db.internal:5432/trades", _some(make, 16)),
    "named-secret": lambda make: _placed(
        make.choice(["api_key = {}", 'OPENAI_KEY="{}"', '{{"password": "{}"}}', "secret: {}", "client_secret={}&x=1"]),
        _some(make, 24),
    ),
    "rpc-url": lambda make: make.choice(list(NODES.values()))(make),
    "webhook-url": lambda make: make.choice(list(WEBHOOKS.values()))(make),
    "aws-key": lambda make: _placed(
        make.choice(AWS_NOTATIONS).replace("ID", SECRETS["aws-key"](make)), _some(make, 40, _LETTERS + "+/")
    ),
    "twilio-key": lambda make: _placed(
        make.choice(TWILIO_NOTATIONS).replace("ID", "AC" + _some(make, 32, _HEX)), _some(make, 32, _HEX)
    ),
    "evm-private-key": lambda make: _placed(
        make.choice(["private key: 0x{}", "HYPER_LIQUID_ETH_PRIVATE_KEY=0x{}", '{{"privateKey": "{}"}}']),
        _some(make, 64, _HEX),
    ),
}


def _placed(template: str, secret: str) -> tuple[str, str]:
    return template.format(secret), secret


def _uuid(make: random.Random) -> str:
    return "-".join(_some(make, size, _HEX) for size in (8, 4, 4, 4, 12))


# URLs of blockchain nodes with a key, in the form that the nodes' providers document (listed in `redaction/http.py`).
NODES: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "Alchemy": lambda make: _placed("https://eth-mainnet.g.alchemy.com/v2/{}", _some(make, 32, _URL_LETTERS)),
    "Alchemy, 21": lambda make: _placed("wss://solana-mainnet.g.alchemy.com/v2/{}", _some(make, 21, _URL_LETTERS)),
    "Alchemy, NFT": lambda make: _placed(
        "https://eth-mainnet.g.alchemy.com/nft/v3/{}/getNFTs?owner=0x1", _some(make, 32, _URL_LETTERS)
    ),
    "Alchemy, old": lambda make: _placed("https://eth-mainnet.alchemyapi.io/v2/{}", _some(make, 32, _URL_LETTERS)),
    "Infura": lambda make: _placed("https://mainnet.infura.io/v3/{}", _some(make, 32, _HEX)),
    "Infura, socket": lambda make: _placed("wss://mainnet.infura.io/ws/v3/{}", _some(make, 32, _HEX)),
    "QuickNode": lambda make: _placed("https://a-b-c.solana-mainnet.quiknode.pro/{}/", _some(make, 40, _HEX)),
    "QuickNode, 64": lambda make: _placed("https://a-b-c.quiknode.pro/{}", _some(make, 64, _HEX)),
    "Ankr": lambda make: _placed("https://rpc.ankr.com/eth/{}", _some(make, 64, _HEX)),
    "GetBlock": lambda make: _placed("https://go.getblock.io/{}", _some(make, 32, _HEX)),
    "Chainstack": lambda make: _placed("https://solana-mainnet.core.chainstack.com/{}", _some(make, 32, _HEX)),
    "Chainstack, old": lambda make: _placed("https://nd-123-456-789.p2pify.com/{}", _some(make, 32, _HEX)),
    "Triton": lambda make: _placed("https://desk.rpcpool.com/{}", _uuid(make)),
    "dRPC": lambda make: _placed("https://lb.drpc.org/ogrpc?network=solana&dkey={}", _some(make, 44, _URL_LETTERS)),
    "dRPC, path": lambda make: _placed("https://lb.drpc.org/ethereum/{}", _some(make, 44, _URL_LETTERS)),
    "Blast": lambda make: _placed("https://eth-mainnet.blastapi.io/{}", _uuid(make)),
    "NodeReal": lambda make: _placed("https://bsc-mainnet.nodereal.io/v1/{}", _some(make, 32, _HEX)),
    "Syndica": lambda make: _placed("https://solana-mainnet.api.syndica.io/api-key/{}", _some(make, 60)),
    "Tenderly": lambda make: _placed("https://mainnet.gateway.tenderly.co/{}", _some(make, 22)),
    "Tenderly, virtual": lambda make: _placed("https://virtual.mainnet.rpc.tenderly.co/{}", _uuid(make)),
    "Extrnode": lambda make: _placed("https://solana-mainnet.rpc.extrnode.com/{}", _uuid(make)),
    "Llama": lambda make: _placed("https://eth.llamarpc.com/rpc/{}", _some(make, 32)),
    "Helius": lambda make: _placed("https://mainnet.helius-rpc.com/?api-key={}", _uuid(make)),
    "Helius, dev": lambda make: _placed("https://mainnet.helius.dev/?api-key={}", _uuid(make)),
    "Helius, API": lambda make: _placed("https://api.helius.xyz/v0/tokens?limit=1&api-key={}", _uuid(make)),
}
WEBHOOKS: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "Discord": lambda make: _placed(
        "https://discord.com/api/webhooks/1098765432109876543/{}", _some(make, 68, _URL_LETTERS)
    ),
    "Discord, canary": lambda make: _placed(
        "https://canary.discord.com/api/v10/webhooks/1098765432109876543/{}?wait=true", _some(make, 68, _URL_LETTERS)
    ),
    "Slack": lambda make: _placed("https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/{}", _some(make, 24)),
    "Teams": lambda make: _placed(
        f"https://desk.webhook.office.com/webhookb2/{_uuid(make)}@{_uuid(make)}/IncomingWebhook/{{}}/{_uuid(make)}",
        _some(make, 32, _HEX),
    ),
    "Slack, workflow": lambda make: _placed(
        "https://hooks.slack.com/workflows/T0AAAAAAA/A0BBBBBBB/350000000000000000/{}", _some(make, 24)
    ),
    "Slack, trigger": lambda make: _placed(
        "https://hooks.slack.com/triggers/T0AAAAAAA/3500000000000/{}", _some(make, 32, _HEX)
    ),
}


def _pooled(address: str) -> str:
    """Return the message of a connection error of requests and urllib3 for this URL."""
    parts = urlsplit(address)
    target = address.split(parts.netloc, 1)[1]
    return (
        f"HTTPSConnectionPool(host={parts.hostname!r}, port=443): Max retries exceeded with url: {target}"
        " (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f3a>: Failed to resolve'))"
    )


# The notations of a URL in logs, errors and JSON.
ADDRESSES: dict[str, Callable[[str], str]] = {
    "as it is": lambda address: address,
    "in prose": lambda address: f"Client error '401 Unauthorized' for url '{address}'",
    "in an error of urllib3": _pooled,
    "in its repr": lambda address: repr({"error": _pooled(address)}),
    "in the log of urllib3": lambda address: (
        f'https://{urlsplit(address).hostname}:443 "POST {address.split(urlsplit(address).netloc, 1)[1]} HTTP/1.1" 401'
    ),
    "without a scheme": lambda address: address.split("://", 1)[1],
    "with escaped slashes": lambda address: json.dumps({"url": address}).replace("/", "\\/"),
    "URL-encoded": lambda address: f"https://proxy.example/?to={quote(address, safe='')}",
    "URL-encoded twice": lambda address: quote(quote(address, safe=""), safe=""),
    "in a variable": lambda address: f"RPC_URL={address}",
}

# Notations of a name and its value; `K` is where a key stands.
KEY_NOTATIONS = (
    "**API key:** K", "**API Key**: `K`", "**Secret:** K", "| api_key | K |", "API key - K", "API key – K",
    "API key -> K",
    "API key (K)", "HELIUS_API_KEY K", "API_KEY\tK", "api_key: |\n  K\n", "api_key: >-\n  K\n", 'api_key = """K"""',
    "api_key = \'\'\'K\'\'\'", "API key:\nK", "my API key is K, use it", "api_key=K", "api_key: K", "api_key := 'K'",
    "Cookie: session=K; theme=dark", "Set-Cookie: sessionid=K; HttpOnly; Path=/", "{'Cookie': 'auth=K'}",
    "[('X-API-KEY', 'K')]", "Headers([(b'x-api-key', b'K')])", "curl -H 'X-API-KEY: K' https://example.com",
    '{"X-API-KEY": "K"}', "OPENAI_KEY='K'", "export SNIPER_KEY=K", "https://example.com/?apikey=K&x=1",
    "https%3A%2F%2Fexample.com%2F%3Fapikey%3DK%26x%3D1", '{\\"api_key\\": \\"K\\"}', '{"SNIPER_KEY": "K"}',
    "--api-key K", "<apiKey>K</apiKey>", "?access_token=K", "Authorization: Bearer K", "Bearer K", "Authorization: K",
    "OPENAI_API_KEYS=K", 'SECRETS="K"', "API_KEY_B64=K", "apiKeyHex: 'K'", "the Birdeye key is K", "Helius key: K",
)  # fmt: skip
KEYS: dict[str, Callable[[random.Random], str]] = {
    "hex": lambda make: _some(make, 32, _HEX),
    "UUID": lambda make: _uuid(make),
    "letters and digits": lambda make: _some(make, 40),
    "GitLab's": lambda make: f"glpat-{_some(make, 20, string.ascii_letters)}",
}
# Notations of a name and a password that a person chose; `P` is where the password stands.
PASSWORD_NOTATIONS = (
    "**Password:** P", "password: P", "password=P", "my password is P", "password 'P' rejected", "wrong password (P)",
    "password - P", "password\tP", "user=bob pass=P", '{"pass": "P"}', "PASSWORD=P", "DB_PASSWORD=P", 'PASSWORD="P"',
    '{"password": "P"}', "{'passwd': 'P'}", "passphrase: P", "Server=db;UID=sa;PWD=P;", '["password", "P"]',
)  # fmt: skip
# A plain word is masked as a password only if "=" stands before it, or a line end, quote, bracket or comma after it.
WORD_PASSWORDS = ("correcthorse", "moonshot", "Sesameopen")
WORD_NOTATIONS = (
    "password: P", "**Password:** P", "passphrase: P\nuser: bob", "login failed (password: P)", "password=P",
    '{"password": "P"}', "db_password: P, port: 5432",
)  # fmt: skip
PASSWORDS = ("hunter2abc", "Hunter2xyz9", "Tr@de#2024!", "x1abcdefgh5678", "correct1horse", "0penSesame")
# Passwords that are masked completely if they stand in quotes. Those in LINE_PASSWORDS are masked completely also on a
# line of `.env`. In many other notations, all of these are masked only in part or not at all.
QUOTED_PASSWORDS = (
    "$abcdEFGH5678",
    "none_shall_pass9",
    "string.theory99",
    "your mom 1234",
    "<hunter2abc>",
    "self made 1999",
)
LINE_PASSWORDS = ("abcd1234&efgh5678", "abcd1234;efgh5678", "abcd1234,efgh5678", "abcd{efgh}5678", "ab(cd)1234efgh5678")

# Notations of the private key of an EVM chain: `K` is 64 hex digits, `E` the account's address.
EVM_NOTATIONS = (
    "export WALLET_PK=K", "PK=0xK", "PK: K", "WALLET_PK='0xK'", "api_wallet: 0xK", "HYPERLIQUID_AGENT=0xK",
    '{"address":"E","key":"0xK"}', '{"key": "0xK", "address": "E"}', "private key of address E: 0xK",
    "Private key for E is 0xK", "ETH private key\n\n0xK", "private key: K", "PRIVATE_KEY=0xK", "privateKey: '0xK'",
    "private_key (not the tx hash): 0xK", "Here is the private key for the wallet: K", "my private key is 0xK",
    "private key for mainnet = 0xK", "Private key #1: 0xK", "private key of our second bot: 0xK",
    "Account.from_key('0xK')", "w3.eth.account.from_key(0xK)", "Account #0: E (10000 ETH)\nPrivate Key: 0xK",
    "Private Keys\n==================\n(0) 0xK\n", "0xK is my private key", "0xK (private key)", "0xK <- private key",
    "Wallet 0: E private 0xK", "wallet.key = 0xK", "agent key: 0xK", "secret_key: 0xK", "clé privée: 0xK", "私钥: 0xK",
    "ValueError: The private key must be exactly 32 bytes long, instead of 33 bytes: 0xK", "| private key | 0xK |",
    "Unexpected private key format: Expected length 32: K", '{\\"private_key\\": \\"0xK\\"}', "private key 0XK",
)  # fmt: skip
# Names of fields whose value, of 64 hex digits, is masked as a private key.
EVM_FIELDS = ("WALLET_PK", "api_wallet", "privateKey", "HYPER_LIQUID_ETH_PRIVATE_KEY", "agent_key", "secret_key", "pk")
# Sentences that mention a key and have a hash `H`, which is not masked.
EVM_SENTENCES = (
    "The attacker obtained the private key and drained funds: H", "Private key hack — H", "H (private key exploit)",
    "eth key: H confirmed", "H: private key leak", "tx H | private key theft", "H was the private key exploit",
    "keystore upgrade: H", "agent key rotation tx H", "Wallet key stats: last tx H", "pk H", "account key H slot",
    "private key compromised, stolen in H", "Private key compromise of E: funds moved in tx H",
    "the signer key signed H",
    "Hyperliquid agent key E approved in H", "A private key leak; see https://etherscan.io/tx/H",
    "owner key rotated in H",
    '{"key": "H", "value": "H"}', '{"storageKeys": ["H", "H"]}', "trader key insight: whale H", "eth key event: H",
    "Secret tx H", "Secret Network tx: H", "secret NFT drop: H", "H is a tx about a private key hack", "block H, key H",
    '{"accessList": [{"address": "E", "storageKeys": ["H"]}]}', "wallet key activity: H", "private key E",
)  # fmt: skip
# Notations of the 64 bytes of a Solana key.
BYTE_NOTATIONS: dict[str, Callable[[bytes], str]] = {
    "JSON": lambda key: json.dumps(list(key)),
    "without spaces": lambda key: json.dumps(list(key), separators=(",", ":")),
    "strings": lambda key: json.dumps([str(byte) for byte in key]),
    "hex": lambda key: "[" + ", ".join(f"0x{byte:02x}" for byte in key) + "]",
    "YAML": lambda key: "key:\n" + "\n".join(f"- {byte}" for byte in key),
    "YAML in JSON": lambda key: json.dumps("key:\n" + "\n".join(f"  - {byte}" for byte in key)),
    "a table": lambda key: "| " + " | ".join(map(str, key)) + " |",
    "numpy": lambda key: "[" + " ".join(f"{byte:3d}" for byte in key) + "]",
    "a sentence": lambda key: "it is " + ", ".join(map(str, key)) + ".",
    "a longer list": lambda key: str([7, 7, 7, *key, 9, 9]),
    "two keys": lambda key: str([*key, *key]),
    "an index each": lambda key: json.dumps({str(at): byte for at, byte in enumerate(key)}),
    "base64": lambda key: base64.b64encode(key).decode(),
    "URL-safe base64": lambda key: base64.urlsafe_b64encode(key).decode().rstrip("="),
    "base64 in JSON of PHP": lambda key: json.dumps(base64.b64encode(key).decode()).replace("/", "\\/"),
    "base64 in a URL": lambda key: quote(base64.b64encode(key).decode(), safe=""),
    "hex digits": lambda key: key.hex(),
}

# The forms in which software writes a private key in PEM.
PEM_FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda pem: pem,
    "encrypted by OpenSSL": lambda pem: pem.replace(
        "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\n", 1
    ),
    "of PGP": lambda pem: pem.replace("-----\n", "-----\nVersion: GnuPG v2 - x\nComment: a-b\n\n", 1),
    "in a diff": lambda pem: "\n".join("-" + line for line in pem.splitlines()),
    "in a diff, added": lambda pem: "\n".join("+" + line for line in pem.splitlines()),
    "in a list of YAML": lambda pem: "\n".join("  - " + line for line in pem.splitlines()),
    "in quotes of mail": lambda pem: "\n".join("> " + line for line in pem.splitlines()),
    "URL-encoded": lambda pem: quote(pem, safe=""),
    "form-encoded": lambda pem: quote_plus(pem),
    "in JSON": json.dumps,
    "in JSON in JSON": lambda pem: json.dumps(json.dumps({"key": pem})),
    "on one line": lambda pem: pem.replace("\n", " "),
    "as a list": lambda pem: repr(pem.splitlines()),
    "of SSH2": lambda pem: re.sub("-----(BEGIN|END)(.*)-----", r"---- \1\2 ----", pem),
    "without its beginning": lambda pem: pem.partition("\n")[2],
    "without its end": lambda pem: pem.rpartition("-----END")[0],
    "without its end, wrapped": lambda pem: "\n".join("- " + line for line in pem.splitlines()[:-1]),
}

# Texts of a trading process, each with a place for a value. No word beside the place is in BIP-39's list:
# such a word and a value of eleven listed words would be a valid seed phrase by chance in one of 16 cases.
CONTEXTS: dict[str, Callable[[str], str]] = {
    "alone": lambda thing: thing,
    "a trading prompt": lambda thing: (
        f"You are a liquidation analyst.\n\n{MARKET}\nRemark of our traders: {thing}\n\nReply with BUY or NOTHING."
    ),
    "a prompt in JSON": lambda thing: json.dumps(json.dumps({"messages": [{"content": f"remark: {thing} as it is"}]})),
    "a model's answer": lambda thing: f"BUY\nLongs are exhausted, see {thing}.\nConfidence: 72%",
    "JSON": lambda thing: json.dumps({"symbol": "BTC", "remark": thing, "qty": 1.5}),
    "a traceback": lambda thing: _traceback(thing),
    "an error of httpx": lambda thing: _refused(f"https://api.example/v1/orders?remark={quote(thing, safe='')}&x=1"),
    "a form": lambda thing: f"symbol=BTC&remark={quote_plus(thing)}&x=1",
    "a table": lambda thing: f"| ticker | remark |\n|---|---|\n| ETH | {thing} |\n",
    "a table of HTML": lambda thing: f"<td>{thing}</td>",
    "a table of CSV": lambda thing: f"ticker,remark,usd\nBTC,{thing},12.5\n",
    "code of Markdown": lambda thing: f"`{thing}`",
    "parentheses": lambda thing: f"({thing})",
    "an assignment": lambda thing: f"remark={thing};",
}  # fmt: skip


def _traceback(thing: str) -> str:
    """Return the traceback of an exception whose message has this text."""
    try:
        raise ValueError(f"bad value {thing!r}")
    except ValueError:
        return traceback.format_exc()


def _refused(url: str) -> str:
    """Return the message of httpx's error for a refused request to this URL."""
    try:
        httpx.Response(401, request=httpx.Request("GET", url)).raise_for_status()
    except httpx.HTTPStatusError as error:
        return str(error)
    raise AssertionError


def look_alikes(make: random.Random) -> list[str]:
    """Return values that operators need to see: hashes, addresses, signatures, ids, words."""
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


# Texts with the words key, token, secret and password, but without a secret. `A` is an address of Solana, `E` an
# address of an EVM chain, `H` a hash, and `S` a signature of Solana.
SENTENCES = (
    '{"message":{"accountKeys":["A","11111111111111111111111111111111"]},"signatures":["S"]}', "account_key: A",
    "wallet_key: A", '{"signerKey": "A"}', '"ownerKey": "A"', "accountKey=A", "session key: E", "api wallet key: E",
    "service key E", "Account key: E", "service key: A", "Signer key A signed S", "wallet key (A)", "token: A",
    "?token=A",
    "TARGET_TOKEN=A", "BTC_KEY: 98500.25", "BTC_KEY=98500.25", "SOL_TOKEN: 185.25000", "BONK_TOKEN=0.00003412",
    "MEME_TOKEN: 12345678", "API keys: 12345678 active", "private keys: 12345678 stolen", "secret is 12345678",
    '{"session_tokens": 1024, "user_tokens": 2048}', '{"secret": 0, "credentials": 3}', '{"NEW_TOKEN": "BONK"}',
    '{"SORT_KEY": "usd"}', '["password", "reset"]', '["secret", "BTC"]', "cache_key: AbCdEfGhIj0123456789KlMn",
    '"idempotency_key": "AbCdEfGhIj0123456789KlMn"', "next_page_token: CAUQAA12AbCdEfGhIj0123456789",
    "continuationToken: AbCdEfGhIj0123456789KlMn", "page_token=AbCdEfGhIj0123456789", "authorization: pending approval",
    "Basic authorization, pending-review", "bearer 1234567890123456 bonds", "password: required", "API key: missing",
    "api_key = os.environ['OPENAI_KEY']", "api_key=get_key()", "password: string", "api_key: your_api_key_here",
    "OPENAI_KEY=sk-your-key-here", "secret_key: 'sk-...'", "API_KEY=${API_KEY}", "TOKEN=$TOKEN", "password: {password}",
    "password: <your password>", "the secret: buy low, sell high", "Wallet key stats: 12345678",
    "Solana key: 185.20000",
    "ETH key: 3,000.00 support", "Password reset is required", "the access token expired on 2025-12-11",
    "Tests pass: 12345678 of 12345679", "API key (optional)", "access token - expired", "session key - rotated in H",
    "MAX_TOKENS=1024", "TOKENS: BONK, WIF", "PROMPT_TOKENS: 12345678", "KEYS = sorted(levels)", "TOKENS=A",
    "password: authentication failed for user bob", "Password: incorrect.", "password: must be at least 8 letters",
    "the passphrase: liquidation cascades are near", "Binance token: BNB", "Kraken key: 97,123.5",
    "Binance key level H", "Google key takeaway: growth", "Discord key is important", "Binance key is BTC2024",
    "Coinbase key support: 97123",
    "ACCOUNT_KEYS: A", '["SECRETS", "buy low: sell high."]',
)  # fmt: skip
LIST_NOTATIONS = (
    '"api_keys": ["{}", "{}", "{}"]', "'passwords': ['{}', '{}', '{}']",
    'API_KEYS = [\n    "{}",\n    "{}",\n    "{}",\n]', "TOKENS_SECRET: ['{}','{}','{}']",
    '\\"auth_tokens\\": [\\"{}\\",\\"{}\\",\\"{}\\"]', "secrets=('{}', '{}', '{}')", '"secretKeys":["{}","{}","{}"]',
)  # fmt: skip
# Lists that hold no secret, although their names have `key` or `token` in them.
LISTS = (
    '"tokens": ["BONK", "WIF", "SOL"]', '"accountKeys": ["A", "A"]', '"app_tokens": ["BONK", "WIF"]', "API_KEYS = []",
    '"api_keys": ["your_api_key_here", "..."]', '"signerKeys": ["A"]', '"cache_keys": ["AbCdEfGhIj0123456789KlMn"]',
    '"keys": ["open", "high", "low"]', '"storageKeys": ["H", "H"]', "tokens = ('BTC', 'ETH')", '"session_keys": ["E"]',
    "keys: [0.25, 0.5]",
)  # fmt: skip
# Fields of structured data, none of which is a secret.
FIELDS: tuple[dict[str, object], ...] = (
    {"accountKeys": ["GKGxUidS4Whmt1A911V647bAadLn9w2tKfj6Bz9mA4Sz", "11111111111111111111111111111111"]},
    {"account_key": "GKGxUidS4Whmt1A911V647bAadLn9w2tKfj6Bz9mA4Sz", "age_key": 30, "account_key_index": 5},
    {"session_key": "0x815efb439d5f1b0ac99896f5522f7049e70f6295"}, {"session_tokens": 1024, "user_tokens": 12345678},
    {"secret": 0, "credentials": 3, "password": None, "api_key": True, "seed_words": 12},
    {"app_tokens": ["BONK", "WIF"]},
    {"NEW_TOKEN": "BONK", "bot_token": "BONK", "SORT_KEY": "usd", "CACHE_KEY": "btc", "BTC_KEY": 98500},
    {"pairs": [["password", "reset"], ["secret", "BTC"], ["authorization", "pending"], ["SECRET", "0.4512"]]},
    {"cache_key": "AbCdEfGhIj0123456789KlMn", "nextPageToken": "CAUQAA12AbCdEfGhIj0123456789"},
)  # fmt: skip


def sentence(make: random.Random, template: str) -> str:
    """Return a sentence of `SENTENCES` or `EVM_SENTENCES` with random addresses and hashes."""
    made = {"A": base58.b58encode(make.randbytes(32)).decode(), "S": base58.b58encode(make.randbytes(64)).decode()}
    made |= {"E": "0x" + _some(make, 40, _HEX), "H": "0x" + _some(make, 64, _HEX)}
    return re.sub(r"(?<!\w)[AEHS](?!\w)", lambda match: made[match.group()], template)


# Words that contain the beginning of a key, such as the `sk-` in `risk-`, but are not keys.
LIKE_KEYS = (
    "risk-service-monitoring-and-more-words", "desk-admin-dashboard-for-everyone-2025", "desk-lf-12345678-1234",
    "task-proj-management-and-more-words", "task-org-chart-of-the-whole-company", "risk-or-internationalization-first",
    "ask-ant-colony-optimisation-for-trading", "rolling_highs_and_lows_of_the_trading_day_2025",
    "disk-None-available-on-this-machine-at-10", "swing_highs_with_volume_confirmation_15m", "https://desk.example/risk-service-level-agreements-for-desks-2025-12-11",
    "BTC-xai-grok-4-fast-reasoning-latest", "xoxo-hugs-and-kisses-2025", "task_7b5f18bebbce5aed6cd996991afeb6b9",
    "halfhf_of_the_order_book_is_empty_at_10_past_3", "asks-org-wide-limits-for-BTC-and-for-ETH-in-one-table",
)  # fmt: skip
# Texts beside an id of AWS or Twilio that are not its secret: a commit, a path, an address, a message's id.
BESIDE_IDS = (
    "da39a3ee5e6b4b0d3255bfef95601890afd80709", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
    "src/main/java/com/MyCompany/TradingBot12", "data/BTCUSDT/1m/Binance/2025/12/11/00001",
    "0x815efb439d5f1b0ac99896f5522f7049e70f6295", "GKGxUidS4Whmt1A911V647bAadLn9w2tKfj6Bz9mA4Sz",
    "/Messages/SM7b5f18bebbce5aed6cd996991afeb6b9", "7b5f18be-bbce-5aed-6cd9-96991afeb6b9",
)  # fmt: skip

GUIDES = (
    "https://www.alchemy.com/overviews/erc20-vs-erc721-differences",
    "https://docs.alchemy.com/reference/eth-getblockbynumber-v2-api",
    "https://www.quicknode.com/guides/solana-development/spl-tokens/how-to-create-2024",
    "https://docs.chainstack.com/docs/solana-getblock-2024-tutorial",
    "https://tenderly.co/explorer/tx-2024-simulations-guide",
    "https://docs.infura.io/v3/how-to-use-endpoints-2024",
    "https://eth-mainnet.g.alchemy.com/v2/your-alchemy-api-key",
    "https://eth-mainnet.g.alchemy.com/v2/your-alchemy-key-2",
    "https://mainnet.infura.io/v3/YOUR_INFURA_PROJECT_ID",
    "https://rpc.ankr.com/eth",
    "https://rpc.ankr.com/eth/0xb8c0ffee254567811ad45678aabbccddeeff0011",
    "https://discord.com/channels/1098765432109876543/1098765432109876544",
    "https://discord.com/api/v10/channels/1098765432109876543/messages",
    "https://etherscan.io/tx/0x88df016429689c079f3b2f6ad39fa052532c56795b733da78a91ebe6a713944b",
    "https://solscan.io/account/GKGxUidS4Whmt1A911V647bAadLn9w2tKfj6Bz9mA4Sz",
    "https://api.helius.xyz/v0/addresses/GKGxUidS4Whmt1A911V647bAadLn9w2tKfj6Bz9mA4Sz/transactions?limit=5",
    "https://api.helius.xyz/v0/transactions?before=5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW",
    "https://www.coindesk.com/markets/2025/12/11/bitcoin-falls-below-90k-as-longs-are-liquidated",
    "https://user@example.com:8080/path?mail=trader@example.com",
)  # fmt: skip


def _failing_phrase(make: random.Random) -> str:
    known = Mnemonic("english")
    while True:
        words = " ".join(make.choices(known.wordlist, k=12))
        if not known.check(words):
            return words
