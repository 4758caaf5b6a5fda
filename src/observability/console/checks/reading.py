"""Checks which of Langfuse's read APIs respond, and whether the last shipped trace and score can be read back."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ... import settings
from ...journal import Journal, JournalError
from .. import time_range
from ..queries import health
from ..render.format import SHORT_ID
from .findings import Finding, fine, warning

if TYPE_CHECKING:
    from ...shipping import Answer, LangfuseClient

_SECONDS = 5.0  # per request
_SOON_NS = 300 * 10**9  # a row younger than this may still be in the server's queue
_OBSERVATIONS, _SCORES = "/api/public/v2/observations", "/api/public/v3/scores"  # since server version 4
_LEGACY_TRACES, _LEGACY_SCORES = "/api/public/traces", "/api/public/v2/scores"


def read_back(client: "LangfuseClient", destination: str, project: str) -> Iterator[Finding]:
    """Report which of the server's read APIs respond, and whether they return the last shipped trace and score.

    Also save the project's id in the journal.

    Raises:
        OSError: the server does not answer.
    """
    new, legacy = _answers(client, _OBSERVATIONS), _answers(client, _LEGACY_TRACES)
    yield _mode(new, legacy)
    try:
        with closing(Journal(settings.journal_path(), create=False)) as journal:
            journal.keep_project(destination, project)
            sent = health.last_shipped(journal, destination)
    except JournalError:
        return  # `doctor`'s check `journal` reports this error
    if trace := sent["trace_id"]:
        path = f"{_OBSERVATIONS}?limit=1&traceId={quote(trace)}" if new else f"{_LEGACY_TRACES}/{quote(trace)}"
        yield _read_back_finding(f"trace {trace[:SHORT_ID]}", client.get(path, _SECONDS), sent["trace_ns"])
    if score := sent["score_id"]:
        path = f"{_SCORES}?limit=1&id={quote(score)}" if new else f"{_LEGACY_SCORES}?limit=1&scoreIds={quote(score)}"
        yield _read_back_finding(f"score {sent['score_name']}", client.get(path, _SECONDS), sent["score_ns"])


def _answers(client: "LangfuseClient", path: str) -> bool:
    return _rows(client.get(f"{path}?limit=1", _SECONDS)) is not None


def _mode(new: bool, legacy: bool) -> Finding:
    if new and not legacy:
        return fine("reading", "only the new read APIs answer (server mode events_only)")
    if new:
        return fine("reading", "the new and the legacy read APIs answer (server mode dual)")
    if legacy:
        return fine("reading", "only the legacy read APIs answer, as on servers before version 4")
    return warning("reading", "no read API accepts these keys", "check the server's version and the keys' rights")


def _read_back_finding(subject: str, answer: "Answer", at_ns: int) -> Finding:
    if _rows(answer):
        return fine("reading", f"the last shipped {subject} can be read back")
    what = f"the last shipped {subject} cannot be read back (HTTP {answer.status})"
    if answer.is_success and time_range.now_ns() - at_ns < _SOON_NS:
        return fine("reading", f"{what}: the server may need minutes to store new rows")
    return warning("reading", what, "check the server's worker and queue; the journal keeps the rows")


def _rows(answer: "Answer") -> Any:
    """Return `data` from the answer, or the whole answer if it has no `data`.

    None if the request failed or the answer is not a JSON object.
    """
    try:
        body = json.loads(answer.body) if answer.is_success else None
    except ValueError:
        return None
    return body.get("data", body) if isinstance(body, dict) else None
