"""Every number of `decisions`, `traces` and `trace`, in JSON and on the screen, equals that of pandas."""

from pathlib import Path

import pandas as pd
import pytest

from src.observability.journal.store import Journal
from tests.console.checked_rows import check_decisions, check_traces, check_tree, check_whole
from tests.console.exported import exported
from tests.console.printed import json_lines, run


@pytest.mark.slow
def test_decisions(varied: Journal, tmp_path: Path) -> None:
    """The figures of `decisions` are right, for all decisions and for the newest seven."""
    journal = exported(tmp_path)
    assert journal.signals["cost_usd"].isna().any()
    for limit in (1000, 7):
        check_decisions(journal, limit)


@pytest.mark.slow
def test_traces(varied: Journal, tmp_path: Path) -> None:
    """The figures of `traces` are right, for all traces and for the newest seven."""
    journal = exported(tmp_path)
    for limit in (1000, 7):
        check_traces(journal, limit)


@pytest.mark.slow
def test_a_trace(varied: Journal, tmp_path: Path) -> None:
    """`trace` has the right figures for unusual, new, failed and unpriced traces."""
    journal = exported(tmp_path)
    failed, unpriced = journal.traces.query("level == 'ERROR'"), journal.traces.query("calls > 0 and cost_usd.isna()")
    chosen = pd.concat([journal.traces.head(4), journal.traces.tail(4), failed.head(3), unpriced.tail(3)])
    for trace_id in chosen["trace_id"]:
        (whole,) = json_lines(f"trace {trace_id}")
        check_whole([whole], journal)
        check_tree(whole, run(f"trace {trace_id}"))
