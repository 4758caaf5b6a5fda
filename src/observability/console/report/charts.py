"""Charts as SVG text, drawn by Vega (`vl-convert-python`, imported here alone).

A mark's row has a `label` for screen readers. Colours are the page's CSS variables, so that a chart suits light and
dark mode.
"""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from ...journal import Row

SERIES = [f"var(--series-{number})" for number in range(1, 7)]
ACTIONS = {"BUY": "var(--buy)", "SELL": "var(--sell)", "NOTHING": "var(--nothing)", "unreadable": "var(--muted)"}
_WIDTH, _HEIGHT = 300, 180  # small, so that its text is readable on a phone
_TOPS = (0.1, 0.2, 0.5, 1)  # upper ends of an axis of shares; 0.1 also if nothing failed
_CONFIG = {
    "background": None,
    "view": {"stroke": None},
    "font": "system-ui, sans-serif",
    "axis": {
        "labelColor": "var(--muted)", "titleColor": "var(--muted)", "labelFontSize": 13, "titleFontSize": 13,
        "titleFontWeight": "normal", "gridColor": "var(--line)", "domain": False, "ticks": False, "labelPadding": 6,
    },
    "axisX": {"grid": False},
    "legend": {
        "orient": "top", "title": None, "labelColor": "var(--text)", "labelFontSize": 13, "symbolType": "circle",
        "columns": 2, "columnPadding": 24, "labelLimit": 140, "padding": 0, "offset": 10,
    },
    "bar": {"cornerRadiusEnd": 2},
}  # fmt: skip


def svg(spec: dict[str, Any], label: str) -> str:
    """Draw a Vega-Lite specification as SVG with a label."""
    import vl_convert

    full_spec = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "config": _CONFIG, **spec}
    drawn = str(vl_convert.vegalite_to_svg(full_spec, vl_version="5.21", allowed_base_urls=[]))
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


def stacked(
    rows: Sequence[Row], x: str, y: str, colour: str, *,
    colours: dict[str, str], order: Sequence[str], label: str, form: str = "~s",
) -> str:  # fmt: skip
    """Draw stacked bars of `y` over `x` (the values of `order`), coloured by `colour`. Small counts get whole ticks."""
    axis: dict[str, Any] = {"format": form, "tickCount": 4}
    if all(isinstance(row[y], int) for row in rows):
        highest = max(sum(row[y] for row in rows if row[x] == position) for position in order)
        axis |= {"values": list(range(highest + 1))} if highest < axis["tickCount"] else {}
    scale = {"domain": list(colours), "range": list(colours.values())}
    return svg({
        "width": _WIDTH, "height": _HEIGHT, "data": {"values": list(rows)}, "mark": {"type": "bar", "maxbarsize": 40},
        "encoding": {
            "x": _x(x, order),
            "y": {"field": y, "type": "quantitative", "title": None, "axis": axis},
            "color": {"field": colour, "type": "nominal", "scale": scale},
            "order": {"field": "order", "type": "quantitative"},
            "description": {"field": "label"},
        },
    }, label)  # fmt: skip


def shares(rows: Sequence[Row], x: str, y: str, *, label: str) -> str:
    """Draw a line of the share `y` over `x`, with its points; interrupted where `y` is None."""
    highest = max((row[y] or 0 for row in rows), default=0)
    top = next(top for top in _TOPS if top >= highest)
    return svg({
        "width": _WIDTH, "height": _HEIGHT, "data": {"values": list(rows)},
        "mark": {"type": "line", "color": "var(--sell)", "strokeWidth": 2,
                 "point": {"color": "var(--sell)", "size": 36}},
        "encoding": {
            "x": _x(x, [row[x] for row in rows]),
            "y": {"field": y, "type": "quantitative", "title": None, "axis": {"format": ".0%", "tickCount": 4},
                  "scale": {"domain": [0, top]}},
            "description": {"field": "label"},
        },
    }, label)  # fmt: skip


def calibration(rows: Sequence[Row]) -> str:
    """Draw the share of hits over mean confidence (percent), one point per class, and the line of perfect forecasts."""
    axis = {"type": "quantitative", "scale": {"domain": [0, 100]}, "axis": {"tickCount": 5}}
    perfect = {"data": {"values": [{"confidence": 0, "hits": 0}, {"confidence": 100, "hits": 100}]}}
    return svg({
        "width": _WIDTH, "height": _HEIGHT + 20,
        "encoding": {
            "x": {"field": "confidence", "title": "confidence, %", **axis},
            "y": {"field": "hits", "title": "profitable, %", **axis},
        },
        "layer": [
            {**perfect, "mark": {"type": "line", "color": "var(--muted)", "strokeDash": [4, 4], "aria": False}},
            {"data": {"values": list(rows)}, "mark": {"type": "rule", "color": "var(--series-1)", "strokeWidth": 2,
                                                      "aria": False},
             "encoding": {"y": {"field": "low", **axis}, "y2": {"field": "high"}}},
            {"data": {"values": list(rows)}, "mark": {"type": "point", "filled": True, "color": "var(--series-1)",
                                                      "opacity": 1},
             "encoding": {"description": {"field": "label"},
                          "size": {"field": "cases", "type": "quantitative", "legend": None,
                                   "scale": {"range": [60, 300]}}}},
        ],
    }, "Confidence against outcome: share of profitable decisions by confidence")  # fmt: skip


def _x(field: str, order: Sequence[str]) -> dict[str, Any]:
    """Return the x axis with every value in order; days are labelled without their year, and at most six of them."""
    labelled = order[:: max(-(-len(order) // 6), 1)]
    is_day = all(re.fullmatch(r"\d{4}-\d\d-\d\d", value) for value in order)
    axis = {
        "title": None, "labelAngle": 0, "values": list(labelled) if is_day else list(order), "labelOverlap": is_day,
        **({"labelExpr": "slice(datum.label, 5)"} if is_day else {"labelFontSize": 12, "labelAngle": -35}),
    }  # fmt: skip
    return {"field": field, "type": "ordinal", "scale": {"domain": list(order)}, "axis": axis}
