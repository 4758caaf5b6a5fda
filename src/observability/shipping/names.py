"""The names and metadata of rows in Langfuse. The journal keeps the original names.

Langfuse's lists show names, but not models or decisions, and its metrics API groups by names.
"""

import json
from typing import Any

from ..journal import Row

# How the default names of rows begin: those of `src/models`, and of SDK requests
# (`instrumentation.reading.Shape.name`).
_UNNAMED = ("llm_generation", "openai.", "anthropic.", "groq.", "google.", "ollama.", "requests.", "httpx.", "httpx2.")
_MAX_ACTION = 50  # limit in characters for an action, which may be any text
# Name of a metadata value -> the row's column that already contains this value.
_IN_COLUMN = {
    "model_type": "provider",
    "model_name": "model",
    "temperature": "model_parameters",
    "max_tokens": "model_parameters",
    "error_type": "status_message",
    "error_message": "status_message",
}
_IN_OUTPUT = frozenset({"signal_action", "signal_confidence", "signal_reasoning", "signal_valid", "trading_symbol"})


def shown_name(row: Row) -> str:
    """The row's name in Langfuse. A model call with a default name gets its model's name, and a signal its decision,
    such as `BUY BTC`. Any other row keeps its own name."""
    name = str(row["name"])
    if row["type"] in ("generation", "embedding") and name.startswith(_UNNAMED):
        return row["model_requested"] or row["model"] or name
    if _is_signal(row):
        metadata = json.loads(row["metadata"] or "{}")
        parts = (metadata.get("signal_action"), metadata.get("trading_symbol"))
        return " ".join(str(part)[:_MAX_ACTION] for part in parts if part) or name
    return name


def trace_name(row: Row) -> str | None:
    """The trace's name, or None for a default name. Langfuse then shows the name of the trace's root."""
    name: str | None = row["trace_name"]
    return None if name and name.startswith(_UNNAMED) else name


def shown_metadata(row: Row) -> dict[str, Any]:
    """The metadata that is in no other field of the observation."""
    ours = {
        "agent": row["agent"] if row["agent"] != row["trace_name"] else None,
        "provider": row["provider"],
        "model_requested": row["model_requested"] if row["model_requested"] != row["model"] else None,
        "cost_source": row["cost_source"],
    }
    repeated = _IN_OUTPUT if _is_signal(row) and row["output"] else frozenset()
    metadata = {
        name: value
        for name, value in json.loads(row["metadata"] or "{}").items()
        if name not in repeated and not row.get(_IN_COLUMN.get(name, "")) and value != {}
    }
    return {name: value for name, value in {**ours, **metadata}.items() if value is not None}


def _is_signal(row: Row) -> bool:
    return (row["type"], row["name"]) == ("event", "trading_signal")
