"""Long values are encoded to JSON in pieces, so that the encoder does not hold the interpreter for long."""

import json

import pytest

from src.observability.journal.long_text import LONG, WINDOW, json_pieces, json_text, windows
from tests.cases import cases

VALUES = (
    "", [], {}, None, 1.5, True, "BUY", [{"role": "user", "content": "Longs?"}],
    "x" * 200_000, "é" * 200_000, "🚀\n" * 40_000, "\ud83d\ude00" * 70_000, [*range(9000)],
    {"a": [], "b": ["x" * 90_000]},
    {"a": ["é" * 70_000, {"b": (1, 2.5, None, True)}], 1: "\n" * 66_000, None: "x", False: {}, 1.5: ()},
    [["x" * 200] * 400, {"deep": {"deeper": ["\0" * 66_000]}}],
)  # fmt: skip


@cases("value", VALUES)
def test_pieces_are_the_text_that_python_encodes_at_once(value: object) -> None:
    """Joined, the pieces equal the text of `json.dumps`; every piece is shorter than twice LONG."""
    text = json.dumps(value, ensure_ascii=False)
    assert json_text(value) == "".join(json_pieces(value)) == text
    assert max(map(len, json_pieces(value))) < LONG * 2
    assert len(text) < LONG * 2 or len([*json_pieces(value)]) > 2


def test_a_window_ends_at_no_half_of_a_pair() -> None:
    """A text is not split between the two surrogates of a pair, and the pair stays two characters."""
    text = "x" * (WINDOW - 1) + "\ud83d\ude00" + "x" * WINDOW
    assert "".join(windows(text)) == text
    assert [*map(len, windows(text))] == [WINDOW + 1, WINDOW]


@cases("value", [float("nan"), ["x" * 90_000, float("inf")]])
def test_not_a_number_is_refused(value: object) -> None:
    """NaN and infinity raise an error, since JSON has neither."""
    with pytest.raises(ValueError, match="JSON"):
        json_text(value)
