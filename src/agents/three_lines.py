"""
🌙 Moon Dev's Three Lines
Built with love by Moon Dev 🚀

The answer that every trading agent asks for: the action, the reason, `Confidence: X%`. With real money behind it,
what is not clearly that is no decision: NOTHING, marked invalid, with what the model said.
"""

import re
from typing import NamedTuple

INSTRUCTION = """Respond in exactly 3 lines:
Line 1: only BUY, SELL or NOTHING
Line 2: one short reason
Line 3: Confidence: X% (0 to 100)"""

# GBNF of llama.cpp: what makes a small local model keep to it.
GRAMMAR = 'root ::= ("BUY" | "SELL" | "NOTHING") "\\n" [A-Z] [a-zA-Z ,-]{20,90} "." "\\nConfidence: " [1-9] [0-9] "%"'

_ACTION = re.compile(
    r"(?:(?:line 1|action|decision|signal|recommendation|answer)\s*[:\-]\s*)?"
    r"(BUY|SELL|NOTHING)\s*(?:$|[-–—:,.|!]+\s*(.*))",
    re.IGNORECASE,
)
_CONFIDENCE = re.compile(r"confidence\W{0,10}(?:level\W{0,5}|is\s{1,5})?(-?\d{1,9}(?:\.\d{1,9})?)", re.IGNORECASE)
_REASON_LABEL = re.compile(r"(?:line 2|reason(?:ing)?)\s*[:\-]\s*", re.IGNORECASE)
_DECORATION = " \t*_#>`\"'"
_NUMBERING = re.compile(r"\(?\d[.)]\s+")


class Decision(NamedTuple):
    """What an answer says; `valid` where it says it clearly."""

    action: str
    confidence: float  # as the model gave it: a percentage, not clamped
    reason: str
    valid: bool


def parse(answer: str) -> Decision:
    """The decision in a model's answer: markdown, labels, numbering and a preamble are forgiven, ambiguity is not."""
    lines = [line for line in map(_plain, answer.splitlines()) if line]
    actions = [(at, found) for at, line in enumerate(lines) if (found := _ACTION.match(line))]
    confidence = _CONFIDENCE.search("\n".join(lines))
    if len({found[1].upper() for _, found in actions}) != 1 or confidence is None:
        return Decision("NOTHING", 0.0, _why_not(lines, len(actions), confidence), valid=False)
    at, found = actions[0]
    rest = [found[2] or "", *lines[at + 1 :]]
    return Decision(found[1].upper(), float(confidence[1]), _reason(rest), valid=True)


def _plain(line: str) -> str:
    return _NUMBERING.sub("", line.strip(_DECORATION), count=1).strip(_DECORATION)


def _reason(lines: list[str]) -> str:
    before = [line[: found.start()] if (found := _CONFIDENCE.search(line)) else line for line in lines]
    kept = [_REASON_LABEL.sub("", line, count=1).strip(" -–—|,;(") for line in before]
    return " ".join(line for line in kept if line)


def _why_not(lines: list[str], actions: int, confidence: re.Match[str] | None) -> str:
    if not lines:
        return "The model gave no answer"
    if actions > 1:
        return "The model named more than one action"
    missing = "an action (BUY, SELL or NOTHING)" if not actions else "a confidence"
    return f"The model's answer lacks {missing}" if actions or confidence else "The model did not answer in three lines"
