"""
🌙 Moon Dev's Replies
Built with love by Moon Dev 🚀

What came of sending something to Langfuse: the server's answer, or that there was none.

    Verdict
    ├── delivered   2xx, unless it is a web page
    ├── refused     400, 413, 422: this body, for good
    ├── locked out  401, 403: these keys
    ├── not now     any other answer, or none: try again, after `retry_after` seconds where the server says so
    └── not ours    nothing was sent: another process ships, or this one is ending
"""

from enum import Enum
from typing import NamedTuple


class Verdict(Enum):
    """What an answer means for what was sent."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    LOCKED_OUT = "locked out"
    NOT_NOW = "not now"
    NOT_OURS = "not ours"


class ServerReply(NamedTuple):
    """A verdict, the server's words, and how many seconds it asks us to wait."""

    verdict: Verdict
    words: str
    retry_after: float | None = None
