"""Arguments and answers are recorded without running any of their methods, and completely if they are small."""

import collections
import contextlib
import contextvars
import dataclasses
import enum
import gc
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, call

import numpy as np
import pandas as pd
import pytest

from src.observability import ObservabilityContext, internal_errors, observe_llm
from src.observability.interruption import ignoring
from src.observability.recording.recorder import MAX_QUEUED_BYTES, Recorder
from src.observability.tracing import attributes, current, current_observation
from src.observability.tracing.attributes import field_of
from src.observability.tracing.observation import MAX_STREAM_SIZE
from src.observability.tracing.snapshot import MAX_NODES, Reply, reply_of, snapshot
from tests.cases import cases


def nodes_of(value: Any) -> int:
    """Return the number of values in a snapshot, over all levels."""
    if isinstance(value, dict):
        return 1 + sum(map(nodes_of, value.values()))
    return 1 + sum(map(nodes_of, value)) if isinstance(value, list) else 1


def ring() -> list[Any]:
    """Return a list that contains itself twelve times."""
    state: list[Any] = []
    state += [state] * 12
    return state


def shared() -> list[Any]:
    """Return the first of 12 lists, each with ten references to the next: 10^11 paths."""
    state: list[Any] = ["x"]
    for _ in range(11):
        state = [state] * 10
    return state


def portfolio() -> dict[str, Any]:
    """Return positions that refer to their portfolio."""
    state: dict[str, Any] = {"name": "portfolio"}
    state["positions"] = [{"symbol": f"S{number}", "portfolio": state} for number in range(12)]
    return state


LARGE: dict[str, Any] = {
    "a ring": ring(),
    "shared lists": shared(),
    "a portfolio": portfolio(),
    "rows of closes": [[1.5] * 100 for _ in range(9_999)],
    "a million numbers": list(range(1_000_000)),
    "an order book": {"bids": [[1.5, 2.5]] * 5_000, "asks": [[1.5, 2.5]] * 5_000},
    "a set": set(range(100_000)),
    "messages": [{"role": "user", "content": "Longs"}] * 20_000,
    "a wide row": [dict.fromkeys(map(str, range(20_000)), 1.5)],
}


@cases("case", LARGE)
def test_a_snapshot_is_bounded_as_a_whole(case: str) -> None:
    """However its parts refer to each other, a snapshot is limited in size, and notes how many values are omitted."""
    kept = snapshot(LARGE[case])
    assert nodes_of(kept) <= 2 * MAX_NODES  # twice, since each container that was cut adds a note to the values
    assert "more" in str(kept) or "deeper than" in str(kept)


class Meta(type):
    """A metaclass whose classes raise when they are hashed or compared."""

    def __eq__(cls, other: object) -> bool:
        raise SystemExit

    __hash__ = None  # type: ignore[assignment]


class Tick(metaclass=Meta):
    """A class of the metaclass `Meta`."""


class Lazy:
    """An object that does its work when it is converted to text, as Django's QuerySet does."""

    reads = 0

    def __repr__(self) -> str:
        type(self).reads += 1
        return "rows"

    @property
    def content(self) -> str:
        """Pretend to read from the network."""
        type(self).reads += 1
        return "rows"


@dataclasses.dataclass
class Position:
    symbol: str
    size: float


class Side(str, enum.Enum):
    BUY = "BUY"


Candle = collections.namedtuple("Candle", "open close")
FRAME = pd.DataFrame({"open": [1.0, 2.0], "close": [1.5, 2.5]})
SHOWN: dict[str, tuple[Any, Any]] = {
    "a dataclass": (Position("BTC", 0.5), {"symbol": "BTC", "size": 0.5}),
    "a namespace": (SimpleNamespace(a=1), {"a": 1}),
    "a named tuple": (Candle(1, 2), [1, 2]),
    "an enum": (Side.BUY, "BUY"),
    "a path": (Path("/tmp/x"), "/tmp/x"),
    "a frame": (FRAME, "[DataFrame 2x2: open, close]"),
    "a column": (FRAME["open"], "[Series 2]"),
    "an array": (np.zeros((3, 4)), "[ndarray 3x4]"),
    "a number of numpy's": (np.float64(1.5), 1.5),
    "an integer of numpy's": (np.int64(3), 3),
    "a time of pandas'": (pd.Timestamp("2026-01-01"), "2026-01-01T00:00:00"),
    "keys of two parts": ({("BTC", "USD"): 1}, {"['BTC', 'USD']": 1}),
    "a row with keys of two parts": ([{("BTC", "USD"): 1}], [{"['BTC', 'USD']": 1}]),
    "an object": (Lazy(), "[Lazy]"),
    "an object of a strange class": ([Tick()], ["[Tick]"]),
    "a function": (ring, "[function ring]"),
}


@cases("case", SHOWN)
def test_values_are_shown_as_plain_data(case: str) -> None:
    """Plain objects are recorded as their fields, arrays and data frames as their shape, others as their type name."""
    value, expected = SHOWN[case]
    kept = snapshot(value)
    assert kept == expected
    assert type(kept) is type(expected)


def test_a_call_runs_no_code_of_its_arguments_or_answer(journal: Any) -> None:
    """A traced call runs no method of a mock, no property, no `repr` of a lazy query and no hash of a class."""

    @observe_llm(as_type="tool")
    def place(exchange: Any, *_: Any) -> Any:
        exchange.order("BTC", 1)
        return exchange

    exchange = MagicMock()
    place(exchange, Lazy(), Tick())
    observe_llm(as_type="tool")(lambda value: value)(Lazy())
    assert len(journal.observations()) == 2
    assert exchange.mock_calls == [call.order("BTC", 1)]
    assert Lazy.reads == 0


def test_an_owners_properties_are_not_read(journal: Any) -> None:
    """A property with a side effect, such as naming another model at each read, is not read by the tracing."""

    class Robin:
        reads = 0

        @property
        def model_name(self) -> str:
            self.reads += 1
            return "ab"[self.reads % 2]

        @observe_llm
        def ask(self) -> str:
            return self.model_name

    robin = Robin()
    assert [robin.ask() for _ in range(4)] == ["b", "a", "b", "a"]
    assert len(journal.observations()) == 4
    assert robin.reads == 4


class Stream:
    """A response of `requests` whose body has not been read."""

    def __init__(self) -> None:
        self._content = False
        self.status_code = 200

    @property
    def content(self) -> bytes:
        """Fail: the real property would read the stream to its end."""
        raise AssertionError("the stream was read")


def test_a_response_that_streams_is_not_read(journal: Any) -> None:
    """A streaming response is recorded without being read, so that the agent can read it."""
    answer = Stream()
    assert observe_llm(as_type="tool")(lambda: answer)() is answer
    assert journal.observations()[0]["output"] == "[Stream]"


def test_an_answer_is_read_from_its_fields() -> None:
    """An answer's fields are read from the instance's dictionary and from slots."""

    class Slotted:
        __slots__ = ("content", "usage")

    slotted = Slotted()
    slotted.content = "BUY"
    assert reply_of(slotted) == Reply("BUY", None, None, None)
    assert field_of(slotted, "usage", "unset") == "unset"
    assert reply_of(SimpleNamespace(content="SELL", usage={"input_tokens": 1}))[:2] == ("SELL", {"input_tokens": 1})


class Tool:
    """An object that a call returns; its class's default for `content` does not make it a model's answer."""

    content = None

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Asked(Tool):
    """An object whose `content` would cost a request."""

    @property
    def content(self) -> str:  # type: ignore[override]
        """Fail: this is never read."""
        raise AssertionError("the text was asked for")


class Found(Tool):
    """An object whose `__getattr__` would be run for every missing attribute."""

    def __getattr__(self, name: str) -> str:
        raise AssertionError(f"{name} was asked for")


@cases(
    ("result", "content"),
    [
        (Tool(content="BUY"), "BUY"),
        (Tool(content=None, usage={}), None),
        (Found(content="BUY"), "BUY"),
        (Tool(), "[Tool]"),
        (Asked(), "[Asked]"),
        (Found(usage={}), "[Found]"),
    ],
)
def test_no_code_of_an_answer_runs(result: Any, content: Any) -> None:
    """Reading an answer runs none of its class's methods, whether the class is seen for the first or second time."""
    for _ in range(2):
        reply = reply_of(result)
        assert (reply.content if type(reply) is Reply else reply) == content


def test_classes_made_while_the_program_runs_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full cache forgets all classes, so that classes are not kept for ever; their instances are read as before."""
    monkeypatch.setattr(attributes, "_MOST_CLASSES", 2)
    cache = attributes.PerClass(lambda kind: kind.__name__)
    kinds = [type(f"Answer{number}", (), {}) for number in range(5)]
    assert [cache.add(kind)[1] for kind in kinds] == [f"Answer{number}" for number in range(5)]
    assert len(cache) == 1
    for kind in kinds:
        answer = kind()
        answer.content = "BUY"
        assert reply_of(answer).content == "BUY"


class Discarding:
    """A processor that ignores observations, to test the caller's thread alone."""

    def on_start(self, observation: Any) -> None:
        """Ignore the observation."""

    def on_end(self, observation: Any) -> None:
        """Ignore the observation."""


@pytest.mark.slow
def test_an_alarm_of_the_agents_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every alarm reaches the agent, even if it rings in the middle of our bookkeeping.

    The garbage collector is off, since Python drops exceptions in its callbacks, and Hypothesis has such a callback.
    """
    monkeypatch.setattr(internal_errors, "strict", False)
    monkeypatch.setattr(current, "processor", Discarding())
    candles = LARGE["rows of closes"]
    ask = observe_llm(as_type="tool")(lambda _: "BUY")
    rung = caught = 0

    def ring(*_: Any) -> None:
        nonlocal rung
        rung += 1
        raise TimeoutError("the agent's own")

    before = signal.signal(signal.SIGALRM, ring)
    gc.disable()
    try:
        while rung < 200:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + rung * 0.000003)
                for _ in range(1000):
                    ask(candles)
            except TimeoutError:
                caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert caught == rung
    assert internal_errors.failures.total == 0


def test_an_alarm_passes_through_a_line_that_cannot_be_printed() -> None:
    """An OSError while printing is ignored. An alarm's TimeoutError is an OSError too, but reaches the agent."""

    def late(*_: Any) -> None:
        raise TimeoutError("the agent's own")

    before = signal.signal(signal.SIGALRM, late)
    try:
        with pytest.raises(TimeoutError), ignoring(OSError):
            signal.raise_signal(signal.SIGALRM)
        with ignoring(OSError):
            raise BrokenPipeError
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_cycle_that_is_closed_in_another_context_ends(journal: Any) -> None:
    """A cycle ends even if it is closed in another context, as by FastAPI's dependencies and anyio's tasks."""

    def dependency() -> Iterator[None]:
        with ObservabilityContext.agent_cycle("Api"):
            yield

    opened = dependency()
    contextvars.copy_context().run(next, opened)
    with contextlib.suppress(StopIteration):
        contextvars.copy_context().run(next, opened)
    (row,) = journal.observations()
    assert (row["name"], row["end_ns"] is None) == ("Api", False)


@pytest.mark.parametrize("capture_output", [True, False])
def test_an_endless_stream_is_kept_in_part(capture_output: bool, journal: Any) -> None:
    """A long stream is recorded up to a million characters, followed by the number of pieces that are left out."""

    @observe_llm(as_type="tool", capture_output=capture_output)
    def prices() -> Iterator[str]:
        for number in range(3_000):
            yield f"{number:1000d}"

    assert sum(1 for _ in prices()) == 3_000
    output = journal.observations()[0]["output"]
    if capture_output:
        assert len(output) < MAX_STREAM_SIZE
        assert output.endswith(" more]")
    else:
        assert output is None


@pytest.mark.slow
@pytest.mark.failures_expected
def test_answers_are_weighed_with_all_they_hold_once_the_recorder_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the recorder is behind, the sizes of providers' raw responses count towards its queue's limit too."""
    may_write = threading.Event()

    class Blocked:
        def write(self, _opened: Any, _ended: Any) -> None:
            assert may_write.wait(30)

        def close(self) -> None:
            pass

    recorder = Recorder(Blocked)
    monkeypatch.setattr(current, "processor", recorder)
    answer = SimpleNamespace(content="BUY", raw_response={"logprobs": b"x" * 500_000}, usage=None)
    ask = observe_llm(lambda: answer)
    for _ in range(150 + 200):  # one batch of up to 200 calls is in the recorder's thread, not in the queue
        ask()
    try:
        assert MAX_QUEUED_BYTES <= recorder._queued_bytes < MAX_QUEUED_BYTES + 1_000_000
        assert recorder.dropped > 50
    finally:
        may_write.set()
        assert recorder.stop(30)


LONG = "x" * 10_000


class Collecting(Discarding):
    """A processor that keeps ended observations."""

    def __init__(self) -> None:
        self.ended: list[Any] = []

    def on_end(self, observation: Any) -> None:
        """Keep the observation."""
        self.ended.append(observation)


@observe_llm
def keeps(*_: Any, answer: Any = "BUY", **options: Any) -> Any:
    """Record `options` as metadata, then answer."""
    ObservabilityContext.add_agent_metadata("model", "openai", **options)
    return answer


@observe_llm
def keeps_pieces() -> Iterator[Any]:
    """Yield a text and a list."""
    yield LONG
    yield [LONG]


def cycle_that_keeps() -> None:
    """Set a cycle's input twice, and its output."""
    with ObservabilityContext.agent_cycle("Agent", input=[LONG]) as cycle:
        cycle.set_input(LONG)
        cycle.set_output({"decision": LONG})


@cases(
    ("act", "kept"),
    [
        (lambda: keeps(LONG, [LONG]), 2),
        (lambda: keeps(note=LONG), 2),  # the text is kept twice: as an argument and as metadata
        (lambda: keeps(notes=[LONG], note=1), 2),
        (lambda: keeps(answer=LONG), 2),
        (lambda: keeps(answer=SimpleNamespace(content=LONG)), 2),
        (lambda: keeps(answer=SimpleNamespace(content=[LONG])), 2),
        (lambda: list(keeps_pieces()), 2),
        (cycle_that_keeps, 3),
    ],
)
def test_what_a_call_keeps_is_summed_up(act: Any, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An observation's size counts every long text of the call, in whichever field the text is kept."""
    collecting = Collecting()
    monkeypatch.setattr(current, "processor", collecting)
    act()
    assert kept * len(LONG) <= collecting.ended[0].size < (kept + 0.5) * len(LONG)


@pytest.mark.parametrize("decorator", [staticmethod, classmethod])
@pytest.mark.parametrize("bare", [True, False])
def test_it_may_stand_above_a_static_or_class_method(decorator: Any, bare: bool, journal: Any) -> None:
    """`observe_llm` above `staticmethod` or `classmethod` keeps the method static or a class method."""
    observed = observe_llm if bare else observe_llm(as_type="tool")

    class Agent:
        @observed
        @decorator
        def ask(*args: Any) -> str:
            return f"BUY after {len(args)}"

    expected = "BUY after 2" if decorator is classmethod else "BUY after 1"
    assert (Agent.ask("x"), Agent().ask("x")) == (expected, expected)
    assert [row["name"] for row in journal.observations()] == ["ask", "ask"]


def test_each_argument_is_weighed_once() -> None:
    """An observation's size is the length of its arguments' texts and bytes; a text in two arguments counts twice."""
    sizes = []
    ask = observe_llm(lambda *_, **__: sizes.append(current_observation().size))  # type: ignore[union-attr]
    text = "x" * 1_000
    ask(text, None, True, [text])
    ask(text, prompt=text)
    ask(prompt=text, limit=None, other=text)
    ask(text, prompt=text, flag=True)
    ask(text, prompt=text, messages=[], flag=True)
    ask(text, [{"role": "user", "picture": text.encode()}])
    assert [round(size, -3) for size in sizes] == [2_000] * 6
