"""Turns observations into journal rows on the recorder's thread: redacts texts, counts tokens and computes costs."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .answer import read_answer, split_reasoning
    from .cost import price
    from .outcome import append_in_steps, outcome_observation, rows_of_outcome, scores_of_outcome, values_of_outcome
    from .prices import RENEW_PRICES, price_table
    from .recorder import Recorder, Sink
    from .writer import JournalSink

__all__ = [
    "RENEW_PRICES",
    "JournalSink",
    "Recorder",
    "Sink",
    "append_in_steps",
    "outcome_observation",
    "price",
    "price_table",
    "read_answer",
    "rows_of_outcome",
    "scores_of_outcome",
    "split_reasoning",
    "values_of_outcome",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "recorder": "Recorder Sink",
        "writer": "JournalSink",
        "answer": "read_answer split_reasoning",
        "cost": "price",
        "prices": "RENEW_PRICES price_table",
        "outcome": "append_in_steps outcome_observation rows_of_outcome scores_of_outcome values_of_outcome",
    },
)
