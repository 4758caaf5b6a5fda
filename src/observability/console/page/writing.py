"""Renders the page's HTML from templates, and defines the filters that the templates use. Every text is escaped."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..render.format import duration, how_many, milliseconds, moment, money, plain, tokens
from ..time_range import local_time, now_ns
from .charts import BAR, HEIGHT, STEP, WIDTH
from .overview import share

FOLDER = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        clock=clock, duration=duration, how_many=how_many, milliseconds=milliseconds, money=money, moment=moment,
        plain=plain, share=share, tokens=tokens,
    )  # fmt: skip
    environment.globals.update(LINE_WIDTH=WIDTH, LINE_HEIGHT=HEIGHT, BAR=BAR, STEP=STEP)
    return environment


def written(template: str, **content: Any) -> str:
    """Return the template filled with the content, as HTML."""
    return _environment().get_template(template).render(**content)


def clock(nanoseconds: int) -> str:
    """Return a time of today as `14:03:22`, and an earlier time as `28 Nov 14:03`."""
    time = local_time(nanoseconds)
    return f"{time:%H:%M:%S}" if time.date() == local_time(now_ns()).date() else f"{time:%d %b %H:%M}"
