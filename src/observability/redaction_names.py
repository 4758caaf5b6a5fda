"""
🌙 Moon Dev's Redaction Names
Built with love by Moon Dev 🚀

Secrets that are known by their name or their place: `name = value` and JSON pairs, headers, credentials in URLs.

A *strong* name (`api_key`, `OPENAI_KEY`, `password`, `private key`) makes any value a secret that is not plainly a
placeholder or code. A *weak* name (`key`, `token`, `sort_key`) is what trading prompts are full of, as in `token: SOL`:
there the value must also look random, and be no address, hash, signature or UUID.
"""

import re
from collections.abc import Iterator

from src.observability.redaction_scan import Scan, Span

STRONG, WEAK, NONE = 2, 1, 0

# The names are those that scanners agree on (gitleaks rules/generic.go, detect-secrets plugins/keyword.py) and those of
# the repo's own `.env_example`, which the last line of each group covers.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ALWAYS = _set(
    "password passwd passwort passphrase pwd secret secrets apikey apikeys mnemonic dsn authorization "
    "credential credentials privkey privatekey secretkey accesstoken authtoken"
)
_KEY_OWNERS = _set(
    "api secret private priv access auth signing signer encryption wallet deploy master service account admin app "
    "consumer subscription license webhook session bot ssh gpg pgp age "
    "anthropic openai deepseek groq gemini google grok xai openrouter claude langfuse huggingface hf birdeye helius "
    "moondev coingecko elevenlabs eleven liquid hyperliquid eth solana twilio twitter youtube binance bybit kraken "
    "coinbase okx alchemy infura quicknode dune etherscan github slack discord telegram aws azure"
)
_TOKEN_OWNERS = _set(
    "access auth refresh bearer bot api session csrf xsrf personal id oauth security user app service hf github gh "
    "slack discord telegram twitter twilio huggingface npm pypi secret private"
)
_PHRASES = _set("seed recovery backup mnemonic secret wallet pass")
_PUBLIC = _set("public pub publishable")


def strength(name: str) -> int:
    """How surely a field called `name` holds a secret: STRONG, WEAK or NONE."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while words and (words[-1].isdigit() or words[-1] in ("b64", "hex", "value", "header", "plain", "raw")):
        words.pop()
    if not words or not _PUBLIC.isdisjoint(words):
        return NONE
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in _ALWAYS:
        return STRONG
    if last in ("key", "keys"):
        return STRONG if before in _KEY_OWNERS or _is_variable(name) else WEAK
    if last in ("token", "tokens"):
        return _token_strength(before, last, name)
    if last in ("phrase", "words"):
        return STRONG if before in _PHRASES else NONE
    return WEAK if last in ("auth", "sid", "bearer") else NONE


def _token_strength(before: str, last: str, name: str) -> int:
    if last == "tokens" and before not in _TOKEN_OWNERS:
        return NONE  # max_tokens, prompt_tokens
    return STRONG if before in _TOKEN_OWNERS or (_is_variable(name) and before) else WEAK


def _is_variable(name: str) -> bool:
    """Whether `name` is written as an environment variable: OPENAI_KEY."""
    return name.isupper() and "_" in name


# What stands for a value without being one.
_NOT_A_VALUE = re.compile(
    r"\[REDACTED:|\[NOT RECORDED:|[*.xX•-]+$|<.*>$|\$\{?\w|\{\{?\w|%\(|your[_ -]|my[_-]?(?:api|secret|key)|"
    r"(?:none|null|nil|true|false|undefined|required|optional|missing|invalid|empty|unset|not[ _]?set|string|str|int"
    r"|bool|bytes|any|hidden|redacted|masked|placeholder|changeme|example|unknown|n/?a|os\.(?:environ|getenv)|process\.env"
    r"|getenv|config|settings|self|args|kwargs)(?:$|[.(\[_ ])",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)*$")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]+$")
_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]+$")
_ONE_RUN = re.compile(r"[A-Za-z0-9+/_=-]{20,}$")


def is_value(text: str) -> bool:
    """Whether `text` may be a secret: not empty, not a placeholder, no name of a type or of another variable."""
    return bool(text.strip()) and not _NOT_A_VALUE.match(text.strip())


def looks_random(text: str) -> bool:
    """Whether `text` is a key by its looks: 20 or more letters in both cases and digits, and nothing public."""
    if not _ONE_RUN.match(text) or _UUID.match(text) or _HEX.match(text) or is_public(text):
        return False
    digits = sum(map(str.isdigit, text))
    return digits >= 3 and text.lower() != text and text.upper() != text and "_" not in text and text.count("-") < 3


def is_public(text: str) -> bool:
    """Whether `text` has the length and letters of a Solana address or signature, or of an address on an EVM chain."""
    if _BASE58.match(text):
        return 32 <= len(text) <= 44 or 86 <= len(text) <= 88
    return bool(_HEX.match(text)) and len(text) in (40, 42, 64, 66)


# What the names end with, in lower case; and the rest of the pair behind such an end.
_NAME_ENDS = (
    b"key", b"secret", b"token", b"password", b"passwd", b"passwort", b"phrase", b"pwd", b"mnemonic", b"dsn", b"words",
    b"credential", b"authorization",
)  # fmt: skip
_QUOTE = r"\\{0,4}[\"'`]"
_PAIR = re.compile(
    rf"s?(?:_?(?:b64|hex|value|header|\d))?(?P<close>{_QUOTE})?[\])]?"
    r"(?P<sep>\s{0,8}(?::=|=>|==?|:|\|)\s{0,8}|\s{0,4},\s{0,4}(?=b?[\"'])|\s{1,4}(?:is|was|provided:|given:|used:)\s{1,4})"
    rf"(?:[bBrRuU]{{1,2}}(?=[\"']))?(?:(?P<quote>{_QUOTE})(?P<quoted>(?:(?!(?P=quote))[^\r\n]){{1,4096}}+)(?P=quote)?"
    r"|(?P<bare>[^\s\"'`,;&|<>(){}\[\]\\]{4,256}))"
)
_REST = re.compile(r"[^\s\"'`,;&|<>(){}\[\]\\]*")  # of a longer one, once it is known to be a secret
_NAME_BEFORE = re.compile(r"[A-Za-z0-9_.-]{0,64}$")
_SPACED_OWNER = re.compile(
    r"(?:api|secret|private|access|auth|signing|encryption|wallet|bot|session|service|recovery|seed|pass|mnemonic)[ ]$",
    re.IGNORECASE,
)
_IN_QUERY = re.compile(r"[?&;][A-Za-z0-9_.-]{0,64}$")


def named(scan: Scan) -> Iterator[Span]:
    """Values whose name says secret: `API_KEY=…`, `"password": "…"`, `private key: …`, `?api-key=…`."""
    for end in _NAME_ENDS:
        masked = 0  # what stands inside a value that is masked needs no second look
        for at in scan.anchors(end):
            match = _PAIR.match(scan.text, at + len(end)) if at >= masked else None
            if match and (span := _pair(scan.text, at, at + len(end), match)):
                masked = span.end
                yield span


def _pair(text: str, at: int, end: int, match: re.Match[str]) -> Span | None:
    before = _NAME_BEFORE.search(text, max(0, at - 64), at)
    start = before.start() if before else at
    name = text[start:end]
    if start == at and (owner := _SPACED_OWNER.search(text, max(0, at - 16), at)):
        name = f"{owner.group()}{name}"
    group = "quoted" if match["quoted"] is not None else "bare"
    value = match[group]
    if not _is_secret_pair(name, match, value, in_query=bool(_IN_QUERY.search(text, max(0, start - 1), at))):
        return None
    rest = _REST.match(text, match.end(group)) if group == "bare" else None
    return Span(match.start(group), rest.end() if rest else match.end(group), "named-secret")


def _is_secret_pair(name: str, match: re.Match[str], value: str, *, in_query: bool) -> bool:
    level = strength(name)
    if level == NONE or not is_value(value):
        return False
    if level == WEAK:
        return looks_random(value) or (in_query and _is_query_key(value))
    if match["quoted"] is not None:
        return len(value) >= 4 and not (match["sep"].strip() == "," and " " in value)
    return _is_bare_secret(name, match, value)


def _is_query_key(value: str) -> bool:
    """Whether `?key=value` or `?token=value` is a credential: 16 letters and digits mixed, and nothing public."""
    digits = sum(map(str.isdigit, value))
    return len(value) >= 16 and digits >= 3 and len(value) - digits >= 3 and value.isalnum() and not is_public(value)


def _is_bare_secret(name: str, match: re.Match[str], value: str) -> bool:
    """Without quotes the value may be code (`api_key=api_key`, `key = get_key()`) or prose (`API key: missing`)."""
    if match.string[match.end() : match.end() + 1] in ("(", "["):
        return False
    by_word = match["sep"].strip() not in ("=", ":=", "==", "=>")  # "password: …", "my password is …"
    password = name.lower().endswith(("word", "wd", "phrase", "mnemonic"))
    if _IDENTIFIER.match(value) and not _is_jumbled(value):
        return password and not by_word and "." not in value and strength(value) == NONE and len(value) >= 6
    if not by_word or _is_jumbled(value):
        return len(value) >= 8
    return len(value) >= (6 if password else 8) and any(map(str.isdigit, value))


def _is_jumbled(value: str) -> bool:
    """Whether 16 or more letters of both cases are no words run together: a word has four letters on average."""
    return len(value) >= 16 and value.isalpha() and len(_WORDS.findall(value)) * 3.5 > len(value)


# Headers: RFC 9110 section 11.6.2 (Authorization: scheme, then token68 or parameters), RFC 6750 (Bearer).
_AUTHORIZATION = re.compile(
    rf"(?:{_QUOTE})?\s{{0,4}}[:=,]\s{{0,4}}b?(?:{_QUOTE})?"
    r"(?:(?:bearer|basic|token|bot|apikey|digest|negotiate|hawk)\s{1,4})?(?P<value>[^\s\"'`,;\\)}\]]{6,8192})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\s{1,4}(?P<value>(?=[A-Za-z._~+/-]{0,200}\d)[A-Za-z0-9._~+/=-]{16,8192})")


def headers(scan: Scan) -> Iterator[Span]:
    """Values of `Authorization:` headers, and what follows `Bearer`, in any notation of an SDK or of curl."""
    for word, pattern in ((b"authorization", _AUTHORIZATION), (b"bearer", _BEARER)):
        for at in scan.anchors(word):
            match = pattern.match(scan.text, at + len(word))
            if match and is_value(match["value"]):
                yield Span(*match.span("value"), "authorization")


# Credentials before the host: RFC 3986 section 3.2.1 (userinfo).
_USERINFO = re.compile(r"(?P<user>[^\s/@:\"'<>\\?#]{0,256})(?::(?P<password>[^\s/@\"'<>\\?#]{1,512}))?@")
# RPC nodes with the key in the path: docs of Alchemy (/v2/KEY), Infura (/v3/KEY), QuickNode, Ankr, GetBlock,
# Chainstack, dRPC, Triton, Blast; in the query: helius.dev/docs/api-reference/endpoints. Webhooks:
# api.slack.com/messaging/webhooks, discord.com/developers/docs/resources/webhook.
_KEY_IN_PATH = re.compile(
    r"(?P<host>[a-z0-9.-]{0,100}(?:alchemy\.com|alchemyapi\.io|infura\.io|quiknode\.pro|quicknode\.com|ankr\.com|getblock\.io"
    r"|chainstack\.com|p2pify\.com|rpcpool\.com|drpc\.org|blastapi\.io|nodereal\.io|syndica\.io|tenderly\.co"
    r"|hooks\.slack\.com|discord(?:app)?\.com))(?::\d{1,5})?"
    r"(?P<path>/[A-Za-z0-9_./-]{0,512})(?:\?(?P<query>[^\s\"'<>\\]{0,512}))?",
    re.IGNORECASE,
)
_HELIUS = re.compile(
    r"[a-z0-9.-]{0,100}helius(?:-rpc\.com|\.xyz|\.dev)[^\s\"'<>\\?]{0,512}\?[^\s\"'<>\\]{0,200}?api-?key=(?P<key>[^\s\"'<>\\&]{8,128})",
    re.IGNORECASE,
)
_PATH_KEY = re.compile(r"(?<=/)(?=[A-Za-z_-]{0,64}\d)[A-Za-z0-9_-]{16,256}(?=/|$)|(?<=services/)[A-Za-z0-9_/-]{20,}")


def urls(scan: Scan) -> Iterator[Span]:
    """Passwords before a host, and keys of RPC nodes and webhooks in path or query."""
    for at in scan.anchors(b"://"):
        if match := _USERINFO.match(scan.text, at + 3):
            yield from _userinfo(match)
        elif match := _KEY_IN_PATH.match(scan.text, at + 3):
            yield from _path_keys(match)
        elif match := _HELIUS.match(scan.text, at + 3):
            yield Span(*match.span("key"), "rpc-url")


def _userinfo(match: re.Match[str]) -> Iterator[Span]:
    if match["password"] and is_value(match["password"]):
        yield Span(*match.span("password"), "url-credentials")
    elif not match["password"] and len(match["user"]) >= 16 and any(map(str.isdigit, match["user"])):
        yield Span(*match.span("user"), "url-credentials")


def _path_keys(match: re.Match[str]) -> Iterator[Span]:
    rule = (
        "webhook-url" if match["host"].lower().endswith(("slack.com", "discord.com", "discordapp.com")) else "rpc-url"
    )
    path = match["path"]
    if rule == "webhook-url" and "/webhooks/" not in path and "/services/" not in path:
        return
    for key in _PATH_KEY.finditer(path):
        if not key.group().isdigit() and not is_public(key.group()):
            yield Span(match.start("path") + key.start(), match.start("path") + key.end(), rule)
