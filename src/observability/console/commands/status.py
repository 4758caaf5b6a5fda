"""
🌙 Moon Dev's Overview
Built with love by Moon Dev 🚀

One screen: is tracing on and well, what did the last day cost, what was decided last?
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from ... import settings
from ...journal import Journal
from .. import clock
from ..checks.findings import Finding
from ..checks.obstacles import obstacles, refused_patterns, stuck
from ..options import AsJson, opened
from ..queries import totals, traces
from ..queries.figures import Figures, total
from ..queries.totals import Calls
from ..render.format import duration, how_many, local_time, moment, money, one_line, safe
from ..render.layout import paragraph, show, show_json, width
from ..render.tables import decisions_table, spend_table
from ..time_range import parse_since

_AGENTS = 6  # on one screen


def status(as_json: AsJson = False) -> None:
    """Is tracing on and well, what was decided last, and what did the last 24 hours cost?

    Always of all agents and the last 24 hours, so that it is one screen and quick: `costs` and `decisions` take
    --since, --agent, --model and --limit.

    Example: python -m src.observability status
    """
    with opened() as journal:
        found = _facts(journal)
    if as_json:
        show_json(found | {"agents": [each.as_json() for each in found["agents"]]})
    else:
        _show(found)


def _facts(journal: Journal) -> dict[str, Any]:
    to, oldest = settings.destination(), journal.oldest_pending_ns()
    trouble = _trouble(oldest)
    return {
        "tracing": settings.tracing_on(),
        "shipping": f"shipped to {to.host}" if to is not None and not any(obstacles()) else "kept here",
        "reason": trouble and trouble.what,
        "cure": trouble and trouble.cure,
        "missing": settings.missing_langfuse_keys(),
        "journal": str(journal.path),
        "bytes": journal.used_bytes(),
        "began_ns": traces.oldest_ns(journal),
        "rows": journal.counts(),
        "oldest_pending_ns": oldest,
        "agents": totals.figures(journal, Calls("agent", parse_since("24h")), timed=False),
        "decisions": traces.decisions(journal, traces.Chosen(limit=5)),
    }


def _trouble(oldest_pending_ns: int | None) -> Finding | None:
    """Of all that keeps text from being recorded, or what was recorded from being sent, the first."""
    if not settings.tracing_on():
        return next(obstacles())
    return next(chain(refused_patterns(), obstacles(), stuck(oldest_pending_ns)), None)


def _show(found: dict[str, Any]) -> None:
    now = clock.now_ns()
    print(paragraph("🤖", _tracing(found)))
    if found["cure"]:
        print(paragraph("  ", f"→ {safe(found['cure'])}"))
    print(f"   {moment(now)}, {local_time(now):%H:%M %Z} here")
    print(f"📒 {found['journal']}")
    print(paragraph("  ", ", ".join(_journal_facts(found, now))))
    if found["agents"]:
        _show_spend(found["agents"])
    if found["decisions"]:
        print("\n📌 The last decisions")
        show(*decisions_table(found["decisions"], width(), brief=True))


def _tracing(found: dict[str, Any]) -> str:
    if not found["tracing"]:
        return f"Tracing is {safe(found['reason'])}"
    why = f": {one_line(found['reason'], 400)}" if found["reason"] else ""
    return f"Tracing is on, {safe(found['shipping'])}{why}"


def _journal_facts(found: dict[str, Any], now: int) -> list[str]:
    facts = [f"{found['bytes'] / 2**20:,.1f} MB"]
    if found["began_ns"] is not None:
        facts.append(f"since {duration(now - found['began_ns'])} ago")
    facts += [f"{count:,} {state}" for state, count in sorted(found["rows"].items())] or ["empty"]
    if found["oldest_pending_ns"] is not None:
        facts.append(f"the oldest pending from {duration(now - found['oldest_pending_ns'])} ago")
    return facts


def _show_spend(agents: Sequence[Figures]) -> None:
    spent = total(agents)
    failed = f", {spent.errors:,} failed" if spent.errors else ""
    unknown = f" and {spent.unpriced:,} of unknown price" if spent.unpriced and spent.cost_usd is not None else ""
    said = f"The last 24 hours: {how_many(spent.calls, 'call')}{failed}, {money(spent.cost_usd)}{unknown}"
    print(f"\n{paragraph('💰', said)}")
    show(*spend_table(agents[:_AGENTS], width()))
    if len(agents) > _AGENTS:
        print(f"and {len(agents) - _AGENTS} agents more: python -m src.observability costs --since 24h")
