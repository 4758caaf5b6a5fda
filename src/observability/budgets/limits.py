"""The budgets in the setting `OBSERVABILITY_BUDGETS`, and their periods.

    fleet 20 USD/day; WhaleAgent 2 USD/day soft; claude-* 300 calls/hour Europe/Berlin stop; fleet 5 USD/hour gpt-5-nano

A budget is a scope (`fleet` for all calls, or a pattern for the names of agents and models), an amount per period,
and optionally a time zone and an action for calls beyond the amount: `stop` refuses them, and `tell` only reports them.
If the action is a model's name, that cheaper model is called instead. `soft` means `tell`, whatever the action; `hard`,
the default, leaves the action as it is.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone, tzinfo
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..interruption import is_interruption
from ..settings import SettingError, setting
from ..terminal import warn

SETTING = "OBSERVABILITY_BUDGETS"
FLEET = "fleet"
STOP, TELL = "stop", "tell"
_UNITS = {"usd": "USD", "$": "USD", "token": "tokens", "tokens": "tokens", "call": "calls", "calls": "calls"}
_PERIODS = ("hour", "day", "week", "month")
_FORM = "SCOPE AMOUNT UNIT/PERIOD [TIME ZONE] [soft] [stop, tell or MODEL], such as 'fleet 20 USD/day stop'"
_BUDGET = re.compile(r"(\S+)\s+(\S+)\s+([^\s/]+)\s*/\s*(\w+)(?:\s+(.*))?")
_HOUR = 3600


class Period(NamedTuple):
    """The start and end of a budget's period, in Unix seconds."""

    start: int
    end: int


class Budget(NamedTuple):
    """One budget. If the operator chose no action, `action` is None, and `action_for` chooses one."""

    text: str  # the operator's own text
    scope: str  # lower case
    amount: float
    unit: str
    period: str
    zone: tzinfo | None = None  # None: this machine's time zone
    zone_name: str = ""
    is_soft: bool = False
    action: str | None = None

    @property
    def key(self) -> str:
        """The budget's name in the journal.

        The amount is not part of the name, so that a budget whose amount is changed keeps its spending.
        """
        return " ".join(filter(None, (self.scope, f"{self.unit}/{self.period}", self.zone_name)))

    def covers(self, agent: str | None, *models: str | None) -> bool:
        """Whether a call counts towards this budget: the scope matches its agent's name or one of its model's names."""
        if self.scope == FLEET:
            return True
        return any(fnmatchcase(name.lower(), self.scope) for name in (agent, *models) if name)

    def action_for(self, *, ours: bool) -> str:
        """The action for a call beyond the budget: `stop`, `tell` or a model's name.

        Args:
            ours: whether a model of `src/models` makes the call. These models treat a refused call as a failed one.
                Other code may close a trading position on any exception. Its calls are therefore refused only if the
                operator wrote `stop`.
        """
        if self.is_soft:
            return TELL
        if self.action is not None:
            return self.action if ours or self.action == STOP else TELL
        return STOP if ours else TELL

    def period_at(self, seconds: float) -> Period:
        """The period that contains a time (Unix seconds). A day has 23 or 25 hours when the clocks change."""
        local = datetime.fromtimestamp(seconds, self.zone)
        if self.period == "hour":
            offset = int((local if self.zone else local.astimezone()).utcoffset().total_seconds())  # type: ignore[union-attr]
            start = int(seconds + offset) // _HOUR * _HOUR - offset
            return Period(start, start + _HOUR)
        first, after = _days_of(self.period, local.date())
        return Period(self._midnight(first), self._midnight(after))

    def _midnight(self, day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp())

    def local(self, seconds: float) -> datetime:
        """Convert a time (Unix seconds) to the budget's time zone."""
        return datetime.fromtimestamp(seconds, timezone.utc).astimezone(self.zone)


def _days_of(period: str, day: date) -> tuple[date, date]:
    """The first day of the period that contains `day`, and the first day after that period."""
    if period == "day":
        return day, day + timedelta(days=1)
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def parse_budgets(text: str) -> list[Budget]:
    """Parse budgets separated by semicolons or line breaks. Raises SettingError if one is malformed or given twice."""
    budgets = [_parse(entry) for entry in _entries(text)]
    keys = [budget.key for budget in budgets]
    if twice := next((budget for budget in budgets if keys.count(budget.key) > 1), None):
        raise SettingError(f"{SETTING} names the budget {twice.key!r} twice: keep one of them")
    return budgets


def _entries(text: str) -> Iterable[str]:
    return filter(None, map(str.strip, re.split(r"[;\n]", text)))


def _parse(entry: str) -> Budget:
    match = _BUDGET.fullmatch(entry)
    if match is None:
        raise SettingError(f"{SETTING}: {entry!r} must be written as {_FORM}")
    scope, amount, unit, period, rest = match.groups()
    budget = Budget(entry, scope.lower(), _amount(entry, amount), _unit(entry, unit), _period(entry, period))
    for word in (rest or "").split():
        budget = _with_word(budget, word)
    return budget


def _amount(entry: str, text: str) -> float:
    if not re.fullmatch(r"(?=.*[1-9])\d{1,12}(\.\d+)?", text):
        raise SettingError(f"{SETTING}: the amount in {entry!r} must be a number above 0, like 20 or 0.5")
    return float(text)


def _unit(entry: str, text: str) -> str:
    if text.lower() not in _UNITS:
        raise SettingError(f"{SETTING}: the unit in {entry!r} must be USD, tokens or calls")
    return _UNITS[text.lower()]


def _period(entry: str, text: str) -> str:
    if text.lower() not in _PERIODS:
        raise SettingError(f"{SETTING}: the period in {entry!r} must be hour, day, week or month")
    return text.lower()


def _with_word(budget: Budget, word: str) -> Budget:
    """Return the budget changed by one of the optional words in its text, such as `soft` or a time zone."""
    lower = word.lower()
    if lower in ("soft", "hard"):
        return budget._replace(is_soft=lower == "soft")
    if not budget.zone_name and (zone := _zone(budget.text, word)) is not None:
        return budget._replace(zone=zone, zone_name=word)
    if budget.action is not None:
        raise SettingError(f"{SETTING}: {budget.text!r} has both {budget.action!r} and {word!r}: keep one of them")
    return budget._replace(action=lower if lower in (STOP, TELL) else word)


def _zone(entry: str, word: str) -> tzinfo | None:
    """The time zone named `word`; None if the word does not look like a time zone, and may be a model's name."""
    if word.upper() == "UTC":
        return timezone.utc  # works without a time zone database
    if not re.fullmatch(r"(?:[A-Z][A-Za-z_]+/)+[A-Z][\w+-]*", word):
        return None
    try:
        return ZoneInfo(word)
    except (KeyError, OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError
        if is_interruption(error):
            raise
        cure = "use a name like Europe/Berlin, or `pip install tzdata` if this machine has no time zone database"
        raise SettingError(f"{SETTING}: {entry!r} names an unknown time zone {word!r}: {cure}") from None


def configured() -> list[Budget]:
    """The budgets that the operator has configured. An invalid budget is reported once and ignored."""
    return list(_readable(setting(SETTING) or ""))


@lru_cache(maxsize=1)
def _readable(text: str) -> tuple[Budget, ...]:
    budgets: list[Budget] = []
    for entry in _entries(text):
        try:
            budgets = parse_budgets("; ".join([*(budget.text for budget in budgets), entry]))
        except SettingError as error:
            warn(f"❌ {error}. Correct it in .env or the environment; until then this budget is ignored.", "red")
    return tuple(budgets)
