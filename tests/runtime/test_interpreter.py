"""No C call on this package's threads holds the interpreter longer than Python's switch interval."""

import gc
import random
import re
import timeit
from collections.abc import Iterator
from typing import Any

import pytest

from src.observability import LangFuseTracker, observe_llm, runtime
from src.observability.redaction.scan import PIECE
from tests.langfuse_server import LangfuseServer
from tests.otlp_server import OtlpServer
from tests.tracing.counting import longest_call

SIZE = 1_000_000  # characters, about 250,000 tokens
WORDS = ["Longs", "were", "liquidated", "at", "97,123.5", "after", "a", "cascade", "of", "stops", "and", "funding\n"]
PROSE = " ".join(random.Random(1).choices(WORDS, k=SIZE // 6))[:SIZE]


def _repeated(part: str) -> str:
    return part * (SIZE // len(part))


VALUES: dict[str, Any] = {
    "prose": PROSE,
    "accents": PROSE.replace("e", "é"),
    "Chinese": _repeated("比特币价格上涨，多头清算一千二百万美元，市场情绪谨慎。\n"),
    "emoji": _repeated("🚀"),
    "lone surrogates": _repeated("\ud800"),
    "NUL": _repeated("\0"),
    "quotes and line breaks": _repeated('{"a": "b"}\n'),
    "percent signs": _repeated("%2525"),
    "bytes": PROSE.encode(),
    "a screenshot of 3 MB": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'iVBO' * SIZE}"}}],
    "many texts": [PROSE[at : at + 250] for at in range(0, SIZE, 250)],
    "a dictionary": {str(at): PROSE[at : at + 250] for at in range(0, SIZE, 250)},
}


@observe_llm
def ask(prompt: Any) -> Any:
    """Stand in for a model: answer a text with the same text, and any other prompt with `BUY`."""
    return prompt if type(prompt) is str else "BUY"


@pytest.fixture
def _no_collections() -> Iterator[None]:
    """Turn off the garbage collector, whose duration depends on the agent's memory."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
@pytest.mark.usefixtures("_no_collections")
@pytest.mark.parametrize("kind", VALUES)
def test_no_call_holds_the_interpreter(kind: str, langfuse: LangfuseServer, otlp: OtlpServer, journal: Any) -> None:
    """A call with a million characters, recorded and sent to two destinations, holds the interpreter for about 5 ms at
    most."""
    plain = min(timeit.repeat(lambda: re.search(r"\w\d\d", "a1" * (PIECE // 2)), number=1, repeat=9))
    longest = []
    for _ in range(3):
        with longest_call() as calls:  # also measures the threads that start in this block
            ask(VALUES[kind])
            assert LangFuseTracker().flush(60)
            runtime.close()
        longest.append(calls[-1])
        if longest[-1][0] <= 4 * plain:
            return
    raise AssertionError(f"more than {plain * 4e3:.1f} ms: {longest}")
