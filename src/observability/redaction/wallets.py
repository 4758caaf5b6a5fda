"""Finds private keys of wallets: of Solana and EVM chains, of Bitcoin (WIF), and extended keys (BIP-32).

A key is verified by its checksum or its public half. Addresses, transaction hashes and signatures fail this check, and
so stay visible. EVM keys have no checksum, and are recognised by the words around them.
"""

import re
from base64 import b64decode
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from hashlib import blake2b, sha256, sha512
from itertools import islice
from typing import Any

from .scan import Scan, Span, regex, runs_of

_TOKEN = regex(rb"(?<![0-9A-Za-z])[0-9A-Za-z]{50,130}(?![0-9A-Za-z])")
# Lengths of texts that are examined: from just below the shortest key (WIF, 51) to the longest (`0x`, 64 bytes in hex).
_LENGTHS = range(50, 131)
HASH_LENGTHS = (64, 66)  # lengths of 32 bytes in hex, without and with 0x
_EVM, _SOLANA = "evm-private-key", "solana-secret-key"
_HEX = regex(r"(?:0[xX])?[0-9a-fA-F]+$")


def wallet_keys(scan: Scan) -> Iterator[Span]:
    """Yield the private keys of Solana, EVM chains and Bitcoin (WIF), and extended private keys (BIP-32)."""
    tokens = list(_tokens(scan))
    yield from (Span(start, end, rule) for start, end, token in tokens if (rule := _rule_of(token)))
    yield from _evm_keys(scan, [(start, end) for start, end, token in tokens if len(token) in HASH_LENGTHS])
    yield from _in_base64(scan)


def _tokens(scan: Scan) -> Iterator[tuple[int, int, bytes]]:
    """Yield the start, end and text of each run of letters and digits whose length is in `_LENGTHS`."""
    for start, end in scan.runs:
        if end - start >= _LENGTHS.start:
            run = scan.plain_ascii[start:end]
            if not run.isalnum():  # the run has dots, hyphens or underscores between its parts
                yield from ((*match.span(), match.group()) for match in _TOKEN.finditer(scan.plain_ascii, start, end))
            elif len(run) in _LENGTHS:
                yield start, end, run


def _is_hex(text: str, size: int) -> bool:
    """Whether `text` is `size` bytes in hex, with or without 0x."""
    return len(text[2:] if text[:2] in ("0x", "0X") else text) == 2 * size and _HEX.match(text) is not None


@lru_cache(maxsize=4096)  # each prompt of a conversation repeats the keys and signatures of earlier prompts
def _rule_of(token: bytes) -> str | None:
    """Return the rule that recognises `token` as a key, or None. The text around the token is not considered."""
    text = token.decode()
    if text[0] in _WIF_STARTS and len(text) in _WIF_LENGTHS:
        return "wif-private-key" if _is_wif(text) else None
    if text[1:4] == "prv" and _is_extended(text):
        return "extended-private-key"
    if _is_hex(text, 64):
        return _SOLANA if is_keypair(bytes.fromhex(text[-128:])) else None
    return _SOLANA if len(text) in _SOLANA_LENGTHS and _is_solana(text) else None


# A WIF key is the Base58Check of a version byte (80 for mainnet, ef for testnet), the 32 bytes of the key, and 01 if
# its public key is compressed. Source: en.bitcoin.it/wiki/Wallet_import_format
_WIF_LENGTHS, _WIF_STARTS = (51, 52), "5KL9c"
# Lengths of a Solana secret key of 64 bytes in base58, where leading zeros make it shorter
# (docs.solana.com/wallet-guide).
_SOLANA_LENGTHS = range(80, 89)


def _is_wif(token: str) -> bool:
    return _checked(token)[:1] in (b"\x80", b"\xef")


def _is_extended(token: str) -> bool:
    """Whether `token` is an extended key: the Base58Check of 78 bytes (BIP-32, "Serialization format")."""
    return len(_checked(token)) == 78


def _checked(token: str) -> bytes:
    """Decode `token`, which is in Base58Check, to its payload. Return no bytes if the checksum is wrong."""
    raw = _from_base58(token)
    payload, checksum = raw[:-4], raw[-4:]
    return payload if payload and sha256(sha256(payload).digest()).digest()[:4] == checksum else b""


def _is_solana(token: str) -> bool:
    return is_keypair(_from_base58(token))


# Addresses that are recognised by their format: those in Bech32 (BIP-173) of Bitcoin, Litecoin, Cardano, Kaspa and the
# chains of Cosmos, and those of TON (workchain 0), Stellar, Algorand and Monero.
_LOOKS = regex(
    r"(?:bc1|tb1|ltc1|(?:addr|stake|cosmos|osmo|inj|celestia|sei|dydx|terra|juno|akash|kujira|neutron|axelar|noble)1"
    r"|kaspa:|bitcoincash:)[02-9ac-hj-np-z]{38,103}"
    r"|[EU]Q[A-D][A-Za-z0-9_-]{45}|G[A-Z2-7]{55}|[A-Z2-7]{58}|[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}"
)
_LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # Bitcoin's alphabet of base58
# Translates a text in Ripple's alphabet of base58 to Bitcoin's alphabet.
_RIPPLE = str.maketrans("rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz", _LETTERS)


@lru_cache(maxsize=4096)
def is_address(token: str) -> bool:
    """Whether `token` is a blockchain address.

    An address has a known format, a correct checksum, or 32 bytes in base58 (Solana).
    """
    if len(token) == 42 and token[:2] == "0x":
        return _HEX.match(token) is not None
    if not 26 <= len(token) <= 130:
        return False
    if token[1:4] == "pub":  # such as `xpub`; a private key has `prv` (SLIP-132)
        return _is_extended(token)
    return _LOOKS.fullmatch(token) is not None or (len(token) <= 48 and _is_base58_address(token))


def _is_base58_address(token: str) -> bool:
    raw = _from_base58(token)
    if len(raw) == 35:  # Polkadot's format SS58
        return blake2b(b"SS58PRE" + raw[:33]).digest()[:2] == raw[33:]
    if token[0] == "r" and len(raw) >= 24:  # Ripple writes base58 in another alphabet
        token = token.translate(_RIPPLE)
    # addresses have 21 bytes on Bitcoin, Dogecoin and Tron, 22 on Zcash, and 32 without a checksum on Solana
    return len(raw) == 32 or len(_checked(token)) in (21, 22)


_BASE58 = {letter: at for at, letter in enumerate(_LETTERS)}


def _from_base58(text: str) -> bytes:
    """Decode base58 (Bitcoin's alphabet); return no bytes if `text` is not base58."""
    number = 0
    for letter in text:
        if letter not in _BASE58:
            return b""
        number = number * 58 + _BASE58[letter]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def is_keypair(key: bytes) -> bool:
    """Whether `key` is a Solana secret key of 64 bytes, and not a signature.

    The last 32 bytes of a secret key are the Ed25519 public key of the first 32.

    Source: the file format of solana-keygen (docs.anza.xyz/cli/wallets/file-system), RFC 8032 section 5.1.5.
    """
    if len(key) != 64:
        return False
    scalar = int.from_bytes(sha512(key[:32]).digest()[:32], "little") & (1 << 254) - 8 | 1 << 254
    point = _NEUTRAL
    for row, byte in zip(_multiples(), scalar.to_bytes(32, "little"), strict=True):
        point = _sum(point, row[byte])
    x, y, z, _ = point
    public = int.from_bytes(key[32:], "little")
    if (y - (public & (1 << 255) - 1) * z) % _P:  # y is checked before x, since checking x needs a slow division
        return False
    return x * pow(z, -1, _P) % _P & 1 == public >> 255


# The arithmetic of Ed25519 (RFC 8032 section 5.1). A point is (X, Y, Z, T) in extended coordinates. In an addition, the
# second point must be in the prepared form (Y + X, Y - X, 2Z, 2dT). Checking a key takes 0.2 ms, so no library is
# needed.
_Point = tuple[int, int, int, int]
_P = 2**255 - 19
_2D = 2 * -121665 * pow(121666, -1, _P)
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 4 * pow(5, -1, _P) % _P
_NEUTRAL: _Point = (0, 1, 1, 0)


def _sum(point: _Point, prepared: _Point) -> _Point:
    x, y, z, t = point
    plus, minus, double, product = prepared
    a, b, c, d = (y - x) * minus % _P, (y + x) * plus % _P, t * product % _P, z * double % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _prepared(point: _Point) -> _Point:
    x, y, z, t = point
    return y + x, y - x, 2 * z, _2D * t % _P


@cache
def _multiples() -> list[list[_Point]]:
    """Return 32 rows of 256 points: point j of row i is j * 256**i times Ed25519's base point.

    The points are in the prepared form (see above). Computing them for the first key takes 50 ms and 2 MB.
    """
    rows, base = [], (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)
    for _ in range(32):
        step, row, point = _prepared(base), [], _NEUTRAL
        for _ in range(256):
            row.append(_prepared(point))
            point = _sum(point, step)
        rows.append(row)
        base = point
    return rows


# web3.js and Phantom export a Solana secret key as base64: 86 characters and two `=` for padding (RFC 4648).
_BASE64_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_IS_BASE64 = bytes(ord("x") if chr(code) in _BASE64_LETTERS else ord(" ") for code in range(256))
_IN_BASE64 = 86


def _in_base64(scan: Scan) -> Iterator[Span]:
    for start, end in runs_of(b"x" * _IN_BASE64, scan.plain_ascii.translate(_IS_BASE64)):
        if end - start == _IN_BASE64 and _is_solana_base64(scan.plain[start:end]):
            padding = scan.plain[end : end + 2]
            yield Span(start, end + len(padding) - len(padding.lstrip("=")), _SOLANA)


@lru_cache(maxsize=4096)
def _is_solana_base64(token: str) -> bool:
    return is_keypair(b64decode(token.replace("-", "+").replace("_", "/") + "=="))


# 32 bytes in hex may be a private key or the hash of a transaction or block. Only the words around them tell which.
# These words are from the error messages and docs of eth-account, web3.py and hyperliquid-python-sdk (`secret_key`,
# `Account.from_key`, `api_wallet`) and from ganache's list of accounts. "Private key" is also matched in some other
# languages.
_PRIVATE_LABEL = (
    r"(?:from_?key|privatekeyto\w{1,12}|from_?(?:private|secret)_?key|(?<![a-z])wallet(?:\.add)?|signingkey)(?=\()"
    r"|priv(?:ate)?[\s_.-]{0,3}(?:eth(?:ereum)?[\s_.-]{0,3})?keys?|secret[\s_.-]{0,3}keys?|(?<![a-z])priv(?:ate)?(?=[\s:=\"']{1,4}$)"
    r"|seed[\s_-]?hex|clés? privées?|clave privada|chave privada|chiave privata|私钥|私鑰|秘密鍵|개인키"
)
_HELD_LABEL = (
    r"(?:signing|signer|wallet|agent|hyper_?liquid|deployer|trading|bot)(?:'s)?[\s_.-]{0,3}keys?|(?<![a-z])pk(?![a-z])"
    r"|(?:api|agent)[\s_-]?wallet|hyper_?liquid_agent"
    r"|(?<![a-z])accounts(?=\\{0,7}[\"']?\s?[:=]\s?\[)"  # private keys in Hardhat's `networks` settings
)
_KEY_LABEL = regex(rf"(?P<private>{_PRIVATE_LABEL})|(?P<held>{_HELD_LABEL})", re.IGNORECASE)
_CLOSE = r"(?:_?(?:\d{1,2}|hex|value))?[\s\"'`*\\)\]]{0,8}"
_LINK = {
    # the text between label and key in `private key: …`, `private key (hex): …`, `private key of address 0x…: …` and
    # `Private Keys\n(0) …`, and in error messages of eth-account and eth-keys, where the key follows a colon
    "private": regex(
        _CLOSE + r"(?:\([^()\n]{1,40}\)\s?)?"
        r"(?:(?:of|for)\s"
        r"(?:(?:the|my|this|your|our|address|wallet|account|signer|owner|agent|trader|deployer|bot)\s?){0,4}"
        r"(?:0x[0-9a-fA-F]{40}\s{0,2})?|(?:of|for|on)\s\w{1,80}(?:\s\w{1,80}){0,3}\s?(?=[:=]))?"
        r"(?:(?:must|should|format|length|has)\b[^\n]{0,100}:)?"
        r"(?:[\s\"'`*\\:=|,>(\[{–—→：は是는-]|\b(?:is|was|are|to)\b|#?\d{1,2}[.):])*",
        re.IGNORECASE,
    ),
    "held": regex(_CLOSE + r"(?::=|=>|==?|:|\bis\b)[\s\"'`*\\(\[]{0,8}"),
}
_KEY_FOLLOWS = regex(
    r"[\s\"'`)\],]{0,4}(?:is|was|as|[(—–:|<=-]+|←)?[\s(]{0,3}(?:(?:my|the|your|our|a|its)\s)?(?:\w{1,12}\s){0,2}private\s?key"
    r"(?=\s{0,2}(?:[).,;!?\"'\]|}]|$|\n|of\b|for\b))",
    re.IGNORECASE,
)
# An account as JSON: `{"address": "0x…", "key": "0x…"}`, in either order.
_MARK = r"\\{0,7}[\"']"
_IS_ADDRESS = rf"{_MARK}address{_MARK}\s{{0,4}}:\s{{0,4}}{_MARK}0x[0-9a-fA-F]{{40}}{_MARK}"
_IS_KEY = rf"{_MARK}(?:key|pk){_MARK}\s{{0,4}}:\s{{0,4}}{_MARK}$"
_ACCOUNT = regex(rf"{_IS_ADDRESS}\s{{0,4}},\s{{0,8}}{_IS_KEY}", re.IGNORECASE)
_ENDS_WITH_KEY = regex(_IS_KEY, re.IGNORECASE)
_ADDRESS_FOLLOWS = regex(rf"{_MARK}\s{{0,4}},\s{{0,8}}{_IS_ADDRESS}", re.IGNORECASE)
_NEXT_OF_LIST = regex(r"[\s\"'`,;()\[\]\\\d.|-]{1,16}")
_REACH = 160  # characters before and after a key that are searched for a label
# Every match of `_KEY_LABEL`, `_KEY_FOLLOWS` and `_ACCOUNT` contains one of these words.
_HINTS = ("key", "pk", "priv", "seed", "wallet", "agent", "accounts", "clave", "chave", "chiave")
_FOREIGN_HINTS = ("clé", "私", "秘密", "개인")
_LONGEST_HINT = max(map(len, _HINTS))


def _evm_keys(scan: Scan, places: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """Yield the EVM private keys. `places` has the start and end of each text that is as long as 32 bytes in hex."""
    hints = _hints(scan) if places else []
    listed = -1  # end of the last key found, or -1; a key that follows it in a list needs no label
    for start, end in places if hints else ():
        near = bisect_left(hints, start - _REACH - _LONGEST_HINT)
        is_near = near < len(hints) and hints[near] <= end + _REACH
        if (listed >= 0 or is_near) and _is_evm_key_at(scan.plain, start, end, listed):
            yield Span(start, end, _EVM)
            listed = end


def _hints(scan: Scan) -> list[int]:
    """Return the positions of all words that may belong to a key's label.

    One search of the whole text is faster than one around each hash.
    """
    accounts = "address" in scan.low  # `"key"` is taken for the label of a wallet's key only in a text with "address"
    places = [at for hint in _HINTS for at in scan.anchors(hint)]
    if not scan.text.isascii():
        places += [match.start() for hint in _FOREIGN_HINTS for match in re.finditer(hint, scan.text, re.IGNORECASE)]
    return sorted(at for at in places if accounts or scan.low[at - 1 : at + 4] != '"key"')


def _is_evm_key_at(text: str, start: int, end: int, listed: int) -> bool:
    if not _is_hex(text[start:end], 32):
        return False
    if listed >= 0 and _NEXT_OF_LIST.fullmatch(text, listed, start):
        return True
    before = text[max(0, start - _REACH) : start]
    if _assigns_key(before) or _KEY_FOLLOWS.match(text, end) or _ACCOUNT.search(before):
        return True
    return bool(_ADDRESS_FOLLOWS.match(text, end) and _ENDS_WITH_KEY.search(before[-24:]))


def _assigns_key(before: str) -> bool:
    """Whether `before`, the text before 32 bytes in hex, ends with the label of a private key."""
    labels = list(_KEY_LABEL.finditer(before))[-1:]
    return any(_LINK[label.lastgroup or ""].fullmatch(before, label.end()) for label in labels)


def is_evm_key(name: str, value: str) -> bool:
    """Whether `value`, in a field called `name`, is an EVM private key."""
    return _is_hex(value, 32) and _assigns_key(f"{name}: ")


def is_account(fields: Mapping[Any, Any]) -> bool:
    """Whether `fields` describe an account with its private key, as in `{"address": "0x…", "key": "0x…"}`."""
    address, key = fields.get("address"), fields.get("key")
    if not isinstance(address, str) or not isinstance(key, str) or len(address) != 42:
        return False
    return bool(_HEX.match(address)) and is_evm_key("private_key", key)


# A Solana secret key as 64 numbers from 0 to 255, which solana-keygen writes. They may be decimal or hex, with or
# without quotes, and separated by commas, line breaks, YAML's hyphens or a table's bars. JSON.stringify(Uint8Array)
# puts an index before each number.
_BETWEEN = r"[\"']?[\s,;|-]{1,24}[\"']?"
_DECIMAL = regex(rf"(?<![\w.])\d{{1,3}}(?:{_BETWEEN}\d{{1,3}})*")
_HEXADECIMAL = regex(rf"0x[0-9a-fA-F]{{1,2}}(?:{_BETWEEN}0x[0-9a-fA-F]{{1,2}})*")
_INDEXED = regex(r"[\"']?0[\"']?\s{0,4}:\s{0,4}\d{1,3}(?:\s{0,4},\s{0,16}[\"']?\d{1,2}[\"']?\s{0,4}:\s{0,4}\d{1,3})*")
_NUMBER = regex(r"0x[0-9a-fA-F]{1,2}(?![0-9a-fA-F])|(?<!\d)\d{1,3}(?!\d|[\"']?\s{0,4}:)")
_LIST_LETTERS = bytes(ord("x") if chr(code) in "0123456789,; \t\r\n:\"'|-" else ord(" ") for code in range(256))
_SHORTEST_LIST = b"x" * 127  # 64 digits and 63 separators
# Matches a text that may list 64 numbers, also with escape sequences such as `\n` between them.
BYTES_HINT = rf"""[0-9,; \t\r\n:"'|\\nrtfbvuxa-f%\x1b\[m-]{{{len(_SHORTEST_LIST)}}}|0x[0-9a-f]{{1,2}}(?:[^0-9a-f]|$)"""
_KEY_BYTES = 64
_FEWEST_DIFFERENT = 30  # 64 random bytes have about 57 different values; one in 10**20 keys has 30 or fewer
# On average, half of 64 random bytes are above 127, and one in 10**10 keys has fewer than 8 bytes above 127. Lists of
# percentages have no numbers above 127.
_FEWEST_LARGE = 8
# Limits: runs of 64 numbers that are examined in one list (50 ms), and keys that are verified in one text (0.1 s).
_MOST_WINDOWS, _MOST_DERIVED = 50_000, 500


def byte_arrays(scan: Scan) -> Iterator[Span]:
    """Yield Solana secret keys written as 64 numbers, with or without brackets, on one or more lines."""
    lists = ((match, [number.group() for number in _NUMBER.finditer(match.group())]) for match in _lists(scan))
    windows = ((match, *window) for match, numbers in lists for window in _windows(numbers))
    for match, at, key in islice(windows, _MOST_DERIVED):
        if is_keypair(key):
            yield _span_of(match, at)


def _lists(scan: Scan) -> Iterator[re.Match[str]]:
    """Yield lists that are long enough for 64 numbers.

    Most texts are ruled out quickly, since they have no long run of digits and separators, and no 64 bytes in hex.
    """
    for start, end in runs_of(_SHORTEST_LIST, scan.plain_ascii.translate(_LIST_LETTERS)):
        for pattern in (_DECIMAL, _INDEXED):
            yield from (match for match in pattern.finditer(scan.plain, start, end) if _is_long(match))
    if scan.low.count("0x") >= _KEY_BYTES:
        yield from filter(_is_long, _HEXADECIMAL.finditer(scan.plain))


def _is_long(match: re.Match[str]) -> bool:
    return match.end() - match.start() >= len(_SHORTEST_LIST)


def _span_of(match: re.Match[str], at: int) -> Span:
    """Return the span of the 64 numbers in `match` that begin with the number at index `at`."""
    numbers = list(islice(_NUMBER.finditer(match.group()), at, at + _KEY_BYTES))
    return Span(match.start() + numbers[0].start(), match.start() + numbers[-1].end(), _SOLANA)


def _windows(numbers: Sequence[Any]) -> Iterator[tuple[int, bytes]]:
    """Yield the index and the bytes of each run of 64 numbers that is as varied as the bytes of a key."""
    if len(set(numbers)) < _FEWEST_DIFFERENT:
        return
    values = [_byte(number) for number in numbers]
    for at in range(min(len(values) - _KEY_BYTES + 1, _MOST_WINDOWS)):
        window = values[at : at + _KEY_BYTES]
        is_varied = len(set(window)) >= _FEWEST_DIFFERENT and min(window) >= 0
        if is_varied and sum(value > 127 for value in window) >= _FEWEST_LARGE:
            yield at, bytes(window)


def _byte(number: Any) -> int:
    """Return the value of a byte that is given as a number or as its text. Return -1 for anything else."""
    if type(number) is str and len(number) <= 4:
        base = 16 if number[:2] == "0x" else 10
        number = int(number, base) if number.isascii() and _NUMBER.fullmatch(number) else -1
    return number if type(number) is int and 0 <= number < 256 else -1


def is_secret_numbers(numbers: Sequence[Any]) -> bool:
    """Whether any 64 successive items, each a number or its text, are the bytes of a Solana secret key."""
    if len(numbers) < _KEY_BYTES or type(numbers[0]) not in (int, str):
        return False
    windows = _windows([item if type(item) in (int, str) else -1 for item in numbers])
    return any(is_keypair(key) for _, key in islice(windows, _MOST_DERIVED))
