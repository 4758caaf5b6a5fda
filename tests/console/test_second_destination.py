"""The console's commands, while rows are sent to a second destination, with or without Langfuse."""

import json
from contextlib import closing
from typing import Any

import pytest
from werkzeug import Response

from src.observability import LangFuseTracker, runtime, settings
from src.observability.journal.store import Journal
from tests.console.cycles import one_cycle
from tests.langfuse_server import LangfuseServer
from tests.otlp_server import OtlpServer


def findings(run: Any) -> dict[str, tuple[str, str]]:
    """Return severity and text of doctor's worst finding about each subject."""
    rows = [json.loads(line) for line in run("doctor", "--json").stdout.splitlines()]
    return {row["about"]: (row["weight"], row["what"]) for row in reversed(rows)}


def test_status_shows_each_destination(run: Any, langfuse: LangfuseServer, otlp: OtlpServer) -> None:
    """`status` names both hosts in the first line, and has a line of counts for the second destination."""
    one_cycle()
    assert LangFuseTracker().flush(10)
    output = run("status", columns=200).output
    host = settings.setting("LANGFUSE_HOST")
    assert f"Tracing is on, records are shipped to {host} and {otlp.url}" in output
    assert f"📤 {otlp.url}: 3 shipped\n" in output
    assert json.loads(run("status", "--json").output)["destinations"][otlp.url]["shipped"] == 3


def test_ship_sends_to_the_one_that_was_away(
    run: Any, langfuse: LangfuseServer, otlp: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ship` prints a line for each destination; the exit status is 1 while a destination lacks rows, then 0."""
    otlp.answer = lambda _request, _body: Response("away", 503)
    one_cycle()
    assert not LangFuseTracker().flush(10)
    runtime.close()
    refused = run("ship")
    assert refused.exit_code == 1
    assert "3 rows still pending: HTTP 503: away" in refused.output
    otlp.answer = lambda _request, _body: None
    sent = run("ship")
    assert sent.exit_code == 0
    assert f"✅ 3 rows delivered to {otlp.url}" in sent.output
    assert [json.loads(line)["host"] for line in run("ship", "--json").stdout.splitlines()][1] == otlp.url
    assert len(otlp.spans) == 3


def test_prune_says_what_never_arrives(run: Any, langfuse: LangfuseServer, otlp: OtlpServer) -> None:
    """`prune` deletes rows that only the second destination lacks, and prints the number of these rows."""
    otlp.answer = lambda _request, _body: Response("away", 503)
    one_cycle()
    LangFuseTracker().flush(10)
    runtime.close()
    lost = "not delivered to OBSERVABILITY_OTLP_ENDPOINT's address"
    assert f"⚠️ 3 of the observations to delete {lost}" in run("prune", "--older-than", "all", "--dry-run").output
    assert f"⚠️ 3 of the deleted observations {lost}" in run("prune", "--older-than", "all", "--yes").output
    with closing(Journal(settings.journal_path())) as journal:
        assert journal.select("SELECT * FROM deliveries WHERE kind = 'observations'") == []


def test_doctor_checks_the_second_destination(run: Any, otlp: OtlpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` reports accepted and wrong headers and rejected rows; it does not mention Langfuse's missing keys."""
    one_cycle()
    assert LangFuseTracker().flush(10)
    assert findings(run)["second destination"] == ("fine", f"{otlp.url} accepts OTLP with the configured headers")
    assert "keys" not in findings(run)
    runtime.close()
    with closing(Journal(settings.journal_path())) as journal:
        journal.change("UPDATE further_deliveries SET state = 'rejected', reason = 'too old'")
    assert findings(run)["rejected"] == ("fault", f"{otlp.url} rejected 3 rows: too old")
    run("doctor", "--fix")
    assert findings(run)["pending"][1].startswith(f"3 rows for {otlp.url}, the oldest from")
    monkeypatch.setenv("OBSERVABILITY_OTLP_HEADERS", "api-key=another-key-0123")
    weight, what = findings(run)["second destination"]
    assert (weight, what) == ("fault", f"{otlp.url} rejects the headers (HTTP 401: unknown key: [REDACTED:own-secret])")
    monkeypatch.setenv("OBSERVABILITY_OTLP_ENDPOINT", "http://127.0.0.1:9")
    weight, what = findings(run)["second destination"]
    assert (weight, what.partition(": ")[0]) == ("fault", "http://127.0.0.1:9 cannot be reached")
    monkeypatch.setenv("OBSERVABILITY_OTLP_ENDPOINT", otlp.url)
    # Although a key of Langfuse is missing, the wrong headers of the second destination are still reported.
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-0123456789")
    assert findings(run)["second destination"][0] == "fault"
    assert f"{otlp.url}; one of two keys is missing: LANGFUSE_SECRET_KEY" in run("status", columns=200).output
    monkeypatch.delenv("LANGFUSE_PUBLIC_KEY")
    monkeypatch.setenv("OBSERVABILITY_OTLP_HEADERS", "api key")
    weight, what = findings(run)["settings"]
    assert (weight, what.partition(" must be")[0]) == ("fault", "OBSERVABILITY_OTLP_HEADERS")
