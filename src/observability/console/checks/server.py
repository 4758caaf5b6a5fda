"""
🌙 Moon Dev's Checks of the Server
Built with love by Moon Dev 🚀

Whether Langfuse can be reached, is who it should be, takes the keys, is new enough, and has the same time.
"""

import re
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from ... import settings
from ..render.format import one_line
from .findings import Finding, fault, fine, warning
from .obstacles import obstacles

if TYPE_CHECKING:
    from ...shipping import Answer

_SECONDS = 5.0  # for each question
_OLDEST_SERVER = (3, 63)  # that takes OTLP as SDK 4 sends it (documented for that SDK)
_OLDEST_FOR_SDK_5 = (4, 59)  # documented
_SKEW_SECONDS = 60


def server() -> Iterator[Finding]:
    """Nothing where nothing is sent: `settings` says why."""
    from ...shipping import LangfuseClient

    to = settings.destination()
    if to is None or any(obstacles()):
        return
    client = LangfuseClient(to)
    try:
        health = client.get("/api/public/health", _SECONDS)
        yield from _reached(to.host, health)
        yield from _keys(to, client.get("/api/public/projects", _SECONDS))
    except OSError as error:
        yield _unreachable(to.host, str(error))
    finally:
        client.close()


def _unreachable(host: str, why: str) -> Finding:
    why = one_line(why, 300)
    if "CERTIFICATE" in why.upper() or "SSL" in why.upper():
        cure = "let SSL_CERT_FILE name your own authority's certificate, or correct the server's"
        return fault("server", f"{host} cannot prove who it is: {why}", cure)
    return fault("server", f"{host} cannot be reached: {why}", "correct LANGFUSE_HOST, or see to network and server")


def _reached(host: str, health: "Answer") -> Iterator[Finding]:
    if health.is_redirect:
        yield fault("server", f"{host} redirects to {one_line(health.headers['location'], 200)}",
                    "let LANGFUSE_HOST name the address itself: keys follow no redirect")  # fmt: skip
    elif not health.is_success:
        said = f"{host} is not well: HTTP {health.status} {one_line(health.text, 200)}"
        yield fault("server", said, f"see to the server{_elsewhere(health)}; rows stay pending meanwhile")
    else:
        yield from _versions(host, health)
    yield from _clock(health)


def _elsewhere(answer: "Answer") -> str:
    return ", or correct LANGFUSE_HOST" if answer.status == 404 else ""


def _versions(host: str, health: "Answer") -> Iterator[Finding]:
    found = re.search(r'"version"\s*:\s*"(\d+)\.(\d+)([\w.-]*)"', health.text)
    if found is None:
        yield fault("server", f"{host} does not answer like Langfuse", "correct LANGFUSE_HOST")
        return
    sdk, server = version("langfuse"), (int(found[1]), int(found[2]))
    said = f"{host} is Langfuse {found[1]}.{found[2]}{found[3]}, the SDK is {sdk}"
    if server < _OLDEST_SERVER:
        yield fault("server", f"{said}: too old", "update the server to 3.63 or newer")
    elif sdk.startswith("5.") and server < _OLDEST_FOR_SDK_5:
        cure = "traces and scores do not go through the SDK; for prompts: pip install 'langfuse>=4.12,<5'"
        yield warning("server", f"{said}, which wants 4.59 or newer", cure)
    else:
        yield fine("server", said)


def _clock(answer: "Answer") -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        return
    skew = time.time() - theirs
    if abs(skew) > _SKEW_SECONDS:
        said = f"this machine is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the server"
        yield fault("clock", said, "let both follow a time server (timedatectl set-ntp true)")
    else:
        yield fine("clock", "within a minute of the server's")


def _keys(to: settings.Destination, answer: "Answer") -> Iterator[Finding]:
    from ...shipping import is_page

    if answer.is_success and not is_page(answer):
        yield fine("keys", "accepted by the server")
    elif answer.status in (401, 403):
        said = f"the server refuses {to.public_key} (HTTP {answer.status})"
        yield fault("keys", said, "correct LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY or LANGFUSE_HOST")
    else:
        said = f"not known whether they are accepted: HTTP {answer.status}"
        yield warning("keys", said, f"try again later{_elsewhere(answer)}")
