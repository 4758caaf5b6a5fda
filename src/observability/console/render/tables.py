"""
🌙 Moon Dev's Tables
Built with love by Moon Dev 🚀

Decisions and figures as tables for a terminal.
"""

from collections.abc import Callable, Iterator, Sequence

from rich.text import Text

from ...journal import Row
from ..evaluation import Class, Mean, Verdict
from ..queries.figures import Figures
from ..queries.listing import Listed
from ..repricing import Repriced
from ..signal import Said, finite, said_of
from .format import (
    both_ends,
    count,
    duration,
    gain,
    gain_percent,
    local_time,
    milliseconds,
    money,
    one_line,
    signed,
    tokens_briefly,
    zone,
)
from .layout import WIDE, Column, table

_ROOMY = 100  # columns: seconds of the time too
_LEAST_NAME, _LEAST_GROUP, _MOST_NAME = 8, 16, 40  # columns
_MOST_REASON = 400
_BAR = 6  # columns of the longest bar
_LEAST_DECISION = 17  # columns: `NOTHING 100% DOGE`
_DITTO = "″"
ACTION_STYLES = {"BUY": "bold green", "SELL": "bold red", "NOTHING": "bold yellow"}
LEVEL_STYLES = {"ERROR": "red", "WARNING": "yellow"}


def decisions_table(decisions: Sequence[Row], room: int, *, brief: bool = False) -> list[Text]:
    """One line a decision, its reason beneath where there is no room beside; `brief` ones without model and cost."""
    said = [said_of(row["metadata"]) for row in decisions]
    columns = list(_decision_columns(decisions, said, room, brief))
    reasons = [Text(one_line(each.reason, _MOST_REASON)) for each in said]
    if brief or room >= WIDE:
        return table([*columns, Column("reason", reasons, 7, 12)], room)
    return table(columns, room, [Text(f"  {one_line(each.plain, room - 2)}", style="dim") for each in reasons])


def _decision_columns(decisions: Sequence[Row], said: Sequence[Said], room: int, brief: bool) -> Iterator[Column]:
    yield _times([row["start_ns"] for row in decisions], room)
    yield Column("trace", [row["trace_id"][:8] for row in decisions], 8)
    yield _names("agent", [row["agent"] or "unknown" for row in decisions], 6)
    if not brief:
        yield _names("model", [row["model"] or "" for row in decisions], 2)
    yield Column("decision", list(map(decision_text, said)), 9, _LEAST_DECISION)
    if any(_profit(row) is not None for row in decisions):
        yield Column("outcome", list(map(_outcome, decisions)), 4, right=True)
    if not brief:
        yield Column("cost", list(map(_cost, decisions)), 3, right=True)


def _times(starts: Sequence[int], room: int) -> Column:
    form = "%m-%d %H:%M:%S" if room >= _ROOMY else "%m-%d %H:%M"
    return Column(f"time ({zone(starts[-1])})", [f"{local_time(start):{form}}" for start in starts], 5)


def _names(what: str, names: Sequence[str], keep: int) -> Column:
    return Column(what, [one_line(name, _MOST_NAME) for name in names], keep, _LEAST_NAME)


def _cost(row: Row) -> str:
    """What the models of its trace cost; said once a trace."""
    if not row["stands"]:
        return _DITTO
    return _money(row["cost_usd"]) if row["calls"] else "–"


def _profit(row: Row) -> float | None:
    usd = finite(row["pnl_usd"])
    return finite(row["pnl_pct"]) if usd is None else usd


def _outcome(row: Row) -> Text:
    profit = _profit(row)
    if profit is None:
        return Text("–")
    if not row["stands"]:
        return Text(_DITTO)
    said = gain_percent(profit) if finite(row["pnl_usd"]) is None else gain(profit)
    return Text(said, style="green" if profit > 0 else "red" if profit < 0 else "")


def verdicts_table(found: Sequence[Verdict], by: str, room: int) -> list[Text]:
    """One group that decided: cases, hits, mean profit or loss, Brier score; beneath it, their intervals."""
    columns = [
        _groups([each.group for each in found], by),
        Column("cases", [_cases(each) for each in found], 9, right=True),
        Column("hits", [f"{each.hits / each.cases:.0%}" for each in found], 8, right=True),
        Column("mean PnL", [_mean(each.gain_usd, each.cases, gain) for each in found], 7, right=True),
        Column("Brier", [_mean(each.brier, each.cases, _score) for each in found], 6, right=True),
    ]
    return table(columns, room, [Text(f"  {_intervals(each)}", style="dim") for each in found])


def _cases(group: Verdict | Class) -> str:
    return f"{group.cases:,} few" if group.few else f"{group.cases:,}"


def _score(value: float) -> str:
    return f"{value:.2f}"


def _mean(mean: Mean, cases: int, form: Callable[[float], str]) -> str:
    """With the number of its cases, where that is another one than the group's."""
    if mean.value is None:
        return "–"
    return form(mean.value) if mean.cases == cases else f"{form(mean.value)} of {mean.cases:,}"


def _intervals(group: Verdict) -> str:
    hits = f"hits {100 * group.hit_low:.0f} to {100 * group.hit_high:.0f}%"
    return f"{hits}, mean {_interval(group.gain_usd, gain)}, Brier {_interval(group.brier, _score)}"


def _interval(mean: Mean, form: Callable[[float], str]) -> str:
    return "?" if mean.low is None or mean.high is None else f"{form(mean.low)} to {form(mean.high)}"


def balance_table(found: Sequence[Verdict], by: str, room: int) -> list[Text]:
    """One line a group: profit or loss, of how many cases, what all its calls cost, and what is left."""
    return table(
        [
            _groups([each.group for each in found], by),
            Column("PnL", [gain(each.pnl_usd) for each in found], 8, right=True),
            Column("cases", [f"{each.gain_usd.cases:,}" for each in found], 5, right=True),
            Column("all calls", [_money(each.calls_usd) if each.calls else "no call" for each in found], 7, right=True),
            Column("no price", [_unpriced(each) for each in found], 6, right=True),
            Column("net", [_net(each) for each in found], 9, right=True),
        ],
        room,
    )


def _unpriced(group: Verdict) -> str:
    return f"{group.unpriced:,} of {group.calls:,}" if group.unpriced else "–"


def _net(group: Verdict) -> str:
    return "unknown" if group.pnl_usd is not None and group.net_usd is None else gain(group.net_usd)


def calibration_table(found: Sequence[Class], room: int) -> list[Text]:
    """Confidence against outcome, one line a class."""
    return table(
        [
            Column("confidence", [f"{each.confidence:.0f}%" for each in found], 9, right=True),
            Column("cases", [_cases(each) for each in found], 8, right=True),
            Column("profitable", [f"{each.hits / each.cases:.0%}" for each in found], 7, right=True),
            Column("interval", [f"{100 * each.low:.0f} to {100 * each.high:.0f}%" for each in found], 6, right=True),
        ],
        room,
    )


def decision_text(said: Said) -> Text:
    """`SELL 64% ETH`; with a `?` where nobody could act on it."""
    action = one_line(said.action, 12)
    text = Text(action, style=ACTION_STYLES.get(action, "bold"))
    text.append(f" {said.confidence:g}%" if said.confidence is not None else "")
    text.append(f" {one_line(said.symbol, 12)}" if said.symbol else "")
    return text if said.valid or action == "?" else text.append(" ?", style="yellow")


def traces_table(found: Sequence[Listed], room: int) -> list[Text]:
    """One line a trace."""
    decided = [decision_text(each.said) if each.said else Text("–") for each in found]
    columns = [
        _times([each.start_ns for each in found], room),
        Column("trace", [each.id[:8] for each in found], 9),
        _names("agent", [each.name for each in found], 8),
        _names("model", [each.model or "" for each in found], 3),
        Column("decision", decided, 7, _LEAST_DECISION),
        Column("tokens", [tokens_briefly(each.tokens) for each in found], 1, right=True),
        Column("cost", [_money(each.cost_usd) if each.calls else "–" for each in found], 4, right=True),
        Column("took", ["unknown" if each.interrupted else duration(each.took_ns) for each in found], 2, right=True),
    ]
    if any(each.level != "DEFAULT" for each in found):
        columns.append(Column("level", [_level(each.level) for each in found], 6))
    return table(columns, room)


def _level(level: str) -> Text:
    return Text("" if level == "DEFAULT" else level, style=LEVEL_STYLES.get(level, ""))


def spend_table(found: Sequence[Figures], room: int) -> list[Text]:
    """One line an agent: how often it called, failed and decided, and what that cost."""
    return _figures(found, "agent", ("calls", "errors", "decisions", "spend", "no price"), room)


def figures_table(found: Sequence[Figures], everything: Figures, by: str, room: int) -> list[Text]:
    """One line a group and one for `everything`, with as many figures as there is room for, and a bar of its spend."""
    lines = _figures(found, by, tuple(_CELLS), room, everything)
    lines[-1].stylize("bold")
    return lines


def repriced_table(found: Sequence[Repriced], by: str, model: str, room: int) -> list[Text]:
    """One line a group: what its calls cost, and would cost on `model`."""
    return table(
        [
            _groups([each.group for each in found], by),
            Column("calls", [f"{each.calls:,}" for each in found], 5, right=True),
            Column("spend", [_money(each.recorded_usd) for each in found], 6, right=True),
            Column("no price", [_percent(each.unpriced / each.calls) for each in found], 3, right=True),
            Column(one_line(model, 28), [_money(each.what_if_usd) for each in found], 7, right=True),
            Column("change", [_change(each.change) for each in found], 4, right=True),
        ],
        room,
    )


def _change(change: float | None) -> Text:
    return Text("–") if change is None else Text(signed(change, "+.0%"), style="green" if change < 0 else "red")


def _groups(names: Sequence[str], by: str) -> Column:
    """Names that differ are not cut so far that they no longer do; a session's is there to be copied."""
    shown = [one_line(name, _MOST_NAME) for name in names]
    lengths = (_MOST_NAME,) if by == "session" else range(_LEAST_GROUP, _MOST_NAME)
    told_apart = (least for least in lengths if len({both_ends(each, least) for each in shown}) == len(set(shown)))
    return Column("day (UTC)" if by == "day" else by, shown, 99, next(told_apart, _MOST_NAME))


def _figures(
    found: Sequence[Figures], by: str, names: Sequence[str], room: int, everything: Figures | None = None
) -> list[Text]:
    rows = found if everything is None else [*found, everything]
    figures = (Column(name, list(map(_CELLS[name], rows)), _KEEP.index(name), right=True) for name in names)
    bars = [*_bars(found), *(Text() for _ in rows[len(found) :])]  # a sum beside its parts would dwarf them
    return table([_groups([each.group for each in rows], by), *figures, Column("", bars, 8)], room)


def _bars(found: Sequence[Figures]) -> list[Text]:
    spent = [each.cost_usd or 0.0 for each in found]
    return [Text("█" * round(usd / max(spent) * _BAR) if usd else "", style="cyan") for usd in spent]


def _percent(share: float | None) -> str:
    """Nothing at all is a dash; little is not nothing."""
    return "–" if not share else f"{share:.0%}" if share >= 0.005 else "<1%"


def _money(usd: float | None) -> str:
    return "unknown" if usd is None else money(usd)


_CELLS: dict[str, Callable[[Figures], str]] = {
    "calls": lambda each: f"{each.calls:,}",
    "errors": lambda each: _percent(each.error_share),
    "spend": lambda each: _money(each.cost_usd),
    "no price": lambda each: _percent(each.unpriced_share),
    "p50": lambda each: milliseconds(each.p50_ms),
    "p95": lambda each: milliseconds(each.p95_ms),
    "p99": lambda each: milliseconds(each.p99_ms),
    "1st token": lambda each: milliseconds(each.first_token_p50_ms),
    "decisions": lambda each: f"{each.decisions:,}",
    "each": lambda each: "–" if each.cost_per_decision is None else money(each.cost_per_decision),
    "cached": lambda each: _percent(each.cache_hit_share),
    "tokens in": lambda each: count(each.input_tokens),
    "out": lambda each: count(each.output_tokens),
    "thinking": lambda each: count(each.reasoning_tokens),
}


# Which figures stay where there is no room for all; the first go first.
_KEEP = (
    "thinking", "out", "tokens in", "1st token", "cached", "p99", "each", "decisions", "p50", "p95", "no price",
    "errors", "spend", "calls",
)  # fmt: skip
