"""The live page's server: Starlette's routes, and the stream of new rows."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import uvicorn
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from ... import settings
from ...journal import Journal, JournalError
from . import live
from .access import Access
from .view import View
from .writing import FOLDER

_POLL_SECONDS = 0.7  # interval between two reads of the journal
_TILES_SECONDS = 5.0  # shortest interval between two updates of the tiles
_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "moon.svg": "image/svg+xml"}


def server(port: int) -> tuple[uvicorn.Server, Access]:
    """Return the page's server, not yet started, and the access control of the server.

    The server will listen on a port of the loopback interface.
    """
    routes = [
        Route("/", _answered(live.overview)),
        Route("/lower", _answered(live.lower)),
        Route("/events", _events),
        Route("/trace/{trace_id}", _trace),
        *(Route(f"/{name}", partial(_static, name, media_type)) for name, media_type in _STATIC.items()),
    ]
    app = Starlette(routes=routes, exception_handlers={404: _not_found, JournalError: _unreadable})
    access = Access(app, port)
    config = uvicorn.Config(
        access, host="127.0.0.1", port=port, access_log=False, log_level="error", server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=2, lifespan="off", ws="none",
    )  # fmt: skip
    page = uvicorn.Server(config)
    app.state.is_ending = lambda: page.should_exit
    return page, access


@contextmanager
def _reading() -> Iterator[Journal]:
    """Open the journal on a connection that cannot change it."""
    journal = Journal(settings.journal_path(), create=False)
    try:
        journal.script("PRAGMA query_only = ON")
        yield journal
    finally:
        journal.close()


def _read(query: Callable[..., Any], *values: Any) -> Any:
    with _reading() as journal:
        return query(journal, *values)


def _answered(write: Callable[[Journal, View], str]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that answers a request with the HTML that `write` makes for the view in the address."""

    async def endpoint(request: Request) -> Response:
        return HTMLResponse(await run_sync(_read, write, View.of(request.query_params)))

    return endpoint


async def _trace(request: Request) -> Response:
    trace_id, view = request.path_params["trace_id"], View.of(request.query_params)
    html = await run_sync(_read, live.trace_page, trace_id, view)
    return HTMLResponse(html) if html else _not_found(request, None)


async def _static(name: str, media_type: str, _request: Request) -> Response:
    return FileResponse(FOLDER / name, media_type=media_type)


def _not_found(_request: Request, _error: Exception | None) -> Response:
    return HTMLResponse(
        live.message("Not found", "This page or trace does not exist. A trace may have been deleted."), 404
    )


def _unreadable(_request: Request, error: Exception) -> Response:
    """Answer that the journal is missing, damaged or busy.

    The error's message says what to do. The browser reloads the page after some seconds.
    """
    return HTMLResponse(live.message("Waiting for the journal", str(error), again=True), 503)


async def _events(request: Request) -> Response:
    """Stream the rows newer than those in the browser. The request contains the `seq` of the browser's newest row."""
    after = request.headers.get("last-event-id") or request.query_params.get("after") or ""
    rows = int(after) if re.fullmatch(r"[0-9]{1,18}", after) else None
    stream = _stream(View.of(request.query_params), rows, request.app.state.is_ending)
    return StreamingResponse(stream, media_type="text/event-stream")


async def _stream(view: View, after: int | None, is_ending: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield new rows at each poll, and changed tiles at most once every `_TILES_SECONDS`, until the server ends."""
    drawn, tiles_at = None, 0.0
    while not is_ending():
        with suppress(JournalError):  # if the journal is missing or busy, the next poll retries
            newest, news = await run_sync(_read, live.news, view, after, drawn if time.monotonic() > tiles_at else None)
            for name, html in news:
                yield f"id: {newest[0]}\nevent: {name}\ndata: {json.dumps(html)}\n\n"
                if name == "tiles":
                    drawn, tiles_at = newest, time.monotonic() + _TILES_SECONDS
            after, drawn = newest[0], drawn or newest
        yield ":\n\n"  # an empty event-stream comment; if the browser has left, sending it fails, which ends the stream
        await asyncio.sleep(_POLL_SECONDS)
