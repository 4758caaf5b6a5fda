"""What the shared filter selects, at the level of the queries: the options for some of its fields come later."""

import pytest

from src.observability.console.queries.decisions import newest_decisions
from src.observability.console.queries.filter import Filter
from src.observability.console.queries.totals import call_stats
from src.observability.console.queries.traces import newest_trace_lines
from src.observability.journal.store import Journal

HOUR_NS = 3_600_000_000_000
NOON_NS = 1_795_003_200_000_000_000  # 2026-11-18 12:00:00 UTC
pytestmark = pytest.mark.filled(200, days=10 / 24, until_ns=NOON_NS)


@pytest.mark.parametrize(("since", "until"), [(-9.5, -2.25), (-5.75, -5.25), (-5.5, -4.5), (-6, -5), (-20, 1)])
def test_totals_of_any_period_are_the_sums_of_its_rows(since: float, until: float, filled: Journal) -> None:
    """Whole hours come from the hourly totals, the incomplete ones at both ends from the rows; none counts twice."""
    begin, end = (NOON_NS + int(hours * HOUR_NS) for hours in (since, until))
    rows = [
        row for row in filled.observations()
        if row["type"] == "generation" and begin <= row["start_ns"] < end
    ]  # fmt: skip
    stats = call_stats(filled, "agent", Filter(begin, end))
    assert rows
    assert sum(group.calls for group in stats) == len(rows)
    assert sum(group.cost_usd or 0 for group in stats) == pytest.approx(sum(row["cost_usd"] or 0 for row in rows))


def test_decisions_and_traces_of_an_action_or_symbol(filled: Journal) -> None:
    """Both together narrow further; failed traces are those that contain an error."""
    everything = newest_decisions(filled, Filter(), 1000)
    for rows in (Filter(action="SELL"), Filter(symbol="ETH"), Filter(action="SELL", symbol="ETH")):
        expected = [
            row["trace_id"] for row in everything
            if rows.action in (None, row["metadata"]["signal_action"])
            and rows.symbol in (None, row["metadata"]["trading_symbol"])
        ]  # fmt: skip
        assert 0 < len(expected) < len(everything)
        assert [row["trace_id"] for row in newest_decisions(filled, rows, 1000)] == expected
        assert {line.id for line in newest_trace_lines(filled, rows, None, 1000)} == set(expected)
    failed = {row["trace_id"] for row in filled.observations() if row["level"] == "ERROR"}
    assert {line.id for line in newest_trace_lines(filled, Filter(failed=True), None, 1000)} == failed
