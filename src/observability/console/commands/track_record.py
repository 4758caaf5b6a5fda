"""
🌙 Moon Dev's Track Record
Built with love by Moon Dev 🚀

`decisions --report`: were the decisions any good, by agent, by model, by confidence.
"""

import sys
from collections.abc import Iterable, Sequence
from itertools import chain

from termcolor import cprint

from ...journal import Journal
from ..evaluation import FEW, Class, Verdict, calibration, verdicts
from ..options import known_names, opened
from ..queries import decisions, traces
from ..queries.decisions import Judged
from ..queries.figures import Figures
from ..queries.totals import Calls, figures
from ..render.format import how_many
from ..render.layout import show, show_json, width
from ..render.tables import balance_table, calibration_table, verdicts_table
from ..signal import readable


def report(which: Judged, as_json: bool) -> None:
    """Print it; nothing but a hint where no outcome is known."""
    with opened() as journal:
        agent, model = known_names(journal, which.agent, which.model)
        which = which._replace(agent=agent, model=model)
        judged = readable(decisions.judged(journal, which))
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
    since_ns = max(which.since_ns, traces.oldest_ns(journal) or 0)
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
