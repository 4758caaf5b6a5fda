"""Renders the page as one HTML file that contains its style, its script and every trace that it links to."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

from ...journal import Journal
from ..queries.filter import Filter
from ..queries.traces import trace
from ..time_range import now_ns
from . import overview as screen
from .budgets import budgets
from .comparison import comparison
from .conversation import picture
from .view import View, range_since, started
from .writing import FOLDER, written

_ROWS = 50


def frozen(journal: Journal, rows: Filter) -> str:
    """Return the page as one HTML file, with the newest rows that match a filter."""
    time = range_since(rows.since_ns or started(journal), rows.until_ns)
    view = View(failed=rows.failed)
    shown = screen.listing(journal, rows, view, _ROWS).rows
    lower = comparison(journal, rows, rows, time)
    traces = {screen.trace_of(item): None for item in shown} | {error.trace_id: None for error in lower["errors"]}
    return written(
        "frozen.html.j2", view=view, time=time, live=False, made_ns=now_ns(), filter=_words(rows),
        tiles=screen.tiles(journal, rows, rows, time), budgets=budgets(journal), rows=shown,
        traces=[picture(trace(journal, trace_id)) for trace_id in traces], **_files(), **lower,
    )  # fmt: skip


def _words(rows: Filter) -> list[str]:
    """The conditions of a filter in words."""
    named = {"agent": rows.agent, "model": rows.model, "action": rows.action, "symbol": rows.symbol, "text": rows.text}
    return [f"{name} {value}" for name, value in named.items() if value] + ["failed calls"] * rows.failed


def _files() -> dict[str, Any]:
    """Return the page's style and script, and their hashes.

    The file's security policy contains the hashes, and so allows no other style or script.
    """
    files = {name: (FOLDER / f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    hashes = {f"{name}_hash": b64encode(sha256(text.encode()).digest()).decode() for name, text in files.items()}
    return {**files, **hashes}
