"""`status`: the health of tracing, the last decisions, and the cost of the last 24 hours."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from ... import settings
from ...health import delivered
from ...journal import Journal
from .. import time_range
from ..checks.alerts import open_incidents
from ..checks.findings import Finding
from ..checks.obstacles import is_blocked, obstacles, refused_patterns, stuck
from ..options import AsJson, opened
from ..queries.decisions import newest_decisions
from ..queries.filter import Filter
from ..queries.totals import CallStats, call_stats, total
from ..queries.traces import oldest_ns
from ..render.format import duration, how_many, moment, one_line, price, safe
from ..render.layout import paragraph, show, show_json, width
from ..render.tables import decisions_table, spend_table

_AGENTS = 6  # largest number of agents to list, so that the output fits one screen
_DECISIONS = 5


def status(as_json: AsJson = False) -> None:
    """Show the state of tracing, the last decisions, and the cost of the last 24 hours.

    The output cannot be filtered; `costs` and `decisions` have the options --since, --agent, --model and --limit.

    Example: python -m src.observability status
    """
    with opened() as journal:
        facts = _facts(journal)
    if as_json:
        show_json(facts | {"agents": [agent.as_json() for agent in facts["agents"]]})
    else:
        _show(facts)


def _facts(journal: Journal) -> dict[str, Any]:
    rows, oldest_pending = journal.counts(), journal.oldest_pending_ns()
    destinations = delivered(journal, rows)
    problem = _problem(oldest_pending, destinations)
    return {
        "tracing": settings.tracing_on(),
        "shipping": _shipping(destinations),
        "reason": problem and problem.what,
        "cure": problem and problem.cure,
        "missing": settings.missing_langfuse_keys(),
        "journal": str(journal.path),
        "bytes": journal.used_bytes(),
        "began_ns": oldest_ns(journal),
        "rows": rows,
        "destinations": destinations,
        "alerts": open_incidents(),
        "oldest_pending_ns": oldest_pending,
        "agents": call_stats(journal, "agent", Filter(time_range.parse_time("24h")), timed=False),
        "decisions": newest_decisions(journal, Filter(), _DECISIONS),
    }


def _shipping(destinations: dict[str, dict[str, Any]]) -> str:
    """Return where records are sent: "shipped to HOST" if HOST has received a row, else "to be shipped to HOST"."""
    sending = [to.label for to in settings.destinations() if not is_blocked(to)]
    hosts: dict[str, list[str]] = {"shipped": [], "to be shipped": []}
    for label in sending:
        state = "shipped" if destinations[label]["shipped"] else "to be shipped"
        hosts[state].append(label.partition("|")[0])
    texts = [f"{state} to {' and '.join(names)}" for state, names in hosts.items() if names]
    return ", ".join(texts) or "kept here"


def _problem(oldest_pending_ns: int | None, destinations: dict[str, dict[str, Any]]) -> Finding | None:
    if not settings.tracing_on():
        return next(obstacles())
    times = [oldest_pending_ns, *(rows["oldest_pending_ns"] for rows in destinations.values())]
    oldest = min((at_ns for at_ns in times if at_ns is not None), default=None)
    return next(chain(refused_patterns(), obstacles(), stuck(oldest)), None)


def _show(facts: dict[str, Any]) -> None:
    now = time_range.now_ns()
    print(paragraph("🤖", _tracing(facts)))
    if facts["cure"]:
        print(paragraph("  ", f"→ {safe(facts['cure'])}"))
    print(f"   {moment(now)}")
    print(f"📒 {safe(facts['journal'])}")
    print(paragraph("  ", ", ".join(_journal_facts(facts, now))))
    for label, rows in facts["destinations"].items() if settings.otlp_destination() else ():
        print(paragraph("📤", f"{safe(label.partition('|')[0])}: {_delivered(rows, now)}"))
    if settings.destination() and (local := facts["rows"].get("local")):
        stays = f"{how_many(local, 'row')} from before the Langfuse keys were set are not sent"
        print(paragraph("  ", f"{stays}; to send them: python -m src.observability ship --include-local"))
    if facts["alerts"]:
        print(paragraph("🔔", facts["alerts"]))
    if facts["agents"]:
        _show_spend(facts["agents"])
    if facts["decisions"]:
        print("\n📌 The last decisions")
        show(*decisions_table(facts["decisions"], width(), brief=True))


def _tracing(facts: dict[str, Any]) -> str:
    if not facts["tracing"]:
        return f"Tracing is {safe(facts['reason'])}"
    reason = f"; {one_line(facts['reason'], 400)}" if facts["reason"] else ""
    return f"Tracing is on, records are {safe(facts['shipping'])}{reason}"


def _journal_facts(facts: dict[str, Any], now: int) -> list[str]:
    lines = [f"{facts['bytes'] / 2**20:,.1f} MB"]
    if facts["began_ns"] is not None:
        lines.append(f"oldest row {duration(now - facts['began_ns'])} old")
    lines += [f"{count:,} {state}" for state, count in sorted(facts["rows"].items())] or ["empty"]
    if facts["oldest_pending_ns"] is not None:
        lines.append(f"oldest pending row {duration(now - facts['oldest_pending_ns'])} old")
    return lines


def _delivered(rows: dict[str, Any], now: int) -> str:
    states = [f"{rows[state]:,} {state}" for state in ("shipped", "pending", "rejected") if rows[state]] or ["no rows"]
    if (oldest := rows["oldest_pending_ns"]) is not None:
        states.append(f"oldest pending row {duration(now - oldest)} old")
    return ", ".join(states)


def _show_spend(agents: Sequence[CallStats]) -> None:
    day = total(agents)
    failed = f", {day.errors:,} failed" if day.errors else ""
    unknown = (
        f" plus {how_many(day.unpriced, 'call')} of unknown price" if day.unpriced and day.cost_usd is not None else ""
    )
    summary = f"The last 24 hours: {how_many(day.calls, 'call')}{failed}, {price(day.cost_usd)}{unknown}"
    print(f"\n{paragraph('💰', summary)}")
    show(*spend_table(agents[:_AGENTS], width()))
    if len(agents) > _AGENTS:
        print(f"and {how_many(len(agents) - _AGENTS, 'more agent')}: python -m src.observability costs --since 24h")
