"""Checks budgets before a call, through `budgeting.gate`, which is None without budgets."""

from collections.abc import Collection
from typing import Protocol

from ..internal_errors import swallow
from .current import current_observation
from .observation import Observation


class Gate(Protocol):
    """Admits or refuses calls to models. Works in memory, on the caller's thread. Implemented by `budgets.Gate`."""

    def admit(self, call: Observation, model: str | None, available: Collection[str] | None = None) -> str | None:
        """Reserve the call's probable cost; return the model to use.

        Args:
            call: the generation or request.
            model: the requested model, if it is known.
            available: the models of the same provider that may replace the requested model; None if the call is not
                made by a model class of `src/models`.

        Raises:
            RuntimeError: `BudgetExceeded` if the call is refused; nothing is reserved then.
        """


class _Budgeting:
    """Holds the gate in an attribute, since a function call would delay the caller too much."""

    gate: Gate | None = None


budgeting = _Budgeting()


def admitted_model(model: str, available: Collection[str]) -> str:
    """Return the model to use in the running generation. Called by `src/models`, which treats a refusal as a failed
    call."""
    call = current_observation()
    if call is None or call.type != "generation":
        return model
    admitted = _admitted(call, model, available)
    call.is_admitted = True
    return admitted or model


def admit_request(request: Observation) -> None:
    """Check the budgets for a request to a provider. The first request of an admitted generation is not checked
    again."""
    holder = request.holder
    if holder is not None and holder.is_admitted:
        holder.is_admitted = False
    elif budgeting.gate is not None:
        model = request.kwargs.get("model")
        _admitted(request, model if type(model) is str else None)


def _admitted(call: Observation, model: str | None, available: Collection[str] | None = None) -> str | None:
    """Return the model chosen by the gate. A refusal is raised to the agent; any other error is only counted."""
    try:
        return None if budgeting.gate is None else budgeting.gate.admit(call, model, available)
    except Exception as error:
        if hasattr(error, "is_refusal"):
            raise
        swallow(error)
        return model
