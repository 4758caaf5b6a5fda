"""Many processes that call a model at once, with one journal."""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from src.observability import ObservabilityContext, runtime
from src.observability.recording import price
from src.observability.recording import writer as _writer  # noqa: F401 - imported before the processes fork
from src.observability.redaction import redact
from src.observability.shipping import Shipper as _Shipper  # noqa: F401
from tests.budgets.calls import PricedModel

_PROCESSES = multiprocessing.get_context("fork")  # forks share imported modules: 48 processes start in 1 s


class Worked(NamedTuple):
    """The results of one process's calls."""

    answered: int
    refused: int
    slowest: float  # longest delay of a call in seconds, without the model's own time


class SlowModel(PricedModel):
    seconds = 0.05

    def _send(self, request: dict[str, Any]) -> Any:
        time.sleep(self.seconds)
        return super()._send(request)


def worked(calls: int, seconds: float, *, exiting: bool = False) -> Worked:
    """Make this number of calls in this process, and return the results."""
    model = SlowModel()
    model.seconds = seconds
    answered, slowest = 0, 0.0
    for _ in range(calls):
        began = time.monotonic()
        if exiting:
            with ObservabilityContext.exit_decision():
                answer = model.generate_response("", "Buy or sell?")
        else:
            answer = model.generate_response("", "Buy or sell?")
        answered += answer is not None
        slowest = max(slowest, time.monotonic() - began - seconds * (answer is not None))
    return Worked(answered, calls - answered, slowest)


def _work(barrier: Any, results: Any, calls: int, seconds: float, exiting: bool) -> None:
    barrier.wait(60)
    result = worked(calls, seconds, exiting=exiting)
    runtime.close()
    results.put(result)


def fleet(processes: int, calls: int, seconds: float = 0.05, *, exiting: bool = False) -> list[Worked]:
    """Return the results of processes that begin at the same time and make this number of calls each."""
    redact("compiled before the processes fork")
    price("openai", "gpt-4o", {"input": 1, "output": 1})
    barrier, results = _PROCESSES.Barrier(processes), _PROCESSES.Queue()
    arguments = (barrier, results, calls, seconds, exiting)
    workers = [_PROCESSES.Process(target=_work, args=arguments) for _ in range(processes)]
    for worker in workers:
        worker.start()
    done = [results.get(timeout=240) for _ in workers]
    for worker in workers:
        worker.join(60)
    return done


def in_another_process(what: Callable[[], None]) -> Any:
    """Start a process that calls a function, and return the process; the caller must end it."""
    process = _PROCESSES.Process(target=what)
    process.start()
    return process
