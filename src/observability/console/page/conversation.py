"""Prepares a trace for the web page: a tree of observations, each with messages, duration, tokens and cost."""

import json
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

from ...journal import INTERRUPTED, Row
from ..queries.totals import tokens_in_and_out
from ..queries.traces import Trace
from ..render.format import duration, gain, gain_percent, moment, money, plain, price, safe, tokens
from .overview import DecisionRow, decision

_MAX_TEXT = 20_000  # a longer message is cut to this many characters
_MAX_DEPTH = 20
_MAX_NODES = 500
_ROLES = {"system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
          "model": "assistant", "tool": "tool", "function": "tool"}  # fmt: skip
# Name of a call argument that holds a message -> role of that message. The page shows messages in this order.
_ARGUMENTS = {
    "system": "system", "system_prompt": "system", "instructions": "system", "prompt": "user", "user_prompt": "user",
    "user_content": "user",
}  # fmt: skip
_KINDS = {"generation": "model call"}


class Message(NamedTuple):
    """A message of a conversation. `kind` is its CSS class: system, user, assistant, tool or data."""

    kind: str
    role: str
    text: str
    is_cut: bool


class Node(NamedTuple):
    """An observation and its children."""

    row: Row
    kind: str  # the observation's type in words
    title: str
    facts: list[str]
    messages: list[Message]
    more: list[Message]  # model parameters and metadata, shown as messages
    decision: DecisionRow | None
    left: float  # time from the trace's start to the observation's, in percent of the trace's duration
    width: float  # duration of the observation in percent of the trace's duration
    children: "list[Node]"


class Picture(NamedTuple):
    """A trace prepared for the page."""

    id: str
    name: str
    facts: list[tuple[str, str]]  # name, value
    outcomes: list[tuple[str, str]]  # value, note
    roots: list[Node]
    hidden: int  # number of observations beyond the first 500, which are not shown
    langfuse: str | None


def picture(trace: Trace) -> Picture:
    """Prepare a trace for the page. The trace must have at least one observation."""
    rows = trace.observations
    name = next((row["agent"] for row in rows if row["agent"]), rows[0]["trace_name"])
    return Picture(
        trace.id, plain(name), list(_facts_of(rows)), _outcomes(trace), _roots(rows[:_MAX_NODES]),
        hidden=len(rows[_MAX_NODES:]), langfuse=_address(trace),
    )  # fmt: skip


def _facts_of(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    calls = [row for row in rows if row["type"] == "generation"]
    ends = [row["end_ns"] for row in rows]
    is_interrupted = any(row["status_message"] == INTERRUPTED for row in rows)
    yield "Started", moment(rows[0]["start_ns"])
    yield (
        "Took",
        "unknown: interrupted"
        if is_interrupted
        else duration(None if None in ends else max(ends) - rows[0]["start_ns"]),
    )
    yield "Calls", f"{len(calls):,}"
    counts = [tokens_in_and_out(call["usage"]) for call in calls if call["usage"]]
    if counts:
        yield "Tokens", f"{sum(count for count, _ in counts):,} in, {sum(count for _, count in counts):,} out"
    yield "Cost", _cost(calls) if calls else "no call"
    yield "Session", plain(rows[0]["session_id"]) or "none"


def _cost(calls: Sequence[Row]) -> str:
    costs = [call["cost_usd"] for call in calls if call["cost_usd"] is not None]
    unpriced = any(call["cost_usd"] is None and call["level"] != "ERROR" for call in calls)
    return money(None if unpriced or not costs else sum(costs))


def _outcomes(trace: Trace) -> list[tuple[str, str]]:
    return [(_score(score), plain(score["comment"])) for score in trace.outcomes]


def _score(score: Row) -> str:
    value = score["value"]
    if isinstance(value, int | float) and score["name"] in ("pnl_usd", "pnl_pct"):
        return gain(value) if score["name"] == "pnl_usd" else gain_percent(value)
    return plain(f"{score['name']} {value}")


def _address(trace: Trace) -> str | None:
    """Return the address of the trace in Langfuse; None if it is not a web address.

    The address is checked because the Langfuse host in the journal may be any text.
    """
    address = trace.address
    return address if address and address.startswith(("https://", "http://")) else None


def _roots(rows: Sequence[Row]) -> list[Node]:
    ids = {row["id"] for row in rows}
    start, end = rows[0]["start_ns"], max(row["end_ns"] or row["start_ns"] for row in rows)
    return [_node(row, rows, start, max(end - start, 1), 0) for row in rows if row["parent_id"] not in ids]


def _node(row: Row, rows: Sequence[Row], start: int, span: int, depth: int) -> Node:
    below = [child for child in rows if child["parent_id"] == row["id"]] if depth < _MAX_DEPTH else []
    is_signal = _is_signal(row)
    return Node(
        row, "decision" if is_signal else _KINDS.get(row["type"], plain(row["type"])), _title(row), list(_facts(row)),
        [] if is_signal else list(_messages(row, with_output=not any(map(_is_signal, below)))),
        [] if is_signal else list(_more(row)),
        _decision(row) if is_signal else None,
        left=100 * (row["start_ns"] - start) / span,
        width=100 * ((row["end_ns"] or row["start_ns"]) - row["start_ns"]) / span,
        children=[_node(child, rows, start, span, depth + 1) for child in below],
    )  # fmt: skip


def _is_signal(row: Row) -> bool:
    return bool(row["name"] == "trading_signal" and row["type"] == "event")


def _title(row: Row) -> str:
    if row["type"] == "generation":
        return plain("/".join(filter(None, (row["provider"], row["model"])))) or "unknown model"
    return plain(row["name"])


def _facts(row: Row) -> Iterator[str]:
    if row["status_message"] == INTERRUPTED:
        yield "duration unknown"
    elif row["type"] != "event":
        yield duration(None if row["end_ns"] is None else row["end_ns"] - row["start_ns"])
    if row["type"] == "generation":
        yield tokens(row["usage"])
        yield price(row["cost_usd"])


def _decision(row: Row) -> DecisionRow:
    return decision({**row, "pnl_usd": None, "pnl_pct": None, "stands": True, "calls": 0, "cost_usd": None})


def _messages(row: Row, *, with_output: bool) -> Iterator[Message]:
    """Yield the messages of an observation's input and output.

    Pass `with_output=False` if a child of the observation is a decision, because the decision repeats the output.
    """
    yield from _of_value(row["input"], "user", "input")
    if with_output:
        yield from _of_value(row["output"], "assistant", "output")


def _more(row: Row) -> Iterator[Message]:
    for name in ("model_parameters", "metadata"):
        if row[name]:
            yield _message("data", name.replace("_", " "), _json(row[name]))


def _of_value(value: Any, kind: str, role: str) -> Iterator[Message]:
    """Yield the messages of an input or output: a conversation, a text, or other data, which is shown as JSON."""
    if isinstance(value, dict) and "role" not in value:
        value = yield from _of_arguments(value, kind, role)
    messages = [value] if isinstance(value, dict) and "role" in value else value
    if isinstance(messages, list) and all(isinstance(item, dict) and "role" in item for item in messages):
        for item in messages:
            yield _message(_ROLES.get(str(item["role"]), kind), str(item["role"]), _text(item))
    elif isinstance(value, str):
        yield _message(kind, role, value)
    elif value is not None and value != {}:
        yield _message("data", role, _json(value))


def _of_arguments(value: dict[str, Any], kind: str, role: str) -> Generator[Message, None, dict[str, Any]]:
    """Yield the messages among a call's arguments; return the other arguments."""
    rest = dict(value)
    if isinstance(value.get("messages"), list):
        yield from _of_value(rest.pop("messages"), kind, role)
    for name, kind_of_text in _ARGUMENTS.items():
        if isinstance(value.get(name), str):
            yield _message(kind_of_text, name.replace("_", " "), rest.pop(name))
    return rest


def _text(message: dict[str, Any]) -> str:
    """Return the text of a message, followed by the message's other fields as JSON."""
    content = message.get("content", message.get("parts"))
    parts = content if isinstance(content, list) else [content]
    texts = [_part(part) for part in parts if part is not None]
    rest = {name: item for name, item in message.items() if name not in ("role", "content", "parts") and item}
    return "\n".join([*texts, _json(rest)] if rest else texts)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    return _json(part)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _message(kind: str, role: str, text: str) -> Message:
    return Message(kind, plain(role)[:40], safe(text[:_MAX_TEXT]), len(text) > _MAX_TEXT)
