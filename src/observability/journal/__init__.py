"""The SQLite journal, which keeps every observation and score."""

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .columns import OBSERVATION_COLUMNS, SCORE_COLUMNS, Kind, columns_of
    from .forked import merge_forked, path_of_process
    from .long_text import json_pieces, json_text, windows
    from .retention import STEP_ROWS, Retention
    from .schema import COUNTED, MODEL, PROMPT
    from .search import SEARCHED_COLUMNS, WORD, SearchIndex, open_index, text_of_row, words_of
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
    "SEARCHED_COLUMNS",
    "STEP_ROWS",
    "WORD",
    "DamagedJournalError",
    "Journal",
    "JournalError",
    "JournalSession",
    "Kind",
    "Mark",
    "Retention",
    "Row",
    "SearchIndex",
    "columns_of",
    "json_pieces",
    "json_text",
    "merge_forked",
    "open_index",
    "path_of_process",
    "text_of_row",
    "windows",
    "words_of",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "store": "DamagedJournalError INTERRUPTED Journal JournalError Mark Row",
        "columns": "Kind OBSERVATION_COLUMNS SCORE_COLUMNS columns_of",
        "forked": "merge_forked path_of_process",
        "long_text": "json_pieces json_text windows",
        "session": "JournalSession",
        "retention": "Retention STEP_ROWS",
        "schema": "COUNTED MODEL PROMPT",
        "search": "SEARCHED_COLUMNS SearchIndex WORD open_index text_of_row words_of",
    },
)
