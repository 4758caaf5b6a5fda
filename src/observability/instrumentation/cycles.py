"""Wraps methods of agents, so that each call is one cycle with one trace, without any code in the agent.

OBSERVABILITY_CYCLES names the methods. A method is wrapped after its module is imported. A running script is
not an imported module: the methods of its agents are wrapped when it defines a subclass of `BaseAgent`.
"""

import builtins
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from ..internal_errors import guarded
from ..settings import setting
from ..tracing import agent_of_file, cycle_method
from .hooks import Patch

_VOTING = "SwarmAgent.query"  # asks several models, whose answers are recorded as votes


def patches_of(module: str) -> list[Patch]:
    """Return the patches for a module in a folder `agents` (`src.agents.whale_agent`); none for other modules."""
    folder, _, name = module.rpartition(".")
    if folder.rpartition(".")[2] != "agents":
        return []
    return [_observe_base_class] if name == "base_agent" else [_observe_module]


def observe_class(cls: type) -> None:
    """Wrap the methods named in OBSERVABILITY_CYCLES that the class itself defines, so that each call is a cycle."""
    for name in setting("OBSERVABILITY_CYCLES"):
        owner, _, method_name = name.rpartition(".")
        method = vars(cls).get(method_name) if owner in ("", cls.__name__) else None
        if type(method) is FunctionType and not hasattr(method, "__observed__"):
            votes = f"{cls.__name__}.{method_name}" == _VOTING
            setattr(cls, method_name, cycle_method(method, _agent_of(cls, method), collects_votes=votes))


def _agent_of(cls: type, method: FunctionType) -> str:
    """Return the agent's name for the class's cycles: the name that calls from the class's file get outside a cycle.

    If the file is in no folder `agents`, return the class's name.
    """
    agent = agent_of_file(method.__code__.co_filename, method.__globals__)
    return cls.__name__ if agent is None or agent.lower() == cls.__name__.lower() else agent


def _observe_module(module: ModuleType) -> None:
    for value in list(vars(module).values()):
        if type(value) is type and value.__module__ == module.__name__:
            observe_class(value)


def _observe_base_class(module: ModuleType) -> None:
    base: Any = vars(module).get("BaseAgent")
    if base is not None and "__init_subclass__" not in vars(base):
        base.__init_subclass__ = classmethod(_observing_subclasses(base))


def _observing_subclasses(base: type) -> Callable[..., None]:
    def __init_subclass__(cls: type, **kwargs: Any) -> None:  # noqa: N807 - replaces the class's own
        super(base, cls).__init_subclass__(**kwargs)  # type: ignore[arg-type]
        observe_class(cls)

    return __init_subclass__


def observe_script() -> None:
    """Wrap the classes that the script (`__main__`) defines from now on, like those of a module in `agents`.

    The command `run` calls this before it starts the script.
    """
    build_class = builtins.__build_class__

    def building_class(function: Any, name: str, *bases: Any, **kwargs: Any) -> Any:
        cls = build_class(function, name, *bases, **kwargs)
        if function.__globals__.get("__name__") == "__main__" and type(cls) is type:
            with guarded:
                observe_class(cls)
        return cls

    builtins.__build_class__ = building_class  # type: ignore[assignment]
