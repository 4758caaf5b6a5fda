"""`budgets` shows the remainder of each budget; `budgets raise` adds to a budget, also for running agents."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from src.observability.console.app import app
from src.observability.console.checks.local import settings_readable
from tests.budgets.asking import ask, counted
from tests.budgets.calls import USD, PricedModel
from tests.cases import cases


@pytest.fixture
def run(journal: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a console command on the test's journal."""

    def command(*arguments: str) -> Result:
        journal.observations()
        monkeypatch.setenv("COLUMNS", "120")
        return CliRunner().invoke(app, [*arguments])

    return command


def test_budgets_shows_and_raises(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once `budgets raise` has raised a used-up budget until tomorrow, a running agent's calls are made again."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", f"fleet {2 * USD} USD/week UTC; gpt-* 9 calls/month UTC")
    model = PricedModel()
    assert [ask(model) is not None for _ in range(3)] == [True, True, False]
    fleet, models = map(json.loads, run("budgets", "--json").stdout.splitlines())
    assert (fleet["limit"], fleet["spent"], fleet["left"]) == pytest.approx((0.02, 0.02, 0))
    assert (models["limit"], models["spent"]) == (9, 2)
    assert models["left"] == 7 - models["reserved"] > 0
    assert fleet["resets_at"].endswith("T00:00:00+00:00")
    raised = run("budgets", "raise", "Fleet", "0.01", "--until", "tomorrow")
    assert raised.exit_code == 0
    assert "✅ fleet 0.02 USD/week UTC: raised by 0.01 USD until" in raised.stderr
    assert "0.03" in raised.stdout
    counted()
    assert [ask(model) is not None for _ in range(2)] == [True, False]
    assert json.loads(run("budgets", "--json").stdout.splitlines()[0])["spent"] == pytest.approx(0.03)


@cases(
    ("arguments", "why"),
    [
        (("raise", "Luna", "5"), "No budget named 'Luna'"),
        (("raise", "WhaleAgent", "5"), "Several budgets have the scope 'WhaleAgent'"),
        (("raise", "fleet", "5", "--until", "2020-01-01"), "this time has passed"),
        (("raise", "fleet", "5", "--until", "soon"), "is not a time"),
        (("lower", "fleet", "5"), "budgets raise WhaleAgent 5"),
    ],
)
def test_what_cannot_be_raised_says_why(arguments: Any, why: str, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a budget cannot be raised, the message names the cause, and nothing is changed."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 20 USD/day; WhaleAgent 2 USD/day; WhaleAgent 9 calls/hour")
    ask(PricedModel())
    result = run("budgets", *arguments)
    assert result.exit_code in (1, 2)
    assert why in " ".join(result.output.replace("│", " ").split())
    assert [json.loads(line)["limit"] for line in run("budgets", "--json").stdout.splitlines()] == [20, 2, 9]


def test_without_budgets_it_says_how_to_set_one(run: Any) -> None:
    """Without a budget, `budgets` prints how to set one, and exits with 0."""
    result = run("budgets")
    assert result.exit_code == 0
    assert 'OBSERVABILITY_BUDGETS="fleet 20 USD/day"' in result.stderr


@pytest.mark.parametrize(
    ("budgets", "flag", "severity", "what"),
    [
        ("fleet 20 USD/day", "true", "FINE", "1 budget"),
        ("fleet lots", "true", "FAULT", "OBSERVABILITY_BUDGETS: 'fleet lots' must be"),
        ("fleet 20 USD/day", "false", "FAULT", "tracing is off"),
    ],
)
def test_doctor_checks_budgets(
    budgets: str, flag: str, severity: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor` reports a fault if a budget is malformed, or if budgets are set while tracing is off."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", budgets)
    monkeypatch.setenv("ENABLE_LANGFUSE", flag)
    (finding,) = (finding for finding in settings_readable() if finding.about == "budgets")
    assert finding.severity.name == severity
    assert finding.what.startswith(what)
