"""Formats decisions, traces and statistics as tables."""

from collections.abc import Callable, Iterator, Sequence

from rich.text import Text

from ...journal import Row
from ..evaluation import ConfidenceClass, Estimate, Evaluation
from ..queries.totals import CallStats
from ..queries.traces import TraceLine
from ..repricing import Repriced
from ..signal import Signal, signal_of
from ..time_range import local_time, now_ns
from .format import (
    SHORT_ID,
    both_ends,
    cost_text,
    count,
    duration,
    gain,
    milliseconds,
    money,
    one_line,
    outcome_text,
    profit_of,
    signed,
    tokens_briefly,
    zone,
)
from .layout import WIDE, Column, table

ACTION_STYLES = {"BUY": "bold green", "SELL": "bold red", "NOTHING": "bold yellow"}
LEVEL_STYLES = {"ERROR": "red", "WARNING": "yellow"}
_WITH_SECONDS = 100  # in terminals of at least this many columns, times include seconds
_MIN_NAME, _MIN_GROUP, _MAX_NAME = 8, 16, 40  # widths of names and group names, in terminal columns
_MAX_REASON = 400
_BAR = 6  # length of the longest bar, in columns
_MIN_DECISION = 17  # width of `NOTHING 100% DOGE`, in columns


def decisions_table(decisions: Sequence[Row], max_width: int, *, brief: bool = False) -> list[Text]:
    """Return one line per decision; `brief` leaves out model and cost.

    The reason is the last column. Without `brief`, a narrow terminal shows it on a line of its own below the decision.
    """
    signals = [signal_of(row["metadata"]) for row in decisions]
    columns = list(_decision_columns(decisions, signals, max_width, brief))
    reasons = [Text(one_line(signal.reason, _MAX_REASON)) for signal in signals]
    if brief or max_width >= WIDE:
        return table([*columns, Column("reason", reasons, 7, 12)], max_width)
    notes = [Text(f"  {one_line(reason.plain, max_width - 2)}", style="dim") for reason in reasons]
    return table(columns, max_width, notes)


def _decision_columns(
    decisions: Sequence[Row], signals: Sequence[Signal], max_width: int, brief: bool
) -> Iterator[Column]:
    yield _times("time", [row["start_ns"] for row in decisions], max_width)
    yield Column("trace", [row["trace_id"][:SHORT_ID] for row in decisions], 8)
    yield _names("agent", [row["agent"] or "unknown" for row in decisions], 6)
    if not brief:
        yield _names("model", [row["model"] or "" for row in decisions], 2)
    yield Column("decision", list(map(decision_text, signals)), 9, _MIN_DECISION)
    if any(profit_of(row) is not None for row in decisions):
        yield Column("outcome", list(map(_outcome, decisions)), 4, right=True)
    if not brief:
        yield Column("cost", list(map(cost_text, decisions)), 3, right=True)


def _times(title: str, times: Sequence[int], max_width: int) -> Column:
    """The column of times. The UTC offset is in its title, or in each cell if the times have different offsets."""
    form = "%m-%d %H:%M:%S" if max_width >= _WITH_SECONDS else "%m-%d %H:%M"
    cells = [f"{local_time(time):{form}}" for time in times]
    zones = [zone(time) for time in times]
    if len(set(zones)) == 1:
        return Column(f"{title} ({zones[0]})", cells, 5)
    return Column(title, [f"{cell} {offset}" for cell, offset in zip(cells, zones, strict=True)], 5)


def _names(title: str, names: Sequence[str], priority: int) -> Column:
    return Column(title, [one_line(name, _MAX_NAME) for name in names], priority, _MIN_NAME)


def _outcome(row: Row) -> Text:
    profit = profit_of(row) if row["stands"] else None
    return Text(outcome_text(row), style="" if not profit else "green" if profit > 0 else "red")


def decision_text(signal: Signal) -> Text:
    """A signal as `SELL 64% ETH`. A leading `≈` marks an inferred signal, a trailing `?` an invalid signal."""
    action = one_line(signal.action, 12)
    text = Text("≈ " if signal.inferred else "").append(action, style=ACTION_STYLES.get(action, "bold"))
    text.append(f" {signal.confidence:g}%" if signal.confidence is not None else "")
    text.append(f" {one_line(signal.symbol, 12)}" if signal.symbol else "")
    return text if signal.valid or action == "?" else text.append(" ?", style="yellow")


def traces_table(traces: Sequence[TraceLine], max_width: int) -> list[Text]:
    """One line per trace."""
    decisions = [decision_text(trace.signal) if trace.signal else Text("–") for trace in traces]
    took = ["unknown" if trace.interrupted else duration(trace.took_ns) for trace in traces]
    columns = [
        _times("began", [trace.start_ns for trace in traces], max_width),
        Column("trace", [trace.id[:SHORT_ID] for trace in traces], 9),
        _names("agent", [trace.name for trace in traces], 8),
        _names("model", [trace.model or "" for trace in traces], 3),
        Column("decision", decisions, 7, _MIN_DECISION),
        Column("tokens", [tokens_briefly(trace.tokens) for trace in traces], 1, right=True),
        Column("cost", [money(trace.cost_usd) if trace.calls else "–" for trace in traces], 4, right=True),
        Column("took", took, 2, right=True),
    ]
    if any(trace.level != "DEFAULT" for trace in traces):
        columns.append(Column("level", [_level(trace.level) for trace in traces], 6))
    return table(columns, max_width)


def _level(level: str) -> Text:
    return Text("" if level == "DEFAULT" else level, style=LEVEL_STYLES.get(level, ""))


def evaluations_table(evaluations: Sequence[Evaluation], by: str, max_width: int) -> list[Text]:
    """Return a line per group: cases (decisions with an outcome), hits, mean profit or loss, and Brier score.

    A second line below it shows the 95 % confidence intervals of hits, mean and score.
    """
    columns = [
        _groups([group.group for group in evaluations], by),
        Column("cases", [_cases(group) for group in evaluations], 9, right=True),
        Column("hits", [f"{group.hits / group.cases:.0%}" for group in evaluations], 8, right=True),
        Column("mean PnL", [_mean(group.gain_usd, group.cases, gain) for group in evaluations], 7, right=True),
        Column("Brier", [_mean(group.brier, group.cases, _score) for group in evaluations], 6, right=True),
    ]
    return table(columns, max_width, [Text(f"  {_intervals(group)}", style="dim") for group in evaluations])


def _cases(group: Evaluation | ConfidenceClass) -> str:
    return f"{group.cases:,} few" if group.few else f"{group.cases:,}"


def _score(value: float) -> str:
    return f"{value:.2f}"


def _mean(mean: Estimate, cases: int, form: Callable[[float], str]) -> str:
    """Format a mean, with its number of cases if that differs from the group's number of cases."""
    if mean.value is None:
        return "–"
    return form(mean.value) if mean.cases == cases else f"{form(mean.value)} of {mean.cases:,}"


def _intervals(group: Evaluation) -> str:
    hits = f"hits {100 * group.hit_low:.0f} to {100 * group.hit_high:.0f}%"
    return f"{hits}, mean {_interval(group.gain_usd, gain)}, Brier {_interval(group.brier, _score)}"


def _interval(mean: Estimate, form: Callable[[float], str]) -> str:
    return "?" if mean.low is None or mean.high is None else f"{form(mean.low)} to {form(mean.high)}"


def balance_table(evaluations: Sequence[Evaluation], by: str, max_width: int) -> list[Text]:
    """One line per group: profit or loss, number of outcomes summed, cost of all calls, profit or loss minus cost."""
    costs = [money(group.calls_usd) if group.calls else "no call" for group in evaluations]
    return table(
        [
            _groups([group.group for group in evaluations], by),
            Column("PnL", [gain(group.pnl_usd) for group in evaluations], 8, right=True),
            Column("cases", [f"{group.gain_usd.cases:,}" for group in evaluations], 5, right=True),
            Column("all calls", costs, 7, right=True),
            Column("no price", [_unpriced(group) for group in evaluations], 6, right=True),
            Column("net", [_net(group) for group in evaluations], 9, right=True),
        ],
        max_width,
    )


def _unpriced(group: Evaluation) -> str:
    return f"{group.unpriced:,} of {group.calls:,}" if group.unpriced else "–"


def _net(group: Evaluation) -> str:
    return "unknown" if group.pnl_usd is not None and group.net_usd is None else gain(group.net_usd)


def calibration_table(classes: Sequence[ConfidenceClass], max_width: int) -> list[Text]:
    """One line per interval of confidence: the share of profitable decisions among those in the interval."""
    intervals = [f"{100 * group.low:.0f} to {100 * group.high:.0f}%" for group in classes]
    return table(
        [
            Column("confidence", [f"{group.confidence:.0f}%" for group in classes], 9, right=True),
            Column("cases", [_cases(group) for group in classes], 8, right=True),
            Column("profitable", [f"{group.hits / group.cases:.0%}" for group in classes], 7, right=True),
            Column("interval", intervals, 6, right=True),
        ],
        max_width,
    )


def spend_table(agents: Sequence[CallStats], max_width: int) -> list[Text]:
    """One line per agent: calls, errors, decisions and spend."""
    return _stats(agents, "agent", ("calls", "errors", "decisions", "spend", "no price"), max_width)


def costs_table(groups: Sequence[CallStats], total: CallStats, by: str, max_width: int) -> list[Text]:
    """One line per group and one for the total, with all statistics that fit. Each group has a bar for its spend."""
    lines = _stats(groups, by, tuple(_CELLS), max_width, total)
    lines[-1].stylize("bold")
    return lines


def repriced_table(groups: Sequence[Repriced], by: str, model: str, max_width: int) -> list[Text]:
    """One line per group: the recorded cost of its calls, and what they would cost on `model`."""
    return table(
        [
            _groups([group.group for group in groups], by),
            Column("calls", [f"{group.calls:,}" for group in groups], 5, right=True),
            Column("spend", [money(group.recorded_usd) for group in groups], 6, right=True),
            Column("no price", [_percent(group.unpriced / group.calls) for group in groups], 3, right=True),
            Column(one_line(model, 28), [money(group.what_if_usd) for group in groups], 7, right=True),
            Column("change", [_change(group.change) for group in groups], 4, right=True),
        ],
        max_width,
    )


def _change(change: float | None) -> Text:
    return Text("–") if change is None else Text(signed(change, "+.0%"), style="green" if change < 0 else "red")


def _groups(names: Sequence[str], by: str) -> Column:
    """The column of group names, at most 40 terminal columns wide.

    It may shrink as long as all names stay distinct. A column of sessions never shrinks.
    """
    lines = [one_line(name, _MAX_NAME) for name in names]
    widths = (_MAX_NAME,) if by == "session" else range(_MIN_GROUP, _MAX_NAME)
    distinct = (width for width in widths if len({both_ends(line, width) for line in lines}) == len(set(lines)))
    return Column(
        f"day ({'UTC' if zone(now_ns()) == 'UTC' else 'local'})" if by == "day" else by,
        lines,
        99,
        next(distinct, _MAX_NAME),
    )


def _stats(
    groups: Sequence[CallStats], by: str, names: Sequence[str], max_width: int, total: CallStats | None = None
) -> list[Text]:
    rows = groups if total is None else [*groups, total]
    columns = (Column(name, list(map(_CELLS[name], rows)), _PRIORITY.index(name), right=True) for name in names)
    bars = [*_bars(groups), *(Text() for _ in rows[len(groups) :])]  # no bar for the total, as it would dwarf the rest
    return table([_groups([row.group for row in rows], by), *columns, Column("", bars, 8)], max_width)


def _bars(groups: Sequence[CallStats]) -> list[Text]:
    costs = [group.cost_usd or 0.0 for group in groups]
    return [Text("█" * round(usd / max(costs) * _BAR) if usd else "", style="cyan") for usd in costs]


def _percent(share: float | None) -> str:
    """Format a share in percent: `–` for zero or None, `<1%` for less than half a percent."""
    return "–" if not share else f"{share:.0%}" if share >= 0.005 else "<1%"


_CELLS: dict[str, Callable[[CallStats], str]] = {
    "calls": lambda group: f"{group.calls:,}",
    "errors": lambda group: _percent(group.error_share),
    "spend": lambda group: money(group.cost_usd),
    "no price": lambda group: _percent(group.unpriced_share),
    "p50": lambda group: milliseconds(group.p50_ms),
    "p95": lambda group: milliseconds(group.p95_ms),
    "p99": lambda group: milliseconds(group.p99_ms),
    "1st token": lambda group: milliseconds(group.first_token_p50_ms),
    "decisions": lambda group: f"{group.decisions:,}",
    "each": lambda group: "–" if group.cost_per_decision is None else money(group.cost_per_decision),
    "cached": lambda group: _percent(group.cache_hit_share),
    "tokens in": lambda group: count(group.input_tokens),
    "out": lambda group: count(group.output_tokens),
    "thinking": lambda group: count(group.reasoning_tokens),
}
# In a narrow terminal, columns are dropped in this order.
_PRIORITY = (
    "thinking", "out", "tokens in", "1st token", "cached", "p99", "each", "decisions", "p50", "p95", "no price",
    "errors", "spend", "calls",
)  # fmt: skip
