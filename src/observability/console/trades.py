"""
🌙 Moon Dev's Trades
Built with love by Moon Dev 🚀

What a file of trades comes to, once all of it was looked at: the outcomes of its traces, and the lines that are none.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from ..journal import Journal, JournalError, Row
from ..recording import rows_of_outcome, scores_of_outcome
from ..tracing import Score
from .queries import traces
from .trades_csv import Broken, Told

_SURE = re.compile(r"[0-9a-f]{8,32}", re.IGNORECASE)  # shorter ones may be an exchange's order numbers


class Several(Enum):
    """What becomes of several lines that name one trace."""

    REFUSED = auto()
    ADD_UP = auto()
    LAST = auto()


class Checked(NamedTuple):
    """What a file holds: the rows of each outcome, and what cannot be taken."""

    outcomes: list[list[Row]]
    broken: list[Broken]


def checked(journal: Journal, lines: Iterable[Told | Broken], several: Several) -> Checked:
    """All of the file; nothing is written. The lines of one trace are taken together, or none of them."""
    outcomes: list[list[Row]] = []
    broken: list[Broken] = []
    for trace_id, told in _by_trace(journal, lines, broken).items():
        try:
            scores = _scores(trace_id, told, several)
            outcomes.append(rows_of_outcome(journal, trace_id, scores, None))  # the journal knows where the trace went
        except ValueError as error:
            broken.extend(Broken(each.line, str(error)) for each in told)
    return Checked(outcomes, sorted(broken))


def _by_trace(journal: Journal, lines: Iterable[Told | Broken], broken: list[Broken]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = defaultdict(list)
    for each in lines:
        try:
            if isinstance(each, Told):
                found[_trace_id(journal, each.trace)].append(each)
            else:
                broken.append(each)
        except (ValueError, JournalError) as error:
            broken.append(Broken(each.line, str(error)))
    return found


def _trace_id(journal: Journal, name: str) -> str:
    if not _SURE.fullmatch(name):
        raise ValueError(f"{name[:40]!r} names no trace: give its id, or the first 8 digits of it at the least")
    return traces.trace_id_named(journal, name)


def _scores(trace_id: str, told: Sequence[Told], several: Several) -> tuple[Score, ...]:
    """What the lines that name one trace come to. Raises ValueError where that is nothing."""
    each = [_scores_of_line(trace_id, line, len(told)) for line in told]
    if len(told) == 1 or several is Several.LAST:
        return each[-1]
    if several is Several.REFUSED:
        raise ValueError(f"lines {_numbers(told)} name one trace: say --sum (they add up) or --last")
    if any(line.pnl_pct for line in told):
        raise ValueError(f"lines {_numbers(told)} name one trace, and percents do not add up: leave pnl_pct out")
    total = math.fsum(float(scores[0].value) for scores in each)
    return scores_of_outcome(trace_id, total, None, "; ".join(line.note for line in told if line.note) or None)


def _scores_of_line(trace_id: str, told: Told, of: int) -> tuple[Score, ...]:
    try:
        return scores_of_outcome(trace_id, told.pnl_usd, told.pnl_pct, told.note)
    except ValueError as error:
        raise ValueError(f"line {told.line} of its trace: {error}" if of > 1 else str(error)) from None


def _numbers(told: Sequence[Told]) -> str:
    return ", ".join(str(each.line) for each in told[:5]) + (", …" if len(told) > 5 else "")
