"""
🌙 Moon Dev's Trace Trees
Built with love by Moon Dev 🚀

A trace as a tree: the agent's cycle, what it asked, what that cost, and what it decided.
"""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from ...journal import INTERRUPTED, Row
from ..queries.traces import Trace
from ..signal import said_of
from .format import duration, gain, gain_percent, moment, money, one_line, safe, text_of, tokens
from .tables import LEVEL_STYLES, decision_text

_ICONS = {"agent": "🤖", "generation": "🧠", "event": "📌", "tool": "🔧"}


def tree_of(trace: Trace, *, full: bool = False, width: int = 80) -> RenderableType:
    """The tree; prompts and answers folded to one line, or `full`."""
    ids = {row["id"] for row in trace.observations}
    roots = [row for row in trace.observations if row["parent_id"] not in ids]
    head = Text(f"{moment(trace.observations[0]['start_ns'])}  trace {trace.id[:8]}", style="dim")
    if address := langfuse_address(trace):
        head.append(f"  {address}")
    branches = [_branch(row, trace, full, width) for row in roots]
    return Group(head, *branches, *_outcome(trace, full, width))


def _outcome(trace: Trace, full: bool, width: int) -> Iterator[Text]:
    """What the market made of it, and any other score of the whole trace: a line each, whatever is in a note."""
    for score in trace.scores:
        if score["observation_id"] is None:
            said = f"{_value_of(score)}  {score['comment'] or ''}".rstrip()
            yield Text(f"⚖️ {one_line(said, 2 * len(said) if full else width - 3)}")


def _value_of(score: Row) -> str:
    value = score["value"]
    if not isinstance(value, int | float):
        return f"{score['name']} {value}"
    if score["name"] == "pnl_usd":
        return gain(value)
    return gain_percent(value) if score["name"] == "pnl_pct" else f"{score['name']} {value}"


def langfuse_address(trace: Trace) -> str | None:
    """Where Langfuse shows it, once all of it is there; `/trace/ID` leads to the project's page."""
    root = trace.observations[0]
    if any(row["state"] != "shipped" for row in trace.observations):
        return None
    return f"{root['destination'].partition('|')[0]}/trace/{trace.id}"


def _branch(row: Row, trace: Trace, full: bool, width: int) -> Tree:
    tree = Tree(_label(row))
    children = [child for child in trace.observations if child["parent_id"] == row["id"]]
    decided = any(child["name"] == "trading_signal" for child in children)
    for line in _details(row, full, width - 12):
        if full or not (decided and line.plain.startswith("out: ")):  # the signal below says it better
            tree.add(line)
    tree.children += [_branch(child, trace, full, width) for child in children]
    return tree


def _label(row: Row) -> Text:
    text = Text(f"{_ICONS.get(row['type'], '▸')} ", style=LEVEL_STYLES.get(row["level"], ""))
    if row["name"] == "trading_signal":
        return text.append_text(decision_text(said_of(row["metadata"])))
    facts = list(_facts(row))
    if row["type"] != "generation" or row["name"] != "llm_generation":
        facts.insert(0, one_line(row["name"], 40))
    text.append(facts[0], style="bold")
    return text.append("".join(f"  {fact}" for fact in facts[1:]))


def _facts(row: Row) -> Iterator[str]:
    took = _took(row)
    if row["type"] == "generation":
        yield one_line("/".join(filter(None, (row["provider"], row["model"]))), 40) or "unknown model"
        yield tokens(row["usage"]) or "tokens unknown"
        yield took
        yield money(row["cost_usd"])
    else:
        yield took


def _took(row: Row) -> str:
    if row["status_message"] == INTERRUPTED:
        return "duration unknown"  # its end is only the last that its trace tells
    return duration(None if row["end_ns"] is None else row["end_ns"] - row["start_ns"])


def _details(row: Row, full: bool, width: int) -> Iterator[Text]:
    """The answer, the reason, the error, each as a line; with `full`, all of it, and the prompt too."""
    if row["status_message"]:
        yield Text(_cut(row["status_message"], full, width), style=LEVEL_STYLES.get(row["level"], ""))
    if row["name"] == "trading_signal":
        yield Text(_cut(said_of(row["metadata"]).reason, full, width), style="dim")
        return
    if row["input"] is not None and (full or row["type"] == "agent"):
        yield Text("in:  " + _cut(text_of(row["input"]), full, width - 5), style="cyan")
    if row["output"] is not None:
        yield Text("out: " + _cut(text_of(row["output"]), full, width - 5))


def _cut(text: str, full: bool, width: int) -> str:
    return safe(text) if full else one_line(text, width)
