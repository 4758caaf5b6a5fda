"""One observation as the caller's thread leaves it: references, a few numbers and two clock reads.

Everything that takes time (binding arguments, redaction, counting, pricing, JSON) is the recorder's.
"""

import os
import random
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from .snapshot import Reply, size_of, size_of_items, snapshot, weight_of

if TYPE_CHECKING:
    from contextvars import Token

    from .otel import ForeignParent

Signature = Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]

# A generator of our own: agents may call `random.seed(42)`, in 48 processes at once.
_ids = random.Random()  # noqa: S311 - identifiers, not secrets; seeded by the system's entropy
_bits = _ids.getrandbits
os.register_at_fork(after_in_child=_ids.seed)


MAX_STREAM_SIZE = 1_000_000  # characters that are kept of one stream
PIECE_SIZE = 64  # memory of a kept piece besides its characters


class UsedPrompt(NamedTuple):
    """A version of a managed prompt, linked to the generations that follow inside `scope`; without a name, to none."""

    name: str | None
    version: int | None
    scope: "Observation | None"  # the observation in which it was used; None: no end
    outer: "UsedPrompt | None"  # applies again outside of `scope`


class Observation:
    """One observation in Langfuse's sense. Times are `perf_counter_ns`; the recorder turns them into wall-clock time.

    `ended` is None while it runs. `parent` is the observation that was open around it, or None; `foreign_parent` is
    an active OpenTelemetry span of another library. Rare fields are attributes of the class until
    they are set, which makes a new observation cheap.
    """

    parent: "Observation | None" = None
    foreign_parent: "ForeignParent | None" = None
    prompt: "UsedPrompt | None" = None  # used last in its context when it began, or inside it
    agent: str | None = None
    speaker: str | None = None  # agent of the calls inside it, if not `agent`
    is_automatic = False  # a cycle that was opened for a method, without a line of code in the agent
    owner: Any = None  # the instance whose method was called
    thread = 0  # the id of the calling thread
    bind: Signature | None = None  # makes named arguments of `args` and `kwargs`, on the recorder's thread
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed
    input: Any = None
    output: Any = None
    capture_output = True
    pieces: list[Any] | None = None  # of a stream, up to `MAX_STREAM_SIZE`
    pieces_left_out = 0
    replies: tuple[Any, ...] = ()  # answers of inner calls that are part of this one
    metadata: dict[str, Any] | None = None
    model_parameters: dict[str, Any] | None = None
    model: str | None = None
    provider: str | None = None
    level: str | None = None
    status_message: str | None = None
    tags: list[str] | None = None
    scores: "tuple[Score, ...]" = ()
    requests: "list[Observation] | None" = None  # to providers, inside this generation and held until it ends
    request: "Observation | None" = None  # the only one of them: this observation's row is its row
    holder: "Observation | None" = None  # the generation that holds this request
    is_admitted = False  # a budget has admitted this generation, and so its first request
    over_generations = False  # generations stand below it that are rows of their own
    events: list[Any] | None = None  # of a request's stream, as the SDK yielded them
    client: Any = None  # of the SDK, for a request
    complete: "Callable[[Observation], None] | None" = None  # reads an SDK's arguments, on the recorder's thread
    decided = False  # a signal was recorded in it
    inferred: dict[int, Any] = {}  # noqa: RUF012 - of a cycle, on the recorder's thread: signals that wait for its end
    last_call: str | None = None  # of a root, on the recorder's thread: the id of its last ended generation
    failure: str | None = None  # of a cycle, on the recorder's thread: the message of its last call, if that failed
    votes: dict[int, Any] | None = None  # of a swarm's query, on the recorder's thread: decisions by answer
    durable = False  # on disk before the call returns
    noted = False  # the recorder has journalled its start
    token: "Token[Observation | None] | None" = None  # while its code runs: leaves its context
    otel: Any = None  # while its code runs: leaves OpenTelemetry's context
    size = 0  # characters it keeps alive, roughly, once the recorder has it; of a stream, so far
    first_token: int | None = None
    ended: int | None = None

    def __init__(self, name: str, type: str, parent: "Observation | None" = None) -> None:
        self.id = _bits(64) or 1
        self.name = name
        self.type = type
        if parent is None:
            self.trace_id = _bits(128) or 1
        else:
            self.parent = parent
            self.trace_id = parent.trace_id
            self.agent = parent.speaker or parent.agent
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

    @property
    def root(self) -> "Observation":
        """The observation around all others of its trace."""
        root = self
        while root.parent is not None:
            root = root.parent
        return root

    def weigh(self, *, responses: int = 0) -> int:
        """Set `size`.

        Args:
            responses: how many times to add the providers' own responses, each of which takes several microseconds.
        """
        output = self.output
        size = len(output) if type(output) is str else size_of(output)
        for value in self.args:
            size += len(value) if type(value) is str else size_of(value)
        if self.kwargs:
            size += size_of_items(self.kwargs.values())
        if self.metadata:
            size += size_of(self.metadata)
        if self.pieces or self.input or self.replies:
            size += size_of((self.pieces, self.input, self.replies))
        if responses:
            whole = sum(weight_of(reply.raw_response) for reply in (output, *self.replies) if type(reply) is Reply)
            whole += weight_of(output) if self.complete is not None else 0  # an SDK's own answer
            size += responses * whole
        if self.request is not None:
            size += self.request.weigh(responses=responses)
        self.size = size
        return size

    def claim(self) -> bool:
        """Return True to the first caller, which records this request; False to any other. Takes no lock."""
        mine = object()
        return self.__dict__.setdefault("_claim", mine) is mine

    def add_metadata(self, values: dict[str, Any]) -> None:
        """Merge a snapshot of `values` into the metadata; later values win."""
        kept = snapshot(values)
        self.metadata = {**self.metadata, **kept} if self.metadata else kept


OUTCOME = "moondev.outcome"  # type of an observation that only carries an outcome's scores to the journal


class Score(NamedTuple):
    """A score on a trace (Langfuse's word): `value` is a float (NUMERIC) or a string (CATEGORICAL)."""

    id: str
    name: str
    value: float | str
    comment: str | None = None
