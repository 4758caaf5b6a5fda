"""A process that makes traced calls, for tests that kill it: `python -m tests.runtime.worker CALLS WAY_OUT`.

It prints `done` when its calls have returned, then ends as WAY_OUT says. Some ways print a line as each call begins and
returns: event, name, and time on the monotonic clock, which is the same for all processes.
"""

import itertools
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from src.observability import ObservabilityContext, observe_llm, runtime


@observe_llm(name="llm_generation")
def ask(prompt: str) -> str:
    """Stand in for a model that answers at once."""
    return f"BUY because of {prompt}"


def calls(count: int, label: str) -> None:
    """Make this number of calls, faster than any model answers."""
    for number in range(count):
        ask(f"{label} {number}")
        time.sleep(0.001)


def tell(what: str, label: str) -> None:
    """Print one line for the test with a single short write, which a later kill cannot cut off."""
    os.write(1, f"{what}|{label}|{time.monotonic_ns()}\n".encode())


@observe_llm
def answer_slowly(prompt: str, seconds: float) -> str:
    """Stand in for a model that takes this many seconds to answer."""
    tell("begun", prompt)
    time.sleep(seconds)
    return "BUY"


def told_calls(label: str, count: int, least: float, most: float) -> None:
    """Make this number of calls of `least` to `most` seconds each, and report each call."""
    for number in range(count):
        answer_slowly(f"{label} {number}", random.uniform(least, most))
        tell("returned", f"{label} {number}")


def told_asks(label: str) -> None:
    """Make calls for ever, and report each call's return."""
    for number in itertools.count():
        ask(f"{label} {number}")
        tell("returned", f"{label} {number}")
        time.sleep(0.001)


def four_threads() -> None:
    """Make calls from four threads, at the pace of fast models, until the process is killed."""
    warm_up()
    print("warm", flush=True)
    for thread in range(4):
        threading.Thread(target=told_calls, args=(f"{os.getpid()}/{thread}", 10_000, 0.01, 0.2), daemon=True).start()
    time.sleep(60)


def warm_up() -> None:
    """Make a first, slow call, after which imports are done and the journal exists."""
    ask("warm-up")
    runtime.running().recorder.flush(60)


def warm_calls() -> None:
    """Make WARM_CALLS calls after a first call, then wait for the kill."""
    warm_up()
    with ObservabilityContext.agent_cycle("Worker"):
        calls(int(os.environ["WARM_CALLS"]), "first")
    print("called", flush=True)
    time.sleep(60)


def one_of_a_fleet() -> None:
    """Make a first call; once a line arrives on stdin, make FLEET_CALLS calls."""
    warm_up()
    print("warm", flush=True)
    sys.stdin.readline()
    told_calls(str(os.getpid()), int(os.environ["FLEET_CALLS"]), 0.1, 0.2)


def own_handler(*, before: bool) -> None:
    """Install an application's own SIGTERM handler, before or after the first call."""
    if not before:
        ask("first call")
    signal.signal(signal.SIGTERM, lambda _signal, _frame: (print("own handler", flush=True), sys.exit(7)))
    ask("a call")
    print("ready", flush=True)
    time.sleep(60)


def daemon_thread() -> None:
    """Let a daemon thread make calls while the interpreter ends."""
    warm_up()
    threading.Thread(target=told_asks, args=("daemon",), daemon=True).start()
    time.sleep(0.2)


def show_handler() -> None:
    """Print SIGTERM's handler and the wake-up descriptor; then wait for the signal."""
    time.sleep(0.15)
    print(repr(signal.getsignal(signal.SIGTERM)), signal.set_wakeup_fd(-1), flush=True)
    time.sleep(60)


def terminated_child() -> None:
    """Terminate a forked child of multiprocessing after its calls."""
    child = multiprocessing.get_context("fork").Process(target=lambda: (calls(20, "child"), time.sleep(60)))
    child.start()
    time.sleep(0.5)
    child.terminate()
    child.join()


def fail() -> None:
    """Raise an unhandled exception."""
    raise RuntimeError("the agent failed")


def vanish() -> None:
    """End by `os._exit`, once the last calls are on disk."""
    time.sleep(0.15)
    os._exit(4)


def fork() -> None:
    """Fork, and make calls in both processes."""
    child = os.fork()
    calls(20, "parent" if child else "child")
    if child:
        os.waitpid(child, 0)


def multiprocess(method: str) -> None:
    """Make calls in a child of multiprocessing, which does not run atexit."""
    process = multiprocessing.get_context(method).Process(target=calls, args=(20, "child"))
    process.start()
    process.join()


def leave_a_pool_running() -> None:
    """Let a pool's task make a call after the main thread has ended."""
    ThreadPoolExecutor(2).submit(lambda: (time.sleep(0.2), ask("from the pool")))


WAYS_OUT: dict[str, Callable[[], object]] = {
    "return": lambda: None,
    "sys.exit": lambda: sys.exit(3),
    "exception": fail,
    "os._exit": vanish,
    "wait": lambda: time.sleep(60),
    "fork": fork,
    "multiprocessing fork": lambda: multiprocess("fork"),
    "multiprocessing spawn": lambda: multiprocess("spawn"),
    "pool": leave_a_pool_running,
    "four threads": four_threads,
    "fleet": one_of_a_fleet,
    "warm calls": warm_calls,
    "own handler before": lambda: own_handler(before=True),
    "own handler after": lambda: own_handler(before=False),
    "daemon thread": daemon_thread,
    "SIGTERM's handler": show_handler,
    "terminated child": terminated_child,
}

if __name__ == "__main__":
    if int(sys.argv[1]):
        with ObservabilityContext.agent_cycle("Worker"):
            calls(int(sys.argv[1]), "first")
    print("done", flush=True)
    WAYS_OUT[sys.argv[2]]()
