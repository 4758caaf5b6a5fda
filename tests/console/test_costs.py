"""Every number that `costs` and `status` print equals the one that pandas computes from the Parquet export."""

import io
import json
import math
import re
import subprocess
import sys
import time
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pandas
import pytest
from typer.testing import CliRunner

from src.observability import settings
from src.observability.console.app import app
from src.observability.console.queries import totals
from src.observability.console.queries.filter import Filter
from src.observability.console.render.format import count, duration
from src.observability.journal.store import Journal
from src.observability.recording import cost
from tests.cases import cases
from tests.console.checked_report import check_printed_report, check_report
from tests.console.checked_rows import check_decisions, check_traces
from tests.console.exported import exported
from tests.console.fleet import judge
from tests.console.printed import amount, cells, is_about, took_about
from tests.million import fill

DAY_NS = 86_400_000_000_000
COLUMNS = [
    "trace_id", "type", "name", "agent", "provider", "model", "session_id", "level", "usage", "cost_usd",
    "start_ns", "first_token_ns", "end_ns",
]  # fmt: skip


def run(*arguments: str, columns: int = 80) -> Any:
    """Run a command in a pipe of the given width."""
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": str(columns)})


def lines(*arguments: str) -> list[Any]:
    """Return the JSON output of a command."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.output.splitlines()]


def frame() -> pandas.DataFrame:
    """Return all observations, as exported."""
    done = run("export", "--format", "parquet")
    assert (done.exit_code, done.stderr) == (0, "")
    return pandas.read_parquet(
        io.BytesIO(done.stdout_bytes), columns=COLUMNS, dtype_backend="numpy_nullable"
    )  # floats would round nanoseconds


def rank(values: pandas.Series, share: float) -> float:
    """Return the nearest-rank quantile in milliseconds."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * share) - 1] / 1e6


def expected(calls: pandas.DataFrame) -> dict[str, Any]:
    """Return the statistics of these calls, as pandas computes them."""
    usage = pandas.DataFrame([json.loads(text) for text in calls["usage"].dropna()]).fillna(0)
    took, first = calls["end_ns"] - calls["start_ns"], (calls["first_token_ns"] - calls["start_ns"]).dropna()
    input_tokens = usage["input"].sum() + usage.get("input_cached_tokens", pandas.Series(0)).sum()
    return {
        "calls": len(calls),
        "errors": (calls["level"] == "ERROR").sum(),
        "input_tokens": input_tokens,
        "cached_tokens": usage.get("input_cached_tokens", pandas.Series(0)).sum(),
        "output_tokens": usage["output"].sum(),
        "cost_usd": None if calls["cost_usd"].isna().all() else pytest.approx(calls["cost_usd"].sum(), rel=1e-9),
        "unpriced": (calls["cost_usd"].isna() & (calls["level"] != "ERROR")).sum(),
        "p50_ms": rank(took, 0.5),
        "p95_ms": rank(took, 0.95),
        "p99_ms": rank(took, 0.99),
        "first_token_p50_ms": rank(first, 0.5) if len(first) else None,
    }


@pytest.mark.slow
@pytest.mark.parametrize("by", ["agent", "model", "provider", "day", "session"])
def test_every_figure_is_that_of_pandas(by: str, filled: Journal) -> None:
    """Calls, errors, tokens, spend, unknown prices and latencies equal those of pandas in every grouping."""
    compare(frame(), by)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_million_observations(tmp_path: Path) -> None:
    """The statistics equal those of pandas for a million observations, and other commands show the same numbers."""
    settings.journal_path().parent.mkdir()
    journal = Journal(settings.journal_path())
    fill(journal, 333_334)
    everything = frame()
    assert len(everything) == 1_000_002
    for by in ("agent", "model", "day"):
        compare(everything, by)
    (status,) = lines("status")
    assert status["rows"] == {"local": 1_000_002 + 666_668}
    judge(journal, 2_000)
    journal.close()
    check_decisions(exported(tmp_path), 2_000)
    check_traces(exported(tmp_path), 2_000)
    check_report(exported(tmp_path))
    check_printed_report()


@pytest.mark.slow
def test_the_recorded_feed_through_the_real_model(tmp_path: Path) -> None:
    """The statistics are right for the recorded feed, replayed with the local model."""
    sample = "src/data/samples/liquidations_2025-12-11.csv"
    command = [sys.executable, "-m", "src.agents.liquidation_agent", "--replay", sample]
    subprocess.run(command, check=True, cwd=settings.REPO_ROOT, timeout=300, stdout=subprocess.DEVNULL)
    everything = frame()
    assert (everything["type"] == "generation").sum() == 6
    for by in ("agent", "model", "provider", "day", "session"):
        compare(everything, by)
    check_decisions(exported(tmp_path), 1_000)
    check_traces(exported(tmp_path), 1_000)


def compare(everything: pandas.DataFrame, by: str) -> None:
    """Compare the output of `costs` in one grouping with pandas."""
    everything["day"] = pandas.to_datetime(everything["start_ns"]).dt.strftime("%Y-%m-%d")
    everything["session"] = everything["session_id"]
    calls = everything[everything["type"] == "generation"]
    printed = {line["group"]: line for line in lines("costs", "--by", by)}
    assert set(printed) == set(calls[by])
    for group, mine in calls.groupby(by):
        figures = expected(mine)
        assert {name: printed[group][name] for name in figures} == figures
    decided = everything[everything["name"] == "trading_signal"].merge(
        calls[["trace_id", "model", "provider"]], on="trace_id", suffixes=("_own", "")
    )
    assert {group: line["decisions"] for group, line in printed.items()} == decided[by].value_counts().to_dict()


@pytest.mark.parametrize("by", ["agent", "model", "day"])
def test_the_table_has_the_same_figures(by: str, filled: Journal) -> None:
    """The table shows the figures of the JSON output, rounded to the digits that the table prints."""
    rows = cells(run("costs", "--by", by, columns=200).stdout.splitlines()[1:])
    printed = {line["group"]: line for line in lines("costs", "--by", by)}
    assert [row["day (UTC)" if by == "day" else by] for row in rows] == [*printed, "total"]
    for row, line in zip(rows, printed.values(), strict=False):
        check_row(row, line)
    for name, key in (("calls", "calls"), ("decisions", "decisions"), ("tokens in", "input_tokens")):
        assert amount(rows[-1][name]) == sum(line[key] for line in printed.values())
    assert is_about(rows[-1]["spend"], sum(line["cost_usd"] or 0 for line in printed.values()))


def check_row(row: dict[str, str], line: dict[str, Any]) -> None:
    """Check one line of the table against the JSON output."""
    values = {name: math.nan if value is None else value for name, value in line.items() if name != "group"}
    whole = {"calls": "calls", "decisions": "decisions", "tokens in": "input_tokens", "out": "output_tokens"}
    assert all(amount(row[name]) == values[key] for name, key in whole.items())
    assert is_about(row["spend"], values["cost_usd"])
    assert is_about(row["each"], values["cost_per_decision"])
    for name, key in (("errors", "error_share"), ("no price", "unpriced_share"), ("cached", "cache_hit_share")):
        assert is_about(row[name].replace("–", "0"), 100 * values[key])
    for name, key in (("p50", "p50_ms"), ("p95", "p95_ms"), ("p99", "p99_ms"), ("1st token", "first_token_p50_ms")):
        assert (row[name] == "–") == math.isnan(values[key])
        assert row[name] == "–" or took_about(row[name], values[key] * 1e6)


def test_a_time_in_the_middle_of_an_hour_is_exact(filled: Journal) -> None:
    """If --since is in mid-hour, sums are exact: that hour is summed from its rows, later hours from hourly sums."""
    everything = frame()
    calls = everything[everything["type"] == "generation"].sort_values("start_ns")
    for place in (0, 1, 77, 150, 298):
        since = pandas.to_datetime(calls["start_ns"].iloc[place]).ceil("us").isoformat()
        left = calls[calls["start_ns"] >= pandas.Timestamp(since).value]
        groups = lines("costs", "--since", since)
        assert sum(group["calls"] for group in groups) == len(left)
        assert sum(group["cost_usd"] or 0 for group in groups) == pytest.approx(left["cost_usd"].sum())
    agent, model = calls["agent"].iloc[0], calls["model"].iloc[0]
    mine = calls[(calls["agent"] == agent) & (calls["model"] == model)]
    (total,) = lines("costs", "--agent", agent, "--model", model)
    assert (total["calls"], total["decisions"]) == (len(mine), len(mine))


def test_the_derived_figures(filled: Journal) -> None:
    """Error shares are per call, cache shares per input token; if a price is unknown, spend per decision is unknown."""
    for line in lines("costs", "--by", "model"):
        assert line["cache_hit_share"] == pytest.approx(line["cached_tokens"] / line["input_tokens"])
        assert line["error_share"] == line["errors"] / line["calls"]
        if line["group"] == "nobody-s-model":
            assert (line["cost_usd"], line["cost_per_decision"]) == (None, None)
            assert line["unpriced"] == line["calls"] - line["errors"] > 0
        else:
            assert line["cost_per_decision"] == pytest.approx(line["cost_usd"] / line["decisions"])


def test_the_sums_outlive_the_rows(filled: Journal) -> None:
    """The spend of deleted calls still counts in `costs`; their latencies are unknown."""
    before = lines("costs", "--by", "model")
    while filled.delete_done(500):
        pass
    after = lines("costs", "--by", "model")
    for was, is_now in zip(before, after, strict=True):
        same = ("group", "calls", "errors", "cost_usd", "input_tokens", "output_tokens", "unpriced")
        assert {name: was[name] for name in same} == {name: is_now[name] for name in same}
        assert is_now["p50_ms"] is None
    assert "–" in run("costs").output


def test_status_is_right(filled: Journal) -> None:
    """`status` has the calls and spend of the last 24 hours, the number of rows and the last five decisions."""
    everything = frame()
    recent = everything[(everything["type"] == "generation") & (everything["start_ns"] >= time.time_ns() - DAY_NS)]
    (status,) = lines("status")
    assert abs(sum(agent["calls"] for agent in status["agents"]) - len(recent)) <= 1  # a call may by now be 24 h old
    assert sum(agent["cost_usd"] or 0 for agent in status["agents"]) == pytest.approx(
        recent["cost_usd"].sum(), rel=0.02
    )
    assert status["rows"] == {"local": 900 + 600}
    assert len(status["decisions"]) == 5


def test_the_screen_of_status_has_the_same_figures() -> None:
    """`status` prints the number of rows in each state, and the last day's calls and spend, in total and by agent."""
    settings.journal_path().parent.mkdir()
    journal = Journal(settings.journal_path())
    fill(journal, 200, days=0.5)
    journal.close()
    calls = frame().query("type == 'generation'")
    output = run("status", columns=120).stdout
    failed = (calls["level"] == "ERROR").sum()
    unpriced = (calls["cost_usd"].isna() & (calls["level"] != "ERROR")).sum()
    (figures,) = re.findall(r"24 hours: 200 calls, (\d+) failed, (\S+) plus (\d+) calls? of unknown price\n", output)
    assert (int(figures[0]), int(figures[2])) == (failed, unpriced)
    assert is_about(figures[1], calls["cost_usd"].sum())
    assert f"{journal.path.stat().st_size / 2**20:.1f} MB, oldest row 12 hours old, 1,000 local" in output
    agents = calls.groupby("agent")
    for row in cells(output.split("of unknown price\n")[1].split("and 4")[0].splitlines()):
        mine = agents.get_group(row["agent"])
        assert (row["calls"], row["decisions"]) == (str(len(mine)), str(len(mine)))
        assert is_about(row["spend"], mine["cost_usd"].sum())


def test_what_if_reprices_the_tokens(filled: Journal) -> None:
    """With --what-if, a group's cost is what its calls would cost with the other model; calls with unknown tokens are
    left out. The costliest group comes first."""
    calls = frame().query("type == 'generation'").dropna(subset="usage")
    by_model = {line["group"]: line for line in lines("costs", "--by", "model", "--what-if", "gpt-4o")}
    for model, mine in calls.groupby("model"):
        prices = [cost.price(None, "gpt-4o", json.loads(text)) for text in mine["usage"]]
        assert by_model[model]["what_if_usd"] == pytest.approx(sum(price.details["total"] for price in prices if price))
        assert by_model[model]["calls"] == len(mine)
    costs = [line["what_if_usd"] for line in by_model.values()]
    assert costs == sorted(costs, reverse=True)
    assert by_model["nobody-s-model"]["recorded_usd"] is None
    assert by_model["nobody-s-model"]["change"] is None
    assert by_model["llama3.2"]["recorded_usd"] == 0
    assert by_model["gpt-4o-mini"]["change"] > 5
    assert "genai-prices" in by_model["gpt-4o-mini"]["prices"]
    assert lines("costs", "--what-if", "openai/gpt-4o") == [
        {**line, "model": "openai/gpt-4o"} for line in lines("costs", "--what-if", "gpt-4o")
    ]


@cases("by", ["hour", "day"])
def test_what_if_by_time_is_in_order(by: str, filled: Journal) -> None:
    """With --what-if, hours or days are in order, and --limit keeps the newest, as without --what-if."""
    for limit in ([], ["--limit", "2"]):
        groups = [line["group"] for line in lines("costs", "--by", by, "--what-if", "gpt-4o", *limit)]
        assert groups == [line["group"] for line in lines("costs", "--by", by, *limit)]


@pytest.mark.slow
def test_figures_end_while_calls_go_on(filled: Journal) -> None:
    """`costs` reads only the calls that it finds at its start, so that it ends even while new calls are recorded."""
    seen, total = 0, sum(line["calls"] for line in lines("costs", "--what-if", "gpt-4o"))
    for _ in totals.calls_with_usage(filled, "agent", Filter()):
        seen += 1
        fill(filled, 1, days=0.00001, seed=seen)
        assert seen <= total
    assert seen == total


def test_a_model_without_a_price_is_no_what_if(filled: Journal) -> None:
    """`--what-if` with an unknown model prints the cure and exits with 1."""
    result = run("costs", "--what-if", "nobody-s-model")
    assert result.exit_code == 1
    assert "pip install -U genai-prices" in result.stderr


def test_the_price_table_tells_its_age() -> None:
    """The date of the price table is that of the newest price already in force."""
    table = cost.price_table()
    assert date(2026, 1, 1) < table.newest <= datetime.now(timezone.utc).date()
    assert table.name.startswith("genai-prices 0.")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 100, 120, 160])
def test_every_table_fits(columns: int, filled: Journal) -> None:
    """No line of `costs` and `status` is wider than the terminal, and no number is cut."""
    for command in (["costs"], ["costs", "--by", "model"], ["costs", "--what-if", "gpt-4o"], ["status"]):
        output = run(*command, columns=columns).output.replace(str(settings.journal_path()), "").split("📌")[0]
        assert max(map(len, output.splitlines())) <= columns
        assert not [line for line in output.splitlines() if "…" in line[19:]]


def test_large_numbers_stay_short() -> None:
    """Large token counts are printed in millions or billions, long durations in hours or days."""
    assert [count(999_999), count(1_234_567), count(2_500_000_000)] == ["999,999", "1.2 M", "2.5 G"]
    assert [duration(7200 * 10**9), duration(14 * DAY_NS), duration(90 * 10**9)] == ["2 hours", "14 days", "90.0 s"]
