"""
🌙 Moon Dev's Track Record
Built with love by Moon Dev 🚀

`decisions --report`: were the decisions any good, by agent, by model, by confidence.
"""

import sys
from collections.abc import Iterable, Sequence
from itertools import chain

from termcolor import cprint

from src.observability.console import queries, queries_outcomes
from src.observability.console.figures import Figures
from src.observability.console.options import known_names, opened
from src.observability.console.queries_figures import Calls, figures
from src.observability.console.queries_outcomes import Judged
from src.observability.console.said import readable
from src.observability.console.screen import show, show_json, width
from src.observability.console.shown import how_many
from src.observability.console.tables import balance_table, calibration_table, verdicts_table
from src.observability.console.verdicts import FEW, Class, Verdict, calibration, verdicts
from src.observability.journal import Journal


def report(which: Judged, as_json: bool) -> None:
    """Print it; nothing but a hint where no outcome is known."""
    with opened() as journal:
        agent, model = known_names(journal, which.agent, which.model)
        which = which._replace(agent=agent, model=model)
        judged = readable(queries_outcomes.judged(journal, which))
        found = {by: verdicts(judged, _called(journal, which, by), by) for by in ("agent", "model")}
    if as_json:
        _print_lines(found, calibration(judged))
    elif judged:
        print(f"⚖️ {how_many(len(judged), 'BUY and SELL decision')} whose outcome is known (95 % intervals)")
        _show(found, calibration(judged))
    else:
        cprint("🤖 No outcome yet: python -m src.observability outcome TRACE --pnl-usd -12.5", "cyan", file=sys.stderr)


def _called(journal: Journal, which: Judged, by: str) -> list[Figures]:
    """All calls, whatever came of them, of the time whose decisions are still there."""
    since_ns = max(which.since_ns, queries.oldest_ns(journal) or 0)
    return figures(journal, Calls(by, since_ns, which.agent, which.model), timed=False)


def _print_lines(found: dict[str, list[Verdict]], classes: Sequence[Class]) -> None:
    lines = [{"by": by, **each.as_json()} for by, group in found.items() for each in group]
    lines += [{"by": "confidence", **each._asdict(), "few": each.few} for each in classes]
    for line in lines:
        show_json(line)


def _show(found: dict[str, list[Verdict]], classes: Sequence[Class]) -> None:
    decided = {by: [each for each in group if each.cases] for by, group in found.items()}
    room = width()
    for by, group in decided.items():
        show(*verdicts_table(group, by, room), "")
    show(*calibration_table(classes, room), "")
    print("💰 Their PnL, less what all calls cost: those that came to NOTHING too")
    for by, everybody in found.items():
        show(*balance_table(everybody, by, room), "")
    groups: Iterable[Class | Verdict] = chain(classes, *decided.values())
    if any(each.few for each in groups):
        cprint(f"⚠️ few: fewer than {FEW} cases: look at the intervals, not at the means", "yellow")
