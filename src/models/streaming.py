"""
🌙 Moon Dev's Streams
Built with love by Moon Dev 🚀

Turns a stream's events into text for the caller as it arrives, and into one whole response for the trace.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

from src.models.fields import field

_OPEN, _CLOSE = "<think>", "</think>"
_END = object()


class Pieces(Protocol):
    """Collects the events of one stream. Implemented by one class for the OpenAI API, and one for the Anthropic API."""

    finish_reason: str | None

    def take(self, event: Any) -> str:
        """This event's text, to be passed to the caller; empty if the event has none."""

    def rest(self) -> str:
        """The text that is still held back after the last event, because it looked like the start of a tag."""

    def raw(self) -> dict[str, Any]:
        """The events in the shape of an unstreamed response, without the text."""


class Transcript:
    """Collects the text of one stream, as far as it has arrived, and the stream's other fields."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        """The text that the caller has received."""
        return "".join(self._texts)

    @property
    def finish_reason(self) -> str | None:
        """The provider's reason for the end of the stream; None before the end, or if the stream broke off."""
        return self._pieces.finish_reason

    def texts_of(self, event: Any) -> list[str]:
        """The text in an event, as a list of at most one string."""
        return self._note(self._pieces.take(event))

    def rest(self) -> list[str]:
        """The text that `Pieces.rest` returns after the last event, as a list of at most one string."""
        return self._note(self._pieces.rest())

    def raw(self) -> dict[str, Any]:
        """The stream in the shape of an unstreamed response, without the text."""
        return self._pieces.raw()

    def _note(self, text: str) -> list[str]:
        texts = [text] if text else []
        self._texts += texts
        return texts


class ChatPieces:
    """Collects the chunks of an OpenAI stream. Reasoning, even in the field `content`, is not passed to the caller."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self._model: str | None = None
        self._usage: Any = None
        self._reasoning: list[str] = []
        self._thinking = ThinkFilter()

    def take(self, event: Any) -> str:
        """This chunk's text, to be passed to the caller. The last chunk has usage and no choices."""
        self._model = field(event, "model") or self._model
        self._usage = field(event, "usage") or field(event, "x_groq", "usage") or self._usage
        choices = field(event, "choices")
        if not choices:
            return ""
        self.finish_reason = field(choices[0], "finish_reason") or self.finish_reason
        delta = field(choices[0], "delta")
        self._reasoning.append(field(delta, "reasoning_content") or field(delta, "reasoning") or "")
        return self._thinking.feed(field(delta, "content") or "")

    def rest(self) -> str:
        """Ordinary text that was held back because it looked like the beginning of a `<think>` tag."""
        return self._thinking.rest()

    def raw(self) -> dict[str, Any]:
        """The chunks in the shape of an unstreamed response, without the text."""
        reasoning = "".join(self._reasoning) + self._thinking.reasoning
        message = {"reasoning_content": reasoning.strip() or None}
        choice = {"finish_reason": self.finish_reason, "message": message}
        return {"model": self._model, "usage": self._usage, "choices": [choice]}


class ThinkFilter:
    """Moves a `<think>…</think>` part from the beginning of a streamed text to `reasoning`."""

    def __init__(self) -> None:
        self.reasoning = ""
        self._held = ""
        self._state = "before"  # then "inside", "trimming" (white space after the tag) and "after"

    def feed(self, piece: str) -> str:
        """Take the next piece of the stream, and return the text that may now go to the caller."""
        if self._state == "after":
            return piece
        self._held += piece
        if self._state == "before":
            self._begin()
        if self._state == "inside":
            self._think()
        if self._state == "trimming":
            self._held = self._held.lstrip()
            self._state = "after" if self._held else "trimming"
        return self._release() if self._state == "after" else ""

    def rest(self) -> str:
        """The text that is still held back when the stream ends; empty if that text is unfinished thinking."""
        if self._state == "inside":
            self.reasoning, self._held = self._held.strip(), ""
        return self._release()

    def _begin(self) -> None:
        text = self._held.lstrip()
        if text.startswith(_OPEN):
            self._held, self._state = text[len(_OPEN) :], "inside"
        elif not _OPEN.startswith(text):
            self._state = "after"

    def _think(self) -> None:
        thought, end, after = self._held.partition(_CLOSE)
        if end:
            self.reasoning, self._held, self._state = thought.strip(), after, "trimming"

    def _release(self) -> str:
        released, self._held = self._held, ""
        return released


def closing_if_possible(events: Any) -> Any:
    """A context manager that closes a stream, if it has a `close` method. A plain iterator has none."""
    return contextlib.closing(events) if hasattr(events, "close") else contextlib.nullcontext(events)


@contextlib.asynccontextmanager
async def aclosing_if_possible(events: Any) -> AsyncIterator[Any]:
    """A context manager that closes an asynchronous stream, if it has a `close` method."""
    try:
        yield events
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            await close()


class InThread:
    """Reads a blocking stream in a thread, as an asynchronous stream."""

    def __init__(self, events: Any) -> None:
        self._events, self._iterator = events, iter(events)

    def __aiter__(self) -> "InThread":
        return self

    async def __anext__(self) -> Any:
        event = await asyncio.to_thread(next, self._iterator, _END)
        if event is _END:
            raise StopAsyncIteration
        return event

    async def close(self) -> None:
        """Close the blocking stream."""
        with closing_if_possible(self._events):
            return
