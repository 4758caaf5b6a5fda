"""Requests to providers and cycles of agents are observed here, by hooks in the code that makes them."""

from .cycles import observe_script
from .install import install, observed, uninstall

__all__ = ["install", "observe_script", "observed", "uninstall"]
