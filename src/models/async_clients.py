"""
🌙 Moon Dev's Clients per Event Loop
Built with love by Moon Dev 🚀

An SDK's asynchronous client is bound to the event loop that it first runs in, and agents call `asyncio.run` more than
once. So each loop has its own.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

# A loop ends without telling its clients; a connection kept open would outlive it. So none is.
CLOSE_AFTER_ANSWER = {"Connection": "close"}


class PerLoop:
    """The client of the running event loop."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def client(self) -> Any:
        """Built where this loop has none."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._clients:
                self._clients[loop] = self._build()
            return self._clients[loop]
