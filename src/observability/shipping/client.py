"""Sends requests to one destination, with credentials and time limits, and interprets the answers."""

import json
import re
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from enum import Enum
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .. import settings
from ..journal import Row
from ..redaction import redact_line
from . import genai, otlp, protobuf
from .connection import Answer, Connection

REQUEST_SECONDS = 20.0  # limit for a request and its answer; a lease (`Journal.take_lease`) must last longer
_SHORTEST_SECONDS = 0.05
_LONGEST_RETRY_AFTER = 3600.0  # limit in seconds for the server's Retry-After
_GZIP_LEVEL = 1  # the fastest level; the default level (6) shrinks the data more, but takes over twice as long
_GZIP_FORMAT = 31  # zlib's number for gzip, with the largest window
_PROJECT_ID = re.compile(r"[\w-]{1,100}", re.ASCII)  # has only characters that are safe in a web address
_MESSAGE = 500  # characters kept of the server's message


class ExportResult(Enum):
    """The result of a request, for all rows in it."""

    DELIVERED = "delivered"  # the server answered as the protocol prescribes for success
    REFUSED = "refused"  # the server rejects the rows for good, by status 400, 413 or 422 or by OTLP's partial success
    UNAUTHORIZED = "unauthorized"  # the server rejects the keys, by status 401 or 403
    UNAVAILABLE = "unavailable"  # no answer, or any other answer; the request is repeated later
    NOT_SENT = "not sent"  # nothing was sent, since another process is shipping or this process is ending


class ServerReply(NamedTuple):
    """The result of a request, the server's message, and its Retry-After in seconds."""

    result: ExportResult
    message: str
    retry_after: float | None = None
    events: Mapping[str, "ServerReply"] = MappingProxyType({})  # for a batch of scores: event id -> reply


_Reader = Callable[[Any], ServerReply]  # turns the JSON of a successful answer into a reply


class Client:
    """Sends to one destination, over one connection."""

    def __init__(self, destination: settings.AnyDestination, credentials: dict[str, str]) -> None:
        self._destination = destination
        self._connection = Connection(destination.host)
        self._headers = {"User-Agent": "moon-dev-ai-agents", **credentials}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def cut(self) -> None:
        """Abort a request that is running in another thread."""
        self._connection.cut()

    def encoded(self, rows: Iterable[Row]) -> bytes:
        """Encode observations as a gzipped OTLP message."""
        raise NotImplementedError

    def send_spans(self, message: bytes, seconds: float) -> ServerReply:
        """POST a message that `encoded` has returned."""
        raise NotImplementedError

    def send_scores(self, batch: bytes, seconds: float) -> ServerReply:
        """POST the JSON of a batch of scores. Only Langfuse accepts scores."""
        raise NotImplementedError

    def get(self, path: str, seconds: float) -> Answer:
        """GET `path`. Raises OSError with the reason if there is no answer."""
        return self.call("GET", path, b"", seconds)

    def call(self, method: str, path: str, body: bytes, seconds: float) -> Answer:
        """Send a request. `body` is JSON or empty. Raises OSError with the reason if there is no answer."""
        headers = {**self._headers, "Content-Type": "application/json"} if body else self._headers
        return self._connection.request(method, path, headers, body, seconds)

    def _post(
        self, path: str, headers: dict[str, str], body: bytes, seconds: float, success: int, read: _Reader
    ) -> ServerReply:
        headers = {**self._headers, "Content-Type": "application/json", **headers}
        seconds = max(min(seconds, REQUEST_SECONDS), _SHORTEST_SECONDS)
        try:
            answer = self._connection.request("POST", path, headers, body, seconds)
        except OSError as error:
            return ServerReply(ExportResult.UNAVAILABLE, f"{type(error).__name__}: {error}".removesuffix(": "))
        return _reply(answer, success, read, self._destination)


class LangfuseClient(Client):
    """Sends to one Langfuse project."""

    def __init__(self, destination: settings.Destination) -> None:
        keys = b64encode(f"{destination.public_key}:{destination.secret_key}".encode())
        super().__init__(destination, {"Authorization": f"Basic {keys.decode()}"})
        self._public_key = destination.public_key

    def encoded(self, rows: Iterable[Row]) -> bytes:
        """Observations as a gzipped OTLP/JSON message."""
        return _gzipped(otlp.message_of(rows, self._public_key))

    def send_spans(self, message: bytes, seconds: float) -> ServerReply:
        """POST a message that `encoded` has returned."""
        headers = {"Content-Encoding": "gzip", "x-langfuse-ingestion-version": "4"}
        return self._post("/api/public/otel/v1/traces", headers, message, seconds, 200, _reply_to_spans)

    def send_scores(self, batch: bytes, seconds: float) -> ServerReply:
        """POST the JSON of a batch of `score-create` events.

        The field `events` of the reply has the server's reply to each event.
        """
        return self._post("/api/public/ingestion", {}, batch, seconds, 207, _reply_to_events)

    def project_id(self, seconds: float) -> str | None:
        """Ask the server for the id of the project that the keys belong to.

        Returns None if the answer has no id. Raises OSError if there is no answer.
        """
        return project_id_of(self.get(PROJECTS, max(seconds, _SHORTEST_SECONDS)))


PROJECTS = "/api/public/projects"
PROTOBUF = "application/x-protobuf"


def project_id_of(answer: Answer) -> str | None:
    """Return the project's id in the answer to a request for `PROJECTS`; None if the answer has no valid id."""
    try:
        project = json.loads(answer.body)["data"][0]["id"] if answer.is_success else None
    except (ValueError, TypeError, LookupError):
        return None
    return project if isinstance(project, str) and _PROJECT_ID.fullmatch(project) else None


class OtlpClient(Client):
    """Sends observations to any backend that accepts OTLP over HTTP. It sends no scores, since OTLP has none."""

    def __init__(self, destination: settings.OtlpDestination) -> None:
        super().__init__(destination, destination.headers)

    def encoded(self, rows: Iterable[Row]) -> bytes:
        """Encode observations as a gzipped protobuf message of OTLP, with attributes of the GenAI conventions."""
        return _gzipped(genai.message_of(rows))

    def send_spans(self, message: bytes, seconds: float) -> ServerReply:
        """POST a message that `encoded` has returned."""
        headers = {"Content-Encoding": "gzip", "Content-Type": PROTOBUF}
        return self._post("/v1/traces", headers, message, seconds, 200, _reply_to_spans)


def client_of(destination: settings.AnyDestination) -> Client:
    """Create a client of the destination."""
    return LangfuseClient(destination) if isinstance(destination, settings.Destination) else OtlpClient(destination)


def _gzipped(pieces: Iterable[bytes]) -> bytes:
    gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    return b"".join([*map(gzip.compress, pieces), gzip.flush()])


def is_refused_plain_http(destination: settings.AnyDestination) -> bool:
    """Whether the keys would leave this machine without TLS, and LANGFUSE_ALLOW_HTTP does not allow it."""
    url = urlsplit(destination.host)
    return url.scheme == "http" and not _is_loopback(url.hostname or "") and not settings.setting("LANGFUSE_ALLOW_HTTP")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a host name, such as 127.0.0.1.example.com
        return host == "localhost"


def _reply(answer: Answer, success: int, read: _Reader, to: settings.AnyDestination) -> ServerReply:
    text = redact_line(answer.headers["location"] if answer.is_redirect else answer.text)
    # redact before shortening, since redaction would not recognise half of a secret
    message = f"HTTP {answer.status}: {text[:_MESSAGE]}".rstrip(": ")
    if answer.is_success:
        return _reply_to_success(answer, message, success, read, to)
    result = _result_of(answer.status)
    retry_after = answer.headers.get("retry-after") if result is ExportResult.UNAVAILABLE else None
    return ServerReply(result, message, _retry_after(retry_after))


def _result_of(status: int) -> ExportResult:
    if status in (401, 403):
        return ExportResult.UNAUTHORIZED
    return ExportResult.REFUSED if status in (400, 413, 422) else ExportResult.UNAVAILABLE


def _reply_to_success(
    answer: Answer, message: str, success: int, read: _Reader, to: settings.AnyDestination
) -> ServerReply:
    """Interpret an answer with a 2xx status.

    The rows count as delivered only if the answer is valid in the protocol, since a proxy may answer 200 too.
    """
    try:
        if answer.status != success or not answer.is_whole:
            raise ValueError(answer.status)
        is_binary = answer.headers.get("content-type", "").startswith(PROTOBUF)
        return read(protobuf.response_of(answer.body) if is_binary else json.loads(answer.body or b"{}"))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        fault = "a web page answered instead of" if is_page(answer) else "no valid answer from"
        why = f"{fault} {to.service}: check {to.host_setting}; {message}"
        return ServerReply(ExportResult.UNAVAILABLE, why)


def _reply_to_spans(response: Any) -> ServerReply:
    """Return REFUSED if the OTLP response partially rejects the spans, else DELIVERED. Raise if it reports an error.

    https://opentelemetry.io/docs/specs/otlp/#partial-success-1
    """
    if response.get("error") or response.get("errors"):
        raise ValueError("the answer reports an error although its status is 200")
    partial = response.get("partialSuccess", response.get("partial_success")) or {}
    rejected = int(partial.get("rejectedSpans", partial.get("rejected_spans")) or 0)
    message = partial.get("errorMessage", partial.get("error_message")) or "rejected without a reason"
    return _refusal(f"the server answered: {message}") if rejected else _DELIVERED


def _reply_to_events(response: Any) -> ServerReply:
    """Return the reply DELIVERED for the batch. The field `events` of this reply has the reply to each event.

    https://api.reference.langfuse.com/#tag/ingestion
    """
    replies = {str(event["id"]): _DELIVERED for event in response["successes"]}
    return _DELIVERED._replace(
        events=replies | {str(event["id"]): _reply_to_event(event) for event in response["errors"]}
    )


def _reply_to_event(error: Any) -> ServerReply:
    status = int(error["status"])
    message = f"status {status}: {error.get('error') or error.get('message') or 'no reason given'}"
    refused = 400 <= status < 500 and status not in (401, 403, 408, 429)  # Langfuse rejects this event for good
    return _refusal(message)._replace(result=ExportResult.REFUSED if refused else _result_of(status))


def _refusal(message: str) -> ServerReply:
    return ServerReply(ExportResult.REFUSED, redact_line(message)[:_MESSAGE])


_DELIVERED = ServerReply(ExportResult.DELIVERED, "")


def is_page(answer: Answer) -> bool:
    """Whether the answer is a web page, such as the login page of a network or an error page of a proxy."""
    return "html" in answer.headers.get("content-type", "") or answer.text.lstrip().startswith("<")


def _retry_after(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, limited to an hour.

    The header is a number of seconds or a date (RFC 9110, 10.2.3).
    """
    if text is None:
        return None
    date = _HTTP_DATE.fullmatch(text.strip())
    if date is None:
        seconds = float(text) if text.strip().isdecimal() else None
    else:
        day, month, year, hour, minute, second = date.groups()
        midnight = datetime(int(year), _MONTHS.index(month) + 1, int(day), tzinfo=timezone.utc).timestamp()
        seconds = midnight + int(hour) * 3600 + int(minute) * 60 + int(second) - time.time()
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP_DATE = re.compile(rf"\w{{3}}, (\d\d) ({'|'.join(_MONTHS)}) (\d{{4}}) (\d\d):(\d\d):(\d\d) GMT")
