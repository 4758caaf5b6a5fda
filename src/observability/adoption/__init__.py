"""Put the package into another repo, remove it again, and list the repo's LLM calls."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .check import CallSite, call_sites
    from .files import remove_empty_folders, write_all
    from .plan import PACKAGE, AdoptionError, Plan, adopted_version, plan_adoption, plan_removal
    from .script import command_of

__all__ = [
    "PACKAGE",
    "AdoptionError",
    "CallSite",
    "Plan",
    "adopted_version",
    "call_sites",
    "command_of",
    "plan_adoption",
    "plan_removal",
    "remove_empty_folders",
    "write_all",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "check": "CallSite call_sites",
        "files": "remove_empty_folders write_all",
        "plan": "PACKAGE AdoptionError Plan adopted_version plan_adoption plan_removal",
        "script": "command_of",
    },
)
