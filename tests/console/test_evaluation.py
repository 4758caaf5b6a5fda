"""The evaluation of decisions: figures equal those of pandas, intervals are wide enough, small groups are marked."""

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from src.observability.console.app import app
from src.observability.console.evaluation import _T, mean_interval
from src.observability.journal.store import Row
from tests.cases import cases


def run(*arguments: str) -> str:
    """Return the output of a command in 80 columns."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output


def report(*options: str) -> list[Row]:
    """Return the report's JSON lines."""
    return [json.loads(line) for line in run("decisions", "--report", "--json", *options).splitlines()]


def verdict(by: str, group: str, *options: str) -> Row:
    """Return the evaluation of one group."""
    [match] = [row for row in report(*options) if row["by"] == by and row["group"] == group]
    return match


@pytest.fixture
def judged(decide: Any) -> pd.DataFrame:
    """Records sixty decisions of two agents with outcomes, and returns them as a frame."""
    chance, rows = random.Random(7), []
    for number in range(60):
        confidence, agent = chance.randint(1, 100), chance.choice(["WhaleAgent", "LunaAgent"])
        pnl = round(chance.gauss(1, 10), 2)
        decide([(chance.choice(["BUY", "SELL"]), confidence)], agent, pnl_usd=pnl)
        rows.append({"agent": agent, "confidence": confidence, "pnl": pnl, "hit": pnl > 0})
        if number % 10 == 0:
            decide([("NOTHING", 50)], agent, pnl_usd=5)
    return pd.DataFrame(rows)


def test_the_verdict_is_what_pandas_computes(judged: pd.DataFrame) -> None:
    """Cases, hits, mean, Brier score and calibration equal those of pandas; an outcome of NOTHING is not counted."""
    lines = report()
    for row in (line for line in lines if line["by"] == "agent"):
        its = judged[judged["agent"] == row["group"]]
        assert (row["cases"], row["hits"]) == (len(its), its["hit"].sum())
        assert row["mean_usd"] == pytest.approx(its["pnl"].mean())
        assert row["brier"] == pytest.approx(((its["confidence"] / 100 - its["hit"]) ** 2).mean())
        assert row["hit_low"] < row["hit_share"] < row["hit_high"]
        assert row["mean_low"] < row["mean_usd"] < row["mean_high"]
    classes = judged.groupby((judged["confidence"] // 20).clip(upper=4))["hit"].agg(["size", "sum"])
    assert [(line["cases"], line["hits"]) for line in lines if line["by"] == "confidence"] == [
        tuple(row) for row in classes.to_numpy()
    ]


def test_student_s_quantiles_are_student_s() -> None:
    """By numerical integration, 97.5 % of Student's distribution lie below each quantile of the console's table."""
    for freedom, quantile in enumerate(_T, start=1):
        at = np.linspace(0, quantile, 20_001)
        scale = math.gamma((freedom + 1) / 2) / math.sqrt(freedom * math.pi) / math.gamma(freedom / 2)
        assert np.trapezoid(scale * (1 + at**2 / freedom) ** (-(freedom + 1) / 2), at) == pytest.approx(0.475, abs=3e-5)


@pytest.mark.parametrize(
    ("profits", "mean", "least"),
    [
        (lambda chance: chance.normal(1, 10, 5), 1.0, 0.94),
        (lambda chance: chance.uniform(-5, 10, 5), 2.5, 0.92),
        (lambda chance: chance.exponential(5, 5) - 4, 1.0, 0.86),
    ],
    ids=["normal", "even", "skewed"],
)
def test_five_trades_are_not_believed(profits: Any, mean: float, least: float) -> None:
    """Of 4,000 intervals, each from five trades, at least the share `least` contains the true mean."""
    chance = np.random.default_rng(5)
    intervals = [mean_interval(profits(chance).tolist()) for _ in range(4_000)]
    assert sum(interval is not None and interval[0] <= mean <= interval[1] for interval in intervals) / 4_000 >= least


@cases("values", [[], [3.0], [10.0] * 5, [10.0] * 50])
def test_what_shows_no_spread_has_no_interval(values: list[float]) -> None:
    """No trade, one trade, or trades with the same profit show no spread, so they have no interval."""
    assert mean_interval(values) is None


@pytest.mark.parametrize(("cases", "quantile"), [(30, 2.0452), (50, 2.0096), (1000, 1.9623)])
def test_the_interval_of_many_is_student_s_too(cases: int, quantile: float) -> None:
    """For groups larger than the table of t quantiles, intervals are right to 0.2 % (NIST e-Handbook, 1.3.6.7.2)."""
    values = np.random.default_rng(3).normal(2, 5, cases)
    half = quantile * values.std(ddof=1) / math.sqrt(cases)
    assert mean_interval(list(values)) == pytest.approx((values.mean() - half, values.mean() + half), rel=2e-3)


def test_each_small_group_is_marked(decide: Any) -> None:
    """A small group is marked as `few`, whatever the total number of cases; equal profits have `?` as interval."""
    for number in range(40):
        decide([("BUY", 70)], "OldAgent", pnl_usd=number - 10)
    for _ in range(5):
        decide([("SELL", 30)], "NewAgent", pnl_usd=10)
    lines = [" ".join(line.split()) for line in run("decisions", "--report").splitlines()]
    assert lines[lines.index("NewAgent 5 few 100% +$10.00 0.49") + 1] == "hits 57 to 100%, mean ?, Brier ?"
    beneath = lines[lines.index("OldAgent 40 72% +$9.50 0.20") + 1]
    assert beneath == "hits 57 to 84%, mean +$5.76 to +$13.24, Brier 0.14 to 0.26"
    assert lines[-1].startswith("⚠️ few: fewer than 30 cases")
    assert [row["few"] for row in report() if row["by"] == "agent"] == [False, True]


def test_bounds_have_the_digits_of_their_mean(decide: Any) -> None:
    """An interval's bounds have as many decimals as the mean; a bound that rounds to zero has no sign."""
    for pnl in (-3.9, -3.74, -0.001):
        decide(agent="A" if pnl < -1 else "B", pnl_usd=pnl)
    output = run("decisions", "--report")
    assert "-$3.82 " in output
    assert "-$4.84 to -$2.80" in output
    assert " $0.00 " in output
    assert "-$0.00" not in output


def test_each_figure_counts_its_own_cases(decide: Any) -> None:
    """An outcome in percent counts for hits and Brier score, but not for the mean in USD."""
    decide(pnl_usd=4)
    decide(pnl_usd=2)
    decide(pnl_pct=-1)
    row = verdict("agent", "WhaleAgent")
    assert (row["cases"], row["hits"], row["usd_cases"], row["brier_cases"]) == (3, 2, 2, 3)
    assert (row["mean_usd"], row["pnl_usd"]) == (3, 6)
    assert row["brier"] == pytest.approx((2 * 0.09 + 0.49) / 3)
    assert 0 <= row["brier_low"] < row["brier"] < row["brier_high"] <= 1
    assert "+$3.00 of 2" in run("decisions", "--report")


def test_net_is_less_what_all_calls_cost(decide: Any) -> None:
    """Net profit subtracts the cost of all calls, also of those without a decision or profit; failed calls are free."""
    decide(calls=[("m", 0.5)], pnl_usd=10)
    decide(calls=[("m", 0.25), ("m", "failed")], pnl_pct=3)
    decide([("NOTHING", 60)], calls=[("m", 1.0)])
    decide([], calls=[("m", 2.0)])
    decide(agent="OtherAgent", calls=[("m", 4.0)])
    row = verdict("agent", "WhaleAgent")
    assert (row["pnl_usd"], row["usd_cases"], row["calls"], row["calls_usd"], row["net_usd"]) == (10, 1, 5, 3.75, 6.25)
    other = verdict("agent", "OtherAgent")
    assert (other["cases"], other["pnl_usd"], other["calls_usd"], other["net_usd"]) == (0, None, 4.0, None)
    assert "WhaleAgent  +$10.00      1      $3.75         –  +$6.25" in run("decisions", "--report")


def test_a_model_pays_for_its_own_calls(decide: Any) -> None:
    """A decision belongs to the model called last before it; another model in the trace pays for its own calls."""
    decide(calls=[("dear", 5.0), ("cheap", 0.5)], pnl_usd=10)
    dear, cheap = verdict("model", "dear"), verdict("model", "cheap")
    assert (dear["cases"], dear["calls_usd"]) == (0, 5.0)
    assert (cheap["cases"], cheap["calls_usd"], cheap["net_usd"]) == (1, 0.5, 9.5)


def test_an_unknown_price_makes_net_unknown(decide: Any) -> None:
    """A call without a price makes the agent's net result unknown and counts as unpriced; without calls, cost is 0."""
    decide(calls=[("m", 0.5), ("m", None)], pnl_usd=10)
    decide(agent="RuleAgent", pnl_usd=2)
    row = verdict("agent", "WhaleAgent")
    assert (row["calls_usd"], row["unpriced"], row["net_usd"]) == (None, 1, None)
    output = run("decisions", "--report")
    assert "WhaleAgent  +$10.00      1    unknown    1 of 2  unknown" in output
    assert "RuleAgent    +$2.00      1    no call         –   +$2.00" in output
    assert verdict("agent", "RuleAgent")["net_usd"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("calls", "usd", "text"),
    [
        ([], None, "–"),
        ([("m", 0.5), ("m", 0.25)], 0.75, "$0.75"),
        ([("m", 0.25), ("m", "failed")], 0.25, "$0.25"),
        ([("m", 0.5), ("m", None)], None, "unknown"),
        ([("m", "failed"), ("m", "failed")], None, "unknown"),
    ],
    ids=["no call", "priced", "one failed", "one without a price", "all failed"],
)
def test_a_trace_costs_the_same_everywhere(
    calls: list[Any], usd: float | None, text: str, decide: Any, tmp_path: Path
) -> None:
    """An unknown price is not 0; a failed call adds nothing; if all calls failed, the cost is unknown. A trace without
    calls has no cost: `–` in lists, 0 in sums."""
    decide(calls=calls, pnl_usd=1)
    assert [json.loads(line)["cost_usd"] for line in run("decisions", "--json").splitlines()] == [usd]
    assert run("decisions").splitlines()[2].split()[-1] == text
    assert run("traces").splitlines()[2].split("<1 ms")[0].split()[-1] == text
    row = verdict("agent", "WhaleAgent")
    assert row["calls_usd"] == (usd if calls else 0.0)
    assert row["net_usd"] == (None if text == "unknown" else 1 - (usd or 0))
    paid = re.escape(text if calls else "no call")
    assert re.search(rf"WhaleAgent  \+\$1\.00 +1 +{paid} ", run("decisions", "--report"))
    run("report", "--html", str(tmp_path / "page.html"), "--since", "1970-01-01")
    assert f'<span class="hidden">cost</span> {text}</span>' in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_last_valid_decision_of_a_trace_is_judged(decide: Any) -> None:
    """A trace with an outcome counts once, for its last valid BUY or SELL, which `traces` shows too."""
    decide([("BUY", 90), ("SELL", 20), ("SELL", None), ("NOTHING", 50)], pnl_usd=-1)
    assert [(row["confidence"], row["cases"]) for row in report() if row["by"] == "confidence"] == [(20, 1)]
    assert verdict("agent", "WhaleAgent")["cases"] == 1
    assert "SELL 20%" in run("traces")


def test_money_looks_the_same_on_page_and_terminal(decide: Any, tmp_path: Path) -> None:
    """The HTML report and the terminal format amounts of any size alike."""
    for profit in ({"pnl_usd": 5}, {"pnl_usd": -1e12}, {"pnl_pct": -0.8}):
        decide(calls=[("m", 0.5)], **profit)
    run("report", "--html", str(tmp_path / "page.html"), "--since", "1970-01-01")
    page, output = (tmp_path / "page.html").read_text(encoding="utf-8"), run("decisions")
    assert all(text in page and text in output for text in ("+$5.00", "-$1.00 T", "-0.80%"))
    assert "3 few" in page


@pytest.mark.usefixtures("judged")
def test_the_report_fits_a_narrow_terminal() -> None:
    """The report fits 80 columns, and has no colour in a pipe."""
    output = run("decisions", "--report")
    assert max(map(len, output.splitlines())) <= 80
    assert "\x1b" not in output
    assert "60 BUY and SELL decisions" in output
    assert "…" not in output
    assert "+$" in run("decisions")
