"""`serve`: shows the live page in this machine's browser."""

import socket
import sys
from contextlib import suppress
from typing import Annotated

import typer
from termcolor import cprint

_PORT = 8020


def serve(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0 chooses a free one.")] = _PORT,
) -> None:
    """Show decisions, profit, spend and failures live in the browser. Ctrl-C ends the page.

    Only this machine can reach the page. The printed address works once; after that, the browser uses a cookie. The
    page cannot change the journal.

    Example: python -m src.observability serve --port 0
    """
    from ..page.server import server

    listener = _listener(port)
    page, access = server(listener.getsockname()[1])
    cprint(f"🌙 {access.address}", "cyan")
    print("   This address works once, in one browser. Ctrl-C ends the page; agents go on.", flush=True)
    with suppress(KeyboardInterrupt):
        page.run(sockets=[listener])


def _listener(port: int) -> socket.socket:
    """Return a socket that listens on the loopback interface. If the port is in use, end the command with status 1."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()  # from now on a browser can connect; its request waits until the server runs
    except OSError as error:
        cprint(f"❌ Port {port} cannot be used ({error.strerror}): choose another with --port", "red", file=sys.stderr)
        raise typer.Exit(1) from None
    return listener
