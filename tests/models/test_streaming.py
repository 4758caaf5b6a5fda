"""Streamed answers: a model's thinking is kept apart from the text, however the stream is cut into pieces."""

from src.models.claude_model import _MessagePieces
from src.models.streaming import ChatPieces, ThinkFilter
from tests.cases import cases

THINKING = "<think>\nlongs are squeezed\n</think>\n\nBUY\nnow"


@cases("size", range(1, len(THINKING) + 1))
def test_thinking_is_held_back_however_it_is_cut(size: int) -> None:
    """A thinking tag is recognized wherever the stream splits it. Text after the thinking is passed on at once."""
    thinking = ThinkFilter()
    text = "".join(thinking.feed(THINKING[start : start + size]) for start in range(0, len(THINKING), size))
    assert text + thinking.rest() == "BUY\nnow"
    assert thinking.feed(" \nat once") == " \nat once"
    assert thinking.reasoning == "longs are squeezed"


NO_THINKING = ("BUY", "<thin", "<b>BUY</b>", " <", "Use <think> tags", "")


@cases("text", NO_THINKING)
def test_text_without_thinking_is_released(text: str) -> None:
    """A text that does not begin with a whole thinking tag is passed on unchanged, as the answer."""
    thinking = ThinkFilter()
    assert "".join(map(thinking.feed, text)) + thinking.rest() == text
    assert thinking.reasoning == ""


def test_thinking_without_an_end_is_no_answer() -> None:
    """If a stream ends before the thinking's end tag, as at a token limit, the thinking is not part of the answer."""
    thinking = ThinkFilter()
    assert thinking.feed("<think>longs are") + thinking.rest() == ""
    assert thinking.reasoning == "longs are"


def test_reasoning_beside_the_content_is_kept_apart() -> None:
    """Reasoning in a stream's `reasoning_content` (DeepSeek, xAI) or `reasoning` (Groq) is not part of the answer."""
    for name in ("reasoning_content", "reasoning"):
        pieces = ChatPieces()
        deltas = [{name: "squeezed"}, {name: ", so"}, {"content": "BUY"}]
        texts = [pieces.take({"model": "m", "choices": [{"delta": delta}]}) for delta in deltas]
        assert texts == ["", "", "BUY"]
        assert pieces.raw()["choices"][0]["message"] == {"reasoning_content": "squeezed, so"}


def test_claudes_thinking_is_kept_apart() -> None:
    """Claude's streamed thinking is not part of the answer's text, but is part of the recorded response."""
    pieces = _MessagePieces()
    deltas = [{"thinking": "squeezed"}, {"thinking": ", so"}, {"text": "BUY"}]
    assert [pieces.take({"delta": delta}) for delta in deltas] == ["", "", "BUY"]
    assert pieces.raw()["content"] == [{"type": "thinking", "thinking": "squeezed, so"}]
