"""Restricts the page to the browser that opened the printed address.

The address contains a token that works once. The server exchanges the token for a cookie, and a redirect removes the
token from the address. Only requests for 127.0.0.1 and localhost are answered, so that no web site can reach the page
by pointing its own host name at this machine.
"""

import hmac
import secrets
from collections.abc import Iterator
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_COOKIE_SECONDS = 7 * 86_400
_NO_ACCESS = (
    "No access. Open the address that `python -m src.observability serve` printed. It works once: after that, use the"
    " browser that opened it, or restart `serve` for a new address.\n"
)


class Access:
    """ASGI middleware that checks the host, method, token and cookie of a request, and adds security headers."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        # The cookie's name contains the port, because a browser sends a cookie to all ports of a host.
        self._cookie = f"moon_page_{port}"
        self._token: str | None = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self.address = f"http://127.0.0.1:{port}/?token={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_encoded_headers()]
            await send(message)

        await (self._refusal(scope) or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """The response to send instead of the page; None if the page may be sent."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        if [value for name, value in headers if name == "host"] not in [[host] for host in self._hosts]:
            return PlainTextResponse("This host name is refused: open the address that `serve` printed.\n", 421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("This page is read-only.\n", 405)
        if tokens := parse_qs(scope["query_string"].decode("latin-1")).get("token"):
            return self._exchange(tokens[0], headers)
        return None if self._is_known(headers) else PlainTextResponse(_NO_ACCESS, 403)

    def _exchange(self, token: str, headers: list[tuple[str, str]]) -> Response:
        """Redirect to the address without the token.

        The first use of the token sets the cookie. Later uses require the cookie.
        """
        is_first = self._token is not None and _equal(token, self._token)
        if not is_first and not self._is_known(headers):
            return PlainTextResponse(_NO_ACCESS, 403)
        response = RedirectResponse("/", 303)
        if is_first:
            self._token = None
            response.set_cookie(self._cookie, self._session, max_age=_COOKIE_SECONDS, httponly=True, samesite="strict")
        return response

    def _is_known(self, headers: list[tuple[str, str]]) -> bool:
        return any(_equal(value, self._session) for value in self._sessions(headers))

    def _sessions(self, headers: list[tuple[str, str]]) -> Iterator[str]:
        for name, value in headers:
            if name == "cookie":
                try:
                    cookies = SimpleCookie(value)
                except CookieError:
                    continue
                if self._cookie in cookies:
                    yield cookies[self._cookie].value


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _encoded_headers() -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
