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
PIECE_SIZE = 64  # memory in bytes that a kept piece needs besides its characters


class UsedPrompt(NamedTuple):
    """A version of a managed prompt, linked to later generations inside `scope`. If `name` is None, they get no
    prompt."""

    name: str | None
    version: int | None
    scope: "Observation | None"  # the observation in which the prompt was used; None if none was running
    outer: "UsedPrompt | None"  # the prompt that applies outside `scope`


class _LazyId:
    """An id that is made when it is first read, usually on the recorder's thread."""

    def __init__(self, make: "Callable[[Observation], int]") -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, observation: "Observation", owner: type) -> int:
        # `setdefault` is atomic, so that all threads get the same id.
        made: int = observation.__dict__.setdefault(self._name, self._make(observation))
        return made


def _trace_id_of(observation: "Observation") -> int:
    root = observation.root  # without recursion: a chain of parents may be longer than Python's recursion limit
    return (_bits(128) or 1) if root is observation else root.trace_id


class _RareFields:
    """The fields that few observations need. Each is a class attribute until it is set on an instance."""

    id = _LazyId(lambda _: _bits(64) or 1)
    trace_id = _LazyId(_trace_id_of)
    foreign_parent: "ForeignParent | None" = None  # an active OpenTelemetry span of another library
    is_automatic = False  # True for a cycle that is a call of a method named in OBSERVABILITY_CYCLES
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
    is_admitted = False  # True after the budgets admitted this generation, until its first request
    over_generations = False  # whether generations inside this generation have their own rows
    events: list[Any] | None = None  # events of a request's stream, from the SDK
    client: Any = None  # the SDK's client that made this request
    decided = False  # whether a signal was recorded in this observation
    inferred: dict[int, Any] = {}  # noqa: RUF012 - for a cycle, on the recorder's thread: signals held until its end
    # For a root: the id of the last generation that ended in its trace. Used only on the recorder's thread.
    last_call: str | None = None
    # For a cycle: the error of its last call, if that call failed. Used only on the recorder's thread.
    failure: str | None = None
    # For a query to a swarm of models: the id of each answer -> its decision. Used only on the recorder's thread.
    votes: dict[int, Any] | None = None
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
        self.parent = parent  # the observation that contains this one; None for a root
        self.agent: str | None = None if parent is None else parent.speaker or parent.agent
        self.speaker: str | None = None  # the agent of the calls inside this observation, if not `agent`
        self.prompt: UsedPrompt | None = None  # the prompt that applied at the start, or the last one used inside
        self.owner: Any = None  # the instance of the called method
        self.thread = 0  # id of the calling thread
        self.bind: Signature | None = None  # converts `args` and `kwargs` to named arguments, on the recorder's thread
        self.args: tuple[Any, ...] = ()
        self.kwargs = _NOTHING  # this dictionary may be replaced, but is never changed
        self.input: Any = None
        self.output: Any = None
        self.capture_output = True
        self.pieces: list[Any] | None = None  # pieces of a stream, up to `MAX_STREAM_SIZE`
        self.replies: tuple[Any, ...] = ()  # answers of the inner calls (by `super()`) that are part of this call
        self.metadata: dict[str, Any] | None = None
        self.request: Observation | None = None  # this generation's only request, if merged into the generation's row
        # True if this generation holds requests, or if an inner generation has its own row.
        self.has_inner_rows = False
        # For an SDK's request: reads its arguments and answer, on the recorder's thread.
        self.complete: Complete | None = None
        self.durable = False  # whether the call returns only once its row is on disk
        self.noted = False  # whether the recorder has journalled the start
        self.token: Token[Observation | None] | None = None  # set while the call runs, to reset the context afterwards
        self.otel: Any = None  # set while the call runs, to reset OpenTelemetry's context afterwards
        self.size = 0  # approximate number of characters that this observation keeps in memory
        self.streamed = 0  # characters of all pieces of a stream, also of pieces that are not kept
        self.ended: int | None = None  # None while the observation runs
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
        """Return the ids of the observation, its trace and its parent. Ids that do not exist yet are made now."""
        return self.hex_id, self.hex_trace_id, self.hex_parent_id

    @property
    def root(self) -> "Observation":
        """The outermost observation of the trace."""
        root = self
        while root.parent is not None:
            root = root.parent
        return root

    def response_size(self) -> int:
        """The approximate number of characters in the providers' responses. Reading one response takes microseconds."""
        replies = [reply for reply in (self.output, *self.replies) if type(reply) is Reply]
        size = sum(weight_of(reply.raw_response) for reply in replies)
        if self.complete is not None:  # if so, the output is the answer to an SDK's request
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
        """Merge `values` into the metadata, and replace older values. The caller must not change `values` later."""
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


OUTCOME = "moondev.outcome"  # type of an observation that exists only to carry the scores of a trade's outcome


class Score(NamedTuple):
    """A score on a trace, in Langfuse's sense. Its `value` is a float (NUMERIC) or a string (CATEGORICAL)."""

    id: str
    name: str
    value: float | str
    comment: str | None = None
