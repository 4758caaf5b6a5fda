"""
🌙 Moon Dev's Decisions
Built with love by Moon Dev 🚀

Parses the three-line answer of a trading agent's model: the action, the reason, `Confidence: X%`. Real money depends
on the decision, so an unclear answer counts as NOTHING, marked invalid. `observability/recording/inference.py` is not
used for trading: if an agent does not record its decision, that module guesses it, and records the guess.
"""

import re
from typing import NamedTuple

from src.observability.recording import split_reasoning

INSTRUCTION = """Respond in exactly 3 lines:
Line 1: only BUY, SELL or NOTHING
Line 2: one short reason
Line 3: Confidence: X% (0 to 100)"""


class LocalHints(NamedTuple):
    """Constraints that make the small local model answer in three sensible lines."""

    grammar: str  # in GBNF, llama.cpp's grammar format
    examples: str = ""  # appended to the system prompt
    temperature: float = 0.3


# The grammar allows one capital letter in a reason. With more, the model drifts into meaningless codes.
LOCAL_HINTS = LocalHints(r"""
root   ::= ("BUY" | "SELL" | "NOTHING") "\n" reason "\nConfidence: " [1-9] [0-9] "%"
reason ::= [A-Z] [a-z]{1,11} (","? " " [a-z]{1,12}){4,16} "."
""")

# In "Buy - the trend holds" the hyphen ends the action, because a space precedes it; "Sell-off" is not an action.
_ACTION = re.compile(
    r"(?:(?:line 1|final|action|decision|signal|recommendation|answer)\s*(?:[:=–—-]\s*)?)*"
    r"\b(BUY|SELL|NOTHING)(?:\W*$|\s*[:,.;|!–—]+\s*(.*)|\s+-+\s*(.*))",
    re.IGNORECASE,
)
_OTHER_ACTIONS = re.compile(r"(?:or\s+)?(?i:buy|sell|nothing)\b|.*\b(?:BUY|SELL|NOTHING)\b")
_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)(?:\s?/\s?(10|100)\b)?"
_CONFIDENCE = re.compile(
    rf"confidence(?:\s+(?:level|score|rating))?(?:\s+is)?\W{{0,10}}{_NUMBER}|^{_NUMBER}\s?%$",
    re.IGNORECASE | re.MULTILINE,
)
_REASON_LABEL = re.compile(r"^reason(?:ing)?\s*[:–—-]\s*", re.IGNORECASE)
_DECORATION = " _#>\"'"
_NUMBERING = re.compile(r"^(?:(?:\(?\d[.)]|[-•])\s+|line [23]\s*[:–—-]\s*)", re.IGNORECASE)
_NOT_A_WORD = re.compile(r"^\W+")


class Decision(NamedTuple):
    """The decision in a model's answer; `valid` is False if the answer is unclear."""

    action: str
    confidence: float  # in percent, as the model stated it, even if above 100
    reason: str
    valid: bool


def parse(answer: str) -> Decision:
    """The decision in a model's answer. Markdown, labels, numbering and a preamble are accepted; ambiguity is not."""
    lines = [line for line in map(_plain, split_reasoning(answer)[0].splitlines()) if line]
    actions = [(at, match) for at, line in enumerate(lines) if (match := _ACTION.match(_NOT_A_WORD.sub("", line)))]
    named = {match[1].upper() for _, match in actions}
    unclear = len(named) > 1 or any(_OTHER_ACTIONS.match(_rest(match)) for _, match in actions)
    confidence = _confidence(lines)
    if unclear or not named or confidence is None:
        return Decision("NOTHING", 0.0, _problem(lines, unclear, bool(named), confidence), valid=False)
    at, match = actions[0]
    return Decision(match[1].upper(), confidence, _reason([_rest(match), *lines[at + 1 :]]), valid=True)


def _plain(line: str) -> str:
    """A line without markdown, numbering and control characters."""
    plain = "".join(char if char.isprintable() else " " for char in line if char not in "*`")
    return _NUMBERING.sub("", plain.strip(_DECORATION)).strip(_DECORATION)


def _rest(match: re.Match[str]) -> str:
    return match[2] or match[3] or ""


def _confidence(lines: list[str]) -> float | None:
    match = _CONFIDENCE.search("\n".join(lines))
    if match is None:
        return None
    return float(match[1] or match[3]) * 100 / float(match[2] or match[4] or 100)


def _reason(lines: list[str]) -> str:
    before = [line[: match.start()] if (match := _CONFIDENCE.search(line)) else line for line in lines]
    kept = [_REASON_LABEL.sub("", line).rstrip(" -–—|,;(") for line in before]
    return " ".join(line for line in kept if line)


def _problem(lines: list[str], unclear: bool, has_action: bool, confidence: float | None) -> str:
    if not lines:
        return "The model gave no answer"
    if unclear:
        return "The model named more than one action"
    if not has_action and confidence is None:
        return "The model gave no action (BUY, SELL or NOTHING) and no confidence"
    return f"The model's answer lacks {'a confidence' if has_action else 'an action (BUY, SELL or NOTHING)'}"
