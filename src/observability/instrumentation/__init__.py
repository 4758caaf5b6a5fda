"""Observes requests to providers and cycles of agents, by hooks in SDKs and agent classes."""

from .cycles import observe_script
from .install import install, observed, uninstall

__all__ = ["install", "observe_script", "observed", "uninstall"]
