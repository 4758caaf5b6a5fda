"""
🌙 Moon Dev's Model Overrides
Built with love by Moon Dev 🚀

Traces the methods that a model class overrides: each call is recorded as exactly one generation.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from src.observability import observe_llm

LABEL = "llm_generation"  # all methods share this label, so that a `super()` call is not traced as a second call


# In a subclass that overrides only `generate_response`, these functions replace the other three methods. They call the
# override, and only that call is traced.


async def _agenerate_through(self: Any, *args: Any, **kwargs: Any) -> Any:
    return await asyncio.to_thread(self.generate_response, *args, **kwargs)


def _stream_through(self: Any, *args: Any, **kwargs: Any) -> Iterator[str]:
    response = self.generate_response(*args, **kwargs)
    if response is not None:
        yield response.content


async def _astream_through(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[str]:
    response = await self.agenerate_response(*args, **kwargs)
    if response is not None:
        yield response.content


_FOLLOWERS: dict[str, Callable[..., Any]] = {
    "agenerate_response": _agenerate_through,
    "stream_response": _stream_through,
    "astream_response": _astream_through,
}
for _follower in _FOLLOWERS.values():
    _follower.__observed__ = True  # type: ignore[attr-defined]


def trace_overrides(cls: Any) -> None:
    """Trace the methods that a model class overrides or inherits from a mixin. Runs when the class is created."""
    for name in ("generate_response", *_FOLLOWERS):
        method = getattr(cls, name)
        if inspect.isfunction(method) and not hasattr(method, "__observed__"):
            setattr(cls, name, observe_llm(name=LABEL)(method))
    _follow_override(cls)


def _follow_override(cls: Any) -> None:
    if inspect.iscoroutinefunction(cls.generate_response):
        return
    depth = _depth(cls, "generate_response")
    for name, follower in _FOLLOWERS.items():
        if depth < _depth(cls, name):
            setattr(cls, name, follower)


def _depth(cls: type, name: str) -> int:
    """The position in the method resolution order of the first class that defines `name`."""
    return next(depth for depth, base in enumerate(cls.__mro__) if name in vars(base))
