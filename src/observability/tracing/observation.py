"""One observation, as recorded on the caller's thread: references, a few numbers and two clock readings.

The recorder does everything that takes time: binding arguments, redaction, counting, pricing, JSON.
"""

import os
import random
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from .snapshot import Reply, size_of, snapshot, weight_of

if TYPE_CHECKING:
    from contextvars import Token

    from .otel import ForeignParent

Signature = Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]
Complete = Callable[["Observation"], None]
_NOTHING: dict[str, Any] = {}

# A separate generator: if 48 agents call `random.seed(42)`, the shared generator gives all of them the same ids.
_ids = random.Random()  # noqa: S311 - identifiers, not secrets; seeded by the system's entropy
_bits = _ids.getrandbits
os.register_at_fork(after_in_child=_ids.seed)


MAX_STREAM_SIZE = 1_000_000  # characters kept of one stream
PIECE_SIZE = 64  # bytes of a kept piece besides its characters


class UsedPrompt(NamedTuple):
    """A managed prompt's version, linked to later generations inside `scope`. Without a name, they have no prompt."""

    name: str | None
    version: int | None
    scope: "Observation | None"  # the observation in which the prompt was used; None: unlimited
    outer: "UsedPrompt | None"  # the prompt that applies outside `scope`


class _LazyId:
    """An id that is made when it is first read, usually on the recorder's thread."""

    def __init__(self, make: "Callable[[Observation], int]") -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, observation: "Observation", owner: type) -> int:
        made: int = observation.__dict__.setdefault(self._name, self._make(observation))  # atomic: one id per object
        return made


def _trace_id_of(observation: "Observation") -> int:
    root = observation.root  # without recursion: a chain of parents may be longer than Python's recursion limit
    return (_bits(128) or 1) if root is observation else root.trace_id


class _RareFields:
    """The fields that few observations have: class attributes until they are set."""

    id = _LazyId(lambda _: _bits(64) or 1)
    trace_id = _LazyId(_trace_id_of)
    foreign_parent: "ForeignParent | None" = None  # an active OpenTelemetry span of another library
    is_automatic = False  # whether it is the cycle of a wrapped method (OBSERVABILITY_CYCLES)
    pieces_left_out = 0
    model_parameters: dict[str, Any] | None = None
    model: str | None = None
    provider: str | None = None
    level: str | None = None
    status_message: str | None = None
    tags: list[str] | None = None
    scores: "tuple[Score, ...]" = ()
    requests: "list[Observation] | None" = None  # requests to providers, held until this generation ends
    holder: "Observation | None" = None  # the generation that holds this request
    is_admitted = False  # True from the budgets' admission of this generation until its first request
    over_generations = False  # whether generations with their own rows are below it
    events: list[Any] | None = None  # events of a request's stream, from the SDK
    client: Any = None  # the SDK's client of a request
    decided = False  # whether a signal was recorded in this observation
    inferred: dict[int, Any] = {}  # noqa: RUF012 - for a cycle, on the recorder's thread: signals held until its end
    last_call: str | None = None  # for a root, on the recorder's thread: id of its last ended generation
    failure: str | None = None  # for a cycle, on the recorder's thread: the error of its last call, if that failed
    votes: dict[int, Any] | None = None  # for a swarm's query, on the recorder's thread: answer's id -> decision
    first_token: int | None = None


class Observation(_RareFields):
    """One observation in Langfuse's sense. Times are `perf_counter_ns`; the recorder turns them into wall-clock time.

    The fields that every call sets or reads on the caller's thread are slots. Python 3.11 is slow to read or set a
    field that is also a class attribute.
    """

    __slots__ = (
        "agent", "args", "bind", "capture_output", "complete", "durable", "ended", "has_inner_rows", "input", "kwargs",
        "metadata", "name", "noted", "otel", "output", "owner", "parent", "pieces", "prompt", "replies", "request",
        "size", "speaker", "started", "streamed", "thread", "token", "type",
    )  # fmt: skip

    def __init__(self, name: str, type: str, parent: "Observation | None" = None) -> None:
        self.name = name
        self.type = type
        self.parent = parent  # the observation around it
        self.agent: str | None = None if parent is None else parent.speaker or parent.agent
        self.speaker: str | None = None  # agent of the calls inside it, if not `agent`
        self.prompt: UsedPrompt | None = None  # last prompt used before the start in this context, or inside
        self.owner: Any = None  # the instance of the called method
        self.thread = 0  # id of the calling thread
        self.bind: Signature | None = None  # converts `args` and `kwargs` to named arguments, on the recorder's thread
        self.args: tuple[Any, ...] = ()
        self.kwargs = _NOTHING  # replaced, never changed
        self.input: Any = None
        self.output: Any = None
        self.capture_output = True
        self.pieces: list[Any] | None = None  # pieces of a stream, up to `MAX_STREAM_SIZE`
        self.replies: tuple[Any, ...] = ()  # answers of inner calls that are part of this call
        self.metadata: dict[str, Any] | None = None
        self.request: Observation | None = None  # the only request, which is merged into this observation's row
        self.has_inner_rows = False  # whether it holds requests, or generations with their own rows are below it
        self.complete: Complete | None = None  # reads an SDK's arguments and answer, on the recorder's thread
        self.durable = False  # whether the call returns only once its row is on disk
        self.noted = False  # whether the recorder has journalled its start
        self.token: Token[Observation | None] | None = None  # while its code runs: resets the context
        self.otel: Any = None  # while its code runs: resets OpenTelemetry's context
        self.size = 0  # approximate characters kept in memory, summed up as they are noted
        self.streamed = 0  # characters of all pieces of a stream, also of pieces that are not kept
        self.ended: int | None = None  # None while it runs
        self.started = perf_counter_ns()

    @property
    def hex_id(self) -> str:
        """The span id: 16 hex digits."""
        return f"{self.id:016x}"

    @property
    def hex_trace_id(self) -> str:
        """The trace id: 32 hex digits."""
        return f"{self.trace_id:032x}"

    @property
    def hex_parent_id(self) -> str | None:
        """The parent's span id, or None for a root."""
        if self.parent is not None:
            return self.parent.hex_id
        return f"{self.foreign_parent.span_id:016x}" if self.foreign_parent else None

    def draw_ids(self) -> tuple[str, str, str | None]:
        """Draw the ids of the observation, its trace and its parent now, and return them."""
        return self.hex_id, self.hex_trace_id, self.hex_parent_id

    @property
    def root(self) -> "Observation":
        """The outermost observation of the trace."""
        root = self
        while root.parent is not None:
            root = root.parent
        return root

    def response_size(self) -> int:
        """The approximate characters in the providers' own responses; reading each takes several microseconds."""
        replies = [reply for reply in (self.output, *self.replies) if type(reply) is Reply]
        size = sum(weight_of(reply.raw_response) for reply in replies)
        if self.complete is not None:  # the answer of an SDK request
            size += weight_of(self.output)
        return size if self.request is None else size + self.request.response_size()

    def set_input(self, value: Any) -> None:
        """Record a snapshot of `value` as the input."""
        self.input = snapshot(value)
        self.size += size_of(self.input)

    def set_output(self, value: Any) -> None:
        """Record a snapshot of `value` as the output."""
        self.output = snapshot(value)
        self.size += size_of(self.output)

    def claim(self) -> bool:
        """Return True to the first caller only, which then records this request. Takes no lock."""
        mine = object()
        return self.__dict__.setdefault("_claim", mine) is mine

    def add_metadata(self, values: dict[str, Any]) -> None:
        """Merge `values`, a dictionary that no other code holds, into the metadata; later values win."""
        size = 0
        for value in values.values():
            kind = type(value)
            if kind is str:
                size += len(value)
            elif not (kind is float or kind is int or value is None):
                values = snapshot(values)
                size = size_of(values)
                break
        self.size += size
        self.metadata = {**self.metadata, **values} if self.metadata else values


OUTCOME = "moondev.outcome"  # type of an observation that only carries an outcome's scores


class Score(NamedTuple):
    """A score on a trace (Langfuse's word): `value` is a float (NUMERIC) or a string (CATEGORICAL)."""

    id: str
    name: str
    value: float | str
    comment: str | None = None
