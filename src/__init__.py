"""🌙 Moon Dev's AI trading agents. Built with love by Moon Dev 🚀"""

from .observability import autoload as _observability  # noqa: F401 - observes the calls of provider SDKs
