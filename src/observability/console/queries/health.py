"""
🌙 Moon Dev's Health Queries
Built with love by Moon Dev 🚀

What waits, what was refused, what could not be priced or recorded; and what an operator does about it.
"""

from ...journal import Journal, Row

_STEP_ROWS = 500  # of one transaction: no writer waits long
_TABLES = ("observations", "scores")
_HOUR_NS = 3_600_000_000_000


def first_fault(journal: Journal) -> str | None:
    """What SQLite finds wrong with the file; None where it is sound. Reads all of it."""
    (found,) = journal.select("PRAGMA quick_check(1)")
    said = str(next(iter(found.values())))
    return None if said == "ok" else said


def check_writable(journal: Journal) -> None:
    """Take the lock that a writer takes, and let go of it. Raises JournalError where that cannot be."""
    journal.change("DELETE FROM leases WHERE name = ''")


def waiting(journal: Journal) -> list[Row]:
    """What is pending: `destination`, `rows`, `oldest_ns` (Unix nanoseconds)."""
    return journal.select(
        "SELECT destination, sum(rows) AS rows, min(oldest_ns) AS oldest_ns FROM ("
        " SELECT destination, count(*) AS rows, min(start_ns) AS oldest_ns FROM observations"
        " WHERE state = 'pending' GROUP BY destination UNION ALL"
        " SELECT destination, count(*), min(timestamp_ns) FROM scores WHERE state = 'pending' GROUP BY destination)"
        " GROUP BY destination"
    )


def rejected(journal: Journal) -> list[Row]:
    """What was refused for good: `reason` in the server's words, and `rows`, the most frequent first."""
    return journal.select(
        "SELECT reason, count(*) AS rows FROM (SELECT reason FROM observations WHERE state = 'rejected' UNION ALL"
        " SELECT reason FROM scores WHERE state = 'rejected') GROUP BY reason ORDER BY rows DESC"
    )


def unpriced(journal: Journal, since_ns: int) -> list[Row]:
    """Models in use whose price is unknown: `provider`, `model`, `calls`, the most used first."""
    return journal.select(
        "SELECT provider, model, sum(unpriced) AS calls FROM hourly WHERE hour >= ? AND unpriced > 0"
        " GROUP BY provider, model ORDER BY calls DESC",
        (since_ns // _HOUR_NS,),
    )


def not_recorded(journal: Journal, since_ns: int) -> int:
    """How many observations are placeholders, because recording them failed."""
    (found,) = journal.select(
        "SELECT count(*) AS rows FROM observations WHERE start_ns >= ? AND status_message LIKE '[NOT RECORDED:%'",
        (since_ns,),
    )
    return int(found["rows"])


def outcomes_of_nothing(journal: Journal, since_ns: int) -> list[str]:
    """Traces that outcomes told since a time (Unix nanoseconds) name, and of which nothing is here; the last first."""
    found = journal.select(
        "SELECT trace_id FROM scores WHERE name IN ('pnl_usd', 'pnl_pct') AND timestamp_ns >= ? AND NOT EXISTS"
        " (SELECT 1 FROM observations AS o WHERE o.trace_id = scores.trace_id)"
        " GROUP BY trace_id ORDER BY max(seq) DESC",
        (since_ns,),
    )
    return [row["trace_id"] for row in found]


def requeue(journal: Journal) -> int:
    """Let everything that was refused be sent again; how many rows."""
    return _in_steps(journal, "state = 'pending', reason = NULL", "rejected", ())


def address(journal: Journal, destination: str) -> int:
    """Let everything that was recorded without keys be sent to this destination; how many rows."""
    return _in_steps(journal, "state = 'pending', destination = ?", "local", (destination,))


def done_before(journal: Journal, before_ns: int) -> dict[str, int]:
    """Observations begun before a time (Unix nanoseconds), by their state; those that still run are none of them."""
    found = journal.select(
        "SELECT state, count(*) AS rows FROM observations WHERE state IN ('shipped', 'rejected', 'local', 'pending')"
        " AND start_ns < ? GROUP BY state",
        (before_ns,),
    )
    return {row["state"]: row["rows"] for row in found}


def local_rows(journal: Journal) -> int:
    """How many rows were recorded without keys."""
    return journal.counts().get("local", 0)


def _in_steps(journal: Journal, what: str, state: str, values: tuple[str, ...]) -> int:
    changed = 0
    for table in _TABLES:
        chosen = f"SELECT seq FROM {table} WHERE state = ? LIMIT {_STEP_ROWS}"
        while step := journal.change(f"UPDATE {table} SET {what} WHERE seq IN ({chosen})", (*values, state)):
            changed += step
            journal.let_others_write()
    return changed
