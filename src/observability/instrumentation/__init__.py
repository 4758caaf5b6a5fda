"""What provider SDKs are asked, by whoever asks: their methods are observed where they are called."""

from .install import install, observed, uninstall

__all__ = ["install", "observed", "uninstall"]
