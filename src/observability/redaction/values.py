"""Decides whether the value of a field or variable is a secret. Placeholders, addresses, code and prose are not."""

import re
import string

from .names import NAME_WORD, NONE, STRONG, VARIABLE, WEAK, is_password, may_be_public, name_parts, strength
from .scan import MASKED, NOT_RECORDED, regex
from .wallets import is_address

# Matches a whole value that is a placeholder, as in `.env` examples and in documentation.
PLACEHOLDER = (
    r"(?:[a-z]{2,5}[-_])?your(?:[-_][a-z0-9]{1,20}){0,6}[-_](?:key|token|secret|password|passphrase|phrase|seed|here|value)"
    r"|(?:change|replace|fill)[-_ ]?(?:me|this|it)|placeholder|undefined|not[-_ ]?(?:set|needed)"
    r"|(?:sk-)?no[-_]key[-_](?:needed|required)|\$\{\w+\}|\{\{.*\}\}"
)
# Matches a placeholder, or a reference to a variable in a shell, in Python, in JavaScript or in a template.
_NOT_A_VALUE = regex(
    rf"{PLACEHOLDER}"
    r"|[*.xX•_-]+"
    r"|<[a-z][a-z _.-]*\d?>|\[[a-z][a-z _.-]*\d?\]"
    r"|\$(?:[a-z_]+|(?-i:[A-Z_][A-Z0-9_]*)|\d{1,2}|\{[^{}]*\}|\([^()]*\)|env:\w+)(?:[/:.][\w./-]*)?"
    r"|%\w+%|%\(\w+\)s|\{{1,2}[\w .!:\[\]|]*\}{1,2}"
    r"|(?:sk-)?your[ _-][a-z]*(?:[ _.-]+[a-z]+)*[ _-]?\d{0,2}|my[_-]?(?:api|secret|key)(?:[ _-]?[a-z]+)*"
    r"|[\w-]{0,12}(?:\.{3}|…|\*{3,})[\w-]{0,6}"
    r"|(?:(?:os\.)?(?:environ|getenv)|process\.env|import\.meta\.env|env|config|settings|self|this|args|kwargs)"
    r"(?:[.(\[][\w.()\[\]\"' ,-]*)?"
    r"|(?:none|null|nil|true|false|undefined|required|optional|missing|invalid|empty|unset|not[ _]?set|string|str|int"
    r"|bool|bytes|any|hidden|redacted|masked|placeholder|changeme|example|unknown|n/?a)"
    r"(?:[.,:;!?)]*|[ |\[(][a-z ,.;:'\]()|-]*)",
    re.IGNORECASE,
)
_FIELD = regex(r"\{[^{}]*\}|%(?:\(\w+\))?[sdr]")
_DECIMAL = regex(r"[+-]?\d[\d,_]*(?:\.\d+)?(?:[eE][+-]?\d+)?%?|\d{4}(?:-\d{2,4}){1,2}")  # prices, counts and dates
_TICKER = regex(r"\$?[A-Z]{2,10}(?:[-/][A-Z]{2,10})?\d?")
_PHRASE = regex(r"[A-Za-z](?:[A-Za-z _-]|[,.:;!?](?=\s|$))*")
IDENTIFIER = regex(r"[A-Za-z_]+(?:\.[A-Za-z_]+)*$")
_UUID = regex(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_HEX = regex(r"(?:0x)?[0-9a-fA-F]+$")
_BASE58 = regex(r"[1-9A-HJ-NP-Za-km-z]+$")
_NO_DIGITS = dict.fromkeys(map(ord, string.digits))
_ONE_RUN = regex(r"[A-Za-z0-9+/_=-]{15,}$")


def is_value(text: str) -> bool:
    """Whether `text` may be a secret. Empty texts, placeholders and names of types and variables are not secrets."""
    text = text.strip()
    if not text or text.startswith((MASKED, NOT_RECORDED)) or _NOT_A_VALUE.fullmatch(text):
        return False
    # if `text` is a template such as `Bearer {token}` or `%s:%s`, only the text outside its fields is checked
    rest = _FIELD.sub("", text)
    return rest == text or is_mixed(rest)


def is_secret(name: str, value: str) -> bool:
    """Whether `value`, the value of a field or variable called `name`, is a secret."""
    level = strength(name)
    if level == WEAK:
        return looks_random(value) and is_value(value)
    if level == NONE or not is_value(value) or _is_harmless(name, value.strip()):
        return False
    if level == VARIABLE:
        may_be_public = name_parts(name)[-1:] == ["token"] or not name.isascii()
        return is_mixed(value) and not (may_be_public and is_public(value))
    return value.lower() != value or is_mixed(value) or not name.lower().endswith("authorization")


def _is_harmless(name: str, value: str) -> bool:
    """Whether `value`, in a field called `name`, is not a secret but a number, a ticker or an address."""
    if value.startswith("0x") and len(value) == 42 and _HEX.match(value):
        return True  # an EVM address: it has 20 bytes, a private key has 32
    if may_be_public(name) and is_address(value):
        return True
    if _DECIMAL.fullmatch(value):
        return not value.isdigit() or len(value) < (4 if is_password(name) else 8)
    return name.lower().endswith(("key", "keys", "token", "tokens")) and _TICKER.fullmatch(value) is not None


def is_traded_token(name: str, value: str) -> bool:
    """Whether `value` is one or more addresses of traded tokens.

    The name must end with "token" and must not be the name of a secret: `TARGET_TOKEN` is accepted, `BOT_TOKEN` is not.
    """
    named = name_parts(name)[-1:] in (["token"], ["tokens"]) and strength(name) < STRONG
    return named and all(is_address(part.strip()) for part in value.split(","))


def is_secret_number(name: str, number: int) -> bool:
    """Whether `number`, in a field called `name`, is a secret such as a PIN or a key, and not a count."""
    if strength(name) < STRONG or name.lower().endswith("tokens"):
        return False
    return abs(number) >= (1000 if is_password(name) else 10_000_000)


def is_secret_item(name: str, value: str) -> bool:
    """Whether `value` is a secret in a pair of name and value, such as a header. Plain words are not a secret."""
    wordy = _PHRASE.fullmatch(value) and not is_jumbled(value)
    return is_secret(name, value) and not wordy and not _DECIMAL.fullmatch(value)


def holds_secrets(name: str) -> bool:
    """Whether all fields of a dict called `name` are secrets, as in `{"secrets": {"binance": "…"}}`."""
    return strength(name) == STRONG or name_parts(name)[-1:] == ["cookies"]


def is_mixed(value: str) -> bool:
    """Whether `value` looks generated: it mixes letters and digits, or its letters are not words.

    A generated value has 8 or more characters and no space.
    """
    if len(value) < 8 or " " in value:
        return False
    digits = digits_of(value)
    return (digits > 0 and sum(map(str.isalpha, value)) > 1) or is_jumbled(value)


def looks_random(text: str) -> bool:
    """Whether `text` looks like a key: 15 or more characters in random order, in upper and lower case.

    UUIDs, hex and public values such as addresses do not count.
    """
    if text.lower() == text or text.upper() == text or not _ONE_RUN.match(text):
        return False
    if _UUID.match(text) or _HEX.match(text) or is_public(text):
        return False
    if _words_in(text) * 2 > len(text):
        return True
    # words joined by hyphens or underscores are not a key: even the longest of them is short
    longest = max(re.split("[_-]", text), key=len)
    return len(text) >= 20 and len(longest) >= 12 and _is_varied(text)


def _is_varied(text: str) -> bool:
    """Whether `text` has at least three digits, or at least one and parts of under three characters on average."""
    digits = digits_of(text)
    return digits >= 3 or (digits > 0 and _words_in(text) * 3 > len(text))


def _words_in(text: str) -> int:
    return len(NAME_WORD.findall(text))


def is_made(value: str) -> bool:
    """Whether `value` looks generated: a UUID, or a key in hex or base64. False for public values like addresses."""
    return is_query_key(value) or looks_random(value) or _UUID.match(value) is not None


def digits_of(text: str) -> int:
    """The number of digits in `text`."""
    return len(text) - len(text.translate(_NO_DIGITS))


def is_public(text: str) -> bool:
    """Whether `text` may be public: an address, a Solana signature, or an EVM address or hash.

    Signatures and hashes are recognised by their letters and their length.
    """
    if is_address(text) or (86 <= len(text) <= 88 and _BASE58.match(text)):
        return True
    return bool(_HEX.match(text)) and len(text) in (40, 42, 64, 66)


_LONG_WORD = 20  # 20 or more letters, all lower-case or all upper-case, are not taken for a word
_UNSPEAKABLE = regex(r"[b-df-hj-np-tv-xz]{5}")


def is_jumbled(value: str) -> bool:
    """Whether `value` has 16 or more letters in a row that are not words.

    Fewer than 20 letters, all lower-case or all upper-case, are words, unless there are five consonants in a row.
    Letters of mixed case are words if the parts that begin with a capital have 3.5 or more letters on average.
    """
    part = max(value.split("-"), key=len)
    if len(part) < 16 or not part.isalpha():
        return False
    if part.islower() or part.isupper():
        return len(part) >= _LONG_WORD or _UNSPEAKABLE.search(part.lower()) is not None
    return _words_in(part) * 3.5 > len(part)


def is_query_key(value: str) -> bool:
    """Whether `value` looks like a credential in a web address, as in `?key=value` or `?token=value`.

    A credential has 16 or more characters, mixes letters and digits, and is not public.
    """
    if len(value) < 16 or not value.isalnum() or len(value) - digits_of(value) < 3:
        return False
    return _is_varied(value) and not is_public(value)
