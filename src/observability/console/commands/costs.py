"""
🌙 Moon Dev's Costs
Built with love by Moon Dev 🚀

What the calls cost and how they went, and what they would have cost on another model.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Annotated, TypeVar

import typer

from ...journal import Journal
from ..options import MOST, SINCE, Agent, AsJson, Model, Since, known_names, nothing, opened, since_ns
from ..queries import totals
from ..queries.figures import total
from ..queries.totals import Calls
from ..render.format import how_many, moment, one_line
from ..render.layout import show, show_json, width
from ..render.tables import figures_table, repriced_table
from ..repricing import price_table_words, priced_as, repriced


class By(str, Enum):
    """What costs are summed by."""

    agent = "agent"
    model = "model"
    provider = "provider"
    day = "day"
    session = "session"


_Group = TypeVar("_Group")
Most = Annotated[
    int | None, typer.Option("--limit", min=1, max=MOST, help="The dearest so many, or the last so many days.")
]
WhatIf = Annotated[str | None, typer.Option(metavar="MODEL", help="Price the same tokens as this model's.")]


def costs(
    by: By = By.agent,
    what_if: WhatIf = None,
    agent: Agent = None,
    model: Model = None,
    limit: Most = None,
    since: Since = SINCE,
    as_json: AsJson = False,
) -> None:
    """What the calls cost and how they went: spend, errors, latency, tokens. A price nobody knows is never 0.

    Totals include rows that retention has let go of (but by session); latencies are those of the rows still there.

    Example: python -m src.observability costs --by model --since 7d --what-if claude-haiku-4-5
    """
    calls = Calls(by.value, since_ns(since), agent, model)
    if what_if is not None:
        _what_if(calls, what_if, limit, as_json)
        return
    with opened() as journal:
        calls = _known(journal, calls)
        everything = totals.figures(journal, calls)
    found = _most(everything, by.value, limit)
    if as_json:
        for each in found:
            show_json(each.as_json())
    elif found:
        print(f"💰 Since {moment(calls.since_ns)}" if calls.since_ns > 0 else "💰 Of all time")
        show(*figures_table(found, total(everything), by.value, width()))
    else:
        nothing("call", calls.since_ns)


def _known(journal: Journal, calls: Calls) -> Calls:
    agent, model = known_names(journal, calls.agent, calls.model)
    return calls._replace(agent=agent, model=model)


def _most(found: Sequence[_Group], by: str, limit: int | None) -> Sequence[_Group]:
    """The first so many; of days, which stand in their order, the last."""
    if limit is None:
        return found
    return found[-limit:] if by == By.day else found[:limit]


def _what_if(calls: Calls, name: str, limit: int | None, as_json: bool) -> None:
    with opened() as journal:
        calls, other = _known(journal, calls), priced_as(name)
        everything = repriced(totals.tokens(journal, calls), other, calls.by)
        untold = totals.without_tokens(journal, calls)
    found = _most(everything, calls.by, limit)
    if as_json:
        for each in found:
            show_json({**each._asdict(), "model": name, "prices": price_table_words(), "calls_without_tokens": untold})
    elif found:
        print(f"💱 The same tokens at today's prices of {one_line(name, 40)}")
        print(f"   {price_table_words()}")
        show(*repriced_table(found, calls.by, name, width()))
        for line in _doubts(untold):
            print(line)
    else:
        nothing("call", calls.since_ns)


def _doubts(untold: int) -> Iterator[str]:
    yield "Another model counts and answers in tokens of its own: a first estimate."
    if untold:
        yield f"{how_many(untold, 'call')} whose tokens are unknown are not in it."
