"""The columns of observations and scores. A column's kind decides how it is stored and exported.

A new column needs a line here, a `Migration` in `schema.py`, and its value in `recording/row.py`.
"""

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """The kind of values in a column."""

    ID = "hex digits made by this package"
    NAME = "text, cut to 200 characters, since a provider's names may have any length"
    TEXT = "text"
    JSON = "JSON text"
    INTEGER = "a whole number"
    REAL = "a number"
    VALUE = "a number or text"


class Column(NamedTuple):
    """A column of a table.

    If SQLite rejects a row, a placeholder is stored for it, with only the values of the `is_identity` columns.
    """

    name: str
    kind: Kind
    is_identity: bool = False


OBSERVATIONS = (
    Column("id", Kind.ID, is_identity=True),
    Column("trace_id", Kind.ID, is_identity=True),
    Column("parent_id", Kind.ID, is_identity=True),
    Column("is_root", Kind.INTEGER, is_identity=True),
    Column("type", Kind.TEXT, is_identity=True),
    Column("name", Kind.NAME),
    Column("trace_name", Kind.NAME),
    Column("agent", Kind.NAME),
    Column("start_ns", Kind.INTEGER, is_identity=True),
    Column("first_token_ns", Kind.INTEGER, is_identity=True),
    Column("end_ns", Kind.INTEGER, is_identity=True),
    Column("session_id", Kind.NAME),
    Column("user_id", Kind.NAME),
    Column("environment", Kind.NAME),
    Column("release", Kind.NAME),
    Column("provider", Kind.NAME),
    Column("model", Kind.NAME),
    Column("model_requested", Kind.NAME),
    Column("model_parameters", Kind.JSON),
    Column("input", Kind.JSON),
    Column("output", Kind.JSON),
    Column("metadata", Kind.JSON),
    Column("tags", Kind.JSON),
    Column("level", Kind.TEXT),
    Column("status_message", Kind.TEXT),
    Column("usage", Kind.JSON),
    Column("cost", Kind.JSON),
    Column("cost_usd", Kind.REAL),
    Column("cost_source", Kind.TEXT),
    Column("destination", Kind.TEXT, is_identity=True),
    Column("state", Kind.TEXT, is_identity=True),
    Column("process", Kind.TEXT, is_identity=True),
    Column("otlp_destination", Kind.TEXT, is_identity=True),
    Column("prompt_name", Kind.NAME),
    Column("prompt_version", Kind.INTEGER),
    Column("experiment", Kind.JSON),
)
SCORES = (
    Column("id", Kind.ID, is_identity=True),
    Column("trace_id", Kind.ID, is_identity=True),
    Column("observation_id", Kind.ID, is_identity=True),
    Column("name", Kind.NAME),
    Column("data_type", Kind.TEXT),
    Column("value", Kind.VALUE),
    Column("comment", Kind.TEXT),
    Column("environment", Kind.NAME),
    Column("session_id", Kind.NAME),
    Column("timestamp_ns", Kind.INTEGER, is_identity=True),
    Column("destination", Kind.TEXT, is_identity=True),
    Column("state", Kind.TEXT, is_identity=True),
)
COLUMNS = {column.name: column for column in (*SCORES, *OBSERVATIONS)}  # a name in both tables has the same kind
OBSERVATION_COLUMNS = tuple(column.name for column in OBSERVATIONS)
SCORE_COLUMNS = tuple(column.name for column in SCORES)


def columns_of(kind: Kind) -> frozenset[str]:
    """Return the names of all columns of this kind."""
    return frozenset(column.name for column in COLUMNS.values() if column.kind is kind)
