"""The shared filter selects the right rows, in queries and through the options of every listing command."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from src.observability.console.queries.decisions import newest_decisions
from src.observability.console.queries.filter import Filter
from src.observability.console.queries.text import with_traces
from src.observability.console.queries.totals import call_stats
from src.observability.console.queries.traces import name_like, newest_trace_lines
from src.observability.journal.store import Journal
from tests.cases import cases
from tests.console.printed import invoke, json_lines
from tests.million import observation_row

HOUR_NS = 3_600_000_000_000
NOON_NS = 1_795_003_200_000_000_000  # 2026-11-18 12:00:00 UTC
pytestmark = pytest.mark.filled(200, days=10 / 24, until_ns=NOON_NS)


@cases(("since", "until"), [(-9.5, -2.25), (-5.75, -5.25), (-5.5, -4.5), (-6, -5), (-20, 1)])
def test_totals_of_any_period_are_the_sums_of_its_rows(since: float, until: float, filled: Journal) -> None:
    """Whole hours come from the hourly totals, incomplete hours at both ends from the rows; no call counts twice."""
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
    """Filters by action, symbol or both select the right decisions and traces; `failed` selects traces with errors."""
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


@pytest.fixture
def chosen(filled: Journal) -> Callable[[str], dict[str, set[str]]]:
    """Return a function that maps each command to the traces that it lists with the given options."""

    def by_command(options: str) -> dict[str, set[str]]:
        decisions = json_lines(f"decisions -n 1000 {options}")
        traces = json_lines(f"traces -n 1000 {options}")
        rows = [json.loads(line) for line in invoke(f"export {options}").stdout.splitlines()]
        calls = json_lines(f"costs {options}")
        exported = {row["trace_id"] for row in rows}
        assert sum(group["calls"] for group in calls) == sum(row["type"] == "generation" for row in rows)
        return {
            "decisions": {row["trace_id"] for row in decisions}, "traces": {trace["id"] for trace in traces},
            "export": exported,
        }  # fmt: skip

    return by_command


@pytest.mark.parametrize(
    ("options", "is_chosen"),
    [
        ("--action sell", lambda trace: trace["action"] == "SELL"),
        ("--symbol btc", lambda trace: trace["symbol"] == "BTC"),
        ("--action BUY --symbol ETH", lambda trace: (trace["action"], trace["symbol"]) == ("BUY", "ETH")),
        ("--failed", lambda trace: trace["failed"]),
        ("--failed --action sell", lambda trace: trace["failed"] and trace["action"] == "SELL"),
        ("--text interest,FALLS", lambda trace: not trace["is_bare"]),
        ("--text 503", lambda trace: trace["failed"]),
        ("--text nowhere", lambda trace: False),
    ],
)
def test_every_command_obeys_the_same_options(
    options: str, is_chosen: Callable[[Any], bool], filled: Journal, chosen: Callable[[str], dict[str, set[str]]]
) -> None:
    """A filter by action, symbol, error or text selects the same traces in every command."""
    traces: dict[str, dict[str, Any]] = {}
    for row in filled.observations():
        trace = traces.setdefault(row["trace_id"], {"failed": False, "is_bare": False})
        trace["failed"] |= row["level"] == "ERROR"
        if row["name"] == "trading_signal":
            trace |= {"action": row["metadata"]["signal_action"], "symbol": row["metadata"]["trading_symbol"]}
    wanted = {trace_id for trace_id, trace in traces.items() if is_chosen(trace)}
    listed = chosen(options)
    assert len(wanted) < len(traces) or "FALLS" in options
    assert listed == dict.fromkeys(("decisions", "traces", "export"), wanted)


def test_a_name_matches_in_any_case(decide: Callable[..., str], made: Journal) -> None:
    """A name matches in upper or lower case; if the journal has two spellings of it, the exact one matches."""
    for agent in ("Whale", "whale"):
        decide(agent=agent)
    assert [name_like(made, "agent", name) for name in ("Whale", "whale", "WHALE", "x")] == [
        "Whale",
        "whale",
        "Whale",
        None,
    ]


def test_a_text_is_words_in_a_row_of_prompt_answer_reason_or_error(made: Journal) -> None:
    """--text finds its words in upper or lower case, with any blanks or punctuation between them; its last word may be
    the start of a longer word. Names, ids and figures are not searched."""
    contents = {
        "a" * 32: {"input": json.dumps([{"role": "user", "content": "Short\nLIQUIDATIONS look tired"}])},
        "b" * 32: {"output": json.dumps({"choices": ["short: liquidation"]})},
        "c" * 32: {"metadata": json.dumps({"signal_reasoning": "shorts; liquidations", "other": "short liquidations"})},
        "d" * 32: {"status_message": "no short-liquidations today", "model": "liquidations"},
    }
    rows = [
        observation_row(
            id=trace_id[:16], trace_id=trace_id, type="event", name="x", trace_name="x", start_ns=1, **columns
        )
        for trace_id, columns in contents.items()
    ]  # fmt: skip
    made.append(rows, [])
    for text, expected in {
        "short liquidations": "ad", "Short, liquidation": "abd", "liquid": "abcd", "shorts": "c", "iquidations": "",
        "look tired": "a", "today": "d", "other": "",
    }.items():  # fmt: skip
        found = json.loads(with_traces(made, Filter(text=text)).traces or "")
        assert {trace_id[0] for trace_id in found} == set(expected), text
    result = invoke("decisions --text ?!")
    assert (result.exit_code, result.stderr) == (1, "❌ --text '?!' has no word: give at least one letter or digit\n")
