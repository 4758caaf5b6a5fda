"""Langfuse's APIs for dashboards, widgets and score configurations on loopback, with the rules of server 4.16.

The rules are those of fern/apis/server/definition/unstable in langfuse/langfuse.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.langfuse_server import JSON, LangfuseServer

VIEWS = {
    "observations": ({"traceName", "providedModelName", "type", "level", "name"},
                     {"count", "latency", "totalCost", "totalTokens"}),
    "scores-numeric": ({"traceName", "observationModelName", "name"}, {"count", "value"}),
    "scores-categorical": ({"traceName", "observationModelName", "name", "stringValue"}, {"count"}),
}  # fmt: skip
CHARTS = {"BAR_TIME_SERIES", "HORIZONTAL_BAR", "PIE", "HISTOGRAM", "PIVOT_TABLE"}
AGGREGATIONS = {"sum", "avg", "count", "p95", "histogram"}
WIDGET = {"name", "description", "view", "dimensions", "metrics", "filters", "chartType", "chartConfig"}
_Object = dict[str, Any]


class DashboardApi:
    """The APIs, which keep created objects. With `is_there` False, they answer as a server before 4.16 does."""

    def __init__(self, httpserver: HTTPServer, langfuse: LangfuseServer) -> None:
        self.is_there = True
        self.widgets: list[_Object] = []
        self.dashboards: list[_Object] = []
        self.configs: list[_Object] = []
        self.writes = 0
        self._langfuse = langfuse
        for path, rows, check in (
            ("unstable/dashboard-widgets", self.widgets, check_widget),
            ("unstable/dashboards", self.dashboards, check_dashboard),
            ("score-configs", self.configs, check_config),
        ):
            address = re.compile(rf"/api/public/{path}(/\w+)?$")
            httpserver.expect_request(address).respond_with_handler(self._handler(rows, check, path))

    def _handler(self, rows: list[_Object], check: Callable[[_Object], None], path: str) -> Any:
        def handle(request: Request) -> Response:
            if (refusal := self._langfuse._unauthorized(request)) is not None:
                return refusal
            if path.startswith("unstable") and not self.is_there:
                return Response("<html>Not found</html>", 404, content_type="text/html")
            if request.method == "GET":
                return _page(rows, int(request.args["page"]), int(request.args["limit"]))
            return self._write(rows, check, request)

        return handle

    def _write(self, rows: list[_Object], check: Callable[[_Object], None], request: Request) -> Response:
        self.writes += 1
        change = json.loads(request.get_data())
        name = request.path.rpartition("/")[2]
        row = next((row for row in rows if row["id"] == name), None)
        if request.method == "POST":
            row = {"id": f"id{len(rows)}", "definition": {"widgets": []}, "isArchived": False}
            rows.append(row)
        if row is None:
            return Response(json.dumps({"message": "Not found"}), 404, content_type=JSON)
        try:
            check({**row, **change})
        except AssertionError as error:
            return Response(json.dumps({"message": f"invalid_body {error}"}), 400, content_type=JSON)
        row |= change
        return Response(json.dumps(row), content_type=JSON)


def check_widget(widget: _Object) -> None:
    """Check the server's rules for a widget."""
    assert widget.keys() >= WIDGET
    dimensions, measures = VIEWS[widget["view"]]
    assert {item["field"] for item in widget["dimensions"]} <= dimensions
    assert widget["metrics"]
    assert {item["measure"] for item in widget["metrics"]} <= measures
    assert {item["agg"] for item in widget["metrics"]} <= AGGREGATIONS
    for item in widget["filters"]:
        assert (item["type"], item["operator"]) == ("stringOptions", "any of")
        assert item["column"] in dimensions
        assert isinstance(item["value"], list)
    assert widget["chartType"] in CHARTS
    assert widget["chartConfig"]["type"] == widget["chartType"]
    assert ("row_limit" in widget["chartConfig"]) <= (widget["chartType"] != "BAR_TIME_SERIES")


def check_dashboard(dashboard: _Object) -> None:
    """Check the server's rules for a dashboard."""
    assert dashboard["name"]
    tiles = dashboard["definition"]["widgets"]
    assert len({tile["id"] for tile in tiles}) == len(tiles)
    for tile in tiles:
        assert tile["type"] == "widget"
        assert tile["x"] + tile["width"] <= 12
        assert min(tile["x"], tile["y"]) >= 0


def check_config(config: _Object) -> None:
    """Check the server's rules for a score configuration."""
    assert re.fullmatch(r"[\w .()-]{1,35}", config["name"])
    assert config["dataType"] in ("NUMERIC", "CATEGORICAL")
    assert all(item.keys() == {"label", "value"} for item in config.get("categories", ()))


def _page(rows: list[_Object], page: int, limit: int) -> Response:
    pages = -(-len(rows) // limit)
    meta = {"page": page, "limit": limit, "totalItems": len(rows), "totalPages": pages}
    shown = rows[(page - 1) * limit : page * limit]
    return Response(json.dumps({"data": shown, "meta": meta}), content_type=JSON)
