"""
🌙 Moon Dev's Test Worker
Built with love by Moon Dev 🚀

A process that makes traced calls, for tests that kill it: `python -m tests.worker CALLS WAY_OUT`. It prints `done` when
its calls have returned, then goes the way it was told.
"""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from src.observability import ObservabilityContext, observe_llm


@observe_llm(name="llm_generation")
def ask(prompt: str) -> str:
    """A model call that answers at once."""
    return f"BUY because of {prompt}"


@observe_llm(name="llm_generation")
def hang(prompt: str) -> None:
    """A model call that does not return in time."""
    time.sleep(60)


def calls(count: int, label: str) -> None:
    """So many calls, faster than any model answers."""
    for number in range(count):
        ask(f"{label} {number}")
        time.sleep(0.001)


def fail() -> None:
    """An exception that nobody handles."""
    raise RuntimeError("the agent failed")


def vanish() -> None:
    """Past every hook, once the last 50 ms are on disk."""
    time.sleep(0.15)
    os._exit(4)


def wait_in_a_call() -> None:
    """A call is in flight until somebody kills the process."""
    threading.Thread(target=hang, args=("in flight",), daemon=True).start()
    time.sleep(60)


def fork() -> None:
    """Both sides call."""
    child = os.fork()
    calls(20, "parent" if child else "child")
    if child:
        os.waitpid(child, 0)


def multiprocess(method: str) -> None:
    """A child of multiprocessing calls; it runs no atexit."""
    process = multiprocessing.get_context(method).Process(target=calls, args=(20, "child"))
    process.start()
    process.join()


def leave_a_pool_running() -> None:
    """A task of a pool asks while the main thread has ended."""
    ThreadPoolExecutor(2).submit(lambda: (time.sleep(0.2), ask("from the pool")))


WAYS_OUT: dict[str, Callable[[], object]] = {
    "return": lambda: None,
    "sys.exit": lambda: sys.exit(3),
    "exception": fail,
    "os._exit": vanish,
    "wait": lambda: time.sleep(60),
    "hang": wait_in_a_call,
    "fork": fork,
    "multiprocessing fork": lambda: multiprocess("fork"),
    "multiprocessing spawn": lambda: multiprocess("spawn"),
    "pool": leave_a_pool_running,
}

if __name__ == "__main__":
    with ObservabilityContext.agent_cycle("Worker"):
        calls(int(sys.argv[1]), "first")
    print("done", flush=True)
    WAYS_OUT[sys.argv[2]]()
