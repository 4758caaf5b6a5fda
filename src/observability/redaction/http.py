"""Secrets in HTTP: in addresses (passwords before a host, keys in path or query) and in headers.

An address may be whole, without its scheme, or split into host and path by an HTTP client's error:

    HTTPSConnectionPool(host='eth-mainnet.g.alchemy.com', port=443): Max retries exceeded with url: /v2/KEY

URL-encoded addresses and escaped slashes are decoded in `Scan.decoded`. Headers are `Authorization`, cookies, and
`Bearer` tokens, in the notations of SDKs, servers and curl.
"""

import re
from collections.abc import Iterator

from .scan import Scan, Span, regex
from .values import is_jumbled, is_mixed, is_value

# Credentials before the host: RFC 3986 section 3.2.1 (userinfo).
_USERINFO = regex(r"(?P<user>[^\s/@:\"'<>\\?#]{0,256})(?::(?P<password>[^\s/@\"'<>\\?#]{1,512}))?@")
# RFC 3986 requires encoding / ? # @ in a password, but database drivers accept them as they are. In a database's URL,
# the password therefore ends at the last @ before the host.
# Sources of the schemes: docs.sqlalchemy.org (database URLs), mongodb.com/docs (connection strings), redis.io, AMQP.
_DATABASES = (
    "postgres", "postgresql", "mysql", "mariadb", "mongodb", "redis", "rediss", "amqp", "amqps", "mssql", "oracle",
    "clickhouse", "cockroachdb", "timescaledb", "snowflake", "nats", "ldap", "ldaps", "smtp", "smtps", "sftp", "ftp",
)  # fmt: skip
_DATABASE_USERINFO = regex(
    r"(?P<user>[^\s/:\"'<>\\?#]{0,256}):(?P<password>(?:(?!://)(?:[^\s\"'<>]|'(?=[\w@]))){1,256})@(?=[\w.\[-])"
)

# Minimum length in characters of a token that stands alone before an `@`. User names are shorter, or have no digits.
_SHORTEST_TOKEN = 12
_LONGEST_USERINFO = 800  # in characters; more than the longest match of `_USERINFO` or `_DATABASE_USERINFO`


def urls(scan: Scan) -> Iterator[Span]:
    """Yield secrets in URLs: passwords before the host, and keys of RPC nodes and webhooks in the path or query."""
    for at in scan.anchors("://") if "@" in scan.text else ():
        if scan.low.find("@", at, at + _LONGEST_USERINFO) < 0:  # most addresses are plain links without an @
            continue
        match = _DATABASE_USERINFO.match(scan.text, at + 3) if _is_database(scan.text[max(0, at - 40) : at]) else None
        if match := match or _USERINFO.match(scan.text, at + 3):
            yield from _userinfo(match)
    yield from _keys(scan)


def _is_database(before: str) -> bool:
    """Whether the text before `://` ends with the scheme of a database, as in `postgresql+asyncpg`."""
    scheme = before.lower()
    return scheme.endswith(_DATABASES) or scheme.rpartition("+")[0].endswith(_DATABASES)


def _userinfo(match: re.Match[str]) -> Iterator[Span]:
    password = match["password"]
    if password and is_value(password):
        yield Span(*match.span("password"), "url-credentials")
    elif not password and len(match["user"]) >= _SHORTEST_TOKEN and is_mixed(match["user"]):
        yield Span(*match.span("user"), "url-credentials")


# Ends of the host names of RPC nodes. The user's key is the first long segment of the path, or a parameter such as
# `key`. The same companies' guides and explorers, whose URLs hold no keys, are on other hosts (www., docs., or the bare
# domain).
_NODES = (
    ".g.alchemy.com", ".alchemyapi.io",  # path /v2/KEY or /nft/v3/KEY; source: alchemy.com/docs/reference
    ".infura.io",  # path /v3/KEY or /ws/v3/KEY; source: docs.metamask.io/services
    ".quiknode.pro",  # path /KEY/, where KEY is 40 hex digits; source: quicknode.com/docs
    "rpc.ankr.com",  # path /eth/KEY, where KEY is 64 hex digits; source: ankr.com/docs/rpc-service
    ".getblock.io",  # path /KEY; source: docs.getblock.io
    ".core.chainstack.com", ".p2pify.com",  # path /KEY; source: docs.chainstack.com
    ".rpcpool.com",  # path /KEY; source: docs.triton.one
    ".drpc.org",  # path /ogrpc?network=solana&dkey=KEY or /eth/KEY; source: drpc.org/docs
    ".blastapi.io",  # path /KEY; source: docs.blastapi.io
    ".nodereal.io",  # path /v1/KEY; source: docs.nodereal.io
    ".api.syndica.io",  # path /api-key/KEY; source: docs.syndica.io
    ".gateway.tenderly.co", ".rpc.tenderly.co",  # path /KEY; source: docs.tenderly.co/node
    ".extrnode.com",  # path /KEY; source: docs.extrnode.com
    ".llamarpc.com",  # path /rpc/KEY; source: llamarpc.com
)  # fmt: skip
# Hosts that take the key only in the query. Their paths hold blockchain addresses, which are not secret. Source:
# helius.dev/docs/api-reference/endpoints
_BY_QUERY = ("helius-rpc.com", ".helius.xyz", ".helius.dev")
_GUIDES = ("www.", "docs.", "blog.", "support.", "status.", "dashboard.", "console.", "developer.", "developers.")
# Paths of webhooks. Sources: the documentation of Slack (Incoming webhooks; Workflow Builder), Discord (Webhook) and
# Microsoft (Teams, webhooks).
_WEBHOOK = regex(
    r"/webhooks/\d{16,20}/$|/(?:services|workflows|triggers)/T[A-Z0-9]{6,14}/(?:[A-Z0-9]{6,20}/){1,2}$"
    r"|hooks\.slack\.com/services/\w{6,14}/\w{6,20}/$|/IncomingWebhook/$"
)
_PATHS = ("/webhooks/", "/services/", "/workflows/t", "/triggers/t", "/incomingwebhook/")
_MARKS = "|".join(re.escape(mark.strip(".")) for mark in (*_NODES, *_BY_QUERY, *_PATHS))
URL_HINT = rf"://[^\s\"<>]*@|{_MARKS}"
_KEY = regex(r"[A-Za-z0-9_-]{16,256}")
# A contract's address or a transaction's hash. Must match the whole segment: one key in 4,000 begins with 0x by chance.
_ADDRESS = regex("0x[0-9a-fA-F]+")
_WORDY_PLACEHOLDER = regex(r"[-_]*(?:(?:[a-z]+|[A-Z][a-z]*|[A-Z]+)(?:[-_]+|$))+")  # such as YOUR_PROJECT_ID
_PARAMETER = regex(r"[?&;](?P<name>[\w-]{1,40})=$")
_KEY_PARAMETERS = ("key", "token", "secret", "auth")
_NO_HOST = regex(r"[^a-z0-9.-]+")
_BEFORE, _AFTER = 256, 160  # characters before and after a possible key that are searched for the host and path
_ENDS = str.maketrans(dict.fromkeys("\"'<>()[]{}|,`\\", " "))


def _keys(scan: Scan) -> Iterator[Span]:
    """Yield keys after `/` or `=` in the URL of an RPC node or a webhook."""
    runs = [run for run in scan.runs if run[0] and scan.text[run[0] - 1] in "/="]
    for start, _ in runs:
        match = _KEY.match(scan.text, start)
        if match and (rule := _rule_of(match, scan.text)):
            yield Span(*match.span(), rule)


def _rule_of(match: re.Match[str], text: str) -> str | None:
    before = text[max(0, match.start() - _BEFORE) : match.start()].translate(_ENDS)
    address = before.rsplit(None, 1)[-1]
    if _WEBHOOK.search(address):
        return "webhook-url"
    host, path = _split(address)
    hosts = [host] if host else _NO_HOST.split(f"{before} {text[match.end() : match.end() + _AFTER]}".lower())
    if address.endswith("="):
        parameter = _PARAMETER.search(address)
        named = parameter and parameter["name"].lower().endswith(_KEY_PARAMETERS)
        return "rpc-url" if named and any(_is_node(item, _NODES + _BY_QUERY) for item in hosts) else None
    return "rpc-url" if _is_key(match.group(), path) and any(_is_node(item, _NODES) for item in hosts) else None


def _split(address: str) -> tuple[str, str]:
    """Split an address into host and path; the host is empty if the address has none."""
    rest = address.rpartition("://")[2]
    host, slash, path = rest.partition("/" if "/" in rest.partition("?")[0] else "?")
    host = host.rpartition("@")[2].rpartition("=")[2].partition(":")[0].lower()
    return host, slash + path


def _is_node(host: str, nodes: tuple[str, ...]) -> bool:
    return host.endswith(nodes) and not host.startswith(_GUIDES)


def _is_key(segment: str, path: str) -> bool:
    """Whether `segment` is the key: not a placeholder, address or hash, and `path`, before it, has no long segment."""
    if _ADDRESS.fullmatch(segment) or _WORDY_PLACEHOLDER.fullmatch(segment) or not is_value(segment):
        return False
    return all(len(part) < 20 for part in path.split("/"))


# Forms of headers. `Authorization` has a scheme, then a token or parameters (RFC 9110 section 11.6.2); `Bearer` is such
# a scheme (RFC 6750). `Cookie` and `Set-Cookie` have pairs `name=value`, separated by semicolons (RFC 6265).
_AUTHORIZATION = regex(
    r"(?:\\{0,15}[\"'`])?\s{0,4}[:=,]\s{0,4}(?:b?\\{0,15}[\"'`])?"
    r"(?P<scheme>[a-z][\w-]{1,15}\s{1,4})?(?P<value>[^\s\"'`,;\\)}\]]{6,8192})",
    re.IGNORECASE,
)
_BEARER = regex(r"(?P<scheme>,?\s{1,4})(?P<value>[A-Za-z0-9._~+/=-]{16,8192})")
_HEADERS = {"authorization": _AUTHORIZATION, "bearer": _BEARER}
HEADER_HINT = "authorization|bearer|cookie"
_COOKIE = regex(
    r"(?:\\{0,15}[\"'`])?\s{0,4}[:=,]\s{0,4}b?(?:\\{0,15}[\"'`])?(?P<crumbs>[^\s\"'`\\=;,]{1,64}=[^\r\n\"'`\\]{8,4096})"
)
_CRUMB = regex(r"(?P<name>[^\s=;,]{1,64})=(?P<value>[^\s=;,]{8,4096})={0,2}")


def headers(scan: Scan) -> Iterator[Span]:
    """Yield values of `Authorization:` headers, cookies and `Bearer` tokens."""
    for word in _HEADERS:
        masked = 0
        for at in scan.anchors(word):
            match = _HEADERS[word].match(scan.text, at + len(word)) if at >= masked else None
            if match and _is_credential(match, in_header=word == "authorization"):
                masked = match.end()
                yield Span(*match.span("value"), "authorization")
    yield from _cookies(scan)


_CODE = regex(r"[A-Za-z_][\w.]*[(\[]|[{<$]")  # code as value: `authorization = encode(user)`, `Basic {encode(user)}`


def _is_credential(match: re.Match[str], in_header: bool) -> bool:
    """Whether a header's value is a credential.

    The values in `authorization: pending` and `bearer 1234567890123456 bonds` are not credentials.
    """
    value = match["value"]
    if not is_value(value) or value.isdigit() or _CODE.match(value):
        return False
    if any(map(str.isdigit, value)) or is_jumbled(value):
        return True
    return bool(match["scheme"]) and in_header and not value.islower() and not value.istitle()


def _cookies(scan: Scan) -> Iterator[Span]:
    masked = 0
    for at in scan.anchors("cookie"):
        match = _COOKIE.match(scan.text, at + 6) if at >= masked else None
        if match:
            masked = match.end()
            yield from cookies(scan.text, *match.span("crumbs"))


def cookies(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield the machine-made values of cookies, such as that of `session` in `session=…; theme=dark`."""
    for crumb in _CRUMB.finditer(text, start, len(text) if end is None else end):
        if is_mixed(crumb["value"]) and len(crumb["value"]) >= 16:
            yield Span(*crumb.span("value"), "authorization")
