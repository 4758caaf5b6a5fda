"""
🌙 Moon Dev's Findings
Built with love by Moon Dev 🚀

What `doctor` says of one thing that it looked at.
"""

from enum import IntEnum
from typing import NamedTuple


class Weight(IntEnum):
    """How bad it is."""

    FAULT = 0  # something is lost, or not delivered: exit status 1
    WARNING = 1
    FINE = 2


class Finding(NamedTuple):
    """What was found, and what to do about it."""

    weight: Weight
    about: str
    what: str
    cure: str | None = None


def fault(about: str, what: str, cure: str) -> Finding:
    """Something is lost, or not delivered."""
    return Finding(Weight.FAULT, about, what, cure)


def warning(about: str, what: str, cure: str) -> Finding:
    """It works, but may not for long, or not as one thinks."""
    return Finding(Weight.WARNING, about, what, cure)


def fine(about: str, what: str) -> Finding:
    """As it should be."""
    return Finding(Weight.FINE, about, what)
