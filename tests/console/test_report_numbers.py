"""Every number of `decisions --report`, in JSON and on the screen, equals that of pandas."""

from pathlib import Path

import pytest

from src.observability.journal.store import Journal
from tests.console.checked_report import check_printed_report, check_report
from tests.console.exported import exported
from tests.console.fleet import judge
from tests.million import fill


@pytest.mark.slow
def test_the_report_on_decisions(varied: Journal, tmp_path: Path) -> None:
    """`decisions --report` has the right figures for groups of fewer and of more than 30 cases."""
    journal = exported(tmp_path)
    assert journal.judged.groupby("model").size().max() > 30
    check_report(journal)
    check_printed_report()


@pytest.mark.slow
def test_the_report_on_many_decisions(made: Journal, tmp_path: Path) -> None:
    """The report has the right figures for groups beyond the console's table of quantiles of Student's distribution."""
    fill(made, 2000, days=2)
    judge(made, 1900)
    journal = exported(tmp_path)
    assert journal.judged.groupby("model").size().max() > 500
    check_report(journal)
