"""
🌙 Moon Dev's observe_llm Tests
Built with love by Moon Dev 🚀

A decorated function behaves as before, and each of its calls is one observation.
"""

import asyncio
import contextvars
import gc
import inspect
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from src import config
from src.observability import ObservabilityContext, internal_errors, observe_llm, runtime
from src.observability.tracing import Observation, current, current_observation, observe
from tests.tracing.alarms import alarms, line_of_alarm


class Answer(NamedTuple):
    content: Any
    usage: Any = None
    model_name: str | None = None
    raw_response: Any = None


@observe_llm
def add(x: int, y: int = 2) -> int:
    """Add two numbers."""
    return x + y


@observe_llm(name="slow_add", as_type="tool")
async def aadd(x: int, y: int = 2) -> int:
    """Add two numbers, asynchronously."""
    await asyncio.sleep(0)
    return x + y


@observe_llm(name="count", as_type="span")
def count(limit: int) -> Generator[int, str | None, str]:
    """Yield numbers up to `limit`; return the sent values and caught errors."""
    received = []
    for number in range(limit):
        try:
            received.append((yield number))
        except ValueError as error:
            received.append(f"caught {error}")
    return f"counted to {limit}, was told {received}"


@observe_llm(name="acount", as_type="span")
async def acount(limit: int) -> AsyncGenerator[int, str]:
    """Yield numbers up to `limit`, and yield sent values back."""
    for number in range(limit):
        try:
            received = yield number
        except ValueError as error:
            received = f"caught {error}"
        if received:
            yield received  # type: ignore[misc]


def test_it_is_still_the_same_function() -> None:
    """A decorated function keeps its name, docstring, signature and kind."""
    assert (add.__name__, add.__doc__) == ("add", "Add two numbers.")
    assert str(inspect.signature(add)) == "(x: int, y: int = 2) -> int"
    assert inspect.iscoroutinefunction(aadd)
    assert inspect.isgeneratorfunction(count)
    assert inspect.isasyncgenfunction(acount)


def test_a_call_is_one_observation(journal: Any) -> None:
    """A call of a function, decorated with or without arguments, is one observation with arguments and result."""
    assert add(1) == 3
    assert asyncio.run(aadd(1, y=5)) == 6
    first, second = journal.observations()
    assert (first["name"], first["type"], first["model_parameters"], first["output"]) == (
        "add", "generation", {"x": 1, "y": 2}, 3,
    )  # fmt: skip
    assert second["model_parameters"] is None  # only a generation has model parameters
    assert (second["name"], second["type"], second["input"], second["output"]) == (
        "slow_add", "tool", {"x": 1, "y": 5}, 6,
    )  # fmt: skip


def test_what_the_function_does_with_its_options_is_not_recorded(journal: Any) -> None:
    """Changes that the function makes to its options are not recorded: the recorded dictionary is a separate one."""

    @observe_llm(as_type="tool")
    def ask(user_content: str, **options: Any) -> str:
        options.clear()
        options["stop"] = ["\n"]
        return "BUY"

    options = {"temperature": 0.3}
    ask("Longs", **options)
    options["temperature"] = 1.0
    assert journal.observations()[0]["input"] == {"user_content": "Longs", "temperature": 0.3}


def test_the_flag_is_read_on_every_call(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ENABLE_LANGFUSE` is read at every call: while it is off, calls are not recorded."""
    monkeypatch.setenv("ENABLE_LANGFUSE", "false")
    assert add(1) == 3
    assert journal.observations() == []
    monkeypatch.setenv("ENABLE_LANGFUSE", "true")
    assert add(1) == 3
    assert len(journal.observations()) == 1


@pytest.mark.parametrize("way", ["decorator", "setting"])
def test_what_is_not_to_be_captured_is_not_recorded(way: str, journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the decorator's arguments or the settings turn off the capture of input and output, neither is recorded."""
    if way == "setting":
        monkeypatch.setenv("LANGFUSE_CAPTURE_INPUT", "false")
        monkeypatch.setenv("LANGFUSE_CAPTURE_OUTPUT", "false")
    keep = way == "setting"

    @observe_llm(capture_input=keep, capture_output=keep)
    def asks(system_prompt: str, question: str) -> Answer:
        return Answer(
            "<think>private thought</think>private answer",
            {"prompt_tokens": 3, "completion_tokens": 2},
            "claude-haiku-4-5",
        )

    @observe_llm(capture_input=keep, capture_output=keep)
    def streams(question: str) -> Generator[str, None, None]:
        yield "private piece"

    asks("private prompt", "private question")
    list(streams("private question"))
    first, second = journal.observations()
    assert "private" not in str(first) + str(second)
    assert first["usage"] == {"input": 3, "output": 2}


def test_a_reported_cost_counts_without_tokens(journal: Any) -> None:
    """If a provider reports the cost of a call but no tokens, the cost is recorded, and the tokens are unknown."""
    observe_llm(lambda: Answer("BUY", {"cost": 0.02}, "m"))()
    (row,) = journal.observations()
    assert (row["cost_usd"], row["cost_source"], row["usage"]) == (0.02, "provider-reported", None)


def test_an_exception_is_the_callers_and_the_traces(journal: Any) -> None:
    """A function's exception reaches the caller as the same object; the trace has its type and text."""
    error = KeyError("BTC")

    @observe_llm
    def fails() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        fails()
    assert caught.value is error
    (row,) = journal.observations()
    assert (row["level"], row["status_message"]) == ("ERROR", "KeyError: 'BTC'")
    assert row["metadata"]["error_type"] == "KeyError"


def test_wrong_arguments_are_the_functions_to_refuse(journal: Any) -> None:
    """Wrong arguments raise Python's own TypeError; the trace has the error and the arguments as given."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        add(y=5)  # type: ignore[call-arg]
    (row,) = journal.observations()
    assert (row["level"], row["input"]) == ("ERROR", {"args": [], "kwargs": {"y": 5}})
    assert row["status_message"].startswith("TypeError")


def test_a_mutable_argument_is_recorded_as_it_was(journal: Any) -> None:
    """Arguments and results are recorded as they were: the caller's later changes are not recorded."""
    messages = [{"role": "user", "content": "What now?"}]
    usage = {"prompt_tokens": 3, "completion_tokens": 2}

    @observe_llm
    def asks(messages: list[dict[str, str]]) -> Answer:
        return Answer([{"type": "text", "text": "BUY"}], usage)

    answer = asks(messages)
    messages[0]["content"] = "changed"
    messages.append({"role": "user", "content": "added"})
    answer.content[0]["text"] = "SELL"
    usage["prompt_tokens"] = 999
    (row,) = journal.observations()
    assert row["input"] == {"messages": [{"role": "user", "content": "What now?"}]}
    assert row["output"] == [{"type": "text", "text": "BUY"}]
    assert row["usage"] == {"input": 3, "output": 2}


class Awkward:
    """An object that raises when it is converted to text, compared, hashed or measured."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __len__ = __eq__ = __hash__ = __str__  # type: ignore[assignment]


class Hostile:
    """An object whose every attribute raises, even `__class__`."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    [
        Awkward(), {"self": None}, float("nan"), float("inf"), 10**400, b"\xff\x00", "\ud800 lone",
        "nul \x00 in it", {1: 2, (3, 4): {5}}, {"a": Awkward()}, object, threading.Lock(), "x" * 3_000_000,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_whatever_is_passed_the_call_goes_on_and_is_recorded(value: Any, journal: Any) -> None:
    """Whatever a function is given or returns, the tracing raises nothing and records the call."""
    if isinstance(value, dict) and "self" in value:
        value["self"] = value

    @observe_llm
    def echo(value: Any) -> Any:
        return value

    assert echo(value) is value
    (row,) = journal.observations()
    assert row["name"] == "echo"
    assert row["level"] == "DEFAULT"


@pytest.fixture(params=["no OpenTelemetry", "OpenTelemetry in use"])
def with_and_without_opentelemetry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test twice: without an OpenTelemetry tracer provider, and with one that the application has set."""
    if request.param == "OpenTelemetry in use":
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider())


@pytest.mark.usefixtures("with_and_without_opentelemetry")
def test_a_coroutine_that_is_closed_from_another_context(journal: Any, caplog: pytest.LogCaptureFixture) -> None:
    """If the garbage collector closes a coroutine in another context, its level is WARNING, and nothing is logged."""
    waiting = aadd(1)
    contextvars.copy_context().run(waiting.send, None)
    waiting.close()
    assert [(row["name"], row["level"]) for row in journal.observations()] == [("slow_add", "WARNING")]
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.usefixtures("with_and_without_opentelemetry")
def test_what_was_recorded_is_let_go_of_without_the_garbage_collector(journal: Any) -> None:
    """Observations are freed once they are journalled, without the garbage collector: none refers back to itself."""
    seen: list[weakref.ref[Any]] = []

    @observe_llm(name="llm_generation")
    def ask() -> str:
        seen.append(weakref.ref(current_observation()))
        return "BUY"

    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
        assert len(journal.observations()) == 5
        ask()  # one more call, since the recorder's thread may still hold the previous one
        assert len(journal.observations()) == 6
        assert [observation() for observation in seen[:5]] == [None] * 5
    finally:
        gc.enable()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_decision_in_a_generator_is_its_output(asynchronous: bool, journal: Any) -> None:
    """A signal inside a generator is the output of the generator's observation, even if nothing is yielded."""

    @observe_llm(as_type="agent")
    def decides() -> Generator[str, None, None]:
        ObservabilityContext.add_trading_signal("BUY", 80, "Longs flushed out")
        yield from ()

    @observe_llm(as_type="agent")
    async def adecides() -> AsyncGenerator[str, None]:
        ObservabilityContext.add_trading_signal("BUY", 80, "Longs flushed out")
        for piece in ():
            yield piece

    async def read() -> list[str]:
        return [piece async for piece in adecides()]

    assert (asyncio.run(read()) if asynchronous else list(decides())) == []
    outputs = [row["output"] for row in journal.observations() if row["type"] == "agent"]
    assert [output["action"] for output in outputs] == ["BUY"]


def test_what_has_no_attributes_at_all_is_recorded_as_that(journal: Any) -> None:
    """An object whose attributes all raise is recorded by its class's name, alone or inside a list."""

    @observe_llm
    def echo(value: Any) -> Any:
        return value

    hostile = Hostile()
    assert echo(hostile) is hostile
    echo([hostile])
    alone, inside = (row["output"] for row in journal.observations())
    assert alone == "[Hostile]"
    assert inside == [alone]


@pytest.mark.failures_expected
def test_our_own_mistake_costs_what_it_is_about_not_the_call(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Despite an internal error of ours, the function returns or raises as usual, and the call is recorded."""

    def mistaken(_: Any) -> Any:
        raise AssertionError("ours")

    monkeypatch.setattr(internal_errors, "strict", False)
    for name in ("sized_snapshot", "reply_of", "note_error"):
        monkeypatch.setattr(f"src.observability.tracing.observe.{name}", mistaken)

    @observe_llm
    def echo(value: Any) -> Any:
        return [*value, 1 / len(value)]

    assert echo([1]) == [1, 1.0]
    with pytest.raises(ZeroDivisionError):
        echo([])
    assert [(row["name"], row["parent_id"]) for row in journal.observations()] == [("echo", None), ("echo", None)]
    assert internal_errors.failures.total == 4


def test_send_and_throw_reach_the_generator(journal: Any) -> None:
    """Sent values and exceptions reach the generator, its return value comes back, and yielded values are recorded."""
    counting = count(3)
    assert next(counting) == 0
    assert counting.send("go on") == 1
    assert counting.throw(ValueError("stop it")) == 2
    with pytest.raises(StopIteration) as end:
        next(counting)
    assert end.value.value == "counted to 3, was told ['go on', 'caught stop it', None]"
    (row,) = journal.observations()
    assert (row["output"], row["level"]) == ([0, 1, 2], "DEFAULT")
    assert row["start_ns"] <= row["first_token_ns"] <= row["end_ns"]


async def test_asend_and_athrow_reach_the_async_generator(journal: Any) -> None:
    """Sent values and thrown exceptions reach asynchronous generators too."""
    counting = acount(2)
    assert await anext(counting) == 0
    assert await counting.asend("go on") == "go on"
    assert await anext(counting) == 1
    assert await counting.athrow(ValueError("stop it")) == "caught stop it"
    assert [number async for number in counting] == []
    (row,) = journal.observations()
    assert row["output"] == [0, "go on", 1, "caught stop it"]


def test_a_stream_that_is_closed_early_has_ended(journal: Any) -> None:
    """If a stream is closed early, its pieces so far are recorded without an error, and its own `finally` is run."""
    closed = []

    @observe_llm
    def pieces() -> Generator[str, None, None]:
        try:
            yield "BUY"
            yield "never asked for"
        finally:
            closed.append(True)

    stream = pieces()
    assert next(stream) == "BUY"
    stream.close()
    assert closed == [True]
    (row,) = journal.observations()
    assert (row["output"], row["level"]) == ("BUY", "DEFAULT")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_generators_caller_is_not_inside_it(asynchronous: bool, journal: Any) -> None:
    """Calls by the caller between two pieces are not children of the stream; calls in the stream's body are."""

    @observe_llm(name="stream")
    def stream() -> Generator[int, None, None]:
        yield add(1)
        yield add(2)

    @observe_llm(name="stream")
    async def astream() -> AsyncGenerator[int, None]:
        yield add(1)
        yield add(2)

    aside = observe_llm(name="aside")(lambda: None)

    async def read() -> None:
        async for _ in astream():
            aside()

    if asynchronous:
        asyncio.run(read())
    else:
        for _ in stream():
            aside()
    rows = {row["id"]: row for row in journal.observations()}
    inner = [row for row in rows.values() if row["name"] == "add"]
    assert len(inner) == 2
    assert all(rows[row["parent_id"]]["name"] == "stream" for row in inner)
    assert [row["is_root"] for row in rows.values() if row["name"] == "aside"] == [1, 1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
async def test_asyncio_timeout_still_works(journal: Any) -> None:
    """`asyncio.timeout` around a traced coroutine raises TimeoutError, and the call is recorded as cancelled."""

    @observe_llm
    async def never() -> None:
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await never()
    (row,) = journal.observations()
    assert (row["level"], row["status_message"]) == ("WARNING", "CancelledError")


def test_several_super_calls_of_one_instance_are_one_call(journal: Any) -> None:
    """An override that calls `super()` twice is recorded as one generation with the sum of both usages."""

    class Base:
        model_name, model_type = "claude-haiku-4-5", "claude"

        @observe_llm(name="llm_generation")
        def generate_response(self, prompt: str) -> Answer:
            return Answer(f"answer to {prompt}", {"prompt_tokens": 10, "completion_tokens": 5})

    class Twice(Base):
        @observe_llm(name="llm_generation")
        def generate_response(self, prompt: str) -> Answer:
            super().generate_response(prompt)
            return super().generate_response(prompt + ", again")

    assert Twice().generate_response("now").content == "answer to now, again"
    (row,) = journal.observations()
    assert row["usage"] == {"input": 20, "output": 10}
    assert row["output"] == "answer to now, again"


def test_the_same_instance_in_a_thread_is_a_call_of_its_own(journal: Any) -> None:
    """A call of the same instance in another thread is a separate observation, not a part of the call around it."""

    class Fan:
        @observe_llm(name="llm_generation")
        def ask(self, depth: int) -> str:
            if depth:
                with ThreadPoolExecutor(2) as pool:
                    list(pool.map(self.ask, [0, 0]))
            return "BUY"

    Fan().ask(1)
    rows = journal.observations()
    assert len(rows) == 3
    assert [row["is_root"] for row in rows] == [1, 0, 0]


def test_methods_of_every_kind_can_be_decorated(journal: Any) -> None:
    """Instance, class and static methods can be decorated; `self` and `cls` are not recorded."""

    class Kinds:
        @observe_llm
        def of_instance(self, x: str) -> str:
            return x

        @classmethod
        @observe_llm
        def of_class(cls, x: str) -> str:
            return x

        @staticmethod
        @observe_llm
        def of_none(x: str) -> str:
            return x

    assert Kinds().of_instance("a") + Kinds.of_class("b") + Kinds.of_none("c") == "abc"
    assert [row["model_parameters"] for row in journal.observations()] == [{"x": "a"}, {"x": "b"}, {"x": "c"}]


def test_a_malformed_flag_stops_shipping_not_recording(
    journal: Any, langfuse: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A malformed ENABLE_LANGFUSE prints one red line with its name; calls are journalled, and nothing is sent."""
    monkeypatch.setenv("ENABLE_LANGFUSE", "ture")
    assert add(1) == add(1) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "ENABLE_LANGFUSE" in line]
    assert "❌" in line
    assert ".env" in line
    assert [row["state"] for row in journal.observations()] == ["local", "local"]
    assert langfuse.requests == []
    assert config.ENABLE_LANGFUSE is False


def test_a_recursive_call_in_a_cycle_keeps_its_tree(journal: Any) -> None:
    """Each recursive call of a plain function is an observation of its own."""

    @observe_llm(as_type="span")
    def descend(depth: int) -> int:
        return depth and descend(depth - 1)

    with ObservabilityContext.agent_cycle("Agent"):
        descend(3)
    rows = journal.observations()
    assert [row["parent_id"] for row in rows] == [None, *(row["id"] for row in rows[:-1])]


FILES = frozenset((observe.__file__, current.__file__))


async def _read(pieces: AsyncGenerator[Any, Any]) -> list[Any]:
    return [piece async for piece in pieces]


@pytest.mark.parametrize(
    "call",
    [lambda: add(1), lambda: asyncio.run(aadd(1)), lambda: list(count(1)), lambda: asyncio.run(_read(acount(1)))],
)
def test_an_alarm_at_any_line_leaves_nothing_running(call: Any, journal: Any) -> None:
    """If an agent's SIGALRM handler raises at any line of the tracing code, no observation stays open."""
    call()
    number, left = 0, []
    with alarms():
        while (line := line_of_alarm(number := number + 1, call, FILES)) is not None:
            if current_observation() is not None or runtime.running().recorder._running:
                left.append(line)
                runtime.running().recorder._running.clear()
    assert number > 20
    assert left == []


def test_a_chain_of_calls_of_any_length_is_one_trace() -> None:
    """A trace may nest deeper than Python's recursion limit, as in a chain of tasks that each await the next."""
    call = root = Observation("Agent", "agent")
    for _ in range(2 * sys.getrecursionlimit()):
        call = Observation("llm_generation", "generation", call)
    assert call.trace_id == root.trace_id
