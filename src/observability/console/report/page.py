"""
🌙 Moon Dev's Report Page
Built with love by Moon Dev 🚀

One self-contained page of what the journal knows: the queries' figures, Vega's pictures, Jinja's escaping. Whatever a
model, an agent or a market wrote is text there; the one script, which sorts tables, is allowed by its hash.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from ...journal import Journal, Row
from .. import clock
from ..evaluation import Class, calibration
from ..queries import decisions, report, totals, traces
from ..queries.figures import Figures, total
from ..queries.totals import Calls
from ..render.format import gain, gain_percent, how_many, milliseconds, moment, money_briefly, plain
from ..signal import finite, readable, said_of
from . import charts, series
from .series import Chart

_FOLDER = Path(__file__).parent
_MOST_DECISIONS = 50


class Asked(NamedTuple):
    """What the page is about: since a time (Unix nanoseconds), of one agent or model, or of all."""

    since_ns: int
    agent: str | None = None
    model: str | None = None


def page(journal: Journal, asked: Asked) -> str:
    """The page as HTML."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(money=money_briefly, milliseconds=milliseconds, share=_share, moment=moment)
    environment.filters.update(plain=plain, outcome=_outcome, cost=_cost, how_many=how_many, tokens=_tokens)
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(script=script, digest=digest, **_content(journal, asked))


def _content(journal: Journal, asked: Asked) -> dict[str, Any]:
    by_agent, by_model = (totals.figures(journal, Calls(by, *asked)) for by in ("agent", "model"))
    chosen = traces.Chosen(None, asked.agent, asked.model, asked.since_ns, _MOST_DECISIONS)
    decided = traces.decisions(journal, chosen)
    begin = max(asked.since_ns, traces.oldest_ns(journal) or 0)
    return {
        "made": moment(clock.now_ns()),
        "since": moment(begin) if begin else "the beginning",
        "of": [name for name in (asked.agent, asked.model) if name],
        "total": total(by_agent),
        "tables": [("agent", by_agent), ("model", by_model)],
        "charts": _charts(journal, asked),
        "calibration": _calibration(readable(decisions.judged(journal, decisions.Judged(*asked)))),
        "decisions": list(map(_decision, reversed(decided))),
    }


def _decision(row: Row) -> Row:
    outcome = row["pnl_pct"] if row["pnl_usd"] is None else row["pnl_usd"]
    return {**row, "said": said_of(row["metadata"]), "outcome": finite(outcome)}


def _charts(journal: Journal, asked: Asked) -> list[Chart]:
    days, signals = report.days(journal, *asked), report.signals(journal, *asked)
    calendar = series.calendar(row["day"] for row in (*days, *signals))
    days, signals = ([row for row in rows if row["day"] >= calendar[0]] for rows in (days, signals))
    found = [
        *series.spends(days, calendar),
        series.latency(report.latencies(journal, *asked)),
        series.errors(days, calendar),
        series.decisions(signals, calendar),
    ]
    return [chart for chart in found if chart.svg or chart.beneath]


def _calibration(judged: Sequence[Row]) -> dict[str, Any]:
    """A row a class of confidence: cases, mean confidence, share that was profitable, with its interval."""
    rows = [_percent(each) for each in calibration(judged)]
    return {"rows": rows, "svg": charts.calibration(rows) if rows else "", "cases": len(judged)}


def _percent(each: Class) -> Row:
    share = 100 * each.hits / each.cases
    says = f"{each.confidence:.0f}% confident: {each.hits} of {each.cases} profitable, {share:.0f}%"
    return {
        "confidence": round(each.confidence, 1), "cases": each.cases, "hits": round(share, 1),
        "low": round(100 * each.low, 1), "high": round(100 * each.high, 1), "says": says, "few": each.few,
    }  # fmt: skip


def _outcome(row: Row) -> str:
    usd, percent = finite(row["pnl_usd"]), finite(row["pnl_pct"])
    if usd is None and percent is None:
        return "–"
    if not row["stands"]:
        return "″"
    return gain_percent(percent or 0.0) if usd is None else gain(usd)


def _cost(row: Row) -> str:
    """Of the whole trace, beside the decision that it stands for."""
    if not row["stands"]:
        return "″"
    return money_briefly(row["cost_usd"]) if row["calls"] else "–"


def _tokens(number: int, of: Figures) -> str:
    """Where no call told any, they are unknown, not 0."""
    return f"{number:,}" if of.input_tokens or of.output_tokens else "–"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
