"""Checks that each number of `decisions`, `traces` and `trace` equals what pandas computes from the Parquet export."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tests.console.exported import Exported
from tests.console.printed import alike, cells, is_about, json_lines, run, took_about


def same(printed: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Check that two frames have the same columns and rows in the same order, whatever the types of their values."""
    assert list(printed.columns) == list(expected.columns)
    for name in printed:
        for left, right in zip(printed[name], expected[name], strict=True):
            assert alike(left, right), name


def check_decisions(journal: Exported, limit: int) -> None:
    """Check model, calls, confidence, cost and outcome of each row of `decisions`, in JSON and in the table."""
    expected = journal.signals.tail(limit)
    columns = ["start_ns", "trace_id", "agent", "model", "level", "calls", "cost_usd", "pnl_usd", "pnl_pct", "stands"]
    printed = pd.DataFrame(json_lines(f"decisions --limit {limit}"))
    same(printed[columns], expected[columns])
    metadata = pd.DataFrame(list(printed["metadata"]))[["signal_action", "signal_confidence"]]
    same(metadata, expected[["signal_action", "signal_confidence"]])
    rows = cells(run(f"decisions --limit {limit}"))
    assert len(rows) == len(expected)
    for row, (_, wanted) in zip(rows, expected.iterrows(), strict=True):
        check_decision(row, wanted)


def check_decision(row: dict[str, str], wanted: Any) -> None:
    """Check one line of the table that `decisions` prints."""
    assert (row["trace"], row["agent"]) == (wanted["trace_id"][:8], wanted["agent"])
    assert row["model"] == ("" if pd.isna(wanted["model"]) else wanted["model"])
    confidence, outcome = (
        wanted["signal_confidence"],
        row.get("outcome", "–"),
    )  # the column is missing if no row has an outcome
    assert row["decision"].startswith(
        f"{wanted['signal_action']} {'' if pd.isna(confidence) else f'{confidence:g}%'}".strip()
    )
    if not wanted["stands"]:
        assert (row["cost"], outcome) in (("″", "″"), ("″", "–"))
        return
    assert (row["cost"] == "–") == (wanted["calls"] == 0)
    assert is_about(row["cost"], wanted["cost_usd"])
    assert is_about(outcome, wanted["pnl_pct"] if pd.isna(wanted["pnl_usd"]) else wanted["pnl_usd"])
    assert ("%" in outcome) == (pd.isna(wanted["pnl_usd"]) and not pd.isna(wanted["pnl_pct"]))


def check_traces(journal: Exported, limit: int) -> None:
    """Check duration, tokens, cost and level of each row of `traces`; in JSON also each observation and score."""
    expected = journal.traces.tail(limit)
    rows = cells(run(f"traces --limit {limit}"))
    assert len(rows) == len(expected)
    for row, (_, wanted) in zip(rows, expected.iterrows(), strict=True):
        assert (row["trace"], row["agent"]) == (wanted["trace_id"][:8], wanted["agent"])
        assert row["model"] == ("" if pd.isna(wanted["model"]) else wanted["model"])
        assert (row.get("level") or "DEFAULT") == wanted["level"]  # the column is missing if every trace has DEFAULT
        assert (row["cost"] == "–") == (wanted["calls"] == 0)
        assert is_about(row["cost"], wanted["cost_usd"])
        assert took_about(row["took"], wanted["took_ns"])
        tokens = row["tokens"].split(" → ") if row["tokens"] != "–" else ["–", "–"]
        assert all(map(is_about, tokens, wanted[["input_tokens", "output_tokens"]])), row
    whole = json_lines(f"traces --limit {limit}")
    assert [trace["id"] for trace in whole] == list(expected["trace_id"])
    check_whole(whole, journal)


def check_whole(traces: Sequence[dict[str, Any]], journal: Exported) -> None:
    """Check the output of `traces --json` and `trace --json`: each observation and score, in order."""
    order = {trace["id"]: at for at, trace in enumerate(traces)}
    rows, scores = (frame.assign(at=frame["trace_id"].map(order)).dropna(subset="at") for frame in journal)
    rows = rows.sort_values(["at", "start_ns", "seq"])
    printed = pd.DataFrame([row for trace in traces for row in trace["observations"]])
    columns = ["id", "parent_id", "start_ns", "first_token_ns", "end_ns", "type", "level", "cost_usd", "state"]
    same(printed[columns], rows[columns])
    assert list(printed["usage"]) == [None if pd.isna(text) else json.loads(text) for text in rows["usage"]]
    scores = scores.assign(
        value=scores["number"].astype(object).where(scores["number"].notna(), scores["text"])
    ).sort_values(["at", "seq"])
    printed = pd.DataFrame([score for trace in traces for score in trace["scores"]], columns=["name", "value"])
    same(printed, scores[["name", "value"]])


_CALL = re.compile(r"🧠 (?P<model>.+?)  (?P<tokens>.*?)  (?P<took><?[\d.]+ \w+)  (?P<cost>\S.*)$")
_TOKENS = re.compile(r"([\d,]+) → ([\d,]+) tokens(?: \(([\d,]+) cached\))?$")


def check_tree(trace: dict[str, Any], lines: Sequence[str]) -> None:
    """Check that a trace's printed tree shows the same figures for calls, cycle and outcome as its JSON output."""
    calls = [observation for observation in trace["observations"] if observation["type"] == "generation"]
    matches = [match for line in lines if (match := _CALL.search(line))]
    assert len(matches) == len(calls)
    for call, match in zip(calls, matches, strict=True):
        usage = call["usage"] or {}
        counts = [sum(n for key, n in usage.items() if key.startswith(name)) for name in ("input", "output")]
        tokens = _TOKENS.match(match["tokens"])
        assert (match["tokens"] == "tokens unknown") == (call["usage"] is None)
        assert tokens is None or [int((n or "0").replace(",", "")) for n in tokens.groups()] == [
            *counts, usage.get("input_cached_tokens", 0),
        ]  # fmt: skip
        assert took_about(match["took"], call["end_ns"] - call["start_ns"])
        assert is_about(match["cost"], math.nan if call["cost_usd"] is None else call["cost_usd"])
    for cycle in (observation for observation in trace["observations"] if observation["type"] == "agent"):
        assert took_about(lines[1].split("  ")[1], cycle["end_ns"] - cycle["start_ns"])
    printed_outcomes = {line.split()[1] for line in lines if line.startswith("⚖️")}
    outcomes = {score["name"]: score["value"] for score in trace["scores"] if score["name"].startswith("pnl_")}
    assert len(printed_outcomes) == len(outcomes)
    assert all(any(is_about(text, value) for text in printed_outcomes) for value in outcomes.values())
