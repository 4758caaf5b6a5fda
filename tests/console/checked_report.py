"""Checks that every figure of `decisions --report` equals what pandas computes from the Parquet export."""

import functools
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.console.exported import Exported
from tests.console.printed import alike, cells, invoke, is_about, json_lines

UNKNOWN = math.nan


def check_report(journal: Exported) -> None:
    """Check the JSON lines of every agent and model; of each class of confidence, check cases, hits and interval."""
    lines, judged, calls = json_lines("decisions --report"), journal.judged.fillna({"model": "unknown"}), journal.calls
    for by in ("agent", "model"):
        groups = {line["group"]: line for line in lines if line["by"] == by}
        assert set(groups) == {*calls[by], *judged[by]}
        for group, line in groups.items():
            check_verdict(line, judged[judged[by] == group], calls[calls[by] == group])
    sure = judged.dropna(subset="signal_confidence")
    classes = sure.groupby((sure["signal_confidence"] // 20).clip(upper=4))
    groups = [line for line in lines if line["by"] == "confidence"]
    assert len(groups) == len(classes)
    for line, (_, cases) in zip(groups, classes, strict=True):
        assert (line["cases"], line["hits"]) == (len(cases), cases["hit"].sum())
        assert line["confidence"] == pytest.approx(cases["signal_confidence"].mean())
        assert (line["low"], line["high"]) == pytest.approx(wilson(cases["hit"]), abs=1e-9)


def check_verdict(line: dict[str, Any], cases: pd.DataFrame, calls: pd.DataFrame) -> None:
    """Check the line of one group in the JSON output."""
    hits, gains = cases["hit"], cases["pnl_usd"].dropna()
    misses = ((cases["signal_confidence"] / 100 - hits) ** 2).dropna()
    assert (line["cases"], line["hits"], line["few"]) == (len(cases), hits.sum(), len(cases) < 30)
    assert (line["usd_cases"], line["brier_cases"]) == (len(gains), len(misses))
    assert (line["hit_low"], line["hit_high"]) == pytest.approx(wilson(hits), abs=1e-9)
    assert alike(line["mean_usd"], gains.mean())
    assert alike(line["brier"], misses.mean())
    assert_interval((line["mean_low"], line["mean_high"]), gains)
    assert_interval((line["brier_low"], line["brier_high"]), misses, bounds=(0, 1))
    spent = 0.0 if calls.empty else math.nan if calls["unpriced"].any() else calls["cost_usd"].sum(min_count=1)
    assert (line["calls"], line["unpriced"]) == (len(calls), calls["unpriced"].sum())
    assert alike(line["pnl_usd"], gains.sum(min_count=1))
    assert alike(line["calls_usd"], spent)
    assert alike(line["net_usd"], gains.sum(min_count=1) - spent)


def wilson(hits: pd.Series) -> tuple[float, float]:
    """Return Wilson's 95 % interval: each bound is 1.96 times its own standard error away from the observed share."""
    if hits.empty:
        return 0.0, 1.0
    share, z = hits.mean(), 1.96**2 / len(hits)
    low, high = sorted(np.roots([1 + z, -2 * share - z, share**2]).real)
    return low, high


@functools.cache
def student_quantile(freedom: int) -> float:
    """Return Student's 97.5 % quantile by integrating the density, independent of the console's table."""
    at = np.linspace(0, 13, 200_001)
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    density = scale * (1 + at**2 / freedom) ** (-(freedom + 1) / 2)
    below = np.cumsum((density[1:] + density[:-1]) / 2) * at[1]
    return float(np.interp(0.475, below, at[1:]))


def assert_interval(
    shown: tuple[Any, Any], values: pd.Series, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> None:
    """Check Student's interval. The tolerance covers the rounding of the console's quantiles to three decimals."""
    if values.nunique() < 2:
        assert shown == (None, None)
        return
    half = student_quantile(len(values) - 1) * values.sem()
    wanted = (max(values.mean() - half, bounds[0]), min(values.mean() + half, bounds[1]))
    assert shown == pytest.approx(wanted, abs=half * 3e-4)


def check_printed_report() -> None:
    """Check that the printed tables have the figures of the JSON output."""
    lines = json_lines("decisions --report")
    by_agent, by_model, classes, agents, models, _ = invoke("decisions --report").stdout.split("\n\n")
    for by, verdicts, balance in (("agent", by_agent, agents), ("model", by_model, models)):
        wanted = [line for line in lines if line["by"] == by]
        check_printed_verdicts([line for line in wanted if line["cases"]], verdicts.splitlines()[by == "agent" :])
        check_printed_balance(wanted, balance.splitlines()[by == "agent" :])
    rows = cells(classes.splitlines())
    for row, line in zip(rows, [line for line in lines if line["by"] == "confidence"], strict=True):
        assert row["cases"].split()[0] == f"{line['cases']:,}"
        assert is_about(row["confidence"], line["confidence"])
        assert is_about(row["profitable"], 100 * line["hits"] / line["cases"])
        assert all(map(is_about, row["interval"].split(" to "), (100 * line["low"], 100 * line["high"])))


def check_printed_verdicts(lines: list[dict[str, Any]], printed: list[str]) -> None:
    """Check the two lines of each group: the figures, and below them the intervals."""
    rows = cells([line for line in printed if not line.startswith("  ")])
    beneath = [line for line in printed if line.startswith("  ")]
    for line, row, intervals in zip(lines, rows, beneath, strict=True):
        assert (row["cases"].split()[0], "few" in row["cases"]) == (f"{line['cases']:,}", line["few"])
        assert is_about(row["hits"], 100 * line["hit_share"])
        for name, key, cases in (("mean PnL", "mean_usd", "usd_cases"), ("Brier", "brier", "brier_cases")):
            hits, _, of = row[name].partition(" of ")
            assert is_about(hits, UNKNOWN if line[key] is None else line[key])
            assert of in ("", f"{line[cases]:,}")
        hits, mean, brier = re.findall(r"(?:hits|mean|Brier) ([^,]*)", intervals)
        check_interval(hits, 100 * line["hit_low"], 100 * line["hit_high"])
        check_interval(mean, line["mean_low"], line["mean_high"])
        check_interval(brier, line["brier_low"], line["brier_high"])


def check_interval(text: str, low: float | None, high: float | None) -> None:
    """Check an interval such as `-$4.84 to -$2.80`, or `?` if it is unknown."""
    assert (text == "?") == (low is None)
    assert text == "?" or all(map(is_about, text.split(" to "), (low, high)))


def check_printed_balance(lines: list[dict[str, Any]], printed: list[str]) -> None:
    """Check the line of each group: profit or loss, cost of all calls, and the difference."""
    for line, row in zip(lines, cells(printed), strict=True):
        assert is_about(row["PnL"], UNKNOWN if line["pnl_usd"] is None else line["pnl_usd"])
        assert row["cases"] == f"{line['usd_cases']:,}"
        assert is_about(row["net"], UNKNOWN if line["net_usd"] is None else line["net_usd"])
        assert row["no price"] == (f"{line['unpriced']:,} of {line['calls']:,}" if line["unpriced"] else "–")
        if line["calls"]:
            assert is_about(row["all calls"], UNKNOWN if line["calls_usd"] is None else line["calls_usd"])
        else:
            assert row["all calls"] == "no call"
