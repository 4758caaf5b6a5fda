"""
🌙 Moon Dev's Clients per Event Loop
Built with love by Moon Dev 🚀

One asynchronous SDK client per event loop. A client works only in the event loop that first used it, and each
`asyncio.run` of an agent creates a new loop.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

# An event loop that closes does not close its clients, and their connections would outlive the loop. So no connection
# is kept open after an answer.
CLOSE_AFTER_ANSWER = {"Connection": "close"}


class PerLoop:
    """Keeps one client for each event loop, and builds it with `build`."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def client(self) -> Any:
        """The client of the running loop, built on first use."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._clients:
                self._clients[loop] = self._build()
            return self._clients[loop]
