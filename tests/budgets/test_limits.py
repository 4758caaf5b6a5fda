"""The setting `OBSERVABILITY_BUDGETS`, and the periods in which a budget counts."""

from datetime import datetime, timezone
from zoneinfo import ZoneInfo, _common

import pytest

from src.observability.budgets import configured, limits, parse_budgets
from src.observability.settings import SettingError
from tests.cases import cases
from tests.tracing.alarms import alarms, line_of_alarm

HOUR = 3600


def at(text: str, zone: str) -> float:
    """Return a local time as Unix seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_the_settings_example() -> None:
    """The setting's example gives three budgets: for the fleet, for one agent (soft), and for models by pattern."""
    fleet, whale, claude = parse_budgets("fleet 20 USD/day; WhaleAgent 2 USD/day soft; claude-* 300 calls/hour")
    assert (fleet.scope, fleet.amount, fleet.unit, fleet.period) == ("fleet", 20, "USD", "day")
    assert [fleet.covers(None), fleet.covers("WhaleAgent", "gpt-4o")] == [True, True]
    assert [whale.covers("WhaleAgent", "gpt-4o"), whale.covers("LunaAgent", "gpt-4o")] == [True, False]
    assert [claude.covers("X", "claude-haiku-4-5"), claude.covers("X", "gpt-4o", None)] == [True, False]
    assert [budget.action_for(ours=True) for budget in (fleet, whale)] == ["stop", "tell"]
    assert fleet.action_for(ours=False) == "tell"


def test_words_behind_a_budget() -> None:
    """A budget's period may be followed by a time zone, by `soft` or `hard`, and by an action, in any order."""
    stop, cheap = parse_budgets("fleet 9 USD/week Europe/Berlin STOP\nfleet 5 tokens/month Qwen3-8B UTC hard")
    assert (stop.zone, stop.action_for(ours=False)) == (ZoneInfo("Europe/Berlin"), "stop")
    assert (cheap.zone, cheap.action_for(ours=True)) == (timezone.utc, "Qwen3-8B")
    assert cheap.action_for(ours=False) == "tell"


@cases(
    ("text", "why"),
    [
        ("20 USD/day", "must be written as SCOPE AMOUNT UNIT/PERIOD"),
        ("fleet twenty USD/day", "must be a number above 0"),
        ("fleet 0 USD/day", "must be a number above 0"),
        ("fleet -5 USD/day", "must be a number above 0"),
        ("fleet nan USD/day", "must be a number above 0"),
        ("fleet 20 EUR/day", "must be USD, tokens or calls"),
        ("fleet 20 USD/year", "must be hour, day, week or month"),
        ("fleet 20 USD/day Europe/Berlim", "unknown time zone 'Europe/Berlim'"),
        ("fleet 20 USD/day stop gpt-4o-mini", "has both 'stop' and 'gpt-4o-mini'"),
        ("fleet 20 USD/day; Fleet 9 USD/day", "names the budget 'fleet USD/day' twice"),
    ],
)
def test_a_malformed_budget_names_its_cure(text: str, why: str) -> None:
    """For a malformed budget, the message quotes the entry and states the expected form."""
    with pytest.raises(SettingError) as raised:
        parse_budgets(text)
    assert why in str(raised.value)
    assert str(raised.value).startswith("OBSERVABILITY_BUDGETS")


def test_a_malformed_budget_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A malformed or repeated budget is reported once, on stderr, and the other budgets still apply."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 20 USD/day; WhaleAgent lots; Fleet 9 USD/day; Luna 9 calls/day")
    for _ in range(2):
        assert [(budget.scope, budget.amount) for budget in configured()] == [("fleet", 20), ("luna", 9)]
    assert capsys.readouterr().err.count("until then this budget is ignored") == 2


@cases(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23), ("Europe/Berlin", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23), ("America/New_York", "2026-11-01", 25),
        ("Asia/Beirut", "2026-03-29", 23), ("UTC", "2026-03-29", 24),
    ],
)  # fmt: skip
def test_a_day_is_from_midnight_to_midnight(zone: str, day: str, hours: int) -> None:
    """Days follow each other without a gap, also where clocks change, and where midnight itself is skipped (Beirut)."""
    (budget,) = parse_budgets(f"fleet 1 USD/day {zone}")
    noon = at(f"{day}T12:00", zone)
    period = budget.period_at(noon)
    assert (period.end - period.start) / HOUR == hours
    assert budget.period_at(period.start) == budget.period_at(period.end - 1) == period
    assert budget.period_at(period.end).start == period.end
    assert budget.period_at(period.start - 1).end == period.start


def test_hours_weeks_and_months() -> None:
    """A week begins on Monday; when clocks go back, the repeated hour is a period of its own."""
    hour, week, month = parse_budgets(
        "a 1 calls/hour Europe/Berlin; b 1 calls/week Europe/Berlin; c 1 calls/month Asia/Kolkata"
    )
    twice = at("2026-10-25T02:30", "Europe/Berlin")
    assert hour.period_at(twice).end == hour.period_at(twice + HOUR).start == twice + HOUR / 2
    assert week.period_at(at("2026-11-29T12:00", "Europe/Berlin")) == (
        at("2026-11-23T00:00", "Europe/Berlin"), at("2026-11-30T00:00", "Europe/Berlin"),
    )  # fmt: skip
    assert month.period_at(at("2026-12-31T23:59", "Asia/Kolkata")) == (
        at("2026-12-01T00:00", "Asia/Kolkata"), at("2027-01-01T00:00", "Asia/Kolkata"),
    )  # fmt: skip


def test_this_machines_zone_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The day of a budget without a zone begins at midnight in this machine's zone, which TZ sets."""
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        (budget,) = parse_budgets("fleet 1 USD/day")
        period = budget.period_at(at("2026-11-01T12:00", "America/New_York"))
        assert period == (at("2026-11-01T00:00", "America/New_York"), at("2026-11-02T00:00", "America/New_York"))
        assert budget.local(period.end).utcoffset() == datetime.fromtimestamp(period.end).astimezone().utcoffset()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_alarm_while_the_budgets_are_read_drops_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A TimeoutError raised by SIGALRM while a zone is read reaches the agent; it is not taken for a missing zone."""
    monkeypatch.setenv("OBSERVABILITY_BUDGETS", "fleet 9 USD/week Europe/Berlin stop")

    def read() -> None:
        limits._readable.cache_clear()
        ZoneInfo.clear_cache()
        configured()

    number = 1
    with alarms():
        while line_of_alarm(number, read, frozenset((limits.__file__, _common.__file__))) is not None:
            number += 1
    assert number > 20
    assert [budget.zone_name for budget in configured()] == ["Europe/Berlin"]
