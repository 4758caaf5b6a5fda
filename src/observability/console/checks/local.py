"""The checks of this machine: settings, journal and disk, pending and rejected rows, prices."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from ... import __version__, settings
from ...budgets import parse_budgets
from ...instrumentation import observed
from ...journal import DamagedJournalError, Journal, JournalError, Row
from ...recording import RENEW_PRICES, price_table
from .. import time_range
from ..queries import health
from ..render.format import SHORT_ID, duration, how_many, one_line
from .findings import DOCTOR, Finding, fault, fine, is_there, journal_obstacle, nearest_folder, warning
from .obstacles import LONG_NS, obstacles, refused_patterns

_TOO_LONG_NS = 3600 * 10**9  # it is a fault if a row waits longer than this to be sent
_MIN_FREE_BYTES = 200 * 1024 * 1024
_OLD_PRICES_DAYS = 120
_MAX_TRACES = 5  # a message names at most this many traces
_FIX = f"{DOCTOR} --fix"


def package() -> Iterator[Finding]:
    """Report the version of the package."""
    yield fine("package", f"version {__version__}")


def settings_readable() -> Iterator[Finding]:
    """Check if tracing is on, all settings are well-formed, and records are sent."""
    yield from refused_patterns()
    reasons = list(obstacles())
    for error in settings.malformed():
        if not any(reason.what.startswith(error) for reason in reasons):
            yield fault("settings", error, "correct the setting in .env or the environment")
    yield from _budgets()
    if settings.tracing_on():
        yield fine("tracing", f"on, according to {settings.origin('ENABLE_LANGFUSE')}")
    yield from reasons
    if not settings.missing_langfuse_keys():
        yield fine("keys", f"set in {settings.origin('LANGFUSE_SECRET_KEY')}")


def _budgets() -> Iterator[Finding]:
    text = settings.setting("OBSERVABILITY_BUDGETS")
    if text is None:
        return
    try:
        budgets = parse_budgets(text)
    except settings.SettingError as error:
        yield fault("budgets", str(error), "correct the setting in .env or the environment")
        return
    if settings.tracing_on():
        yield fine("budgets", f"{how_many(len(budgets), 'budget')}; to show them: python -m src.observability budgets")
    else:
        yield fault("budgets", "tracing is off, so no call is counted or refused", "set ENABLE_LANGFUSE=true")


def journal() -> Iterator[Finding]:
    """Check if the journal exists, is readable, writable and sound, and has free disk space; then check its rows."""
    path = settings.journal_path()
    yield from _disk(path)
    if (obstacle := journal_obstacle(path)) is not None:
        yield obstacle
        return
    yield from _set_aside(path)
    if not is_there(path):
        yield warning("journal", f"no journal at {path} yet", "run an agent: its first call creates the journal")
        return
    try:
        opened = Journal(path, create=False)
    except DamagedJournalError as error:
        yield _damaged(str(error))
        return
    except JournalError as error:
        yield fault(
            "journal",
            str(error),
            f"check who owns {path} and its folder, that the disk is neither full nor mounted read-only,"
            " and that this repo is up to date",
        )
        return
    try:
        yield from _contents(opened)
    except DamagedJournalError as error:
        yield _damaged(str(error))
    finally:
        opened.close()


def _damaged(error: str) -> Finding:
    return fault("journal", f"damaged: {one_line(error, 200)}", f"to set it aside and start a new journal: {_FIX}")


def _disk(path: Path) -> Iterator[Finding]:
    folder = nearest_folder(path)
    free, limit = shutil.disk_usage(folder).free, settings.setting("OBSERVABILITY_MAX_MB") * 2**20
    what = f"{free / 2**30:,.1f} GB free at {folder}"
    if free < _MIN_FREE_BYTES:
        yield fault("disk", what, "free some space: rows that cannot be written wait in memory, and may be lost")
    elif free < limit:
        yield warning("disk", f"{what}, less than OBSERVABILITY_MAX_MB", "free space, or lower OBSERVABILITY_MAX_MB")
    else:
        yield fine("disk", what)


def _set_aside(path: Path) -> Iterator[Finding]:
    for file in sorted(path.parent.glob(f"{path.name}.set-aside-*")):
        if not file.name.endswith(("-wal", "-shm")):
            yield warning("journal", f"a damaged journal was set aside: {file}", "read it with sqlite3, or delete it")


def _contents(journal: Journal) -> Iterator[Finding]:
    damage = health.first_fault(journal)
    if damage is not None:
        yield _damaged(damage)
        return
    try:
        health.check_writable(journal)
        yield fine("journal", f"readable, writable and sound: {journal.path}, {journal.used_bytes() / 2**20:,.1f} MB")
    except JournalError as error:
        yield fault("journal", f"not writable: {error}", f"make {journal.path} writable for the agents' user")
    yield from _pending(journal)
    yield from _rejected(journal)
    yield from _recorded(journal)


def _pending(journal: Journal) -> Iterator[Finding]:
    rows = journal.waiting()
    for row in rows:
        yield _pending_for(row)
    if not rows:
        yield fine("pending", "no rows are pending")


def _pending_for(row: Row) -> Finding:
    host, _, key = row["destination"].partition("|")
    count = how_many(row["rows"], "row") + ("" if key else f" for {host}")
    if row["destination"] not in [to.label for to in settings.destinations()]:
        project = f"{count} for the project of {key} at {host}" if key else count
        cure = "to send them, run once with its keys and host in the environment: python -m src.observability ship"
        return warning("pending", f"{project}, which is not a configured destination", cure)
    age = time_range.now_ns() - row["oldest_ns"]
    what = f"{count}, the oldest from {duration(age)} ago"
    if age > _TOO_LONG_NS:
        return fault("pending", what, "see the findings about the server, then: python -m src.observability ship")
    if age > LONG_NS:
        return warning("pending", what, "to send these rows now: python -m src.observability ship")
    return fine("pending", what)


def _rejected(journal: Journal) -> Iterator[Finding]:
    rows = health.rejected(journal)
    for row in rows:
        reason = one_line(row["reason"] or "no reason given", 300)
        host, _, key = row["destination"].partition("|")
        what = f"{'Langfuse' if key else host} rejected {how_many(row['rows'], 'row')}: {reason}"
        yield fault("rejected", what, f"correct the cause; then, to send the rows again: {_FIX}")
    if not rows:
        yield fine("rejected", "no rows were rejected")


def _recorded(journal: Journal) -> Iterator[Finding]:
    week = time_range.parse_time("7d")
    lost = health.not_recorded(journal, week)
    if lost:
        what = f"{how_many(lost, 'call')} of the last 7 days could not be recorded, only counted"
        cure = "please report it to this repo's maintainers; to see why: python -m src.observability traces --tree"
        yield warning("own failures", what, cure)
    else:
        yield fine("own failures", "none; every call of the last 7 days was recorded")
    yield _outcomes(health.outcomes_without_trace(journal, week))
    for row in health.unpriced(journal, week):
        name = one_line("/".join(filter(None, (row["provider"], row["model"]))) or "a model without a name", 60)
        yield warning(
            "prices",
            f"unknown for {name}: {how_many(row['calls'], 'call')} of the last 7 days",
            RENEW_PRICES,
        )


def _outcomes(traces: list[str]) -> Finding:
    """Report outcomes whose trace is not in this journal: its id was mistyped, or another machine recorded it."""
    if not traces:
        return fine("outcomes", "all of the last 7 days match a trace")
    ids = ", ".join(trace[:SHORT_ID] for trace in traces[:_MAX_TRACES]) + (", …" if len(traces) > _MAX_TRACES else "")
    what = f"{how_many(len(traces), 'outcome')} of the last 7 days without a trace in this journal: {ids}"
    cure = (
        "ignore ids from other machines; if an id is mistyped, record the outcome again under the right id;"
        " to list the ids: python -m src.observability decisions"
    )
    return warning("outcomes", what, cure)


def sdks() -> Iterator[Finding]:
    """List the provider SDKs whose calls are recorded, with their methods."""
    methods = observed(importing=True)
    for name in sorted(methods):
        yield fine("calls", f"{name} recorded")._replace(detail=", ".join(methods[name]))
    if not methods:
        reason = "OBSERVABILITY_INSTRUMENT=false" if not settings.setting("OBSERVABILITY_INSTRUMENT") else "no SDK here"
        yield fine("calls", f"SDK calls are not recorded: {reason}")


def prices() -> Iterator[Finding]:
    """Check the age of the price table."""
    table = price_table()
    if (time_range.today() - table.newest).days > _OLD_PRICES_DAYS:
        yield warning("prices", str(table), RENEW_PRICES)
    else:
        yield fine("prices", str(table))
