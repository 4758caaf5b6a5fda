"""Parsing three-line answers: clear ones are decisions, unclear ones are NOTHING."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.agents.decision import parse
from tests.cases import cases


@cases(
    ("answer", "action", "confidence", "reason"),
    [
        ("BUY\nLongs are flushed out\nConfidence: 85%", "BUY", 85, "Longs are flushed out"),
        ("sell\nToo far\nconfidence: 70", "SELL", 70, "Too far"),
        ("**NOTHING**\n\n*No edge here*\n\n**Confidence:** 40%", "NOTHING", 40, "No edge here"),
        ("1. BUY\n2. Squeeze\n3. Confidence: 61.5 %", "BUY", 61.5, "Squeeze"),
        ("Action: SELL\nReason: Exhausted\nConfidence level: 55%", "SELL", 55, "Exhausted"),
        ("Here is my view.\nBUY\nShorts trapped\nConfidence - 90%", "BUY", 90, "Shorts trapped"),
        ("BUY - longs flushed - Confidence: 80%", "BUY", 80, "longs flushed"),
        ("SELL.\nIt goes on\nover two lines\nConfidence: 150%", "SELL", 150, "It goes on over two lines"),
        ("BUY\nConfidence: 33%", "BUY", 33, ""),
        ("**Action:** BUY\n**Reason:** -20% flushed longs.\n**Confidence:** 85%", "BUY", 85, "-20% flushed longs."),
        ("🟢 BUY 🚀\n- Longs gone\n85%", "BUY", 85, "Longs gone"),
        ("```\n[SELL]\nTrapped\n(Confidence 8/10)\n```", "SELL", 80, "Trapped"),
        ("Line 1: BUY\nLine 2: Flushed\nLine 3: Confidence: 20%", "BUY", 20, "Flushed"),
        ("BUY—squeeze—Confidence: 66%", "BUY", 66, "squeeze"),
        (
            "BUY\nSell-side exhausted, do not SELL now\nConfidence: 80%",
            "BUY",
            80,
            "Sell-side exhausted, do not SELL now",
        ),
        ("<think>SELL\nor not</think>BUY\nFlushed\nConfidence - 85 %", "BUY", 85, "Flushed"),
        ("SELL\n\x1b[2J\x07Falling\nConfidence: 70%", "SELL", 70, "[2J Falling"),
        ("\r\nBUY\r\nWindows line ends\r\nConfidence: 12%\r\n", "BUY", 12, "Windows line ends"),
    ],
)
def test_a_clear_answer_is_a_decision(answer: str, action: str, confidence: float, reason: str) -> None:
    """An answer may have Markdown, labels, numbers, a preamble, or one line only; control characters are removed."""
    decision = parse(answer)
    assert decision == (action, confidence, reason, True)


@cases(
    ("answer", "why"),
    [
        ("", "The model gave no answer"),
        (" \n\n ", "The model gave no answer"),
        ("I cannot give financial advice.", "The model gave no action (BUY, SELL or NOTHING) and no confidence"),
        ("BUY\nbecause", "The model's answer lacks a confidence"),
        ("Perhaps up\nConfidence: 60%", "The model's answer lacks an action (BUY, SELL or NOTHING)"),
        ("BUY\nor\nSELL\nConfidence: 60%", "The model named more than one action"),
        ("BUY, SELL or NOTHING\nwhy\nConfidence: 85%", "The model named more than one action"),
        ("buy, sell or nothing\nwhy\nConfidence: 85%", "The model named more than one action"),
        ("Sell-off looks done\nConfidence: 60%", "The model's answer lacks an action (BUY, SELL or NOTHING)"),
        ("I would not BUY here\nConfidence: 60%", "The model's answer lacks an action (BUY, SELL or NOTHING)"),
        ("Buying pressure is rising\nConfidence: 60%", "The model's answer lacks an action (BUY, SELL or NOTHING)"),
    ],
)
def test_what_is_unclear_is_nothing(answer: str, why: str) -> None:
    """An unclear answer gives an invalid NOTHING, whose reason states the problem; no action is guessed."""
    assert parse(answer) == ("NOTHING", 0.0, why, False)


@pytest.mark.slow
@given(st.text())
def test_any_text_is_read(answer: str) -> None:
    """Whatever the answer's text, the decision has one of the three actions."""
    assert parse(answer).action in ("BUY", "SELL", "NOTHING")
