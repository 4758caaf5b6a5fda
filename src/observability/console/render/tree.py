"""Formats a trace as a tree: one cycle (pass) of an agent, its calls with tokens and cost, its decision."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from ...journal import INTERRUPTED, Row
from ..queries.traces import Trace
from ..signal import signal_of
from .format import SHORT_ID, duration, gain, gain_percent, moment, one_line, price, safe, text_of, tokens
from .tables import LEVEL_STYLES, decision_text

_ICONS = {"agent": "🤖", "generation": "🧠", "event": "📌", "tool": "🔧"}
_INDENT = 12  # texts are cut to the terminal's width minus this many columns, which the branches' indent needs


def tree_of(trace: Trace, *, full: bool = False, width: int = 80) -> RenderableType:
    """Return a trace as a tree. Unless `full`, texts are cut to one line and the prompts of calls are left out."""
    ids = {row["id"] for row in trace.observations}
    roots = [row for row in trace.observations if row["parent_id"] not in ids]
    head = Text(f"{moment(trace.observations[0]['start_ns'])}  trace {trace.id[:SHORT_ID]}", style="dim")
    if trace.address:
        head.append(f"  {safe(trace.address)}")
    branches = [_branch(row, trace, full, width) for row in roots]
    return Group(head, *branches, *_scores(trace, full, width))


def _scores(trace: Trace, full: bool, width: int) -> Iterator[Text]:
    """Yield the trace's scores except those of signals, one line each; line breaks in notes become spaces."""
    for score in trace.outcomes:
        line = f"{_score(score)}  {score['comment'] or ''}".rstrip()
        yield Text(f"⚖️ {one_line(line, 2 * len(line) if full else width - 3)}")


def _score(score: Row) -> str:
    value = score["value"]
    if isinstance(value, int | float) and score["name"] in ("pnl_usd", "pnl_pct"):
        return gain(value) if score["name"] == "pnl_usd" else gain_percent(value)
    return f"{score['name']} {value}"


def _branch(row: Row, trace: Trace, full: bool, width: int) -> Tree:
    tree = Tree(_label(row))
    children = [child for child in trace.observations if child["parent_id"] == row["id"]]
    has_decision = any(child["name"] == "trading_signal" for child in children)
    for line in _details(row, full, width - _INDENT):
        if full or not (has_decision and line.plain.startswith("out: ")):  # the decision below repeats the output
            tree.add(line)
    tree.children += [_branch(child, trace, full, width) for child in children]
    return tree


def _label(row: Row) -> Text:
    text = Text(f"{_ICONS.get(row['type'], '▸')} ", style=LEVEL_STYLES.get(row["level"], ""))
    if row["name"] == "trading_signal":
        return text.append_text(decision_text(signal_of(row["metadata"])))
    facts = list(_facts(row))
    if row["type"] != "generation" or row["name"] != "llm_generation":
        facts.insert(0, one_line(row["name"], 40))
    text.append(facts[0], style="bold")
    return text.append("".join(f"  {fact}" for fact in facts[1:]))


def _facts(row: Row) -> Iterator[str]:
    if row["type"] != "generation":
        yield _took(row)
        return
    yield one_line("/".join(filter(None, (row["provider"], row["model"]))), 40) or "unknown model"
    if row["prompt_name"]:
        yield one_line(f"{row['prompt_name']} v{row['prompt_version']}", 40)
    yield tokens(row["usage"])
    yield _took(row)
    yield price(row["cost_usd"])


def _took(row: Row) -> str:
    if row["status_message"] == INTERRUPTED:
        return "duration unknown"  # the end recorded for an interrupted observation is only a lower bound
    return duration(None if row["end_ns"] is None else row["end_ns"] - row["start_ns"])


def _details(row: Row, full: bool, width: int) -> Iterator[Text]:
    """Yield an observation's status message, then its reason if it is a decision, otherwise its input and output.

    Without `full`, each text is cut to one line, and inputs are left out, except an agent's.
    """
    if row["status_message"]:
        yield Text(_cut(row["status_message"], full, width), style=LEVEL_STYLES.get(row["level"], ""))
    if row["name"] == "trading_signal":
        yield Text(_cut(signal_of(row["metadata"]).reason, full, width), style="dim")
        return
    if row["input"] is not None and (full or row["type"] == "agent"):
        yield Text("in:  " + _cut(text_of(row["input"]), full, width - 5), style="cyan")
    if row["output"] is not None:
        yield Text("out: " + _cut(text_of(row["output"]), full, width - 5))


def _cut(text: str, full: bool, width: int) -> str:
    return safe(text) if full else one_line(text, width)
