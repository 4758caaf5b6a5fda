"""The checks of the servers: address, certificate, version, clock, keys, and whether sent rows can be read back."""

import re
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from ... import settings
from ..render.format import one_line
from .findings import Finding, fault, fine, warning
from .obstacles import is_blocked
from .reading import read_back

if TYPE_CHECKING:
    from ...shipping import Answer

_SECONDS = 5.0  # per request
# Oldest server version that accepts the OTLP of Langfuse SDK 4, according to that SDK's documentation.
_OLDEST_SERVER = (3, 63)
# Oldest server version for Langfuse SDK 5, as documented. In a test, server 4.16.0 accepted the spans and prompts of
# SDK 5.0.4, but not its scores.
_OLDEST_FOR_SDK_5 = (4, 59)
_SKEW_SECONDS = 60


def server() -> Iterator[Finding]:
    """Check the Langfuse server.

    Yields nothing if no records are sent to it, since the check `settings_readable` reports the reason.
    """
    from ...shipping import PROJECTS, LangfuseClient, project_id_of

    destination = settings.destination()
    if destination is None or is_blocked(destination):
        return
    client = LangfuseClient(destination)
    try:
        health = client.get("/api/public/health", _SECONDS)
        yield from _reached(destination.host, health)
        projects = client.get(PROJECTS, _SECONDS)
        yield from _keys(destination, projects)
        if (project := project_id_of(projects)) is not None:
            yield from read_back(client, destination.label, project)
    except OSError as error:
        yield _unreachable(destination, str(error))
    finally:
        client.close()


def otlp_endpoint() -> Iterator[Finding]:
    """Check if the second destination accepts OTLP with the configured headers, by sending a message without spans."""
    from ...shipping import ExportResult, OtlpClient

    destination = settings.otlp_destination()
    if destination is None or is_blocked(destination):
        return
    client = OtlpClient(destination)
    try:
        reply = client.send_spans(client.encoded([]), _SECONDS)
    finally:
        client.close()
    if reply.result is ExportResult.DELIVERED:
        yield fine("second destination", f"{destination.host} accepts OTLP with the configured headers")
    elif reply.result is ExportResult.UNAUTHORIZED:
        what = f"{destination.host} rejects {destination.credential} ({one_line(reply.message, 200)})"
        yield fault("second destination", what, f"correct {destination.key_settings}")
    else:
        yield _unreachable(destination, reply.message, "second destination")


def _unreachable(destination: settings.AnyDestination, error: str, about: str = "server") -> Finding:
    error, host = one_line(error, 300), destination.host
    if "CERTIFICATE" in error.upper() or "SSL" in error.upper():
        cure = "set SSL_CERT_FILE to your certificate authority's certificate, or replace the server's certificate"
        return fault(about, f"the certificate of {host} is not trusted: {error}", cure)
    cure = f"correct {destination.host_setting}, or check network and server"
    return fault(about, f"{host} cannot be reached: {error}", cure)


def _reached(host: str, health: "Answer") -> Iterator[Finding]:
    if health.is_redirect:
        yield fault("server", f"{host} redirects to {one_line(health.headers['location'], 200)}",
                    "set LANGFUSE_HOST to the final address: keys are never sent to a redirect's target")  # fmt: skip
    elif not health.is_success:
        what = f"{host} is not healthy: HTTP {health.status} {one_line(health.text, 200)}"
        yield fault("server", what, f"check the server{_or_host(health)}; rows stay pending meanwhile")
    else:
        yield from _versions(host, health)
    yield from _clock(health)


def _or_host(answer: "Answer") -> str:
    return ", or correct LANGFUSE_HOST" if answer.status == 404 else ""


def _versions(host: str, health: "Answer") -> Iterator[Finding]:
    match = re.search(r'"version"\s*:\s*"(\d+)\.(\d+)([\w.-]*)"', health.text)
    if match is None:
        yield fault("server", f"{host} is not a Langfuse server", "correct LANGFUSE_HOST")
        return
    sdk, server = _sdk_version(), (int(match[1]), int(match[2]))
    what = f"{host} is Langfuse {match[1]}.{match[2]}{one_line(match[3], 40)}" + (sdk and f", the SDK is {sdk}")
    if server < _OLDEST_SERVER:
        yield fault("server", f"{what}: this server is too old", "update the server to 3.63 or newer")
    elif sdk.startswith("5.") and server < _OLDEST_FOR_SDK_5:
        cure = "if your own code sends scores through the SDK: pip install 'langfuse>=4.12,<5'"
        yield warning("server", f"{what}: this server may refuse scores sent by that SDK (server 4.16.0 does)", cure)
    else:
        yield fine("server", what)


def _sdk_version() -> str:
    """The version of the Langfuse SDK; empty if it is not installed (it is optional)."""
    try:
        return version("langfuse")
    except PackageNotFoundError:
        return ""


def _clock(answer: "Answer") -> Iterator[Finding]:
    try:
        server_time = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        return
    skew = time.time() - server_time
    if abs(skew) > _SKEW_SECONDS:
        what = f"this machine is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the server"
        yield fault("clock", what, "synchronise both clocks with a time server (timedatectl set-ntp true)")
    else:
        yield fine("clock", "within a minute of the server's clock")


def _keys(destination: settings.Destination, answer: "Answer") -> Iterator[Finding]:
    from ...shipping import is_page

    if answer.is_success and not is_page(answer):
        yield fine("keys", "accepted by the server")
    elif answer.status in (401, 403):
        what = f"the server rejects {destination.public_key} (HTTP {answer.status})"
        yield fault("keys", what, "correct LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY or LANGFUSE_HOST")
    else:
        what = f"HTTP {answer.status}: unknown if the server accepts the keys"
        yield warning("keys", what, f"try again later{_or_host(answer)}")
