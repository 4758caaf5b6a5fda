"""
🌙 Moon Dev's Redaction of Wallets
Built with love by Moon Dev 🚀

Keys of wallets, verified rather than guessed: what has a checksum or a public half is a secret only if that holds, so
that addresses, transaction hashes and signatures stay visible. The libraries that know the formats (`base58`,
`cryptography`, `mnemonic`) are imported when the first candidate turns up.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from src.observability.redaction_scan import Scan, Span

_KEY_LENGTH = 50  # a WIF key, the shortest, has 51 letters
_TOKEN = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{50,130}+(?![0-9A-Za-z])")
_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F]+$")


def wallet_keys(scan: Scan) -> Iterator[Span]:
    """Solana, EVM, WIF and extended private keys among the long runs of the text."""
    for start, end in scan.runs:
        if end - start >= _KEY_LENGTH:
            for match in _TOKEN.finditer(scan.plain, start, end):
                if rule := _rule_of(match, scan.plain):
                    yield Span(match.start(), match.end(), rule)


def _rule_of(match: re.Match[str], text: str) -> str | None:
    token = match.group()
    if _HEX.match(token):
        return _rule_of_hex(token.lower().removeprefix("0x"), text, match.start(), match.end())
    if len(token) in _WIF_LENGTHS and token[0] in _WIF_STARTS:
        return "wif-private-key" if _is_wif(token) else None
    if token[1:4] == "prv" and token[0] in _EXTENDED_STARTS:
        return "extended-private-key" if _is_extended(token) else None
    return "solana-secret-key" if len(token) in _SOLANA_LENGTHS and _is_solana(token) else None


# Base58Check with version 80 (mainnet) or ef (testnet), 32 bytes, and 01 if compressed:
# en.bitcoin.it/wiki/Wallet_import_format
_WIF_LENGTHS, _WIF_STARTS = (51, 52), "5KL9c"
# Base58Check of 78 bytes whose key begins with 00: BIP-32 "Serialization format"; the letters: SLIP-132
_EXTENDED_STARTS = "xyztuvYZUV"
# 64 bytes in base58: docs.solana.com/wallet-guide; leading zeros make it shorter
_SOLANA_LENGTHS = range(80, 89)


def _is_wif(token: str) -> bool:
    payload = _checked(token)
    return payload is not None and payload[0] in (0x80, 0xEF) and len(payload) in (33, 34)


def _is_extended(token: str) -> bool:
    payload = _checked(token)
    return payload is not None and len(payload) == 78 and payload[45] == 0  # BIP-32


def _checked(token: str) -> bytes | None:
    """What `token` encodes, if its checksum holds."""
    from base58 import b58decode_check

    try:
        return bytes(b58decode_check(token))
    except ValueError:
        return None


@lru_cache(maxsize=4096)  # a page of signatures comes back in every prompt of a conversation
def _is_solana(token: str) -> bool:
    from base58 import b58decode

    try:
        return is_keypair(bytes(b58decode(token)))
    except ValueError:
        return False


def is_keypair(key: bytes) -> bool:
    """Whether the last 32 bytes are the Ed25519 public key of the first 32: a Solana secret key, no signature.

    Source: the file format of solana-keygen (docs.anza.xyz/cli/wallets/file-system), RFC 8032.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(key) != 64:
        return False
    return Ed25519PrivateKey.from_private_bytes(key[:32]).public_key().public_bytes_raw() == key[32:]


# 32 bytes of hex are a private key, a transaction or a block: only the words around them tell. Word lists from the
# error texts and docs of eth-account, web3.py and hyperliquid-python-sdk (`secret_key`, `Account.from_key`).
_SAYS_KEY = re.compile(
    r"(?:priv(?:ate)?|secret|signing|signer|wallet|agent|account|eth(?:ereum)?|evm|hyper_?liquid|deployer|owner|trader)"
    r"[\s_.-]{0,3}(?:eth[\s_-]{0,3})?(?:private[\s_-]{0,3})?key|priv_?key|\bpk\b|from_?key\(|seed[\s_-]?hex|keystore",
    re.IGNORECASE,
)
_SAYS_HASH = re.compile(r"hash|tx|transaction|block|signature|public|address|topic|root|commit|sha", re.IGNORECASE)
_KEY_FOLLOWS = re.compile(
    r"[\s\"'`)\],]{0,4}(?:is|was|as|[(—–:|<=-]+|←)?[\s(]{0,3}(?:(?:my|the|your|our|a|its)\s)?(?:\w{1,12}\s){0,2}private\s?key",
    re.IGNORECASE,
)


def _rule_of_hex(digits: str, text: str, start: int, end: int) -> str | None:
    if len(digits) == 128:  # 64 bytes
        return "solana-secret-key" if is_keypair(bytes.fromhex(digits)) else None
    if len(digits) != 64:  # 32 bytes
        return None
    before = text[max(0, start - 80) : start]
    said = [match.end() for match in _SAYS_KEY.finditer(before)]
    if said and not _SAYS_HASH.search(before, said[-1]) and "\n\n" not in before[said[-1] :]:
        return "evm-private-key"
    return "evm-private-key" if _KEY_FOLLOWS.match(text, end) else None


# 64 numbers of a byte each, as solana-keygen writes them; after JSON.stringify(Uint8Array) each with its index.
_LISTS = (
    re.compile(r"(?<![\d.])\d{1,3}(?:\s{0,4}[,;]\s{0,16}\d{1,3}){63,}+(?![\d.])"),
    re.compile(r"(?<![\d.])\d{1,3}(?:\s{1,16}\d{1,3}){63,}+(?![\d.])"),
    re.compile(
        r"[\"']?0[\"']?\s{0,4}:\s{0,4}\d{1,3}(?:\s{0,4},\s{0,16}[\"']?\d{1,2}[\"']?\s{0,4}:\s{0,4}\d{1,3}){63}+"
    ),
)
_NUMBER = re.compile(r"(?:(?<=[\s,;:])|^)\d{1,3}(?!\d|[\"']?\s{0,4}:)")
_LIST_LETTERS = bytes(ord("x") if chr(code) in "0123456789,; \t\r\n:\"'" else ord(" ") for code in range(256))
_SHORTEST_LIST = b"x" * 127  # 64 digits and 63 separators


def byte_arrays(scan: Scan) -> Iterator[Span]:
    """Solana secret keys as 64 numbers, with or without brackets, on one line or many."""
    if _SHORTEST_LIST not in scan.plain.encode("ascii", "replace").translate(_LIST_LETTERS):
        return
    for pattern in _LISTS:
        for match in pattern.finditer(scan.plain):
            numbers = [int(number) for number in _NUMBER.findall(match.group())]
            if is_secret_numbers(numbers[:64]) or is_secret_numbers(numbers[-64:]):
                yield Span(match.start(), match.end(), "solana-secret-key")


def is_secret_numbers(numbers: Sequence[Any]) -> bool:
    """Whether these are the 64 bytes of a Solana secret key."""
    if len(numbers) != 64 or not all(type(number) is int and 0 <= number < 256 for number in numbers):
        return False
    return is_keypair(bytes(numbers))
