"""The SQLite journal, which keeps every observation and score."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .columns import OBSERVATION_COLUMNS, SCORE_COLUMNS, Kind, columns_of
    from .forked import merge_forked, path_of_process
    from .retention import STEP_ROWS, Retention
    from .schema import COUNTED, MODEL, PROMPT
    from .session import JournalSession
    from .store import (
        INTERRUPTED,
        DamagedJournalError,
        Journal,
        JournalError,
        Mark,
        Row,
    )

__all__ = [
    "COUNTED",
    "INTERRUPTED",
    "MODEL",
    "OBSERVATION_COLUMNS",
    "PROMPT",
    "SCORE_COLUMNS",
    "STEP_ROWS",
    "DamagedJournalError",
    "Journal",
    "JournalError",
    "JournalSession",
    "Kind",
    "Mark",
    "Retention",
    "Row",
    "columns_of",
    "merge_forked",
    "path_of_process",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "store": "DamagedJournalError INTERRUPTED Journal JournalError Mark Row",
        "columns": "Kind OBSERVATION_COLUMNS SCORE_COLUMNS columns_of",
        "forked": "merge_forked path_of_process",
        "session": "JournalSession",
        "retention": "Retention STEP_ROWS",
        "schema": "COUNTED MODEL PROMPT",
    },
)
