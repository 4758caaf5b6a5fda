"""
🌙 Moon Dev's Agent Errors
Built with love by Moon Dev 🚀

    Exception
    └── AgentError           a pass failed; the message says what to do, the next pass may succeed
        ├── FeedError        (liquidations.py) a feed cannot be read
        └── MarketDataError  (api.py) the Moon Dev API returned no usable data
"""


class AgentError(Exception):
    """An agent's pass has failed. The message tells the user what to do."""


class FeedError(AgentError):
    """A feed cannot be read."""


class MarketDataError(AgentError):
    """The Moon Dev API returned no usable data."""
