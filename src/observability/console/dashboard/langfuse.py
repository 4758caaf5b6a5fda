"""Creates or updates the dashboard through Langfuse's API.

Our widgets and dashboard are recognised by their names and by the text `MADE_BY` in their descriptions. Widgets added
or moved by an operator keep their place.
"""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..render.format import one_line
from .widgets import COLUMNS, DASHBOARD, HEIGHT, MADE_BY, SCORE_CONFIGS, WIDGETS, WIDTH

if TYPE_CHECKING:
    from ...shipping import LangfuseClient

_SECONDS = 10.0  # per request
_PAGE_ROWS = 10  # rows per page; few, so that an answer stays below the client's limit of 64 KB
_DASHBOARDS, _WIDGETS = "/api/public/unstable/dashboards", "/api/public/unstable/dashboard-widgets"
_CONFIGS = "/api/public/score-configs"
_Object = dict[str, Any]


class NoSuchApiError(Exception):
    """The server has no API for dashboards."""


class RefusedError(Exception):
    """The server refuses a request; the message is the server's reason."""


def make_dashboard(client: "LangfuseClient") -> str:
    """Create or update the dashboard and its widgets; return the dashboard's id.

    Raises:
        NoSuchApiError: the server is too old to have an API for dashboards.
        RefusedError: the server refuses a request.
        OSError: the server does not answer.
    """
    api = _Api(client)
    ours = [board for board in api.rows(_DASHBOARDS) if board["name"] == DASHBOARD and _is_ours(board)]
    existing = {widget["name"]: widget["id"] for widget in api.rows(_WIDGETS) if _is_ours(widget)}
    widgets = [_put(api, existing.get(widget.name), widget.as_request()) for widget in WIDGETS]
    board = ours[0] if ours else api.send("POST", _DASHBOARDS, {"name": DASHBOARD, "description": f"{MADE_BY}."})
    placed = board["definition"]["widgets"]
    missing = [widget for widget in widgets if widget not in [tile.get("widgetId") for tile in placed]]
    if missing:
        tiles = [*placed, *_tiles(missing, below=max((tile["y"] + tile["height"] for tile in placed), default=0))]
        api.send("PATCH", f"{_DASHBOARDS}/{board['id']}", {"definition": {"widgets": tiles}})
    return str(board["id"])


def make_score_configs(client: "LangfuseClient") -> int:
    """Create or update the score configurations; return how many are left unchanged.

    A configuration is left unchanged if others made it, or if its data type differs from ours.

    Raises:
        RefusedError: the server refuses a request.
        OSError: the server does not answer.
    """
    api = _Api(client)
    existing = {config["name"]: config for config in api.rows(_CONFIGS)}
    foreign = 0
    for wanted in SCORE_CONFIGS:
        config = existing.get(wanted["name"])
        if config is None:
            api.send("POST", _CONFIGS, wanted)
        elif config["dataType"] != wanted["dataType"] or not _is_ours(config):
            foreign += 1
        elif any(config.get(name) != value for name, value in wanted.items()):
            changes = {name: value for name, value in wanted.items() if name != "dataType"}
            api.send("PATCH", f"{_CONFIGS}/{config['id']}", changes)
    return foreign


def _put(api: "_Api", widget: str | None, request: _Object) -> str:
    made = api.send("PATCH", f"{_WIDGETS}/{widget}", request) if widget else api.send("POST", _WIDGETS, request)
    return str(made["id"])


def _tiles(widgets: list[str], below: int) -> Iterator[_Object]:
    """Yield a tile for each widget, placed from left to right. The first tiles are in row `below` of the grid."""
    per_row = COLUMNS // WIDTH
    for number, widget in enumerate(widgets):
        x, y = number % per_row * WIDTH, below + number // per_row * HEIGHT
        yield {"type": "widget", "id": widget, "widgetId": widget, "x": x, "y": y, "width": WIDTH, "height": HEIGHT}


def _is_ours(item: _Object) -> bool:
    return MADE_BY in (item.get("description") or "")


class _Api:
    """Sends requests to Langfuse's API. The bodies of requests and answers are JSON."""

    def __init__(self, client: "LangfuseClient") -> None:
        self._call: Callable[..., Any] = client.call

    def rows(self, path: str) -> list[_Object]:
        """Return all objects that the API lists under a path, from all pages."""
        rows: list[_Object] = []
        page = pages = 1
        while page <= pages:
            answer = self.send("GET", f"{path}?page={page}&limit={_PAGE_ROWS}")
            rows += answer["data"]
            page, pages = page + 1, answer["meta"]["totalPages"]
        return rows

    def send(self, method: str, path: str, body: _Object | None = None) -> _Object:
        """Send a request, and return the JSON object in the server's answer."""
        answer = self._call(method, path, b"" if body is None else json.dumps(body).encode(), _SECONDS)
        if answer.status in (404, 405) and path.startswith("/api/public/unstable/") and method == "GET":
            raise NoSuchApiError
        try:
            result = json.loads(answer.body) if answer.is_success else None
        except ValueError:
            result = None
        if not isinstance(result, dict):
            raise RefusedError(f"{method} {path.partition('?')[0]}: HTTP {answer.status} {one_line(answer.text, 200)}")
        return result
