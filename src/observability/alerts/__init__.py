"""Alerts the operator when an agent deviates from its past. Runs in a process of its own; only reads the journal."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .channels import Channel, configured_channels, malformed, send
    from .delivery import note_result
    from .messages import Message
    from .monitor import Incident
    from .rules import RULE_NAMES
    from .store import AlertStore, path_beside
    from .watcher import AlreadyWatchedError, Watcher, only_watch, run_passes

__all__ = [
    "RULE_NAMES",
    "AlertStore",
    "AlreadyWatchedError",
    "Channel",
    "Incident",
    "Message",
    "Watcher",
    "configured_channels",
    "malformed",
    "note_result",
    "only_watch",
    "path_beside",
    "run_passes",
    "send",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "channels": "Channel configured_channels malformed send",
        "delivery": "note_result",
        "messages": "Message",
        "monitor": "Incident",
        "rules": "RULE_NAMES",
        "store": "AlertStore path_beside",
        "watcher": "AlreadyWatchedError Watcher only_watch run_passes",
    },
)
