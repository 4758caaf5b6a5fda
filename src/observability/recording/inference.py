"""Infers decisions from answers: an answer that begins with BUY, SELL or NOTHING becomes a signal, marked `inferred`.

An inferred signal is held until the agent's cycle ends, and dropped if the agent records a signal in it. Answers inside
one `SwarmAgent.query` are votes: their majority is one inferred signal; a tie gives no signal. The agents of
`src/agents` do not use these signals: they parse their answers themselves (`agents/decision.py`).
"""

import json
import re
from collections import Counter
from hashlib import blake2b
from typing import Any, NamedTuple

from ..journal import Row
from ..tracing import Observation, Signal
from .answer import text_in

_ACTIONS = {"BUY": "BUY", "SELL": "SELL", "NOTHING": "NOTHING", "HOLD": "NOTHING", "DO NOTHING": "NOTHING"}
_DECORATION = " \t*_#>`'\".:!-"  # Markdown and punctuation that may surround an action
_MAX_LINE = 40  # limit in characters: a longer first line is not an action
_MAX_REASON = 500
_CONFIDENCE = re.compile(r"confidence[^0-9\n]{0,20}(\d{1,3}(?:\.\d{1,4})?)", re.IGNORECASE)
_SYMBOL = re.compile(
    r"^[ \t*_-]{0,8}(?:symbol|token|ticker|pair)[ \t*_]{0,4}[:=][ \t*_]{0,4}([\w/.-]{1,20})",
    re.IGNORECASE | re.MULTILINE,
)
_NO_CONTENT = dict.fromkeys(
    ("input", "model", "model_requested", "model_parameters", "provider", "usage", "cost", "cost_usd", "cost_source",
     "first_token_ns", "prompt_name", "prompt_version")
)  # fmt: skip


class InferredDecision(NamedTuple):
    """A decision that was read from an answer. `word` is the model's own word for the action, in capitals."""

    action: str
    word: str
    confidence: float | None
    reasoning: str
    symbol: str | None


def decision_in(answer: str) -> InferredDecision | None:
    """The decision in an answer; None unless the answer's first line is an action and nothing else."""
    first, _, rest = answer.lstrip().partition("\n")
    word = first[: _MAX_LINE + 1].strip(_DECORATION).upper()
    if word not in _ACTIONS:
        return None
    confidence, symbol = _CONFIDENCE.search(answer), _SYMBOL.search(answer)
    return InferredDecision(
        _ACTIONS[word],
        word,
        float(confidence[1]) if confidence else None,
        rest.strip().partition("\n")[0][:_MAX_REASON],
        symbol[1] if symbol else None,
    )


def note_decision(observation: Observation, row: Row) -> list[Row]:
    """Extract the decision from an ended generation's answer. When an agent's cycle ends, evaluate its decisions.

    Returns the rows of the inferred signals that can be journalled now.
    """
    if observation.type == "agent":
        return _of_cycle(observation, row)
    decision = _decision_of(row) if observation.type == "generation" else None
    if decision is None:
        return []
    cycle = _cycle_around(observation)
    if cycle is not None and cycle.votes is not None:
        cycle.votes[observation.id] = decision
        return []
    return _held_until_the_end(observation.root, observation.id, _event(row, decision))


def count_votes(observation: Observation) -> None:
    """Add the votes of a swarm's query to its metadata: the number of answers for each action, and the winner.

    The winner is None after a tie.
    """
    if observation.votes and observation.ended is not None:
        observation.add_metadata({"votes": _counts(observation), "winner": _winner(observation)})


def _of_cycle(cycle: Observation, row: Row) -> list[Row]:
    events = [] if cycle.decided else list(cycle.inferred.values())
    cycle.inferred = {}
    winner = _winner(cycle)
    if winner is None:
        return events
    votes = Counter(_counts(cycle))
    reason = f"{votes[winner]} of {votes.total()} votes"
    verdict = _event(row, InferredDecision(winner, winner, None, reason, None), votes=dict(votes))
    return [*events, *_held_until_the_end(cycle.root, cycle.id, verdict)]


def _held_until_the_end(root: Observation, key: int, event: Row) -> list[Row]:
    """If the trace's `root` is a running cycle, hold the inferred signal there and return no row.

    Drop the inferred signal if the cycle has itself recorded a signal. If no cycle is running, return the row.
    """
    if root.decided:
        return []
    if root.type == "agent" and root.ended is None:
        root.inferred = {**root.inferred, key: event}
        return []
    return [event]


def _counts(cycle: Observation) -> dict[str, int]:
    return dict(Counter(decision.action for decision in (cycle.votes or {}).values()))


def _winner(cycle: Observation) -> str | None:
    ranking = Counter(_counts(cycle)).most_common(2)
    is_tie = len(ranking) == 2 and ranking[0][1] == ranking[1][1]
    return None if not ranking or is_tie else ranking[0][0]


def _decision_of(row: Row) -> InferredDecision | None:
    if row["level"] == "ERROR" or not row["output"]:
        return None
    answer = text_in(json.loads(row["output"]))
    return decision_in(answer) if answer else None


def _cycle_around(observation: Observation) -> Observation | None:
    around = observation.parent
    while around is not None and around.type != "agent":
        around = around.parent
    return around


def _event(row: Row, decision: InferredDecision, **more: Any) -> Row:
    """The row of an inferred signal. It is a child of `row`, the answer's row, whose texts are already redacted."""
    extra = {"signal_inferred": True, "signal_word": decision.word, **more}
    action, _, confidence, reasoning, symbol = decision
    signal = Signal(action, confidence, confidence, reasoning, symbol, extra, valid=True)
    return {
        **row,
        **_NO_CONTENT,
        "id": blake2b(f"{row['id']}/inferred".encode(), digest_size=8).hexdigest(),  # a retry gives the same id
        "parent_id": row["id"],
        "is_root": 0,
        "type": "event",
        "name": "trading_signal",
        "start_ns": row["end_ns"],
        "output": json.dumps(signal.decision(), ensure_ascii=False),
        "metadata": json.dumps(signal.metadata(), ensure_ascii=False),
        "tags": json.dumps([*signal.tags(), "signal:inferred"]),
        "level": "DEFAULT",
        "status_message": None,
    }
