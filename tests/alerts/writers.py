"""Writes cycles of Agent<NUMBER> to the journal until killed: python -m tests.alerts.writers NUMBER failing|quiet."""

import sys
import time

from src.observability import settings
from src.observability.journal.store import Journal
from tests.alerts.agents import append, cycle

if __name__ == "__main__":
    journal = Journal(settings.journal_path())
    number = int(sys.argv[1]) * 1_000_000
    while True:
        number += 1
        rows = cycle(time.time_ns(), f"Agent{sys.argv[1]}", failed=sys.argv[2] == "failing")
        unique = [{**row, "trace_id": f"{number:032x}", "id": f"{number:013x}{row['id'][-3:]}"} for row in rows]
        append(journal, [unique])
        time.sleep(0.5)
