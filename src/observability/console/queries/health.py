"""Queries about rows that are pending, rejected, without price or without contents; updates that make rows pending."""

from ...journal import Journal, Row
from .filter import HOUR_NS

_STEP_ROWS = 500  # number of rows changed in one transaction; small, so that no other writer waits long
_TABLES = ("observations", "scores")


def first_fault(journal: Journal) -> str | None:
    """Return the first error of SQLite's integrity check; None if the file is sound. The check reads the whole file."""
    (row,) = journal.select("PRAGMA quick_check(1)")
    result = str(next(iter(row.values())))
    return None if result == "ok" else result


def check_writable(journal: Journal) -> None:
    """Acquire and release the write lock. Raises JournalError if that fails."""
    journal.change("DELETE FROM leases WHERE name = ''")


def rejected(journal: Journal) -> list[Row]:
    """Return how many rows each destination rejected for each reason, most frequent reason first.

    A result has `destination`, the server's `reason`, and the number of `rows`.
    """
    return journal.select(
        "SELECT destination, reason, count(*) AS rows FROM deliveries WHERE state = 'rejected'"
        " GROUP BY destination, reason ORDER BY rows DESC"
    )


def unpriced(journal: Journal, since_ns: int) -> list[Row]:
    """Return the models with successful calls of unknown price since a time (Unix nanoseconds).

    A result has `provider`, `model`, and the number of these `calls`. The model with the most calls comes first.
    """
    return journal.select(
        "SELECT provider, model, sum(unpriced) AS calls FROM hourly WHERE hour >= ? AND unpriced > 0"
        " GROUP BY provider, model ORDER BY calls DESC",
        (since_ns // HOUR_NS,),
    )


def not_recorded(journal: Journal, since_ns: int) -> int:
    """Return how many observations since a time (Unix nanoseconds) could not be recorded.

    The journal contains a placeholder for each of them.
    """
    (row,) = journal.select(
        "SELECT count(*) AS rows FROM observations WHERE start_ns >= ? AND status_message LIKE '[NOT RECORDED:%'",
        (since_ns,),
    )
    return int(row["rows"])


def outcomes_without_trace(journal: Journal, since_ns: int) -> list[str]:
    """Return the trace ids of the outcomes that match no trace, newest first.

    Only outcomes recorded since a time (Unix nanoseconds) are read.
    """
    rows = journal.select(
        "SELECT trace_id FROM scores WHERE name IN ('pnl_usd', 'pnl_pct') AND timestamp_ns >= ? AND NOT EXISTS"
        " (SELECT 1 FROM observations AS o WHERE o.trace_id = scores.trace_id)"
        " GROUP BY trace_id ORDER BY max(seq) DESC",
        (since_ns,),
    )
    return [row["trace_id"] for row in rows]


def requeue(journal: Journal) -> int:
    """Make all rejected rows pending again; return their number."""
    return _in_steps(journal, "state = 'pending', reason = NULL", "rejected", ())


def address(journal: Journal, destination: str) -> int:
    """Make all rows recorded without Langfuse keys (`local`) pending for a destination; return their number."""
    return _in_steps(journal, "state = 'pending', destination = ?", "local", (destination,))


def ended_before(journal: Journal, before_ns: int) -> dict[str, int]:
    """Return how many of the ended observations that began before a time (Unix ns) are in each state."""
    rows = journal.select(
        "SELECT state, count(*) AS rows FROM observations WHERE state IN ('shipped', 'rejected', 'local', 'pending')"
        " AND start_ns < ? GROUP BY state",
        (before_ns,),
    )
    return {row["state"]: row["rows"] for row in rows}


def undelivered(journal: Journal, before_ns: int) -> int:
    """Count the ended observations begun before a time (Unix ns) and not delivered to OBSERVABILITY_OTLP_ENDPOINT."""
    (row,) = journal.select(
        "SELECT count(*) AS rows FROM further_deliveries AS f JOIN observations AS o USING (seq)"
        " WHERE f.state = 'pending' AND o.state IN ('shipped', 'rejected', 'local') AND o.start_ns < ?",
        (before_ns,),
    )
    return int(row["rows"])


def local_rows(journal: Journal) -> int:
    """Return the number of rows recorded without Langfuse keys."""
    return journal.counts().get("local", 0)


def _in_steps(journal: Journal, assignments: str, state: str, values: tuple[str, ...]) -> int:
    changed = 0
    for table in (*_TABLES, "further_deliveries"):
        rows = f"SELECT seq FROM {table} WHERE state = ? LIMIT {_STEP_ROWS}"
        while step := journal.change(f"UPDATE {table} SET {assignments} WHERE seq IN ({rows})", (*values, state)):
            changed += step
            journal.yield_write_lock()
    return changed


def last_shipped(journal: Journal, destination: str) -> Row:
    """Return the last trace and the last score that were shipped to a destination.

    The row has `trace_id`, `trace_ns`, `score_id`, `score_name` and `score_ns`. The values of a trace or score that is
    not found are None.

    Only the last hundred rows of each table are read, so that the query is fast for any journal.
    """
    trace, score = (
        journal.select(
            f"SELECT * FROM (SELECT * FROM {table} ORDER BY seq DESC LIMIT 100)"
            " WHERE state = 'shipped' AND destination = ? ORDER BY seq DESC LIMIT 1",
            (destination,),
        )
        for table in _TABLES
    )
    return {
        "trace_id": trace[0]["trace_id"] if trace else None,
        "trace_ns": trace[0]["end_ns"] if trace else None,
        "score_id": score[0]["id"] if score else None,
        "score_name": score[0]["name"] if score else None,
        "score_ns": score[0]["timestamp_ns"] if score else None,
    }
