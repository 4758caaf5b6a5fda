"""If an agent's SIGALRM handler raises during a request, the agent gets the exception, and no request stays open."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.observability import instrumentation, runtime, settings
from src.observability.instrumentation.calls import async_method, sync_method
from src.observability.instrumentation.generators import async_generator_method, generator_method
from src.observability.instrumentation.sdks.ollama import OLLAMA
from src.observability.instrumentation.sdks.openai import CHAT
from src.observability.tracing import current_observation, requests, running_request
from tests.tracing.alarms import alarms, line_of_alarm

TRACING = Path(settings.REPO_ROOT, "src/observability/tracing")
FILES = frozenset(
    map(str, (*Path(instrumentation.__file__).parent.glob("*.py"), TRACING / "requests.py", TRACING / "current.py"))
)
ASKED: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Longs?"}]}
GENERATED = OLLAMA.methods[0].shape


def create(**_: Any) -> SimpleNamespace:
    """Stand in for a method of an SDK."""
    return SimpleNamespace(choices=[])


def refuse(**_: Any) -> None:
    """Stand in for a method of an SDK that fails."""
    raise ConnectionError


async def acreate(**_: Any) -> SimpleNamespace:
    """Stand in for an asynchronous method of an SDK."""
    return SimpleNamespace(choices=[])


def stream(**_: Any) -> Iterator[dict[str, Any]]:
    """Stand in for a method of an SDK that answers with a generator."""
    yield {"message": {"content": "BUY"}}


async def astream(**_: Any) -> AsyncIterator[dict[str, Any]]:
    """Stand in for an asynchronous method of an SDK that answers with a generator."""
    yield {"message": {"content": "BUY"}}


async def read(items: AsyncIterator[Any]) -> list[Any]:
    """Read all items."""
    return [item async for item in items]


ASK, FAIL, AASK = sync_method(CHAT)(create), sync_method(CHAT)(refuse), async_method(CHAT)(acreate)
STREAM, ASTREAM = generator_method(GENERATED)(stream), async_generator_method(GENERATED)(astream)


def ask_in_vain() -> None:
    """Make a request that fails."""
    with pytest.raises(ConnectionError):
        FAIL(**ASKED)


def leave_early() -> None:
    """Close a stream after its first item."""
    items = STREAM(**ASKED, stream=True)
    next(items)
    items.close()


CALLS: dict[str, Callable[[], Any]] = {
    "call": lambda: ASK(**ASKED),
    "failure": ask_in_vain,
    "async call": lambda: asyncio.run(AASK(**ASKED)),
    "generator": lambda: list(STREAM(**ASKED, stream=True)),
    "closed generator": leave_early,
    "async generator": lambda: asyncio.run(read(ASTREAM(**ASKED, stream=True))),
}


@pytest.fixture(autouse=True)
def _no_request_runs() -> Iterator[None]:
    yield
    requests._running.set(None)


@pytest.mark.parametrize("way", CALLS)
def test_an_alarm_at_any_line_leaves_nothing_running(way: str, journal: Any) -> None:
    """After an alarm at any line of the instrumentation, no request is open, and the next is observed as before."""
    call = CALLS[way]
    call()
    number, left = 0, []
    with alarms():
        while (line := line_of_alarm(number := number + 1, call, FILES)) is not None:
            if runtime.running().recorder._running or running_request() or current_observation():
                left.append(line)
                runtime.running().recorder._running.clear()
    assert number > 15
    assert left == []
    before = len(journal.observations())
    call()
    assert len(journal.observations()) == before + 1
