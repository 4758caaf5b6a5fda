"""`costs`: spend, errors and latency, and the cost of the same tokens on another model."""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Annotated, TypeVar

import typer

from ...recording import price_table
from ..options import MAX_ROWS, AsJson, filtered, opened, print_no_rows, resolved
from ..queries import totals
from ..queries.filter import Filter
from ..render.format import how_many, one_line, period
from ..render.layout import show, show_json, width
from ..render.tables import costs_table, repriced_table
from ..repricing import price_of_model, repriced


class By(str, Enum):
    """What `costs` can group calls by."""

    agent = "agent"
    model = "model"
    provider = "provider"
    day = "day"
    hour = "hour"
    session = "session"
    prompt = "prompt"


_Group = TypeVar("_Group")
Most = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=1, max=MAX_ROWS, help="The N costliest groups, or the latest N days or hours."),
]
WhatIf = Annotated[str | None, typer.Option(metavar="MODEL", help="Price the same tokens at this model's rates.")]


@filtered
def costs(rows: Filter, by: By = By.agent, what_if: WhatIf = None, limit: Most = None, as_json: AsJson = False) -> None:
    """Show the spend, errors, latency and tokens of the calls. An unknown price is never counted as 0.

    Totals include deleted rows, except with --by session or --by prompt. Latencies cover only rows that still exist.

    Example: python -m src.observability costs --by model --since 7d --what-if claude-haiku-4-5
    """
    if what_if is not None:
        _what_if(by, rows, what_if, limit, as_json)
        return
    with opened() as journal:
        groups = totals.call_stats(journal, by.value, resolved(journal, rows))
    limited = _limited(groups, by, limit)
    if as_json:
        for group in limited:
            show_json(group.as_json())
    elif limited:
        print(f"💰 {period(rows)}")
        show(*costs_table(limited, totals.total(groups), by.value, width()))
    else:
        print_no_rows("calls", rows)


def _limited(groups: Sequence[_Group], by: By, limit: int | None) -> Sequence[_Group]:
    if limit is None:
        return groups
    return groups[-limit:] if by.value in totals.TIMES else groups[:limit]


def _what_if(by: By, rows: Filter, name: str, limit: int | None, as_json: bool) -> None:
    with opened() as journal:
        rows, price = resolved(journal, rows), price_of_model(name)
        groups = repriced(totals.calls_with_usage(journal, by.value, rows), price, by.value)
        without_usage = totals.calls_without_usage(journal, rows)
    limited = _limited(groups, by, limit)
    if as_json:
        more = {"model": name, "prices": str(price_table()), "calls_without_tokens": without_usage}
        for group in limited:
            show_json({**group._asdict(), **more})
    elif limited:
        print(f"💱 The same tokens at today's prices of {one_line(name, 40)}")
        print(f"   {price_table()}")
        show(*repriced_table(limited, by.value, name, width()))
        for line in _caveats(without_usage):
            print(line)
    else:
        print_no_rows("calls", rows)


def _caveats(without_usage: int) -> Iterator[str]:
    yield "A rough estimate: another model needs other tokens and gives other answers."
    if without_usage:
        yield f"Not included: {how_many(without_usage, 'call')} whose number of tokens is unknown."
