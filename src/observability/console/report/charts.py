"""
🌙 Moon Dev's Report Charts
Built with love by Moon Dev 🚀

Pictures as SVG text, drawn by Vega (`vl-convert-python`, imported here alone): each mark says its row's `says` to a
screen reader. Colours are the page's CSS variables, so that one picture serves light and dark.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from ...journal import Row

SERIES = [f"var(--series-{number})" for number in range(1, 7)]
ACTIONS = {"BUY": "var(--buy)", "SELL": "var(--sell)", "NOTHING": "var(--nothing)", "unreadable": "var(--muted)"}
_WIDTH, _HEIGHT = 300, 180  # drawn small, so that what is written in it can be read on a phone
_TOPS = (
    0.1,
    0.2,
    0.5,
    1,
)  # of an axis of shares: nothing failed is a line on the ground, not a picture without an axis
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
    """A Vega-Lite specification as SVG, called so."""
    import vl_convert

    whole = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "config": _CONFIG, **spec}
    drawn = str(vl_convert.vegalite_to_svg(whole, vl_version="5.21", allowed_base_urls=[]))
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


def stacked(
    rows: Sequence[Row], x: str, y: str, colour: str, *,
    colours: dict[str, str], order: Sequence[str], label: str, form: str = "~s",
) -> str:  # fmt: skip
    """Bars of `y` over `x`, which is each of `order`, in parts by `colour`. No tick of few calls is a part of one."""
    axis: dict[str, Any] = {"format": form, "tickCount": 4}
    if all(isinstance(row[y], int) for row in rows):
        most = max(sum(row[y] for row in rows if row[x] == each) for each in order)
        axis |= {"values": list(range(most + 1))} if most < axis["tickCount"] else {}
    scale = {"domain": list(colours), "range": list(colours.values())}
    return svg({
        "width": _WIDTH, "height": _HEIGHT, "data": {"values": list(rows)}, "mark": {"type": "bar", "maxbarsize": 40},
        "encoding": {
            "x": _x(x, order),
            "y": {"field": y, "type": "quantitative", "title": None, "axis": axis},
            "color": {"field": colour, "type": "nominal", "scale": scale},
            "order": {"field": "order", "type": "quantitative"},
            "description": {"field": "says"},
        },
    }, label)  # fmt: skip


def shares(rows: Sequence[Row], x: str, y: str, *, label: str) -> str:
    """A line of the share `y` over `x`, with its points; broken where `y` is None."""
    most = max((row[y] or 0 for row in rows), default=0)
    top = next(each for each in _TOPS if each >= most)
    return svg({
        "width": _WIDTH, "height": _HEIGHT, "data": {"values": list(rows)},
        "mark": {"type": "line", "color": "var(--sell)", "strokeWidth": 2,
                 "point": {"color": "var(--sell)", "size": 36}},
        "encoding": {
            "x": _x(x, [row[x] for row in rows]),
            "y": {"field": y, "type": "quantitative", "title": None, "axis": {"format": ".0%", "tickCount": 4},
                  "scale": {"domain": [0, top]}},
            "description": {"field": "says"},
        },
    }, label)  # fmt: skip


def calibration(rows: Sequence[Row]) -> str:
    """Share of hits over mean confidence (percent), a point a class sized by its cases, beside what was promised."""
    axis = {"type": "quantitative", "scale": {"domain": [0, 100]}, "axis": {"tickCount": 5}}
    promised = {"data": {"values": [{"confidence": 0, "hits": 0}, {"confidence": 100, "hits": 100}]}}
    return svg({
        "width": _WIDTH, "height": _HEIGHT + 20,
        "encoding": {
            "x": {"field": "confidence", "title": "confidence, %", **axis},
            "y": {"field": "hits", "title": "profitable, %", **axis},
        },
        "layer": [
            {**promised, "mark": {"type": "line", "color": "var(--muted)", "strokeDash": [4, 4], "aria": False}},
            {"data": {"values": list(rows)}, "mark": {"type": "rule", "color": "var(--series-1)", "strokeWidth": 2,
                                                      "aria": False},
             "encoding": {"y": {"field": "low", **axis}, "y2": {"field": "high"}}},
            {"data": {"values": list(rows)}, "mark": {"type": "point", "filled": True, "color": "var(--series-1)",
                                                      "opacity": 1},
             "encoding": {"description": {"field": "says"},
                          "size": {"field": "cases", "type": "quantitative", "legend": None,
                                   "scale": {"range": [60, 300]}}}},
        ],
    }, "Confidence against outcome: share of profitable decisions by confidence")  # fmt: skip


def _x(field: str, order: Sequence[str]) -> dict[str, Any]:
    """Every value has its place, with a mark or without; days without their year, of many only some."""
    step = -(-len(order) // 6)
    shown = [each for at, each in enumerate(order) if at % step == 0]
    is_day = all(len(each) == len("2026-11-24") and each[4] == each[7] == "-" for each in order)
    axis = {
        "title": None, "labelAngle": 0, "values": shown if is_day else list(order), "labelOverlap": is_day,
        **({"labelExpr": "slice(datum.label, 5)"} if is_day else {"labelFontSize": 12, "labelAngle": -35}),
    }  # fmt: skip
    return {"field": field, "type": "ordinal", "scale": {"domain": list(order)}, "axis": axis}
