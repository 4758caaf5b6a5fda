"""
🌙 Moon Dev's Checks of This Machine
Built with love by Moon Dev 🚀

Settings, the journal and its disk, what waits in it, and the price table.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from ... import settings
from ...journal import DamagedJournalError, Journal, JournalError
from ...recording import price_table
from .. import clock
from ..options import DOCTOR
from ..queries import health
from ..render.format import duration, how_many, one_line
from ..time_range import parse_since
from .findings import Finding, fault, fine, warning
from .obstacles import LONG_NS, obstacles, refused_patterns
from .place import is_there, nearest_folder, shut

_VERY_LONG_NS = 3600 * 10**9  # what a row may wait; see `LONG_NS`
_LITTLE_BYTES = 200 * 1024 * 1024
_OLD_PRICES_DAYS = 120
_NAMED, _SHORT_ID = 5, 8  # traces, digits
_FIX = f"{DOCTOR} --fix"


def settings_readable() -> Iterator[Finding]:
    """Is tracing on, who says so, can every setting be read, and what keeps anything from being sent?"""
    yield from refused_patterns()
    found = list(obstacles())
    for error in settings.malformed():
        if not any(obstacle.what.startswith(error) for obstacle in found):
            yield fault("settings", error, "correct it in .env or the environment")
    if settings.tracing_on():
        yield fine("tracing", f"on, says {settings.origin('ENABLE_LANGFUSE')}")
    yield from found
    if not settings.missing_langfuse_keys():
        yield fine("keys", f"there, from {settings.origin('LANGFUSE_SECRET_KEY')}")


def journal() -> Iterator[Finding]:
    """Is it there, can it be read and written, is it sound, is there room, what does it hold?"""
    path = settings.journal_path()
    yield from _disk(path)
    if (wrong := shut(path)) is not None:
        yield wrong
        return
    yield from _set_aside(path)
    if not is_there(path):
        yield warning("journal", f"none at {path} yet", "run an agent: the first call makes one")
        return
    try:
        opened = Journal(path, create=False)
    except DamagedJournalError as error:
        yield fault("journal", f"damaged: {error}", f"{_FIX} sets it aside and begins a new one")
        return
    except JournalError as error:
        yield fault("journal", str(error), f"see who owns {path} and its folder, and which version of this repo runs")
        return
    try:
        yield from _contents(opened)
    except DamagedJournalError as error:
        yield fault("journal", f"damaged: {error}", f"{_FIX} sets it aside and begins a new one")
    finally:
        opened.close()


def _disk(path: Path) -> Iterator[Finding]:
    folder = nearest_folder(path)
    free, limit = shutil.disk_usage(folder).free, settings.setting("OBSERVABILITY_MAX_MB") * 2**20
    room = f"{free / 2**30:,.1f} GB free at {folder}"
    if free < _LITTLE_BYTES:
        yield fault("disk", room, "make room: what cannot be written waits in memory, then is lost")
    elif free < limit:
        yield warning("disk", f"{room}, less than OBSERVABILITY_MAX_MB", "make room, or lower OBSERVABILITY_MAX_MB")
    else:
        yield fine("disk", room)


def _set_aside(path: Path) -> Iterator[Finding]:
    for aside in sorted(path.parent.glob(f"{path.name}.set-aside-*")):
        if not aside.name.endswith(("-wal", "-shm")):
            yield warning("journal", f"an earlier one was set aside: {aside}", "read it with sqlite3, or delete it")


def _contents(journal: Journal) -> Iterator[Finding]:
    broken = health.first_fault(journal)
    if broken is not None:
        yield fault("journal", f"damaged: {one_line(broken, 200)}", f"{_FIX} sets it aside and begins a new one")
        return
    try:
        health.check_writable(journal)
        yield fine("journal", f"readable, writable and sound: {journal.path}, {journal.used_bytes() / 2**20:,.1f} MB")
    except JournalError as error:
        yield fault("journal", f"it cannot be written: {error}", f"give {journal.path} to the user who runs the agents")
    yield from _waiting(journal)
    yield from _rejected(journal)
    yield from _recorded(journal)


def _waiting(journal: Journal) -> Iterator[Finding]:
    to = settings.destination()
    waiting = health.waiting(journal)
    for row in waiting:
        host, _, key = row["destination"].partition("|")
        if to is None or row["destination"] != to.label:
            said = f"{row['rows']:,} rows wait for the project of {key} at {host}, which the settings do not name"
            yield warning("pending", said, "set its keys and host once and run: python -m src.observability ship")
            continue
        age = clock.now_ns() - row["oldest_ns"]
        said = f"{how_many(row['rows'], 'row')}, the oldest from {duration(age)} ago"
        if age > _VERY_LONG_NS:
            yield fault("pending", said, "see what is said of the server, then: python -m src.observability ship")
        elif age > LONG_NS:
            yield warning("pending", said, "python -m src.observability ship sends them now")
        else:
            yield fine("pending", said)
    if not waiting:
        yield fine("pending", "nothing waits")


def _rejected(journal: Journal) -> Iterator[Finding]:
    found = health.rejected(journal)
    for row in found:
        said = f"Langfuse refused {how_many(row['rows'], 'row')}: {one_line(row['reason'] or 'without a word', 300)}"
        yield fault("rejected", said, f"correct what it says, then {_FIX} sends them again")
    if not found:
        yield fine("rejected", "no row was refused")


def _recorded(journal: Journal) -> Iterator[Finding]:
    week = parse_since("7d")
    lost = health.not_recorded(journal, week)
    if lost:
        said = f"{how_many(lost, 'call')} of the last 7 days could not be recorded: only that they were"
        yield warning("own failures", said, "python -m src.observability traces --tree shows why; please report it")
    else:
        yield fine("own failures", "none of the last 7 days")
    yield _outcomes(health.outcomes_of_nothing(journal, week))
    for row in health.unpriced(journal, week):
        name = one_line("/".join(filter(None, (row["provider"], row["model"]))) or "a model without a name", 60)
        yield warning(
            "prices",
            f"unknown for {name}: {how_many(row['calls'], 'call')} of the last 7 days",
            "pip install -U genai-prices",
        )


def _outcomes(strangers: list[str]) -> Finding:
    """A slip in an id is told by nobody else: an outcome is taken from whoever tells it, wherever its trace is."""
    if not strangers:
        return fine("outcomes", "none of the last 7 days is of a trace that is not here")
    names = ", ".join(name[:_SHORT_ID] for name in strangers[:_NAMED]) + (", …" if len(strangers) > _NAMED else "")
    said = f"{len(strangers):,} of the last 7 days name a trace that is not here: {names}"
    return warning(
        "outcomes", said, "python -m src.observability decisions shows the ids; another machine's are no fault"
    )


def prices() -> Iterator[Finding]:
    """How old is the price table?"""
    table = price_table()
    said = f"{table.name}, which knows prices up to {table.newest}"
    if (clock.today() - table.newest).days > _OLD_PRICES_DAYS:
        yield warning("prices", said, "pip install -U genai-prices")
    else:
        yield fine("prices", said)
