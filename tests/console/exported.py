"""The journal as exported to Parquet, and the figures that pandas computes from it.

The figures follow the README's definitions: a decision's model, a trace's cost, and which decision has the outcome.
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from typer.testing import CliRunner

from src.observability.console.app import app

_COLUMNS = [
    "seq", "id", "trace_id", "parent_id", "type", "name", "agent", "start_ns", "first_token_ns", "end_ns", "model",
    "metadata", "level", "usage", "cost_usd", "state",
]  # fmt: skip
_LEVELS = ["DEBUG", "DEFAULT", "WARNING", "ERROR"]


class Exported(NamedTuple):
    """All observations and scores of an exported journal."""

    observations: pd.DataFrame
    scores: pd.DataFrame

    @property
    def calls(self) -> pd.DataFrame:
        """Return the calls in order of their start, with input and output tokens."""
        calls = self.observations.query("type == 'generation'").sort_values(["start_ns", "seq"])
        for name in ("input", "output"):
            calls[f"{name}_tokens"] = [_tokens(text, name) for text in calls["usage"]]
        return calls.assign(unpriced=calls["cost_usd"].isna() & (calls["level"] != "ERROR"))

    @property
    def signals(self) -> pd.DataFrame:
        """Return the decisions, oldest first. Each has the model called last before it, and the cost and outcome of its
        trace."""
        signals = self.observations.query("type == 'event' and name == 'trading_signal'")
        signals = signals.sort_values(["start_ns", "seq"]).drop(columns=["model", "cost_usd"])
        metadata = pd.DataFrame([json.loads(text) for text in signals["metadata"]], index=signals.index)
        last_calls = self.calls[["trace_id", "start_ns", "model"]]
        signals = _with_stand(pd.merge_asof(signals.join(metadata), last_calls, on="start_ns", by="trace_id"))
        signals = signals.join(costs(self.calls), on="trace_id").join(self._outcomes(), on="trace_id")
        return signals.fillna({"calls": 0})

    @property
    def traces(self) -> pd.DataFrame:
        """Return the traces, oldest first: start, duration, worst level, and the tokens and cost of the calls."""
        rows = self.observations.assign(level=pd.Categorical(self.observations["level"], _LEVELS, ordered=True))
        grouped = rows.groupby("trace_id")
        traces = pd.DataFrame({
            "start_ns": grouped["start_ns"].min(), "took_ns": grouped["end_ns"].max() - grouped["start_ns"].min(),
            "agent": grouped["agent"].first(), "level": grouped["level"].max().astype(str),
        })  # fmt: skip
        calls = self.calls.groupby("trace_id")
        traces = traces.join(calls[["input_tokens", "output_tokens"]].sum(min_count=1)).join(calls["model"].last())
        return traces.join(costs(self.calls)).fillna({"calls": 0}).sort_values("start_ns").reset_index()

    @property
    def judged(self) -> pd.DataFrame:
        """Return the decisions with a known outcome: the last valid BUY or SELL of each trace; `hit` means a profit."""
        with_outcome = self.signals.query("trade and stands and (pnl_usd.notna() or pnl_pct.notna())")
        return with_outcome.assign(hit=with_outcome["pnl_usd"].fillna(with_outcome["pnl_pct"]) > 0)

    def _outcomes(self) -> pd.DataFrame:
        outcomes = self.scores[self.scores["name"].isin(["pnl_usd", "pnl_pct"])]
        by_trace = outcomes.pivot(index="trace_id", columns="name", values="number")
        return by_trace.reindex(columns=["pnl_usd", "pnl_pct"]).astype(float)


def exported(folder: Path) -> Exported:
    """Return the test's journal as exported to Parquet; integers stay integers in columns with missing values."""
    frames = []
    for option, columns in (([], _COLUMNS), (["--scores"], None)):
        file = folder / "all.parquet"
        result = CliRunner().invoke(app, ["export", "--format", "parquet", "--output", str(file), *option])
        assert result.exit_code == 0, result.output
        frames.append(pd.read_parquet(file, columns=columns, dtype_backend="numpy_nullable"))
    return Exported(*frames)


def costs(calls: pd.DataFrame) -> pd.DataFrame:
    """Return the cost and the number of the calls of each trace."""
    traces = calls.groupby("trace_id")
    cost = traces["cost_usd"].sum(min_count=1).astype(float).mask(traces["unpriced"].any())
    return pd.DataFrame({"cost_usd": cost, "calls": traces.size()})


def _tokens(usage: Any, name: str) -> float:
    return math.nan if pd.isna(usage) else sum(n for key, n in json.loads(usage).items() if key.startswith(name))


def _with_stand(signals: pd.DataFrame) -> pd.DataFrame:
    """Add two columns: `trade` is true for a valid BUY or SELL; `stands` is true for the row that shows the cost and
    outcome of its trace: the last trade, else the last decision."""
    trades = signals["signal_valid"] & signals["signal_action"].isin(["BUY", "SELL"])
    last = signals.assign(trade=trades).sort_values(["trade", "seq"]).groupby("trace_id")["seq"].last()
    return signals.assign(trade=trades, stands=signals["seq"] == signals["trace_id"].map(last))
