"""
🌙 Moon Dev's Agent Errors
Built with love by Moon Dev 🚀

    Exception
    └── AgentError           this pass cannot be made; the message names the cure, the next pass may do better
        ├── FeedError        (feed.py) a feed cannot be read
        └── MarketDataError  (api.py) the Moon Dev API gives no data
"""


class AgentError(Exception):
    """A pass of an agent cannot be made; the message names the cure."""


class FeedError(AgentError):
    """A feed cannot be read."""


class MarketDataError(AgentError):
    """The Moon Dev API gives no data."""
