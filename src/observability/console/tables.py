"""
🌙 Moon Dev's Tables
Built with love by Moon Dev 🚀

Decisions and figures as tables for a terminal.
"""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from src.observability.console.figures import Figures
from src.observability.console.shown import duration, local_time, money, one_line
from src.observability.journal import Row

ACTION_STYLES = {"BUY": "bold green", "SELL": "bold red", "NOTHING": "bold yellow"}


def decisions_table(decisions: Sequence[Row], *, wide: bool) -> Table:
    """One line a decision; `wide` has room for model, cost and the whole reason."""
    table = _table()
    for name in (
        "local time",
        "agent",
        *(("model",) if wide else ()),
        "decision",
        *(("cost",) if wide else ()),
        "reason",
    ):
        table.add_column(name, no_wrap=name != "reason", overflow="ellipsis")
    for row in decisions:
        said = row["metadata"]
        model = [one_line(row["model"] or "", 28)] if wide else []
        cost = [money(row["cost_usd"])] if wide else []
        reason = one_line(str(said.get("signal_reasoning") or ""), 400 if wide else 60)
        when = f"{local_time(row['start_ns']):%m-%d %H:%M:%S}"
        table.add_row(when, one_line(row["agent"] or "unknown", 24), *model, _action(said), *cost, Text(reason))
    return table


def _action(said: Row) -> Text:
    action = one_line(str(said.get("signal_action")), 12)
    confidence = said.get("signal_confidence")
    text = Text(action, style=ACTION_STYLES.get(action, "bold"))
    text.append(f" {confidence:g}%" if confidence is not None else "")
    if said.get("trading_symbol"):
        text.append(f" {one_line(str(said['trading_symbol']), 12)}")
    return text if said.get("signal_valid") is not False else text.append(" ?", style="yellow")


def figures_table(found: Sequence[Figures], by: str, *, wide: bool) -> Table:
    """One line a group, with a bar of its share of the spend."""
    table = _table()
    table.add_column(by, overflow="ellipsis", no_wrap=True, max_width=28 if wide else 16)
    names = ["calls", "errors", "spend", "no price", "p50", "p95"]
    for name in names + (["tokens in", "cached", "out", "decisions", "each"] if wide else []):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True, min_width=5)
    total = sum(each.cost_usd or 0.0 for each in found)
    for each in found:
        table.add_row(
            one_line(each.group, 28), *_cells(each, wide), _bar((each.cost_usd or 0.0) / total if total else 0.0)
        )
    return table


def _cells(each: Figures, wide: bool) -> list[str]:
    cells = [
        f"{each.calls:,}", f"{each.errors / each.calls:.0%}" if each.errors else "–",
        money(each.cost_usd) if each.cost_usd is not None else "unknown",
        f"{each.unpriced / each.calls:.0%}" if each.unpriced else "–",
        _milliseconds(each.p50_ms), _milliseconds(each.p95_ms),
    ]  # fmt: skip
    if not wide:
        return cells
    per_decision = each.cost_per_decision
    return [
        *cells, f"{each.input_tokens:,}", f"{each.cached_tokens:,}", f"{each.output_tokens:,}",
        f"{each.decisions:,}", "–" if per_decision is None else money(per_decision),
    ]  # fmt: skip


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else duration(int(value * 1e6))


def _bar(share: float) -> Text:
    return Text("█" * round(share * 10), style="cyan")


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold cyan")
