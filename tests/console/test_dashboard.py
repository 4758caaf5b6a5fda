"""The dashboard in Langfuse is created once and updated in place, and changes by the operator stay."""

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from src.observability import LangFuseTracker, ObservabilityContext
from src.observability.console.dashboard.widgets import SCORE_CONFIGS, WIDGETS
from tests.console.cycles import one_cycle
from tests.langfuse_dashboards import DashboardApi
from tests.langfuse_server import LangfuseServer


@pytest.fixture
def api(httpserver: HTTPServer, langfuse: LangfuseServer) -> DashboardApi:
    """Langfuse's APIs of dashboards and score configurations, on the test server."""
    return DashboardApi(httpserver, langfuse)


def test_it_is_made(run: Any, langfuse: LangfuseServer, api: DashboardApi) -> None:
    """`dashboard` creates one dashboard with all widgets, and the score configurations; it prints the address."""
    result = run("dashboard", columns=200)
    assert result.exit_code == 0
    assert f"/project/{langfuse.project}/dashboards/id0" in result.output
    (dashboard,) = api.dashboards
    assert dashboard["name"] == "Trading agents"
    tiles = dashboard["definition"]["widgets"]
    assert [tile["widgetId"] for tile in tiles] == [widget["id"] for widget in api.widgets]
    assert len({(tile["x"], tile["y"]) for tile in tiles}) == len(WIDGETS)
    assert [config["name"] for config in api.configs] == [config["name"] for config in SCORE_CONFIGS]


def test_it_is_updated_in_place(run: Any, api: DashboardApi) -> None:
    """A second run adds nothing. It restores a changed widget; tiles that the operator moved or added stay."""
    run("dashboard")
    (dashboard,) = api.dashboards
    tiles = dashboard["definition"]["widgets"]
    tiles[0] |= {"x": 6, "y": 60}
    theirs = {"type": "widget", "id": "mine", "widgetId": "mine", "x": 0, "y": 90, "width": 12, "height": 3}
    dashboard["definition"]["widgets"] = [*tiles[:-1], theirs]  # as if the operator had removed the last widget
    before = [dict(tile) for tile in dashboard["definition"]["widgets"]]
    api.widgets[1]["chartType"] = "PIE"
    result = run("dashboard", "--json")
    assert json.loads(result.stdout)["dashboard"] == dashboard["id"]
    assert len(api.widgets) == len(WIDGETS)
    assert len(api.dashboards) == 1
    assert len(api.configs) == len(SCORE_CONFIGS)
    assert api.widgets[1]["chartType"] == "HORIZONTAL_BAR"
    after = dashboard["definition"]["widgets"]
    assert after[:-1] == before
    assert (after[-1]["widgetId"], after[-1]["y"]) == (api.widgets[-1]["id"], 93)


def test_what_others_made_is_not_touched(run: Any, api: DashboardApi) -> None:
    """A dashboard, a widget and a score configuration with our names but made by others are not changed."""
    api.dashboards.append({"id": "d", "name": "Trading agents", "description": "mine", "definition": {"widgets": []}})
    api.widgets.append({"id": "w", "name": WIDGETS[0].name, "description": None})
    api.configs.append({"id": "c", "name": "pnl_usd", "dataType": "NUMERIC", "description": "mine"})
    result = run("dashboard")
    assert "Not updated: 1 score configuration for the agents' scores, already in Langfuse" in result.output
    assert [api.dashboards[0]["description"], api.widgets[0]["description"], api.configs[0]["description"]] == [
        "mine", None, "mine",
    ]  # fmt: skip
    assert [len(api.dashboards), len(api.widgets), len(api.configs)] == [2, len(WIDGETS) + 1, len(SCORE_CONFIGS)]


def test_a_server_without_the_api(run: Any, api: DashboardApi) -> None:
    """If the server has no API for dashboards, `dashboard` prints what to click and makes the score configurations."""
    api.is_there = False
    result = run("dashboard", columns=400)
    assert result.exit_code == 1
    assert "has no API for dashboards" in result.output
    for widget in WIDGETS:
        assert f"📊 {widget.name}: {widget.as_clicks()}" in result.output
    assert len(api.configs) == len(SCORE_CONFIGS)


def test_it_needs_keys_and_rights(run: Any, api: DashboardApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused keys, missing keys and an unavailable server are each reported with the cure, exit status 1."""
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-another-0123456789")
    refused = run("dashboard", columns=200)
    assert (refused.exit_code, "HTTP 401" in refused.output) == (1, True)
    monkeypatch.setenv("LANGFUSE_HOST", "http://127.0.0.1:9")
    assert "run python -m src.observability doctor" in run("dashboard", columns=200).output
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    missing = run("dashboard", columns=200)
    assert (missing.exit_code, "LANGFUSE_SECRET_KEY" in missing.output) == (1, True)


def test_an_outcome_has_a_hit_rate(langfuse: LangfuseServer) -> None:
    """An outcome is sent with a score `hit` (profit 1, loss 0) for the same model call; `hit` is not in the journal."""
    traces = [one_cycle(), one_cycle()]
    for trace_id, pnl in zip(traces, (12.5, -3.0), strict=True):
        ObservabilityContext.record_outcome(trace_id, pnl_usd=pnl, pnl_pct=pnl / 10)
    assert LangFuseTracker().flush(10)
    hits = {score["traceId"]: score for score in langfuse.standing_scores if score["name"] == "hit"}
    assert [hits[trace_id]["value"] for trace_id in traces] == [1, 0]
    assert sum(score["name"] == "hit" for score in langfuse.scores) == 2  # an outcome in USD and percent has one `hit`
    assert [hits[trace_id]["dataType"] for trace_id in traces] == ["NUMERIC", "NUMERIC"]
    outcome = next(score for score in langfuse.scores if score["name"] == "pnl_usd")
    assert hits[outcome["traceId"]].get("observationId") == outcome.get("observationId")
