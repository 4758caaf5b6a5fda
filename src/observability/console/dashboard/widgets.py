"""The dashboard's widgets and the score configurations, in the terms of Langfuse's API.

Views, dimensions and measures are those of Langfuse 4. A trace is named after its agent. An outcome's scores belong to
the model call (Langfuse: generation) that made the decision, so that they can be grouped by model.
"""

from typing import Any, NamedTuple

DASHBOARD = "Trading agents"
# The command `dashboard` only changes objects in Langfuse whose description contains this text.
MADE_BY = "Made by: python -m src.observability dashboard"
# The number of columns in the dashboard's grid; the width and height of a widget in cells of the grid.
COLUMNS, WIDTH, HEIGHT = 12, 6, 6
_BARS, _OVER_TIME, _TABLE = "HORIZONTAL_BAR", "BAR_TIME_SERIES", "PIVOT_TABLE"
_ROWS = 20


class Widget(NamedTuple):
    """A chart on the dashboard. It shows measures of the filtered rows of a Langfuse view, grouped by a dimension."""

    name: str
    view: str
    metrics: tuple[tuple[str, str], ...]  # pairs of a measure and its aggregation
    dimension: str | None
    filters: tuple[dict[str, Any], ...]
    chart: str
    hint: str

    def as_request(self) -> dict[str, Any]:
        """Return the body of the request that creates the widget."""
        limit = {} if self.chart == _OVER_TIME else {"row_limit": _ROWS}
        return {
            "name": self.name,
            "description": f"{self.hint}. {MADE_BY}",
            "view": self.view,
            "dimensions": [{"field": self.dimension}] if self.dimension else [],
            "metrics": [{"measure": measure, "agg": aggregation} for measure, aggregation in self.metrics],
            "filters": list(self.filters),
            "chartType": self.chart,
            "chartConfig": {"type": self.chart, **({"bins": 10} if self.chart == "HISTOGRAM" else limit)},
        }

    def as_clicks(self) -> str:
        """Return in words what to choose in Langfuse's form for a new widget."""
        metrics = ", ".join(f"{aggregation} of {measure}" for measure, aggregation in self.metrics)
        chosen = [f"view {self.view}", f"metric {metrics}"]
        chosen += [f"dimension {self.dimension}"] if self.dimension else []
        chosen += [f"filter {item['column']} {item['operator']} {', '.join(item['value'])}" for item in self.filters]
        return "; ".join([*chosen, f"chart {self.chart.replace('_', ' ').lower()}"])


def _any_of(column: str, *values: str) -> dict[str, Any]:
    return {"column": column, "type": "stringOptions", "operator": "any of", "value": list(values)}


_CALLS = _any_of("type", "GENERATION")
_COST = (("totalCost", "sum"),)
_CONFIDENCE, _PROFIT, _HIT = (_any_of("name", name) for name in ("signal_confidence", "pnl_usd", "hit"))
_ACTIONS = _any_of("name", "signal_action")

WIDGETS = (
    Widget("Spend by agent", "observations", _COST, "traceName", (), _BARS, "USD"),
    Widget("Spend by model", "observations", _COST, "providedModelName", (_CALLS,), _BARS, "USD"),
    Widget("Profit by agent", "scores-numeric", (("value", "sum"),), "traceName", (_PROFIT,), _BARS,
           "Recorded outcomes in USD"),
    Widget("Hit rate by model", "scores-numeric", (("value", "avg"),), "observationModelName", (_HIT,), _BARS,
           "Share of outcomes with a profit, from 0 to 1"),
    Widget("Decisions by action", "scores-categorical", (("count", "count"),), "stringValue", (_ACTIONS,), "PIE",
           "BUY, SELL and NOTHING"),
    Widget("Decisions over time", "scores-categorical", (("count", "count"),), "stringValue", (_ACTIONS,), _OVER_TIME,
           "Number of decisions by action"),
    Widget("Confidence", "scores-numeric", (("value", "histogram"),), None, (_CONFIDENCE,), "HISTOGRAM",
           "Number of decisions at each confidence (0 to 100)"),
    Widget("Confidence by model", "scores-numeric", (("value", "avg"),), "observationModelName", (_CONFIDENCE,), _BARS,
           "Mean confidence, from 0 to 100"),
    Widget("Failures by agent", "observations", (("count", "count"),), "traceName", (_any_of("level", "ERROR"),), _BARS,
           "Calls and agent cycles that ended with an error"),
    Widget("p95 latency by model", "observations", (("latency", "p95"),), "providedModelName", (_CALLS,), _BARS,
           "95 % of the calls took at most this time"),
    Widget("Calls, tokens and cost by model", "observations",
           (("count", "count"), ("totalTokens", "sum"), ("totalCost", "sum")), "providedModelName", (_CALLS,), _TABLE,
           "If tokens have no cost, their price is unknown or the model is free"),
)  # fmt: skip

SCORE_CONFIGS: tuple[dict[str, Any], ...] = (
    {"name": "signal_action", "dataType": "CATEGORICAL", "description": f"The agent's decision. {MADE_BY}",
     "categories": [{"label": "NOTHING", "value": 0}, {"label": "BUY", "value": 1}, {"label": "SELL", "value": 2}]},
    {"name": "signal_confidence", "dataType": "NUMERIC", "minValue": 0, "maxValue": 100,
     "description": f"The decision's confidence in percent. {MADE_BY}"},
    {"name": "pnl_usd", "dataType": "NUMERIC", "description": f"The decision's profit or loss in USD. {MADE_BY}"},
    {"name": "pnl_pct", "dataType": "NUMERIC", "description": f"The decision's profit or loss in percent. {MADE_BY}"},
)  # fmt: skip
