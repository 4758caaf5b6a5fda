"""The journal as one self-contained HTML page.

Texts by models, agents and markets are escaped. The only script, which sorts tables, is allowed by its hash.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...journal import Journal, Row
from .. import time_range
from ..evaluation import ConfidenceClass, calibration
from ..queries import report
from ..queries.decisions import decisions_with_outcome, newest_decisions
from ..queries.filter import Filter
from ..queries.totals import CallStats, call_stats, total
from ..queries.traces import oldest_ns
from ..render.format import (
    cost_text,
    how_many,
    milliseconds,
    moment,
    money,
    outcome_text,
    plain,
    profit_of,
)
from ..signal import signal_of
from . import charts, series
from .series import Chart

_FOLDER = Path(__file__).parent
_MAX_DECISIONS = 50


def page(journal: Journal, rows: Filter) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(money=money, milliseconds=milliseconds, share=_share, moment=moment)
    environment.filters.update(plain=plain, outcome=outcome_text, cost=_cost, how_many=how_many, tokens=_tokens)
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(script=script, digest=digest, **_content(journal, rows))


def _content(journal: Journal, rows: Filter) -> dict[str, Any]:
    by_agent, by_model = (call_stats(journal, by, rows) for by in ("agent", "model"))
    start = max(rows.since_ns, oldest_ns(journal) or 0)
    return {
        "made": moment(time_range.now_ns()),
        "since": moment(start) if start else "the beginning",
        "of": [name for name in (rows.agent, rows.model) if name],
        "total": total(by_agent),
        "tables": [("agent", by_agent), ("model", by_model)],
        "charts": _charts(journal, rows),
        "calibration": _calibration(decisions_with_outcome(journal, rows)),
        "decisions": list(map(_decision, reversed(newest_decisions(journal, rows, _MAX_DECISIONS)))),
    }


def _decision(row: Row) -> Row:
    return {**row, "signal": signal_of(row["metadata"]), "outcome": profit_of(row)}


def _charts(journal: Journal, rows: Filter) -> list[Chart]:
    days, signals = report.days(journal, rows), report.signals(journal, rows)
    calendar = series.calendar(row["day"] for row in (*days, *signals))
    days, signals = ([row for row in part if row["day"] >= calendar[0]] for part in (days, signals))
    all_charts = [
        *series.spends(days, calendar),
        series.latency(report.latencies(journal, rows)),
        series.errors(days, calendar),
        series.decisions(signals, calendar),
    ]
    return [chart for chart in all_charts if chart.svg or chart.note]


def _calibration(decisions: Sequence[Row]) -> dict[str, Any]:
    """Return the chart of confidence against outcome, and its rows."""
    rows = [_in_percent(group) for group in calibration(decisions)]
    return {"rows": rows, "svg": charts.calibration(rows) if rows else "", "cases": len(decisions)}


def _in_percent(group: ConfidenceClass) -> Row:
    share = 100 * group.hits / group.cases
    label = f"{group.confidence:.0f}% confident: {group.hits} of {group.cases} profitable, {share:.0f}%"
    return {
        "confidence": round(group.confidence, 1), "cases": group.cases, "hits": round(share, 1),
        "low": round(100 * group.low, 1), "high": round(100 * group.high, 1), "label": label, "few": group.few,
    }  # fmt: skip


def _cost(row: Row) -> str:
    return cost_text(row)


def _tokens(number: int, stats: CallStats) -> str:
    """A number of tokens; `–` if no call reported any."""
    return f"{number:,}" if stats.input_tokens or stats.output_tokens else "–"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
