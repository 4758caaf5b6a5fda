"""The filter that all queries share, and its SQL conditions."""

from typing import Any, NamedTuple

HOUR_NS = 3_600_000_000_000
_NEVER_NS = 2**63 - 1


class Filter(NamedTuple):
    """The rows that a query reads. None leaves a condition out; times are Unix nanoseconds."""

    since_ns: int = 0  # inclusive
    until_ns: int = _NEVER_NS  # exclusive
    agent: str | None = None
    model: str | None = None
    action: str | None = None  # of decisions, and of the traces that contain one
    symbol: str | None = None  # likewise
    failed: bool = False  # errors only

    def parameters(self, **more: Any) -> dict[str, Any]:
        """Return the values that the conditions bind, and `more`."""
        return {**self._asdict(), **more}


STARTED = "start_ns >= :since_ns AND start_ns < :until_ns"
NAMED = "(:agent IS NULL OR agent = :agent) AND (:model IS NULL OR model = :model)"
FAILED = "(NOT :failed OR level = 'ERROR')"
ROWS = f"{STARTED} AND {NAMED} AND {FAILED}"
DECISIONS = f"{ROWS} AND (:action IS NULL OR action = :action) AND (:symbol IS NULL OR symbol = :symbol)"
