"""
🌙 Moon Dev's Redaction Headers
Built with love by Moon Dev 🚀

What stands in `Authorization:` and cookies, and behind `Bearer`, as SDKs, servers and curl write them.
"""

import re
from collections.abc import Iterator

from .scan import Scan, Span
from .values import is_jumbled, is_mixed, is_value

# Headers: RFC 9110 section 11.6.2 (Authorization: scheme, then token68 or parameters), RFC 6750 (Bearer), RFC 6265
# (Cookie and Set-Cookie: name=value, apart by semicolons).
_AUTHORIZATION = re.compile(
    r"(?:\\{0,15}[\"'`])?\s{0,4}[:=,]\s{0,4}b?(?:\\{0,15}[\"'`])?"
    r"(?P<scheme>(?:bearer|basic|token|bot|apikey|digest|negotiate|hawk)\s{1,4})?(?P<value>[^\s\"'`,;\\)}\]]{6,8192})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<scheme>\s{1,4})(?P<value>[A-Za-z0-9._~+/=-]{16,8192})")
_HEADERS = {"authorization": _AUTHORIZATION, "bearer": _BEARER}
_COOKIE = re.compile(
    r"(?:\\{0,15}[\"'`])?\s{0,4}[:=,]\s{0,4}b?(?:\\{0,15}[\"'`])?(?P<crumbs>[^\s\"'`\\=;,]{1,64}=[^\r\n\"'`\\]{8,4096})"
)
_CRUMB = re.compile(r"(?P<name>[^\s=;,]{1,64})=(?P<value>[^\s=;,]{8,4096})={0,2}")


def headers(scan: Scan) -> Iterator[Span]:
    """Values of `Authorization:` headers and of cookies, and what follows `Bearer`, as SDKs and curl write them."""
    for word in scan.said(_HEADERS):
        masked = 0
        for at in scan.anchors(word):
            match = _HEADERS[word].match(scan.text, at + len(word)) if at >= masked else None
            if match and _is_credential(match):
                masked = match.end()
                yield Span(*match.span("value"), "authorization")
    if scan.said(("cookie",)):
        yield from _cookies(scan)


def _is_credential(match: re.Match[str]) -> bool:
    """Whether a header's value is one: `authorization: pending` and `bearer 1234567890123456 bonds` are not."""
    value = match["value"]
    if not is_value(value) or value.isdigit():
        return False
    if any(map(str.isdigit, value)) or is_jumbled(value):
        return True
    return bool(match["scheme"]) and match.re is _AUTHORIZATION and not value.islower() and not value.istitle()


def _cookies(scan: Scan) -> Iterator[Span]:
    masked = 0
    for at in scan.anchors("cookie"):
        match = _COOKIE.match(scan.text, at + 6) if at >= masked else None
        if match:
            masked = match.end()
            for crumb in _CRUMB.finditer(scan.text, *match.span("crumbs")):
                if is_mixed(crumb["value"]) and len(crumb["value"]) >= 16:
                    yield Span(*crumb.span("value"), "authorization")
