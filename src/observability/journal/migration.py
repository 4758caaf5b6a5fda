"""Migrates a journal to the schema of this code; keeps a backup if existing rows change."""

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..internal_errors import failures
from .schema import APPLICATION_ID, FORMAT, MIGRATIONS, Migration

_PAUSE_SECONDS = 0.01  # pause between two pieces of a migration, in which other processes can write
_SPARE_BYTES = 64 * 1024 * 1024  # disk space that must stay free after a backup
_BACKUP = re.compile(r"\.before-\d+(?:-draft)?")


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Run the missing migrations. If the process is killed meanwhile, the next process runs the rest."""
    for number in range(migrations_in(db) + 1, len(MIGRATIONS) + 1):
        migration = MIGRATIONS[number - 1]
        if migration.changes and db.execute(migration.changes).fetchone():
            _back_up(db, path, number)
        while _has_more(db, number, migration):
            time.sleep(_PAUSE_SECONDS)


def is_migrated(db: sqlite3.Connection) -> bool:
    """Whether every migration that this code knows has been run; newer code may have run more."""
    return migrations_in(db) >= len(MIGRATIONS)


def migrations_in(db: sqlite3.Connection) -> int:
    """The number of migrations that have been completed in this journal."""
    version = format_of(db)
    if version < FORMAT or not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return version
    return int(db.execute("SELECT ifnull(max(number), ?) FROM migrations", (version,)).fetchone()[0])


def format_of(db: sqlite3.Connection) -> int:
    """The number of migrations that code must know to be able to write to this journal (`schema.FORMAT`)."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def backups_of(path: Path) -> list[Path]:
    """The backups of the journal at `path` made by migrations."""
    return [file for file in path.parent.glob(f"{path.name}.*") if _BACKUP.fullmatch(file.name[len(path.name) :])]


def _has_more(db: sqlite3.Connection, number: int, migration: Migration) -> bool:
    """Run the migration, or one piece of it, in one transaction; return True if another piece is left."""
    changed = 0
    db.execute("BEGIN IMMEDIATE")
    for statement in _statements(migration.script):
        changed = db.execute(statement).rowcount
    has_more = migration.in_pieces and changed > 0
    if not has_more:
        _note(db, number)
    db.execute("COMMIT")
    return has_more


def _note(db: sqlite3.Connection, number: int) -> None:
    if number <= FORMAT:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {number}")
    else:
        db.execute("INSERT INTO migrations VALUES (?)", (number,))


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, to run them one by one: `executescript` would commit the open transaction."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):  # false at a semicolon inside a trigger
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _back_up(db: sqlite3.Connection, path: Path, number: int) -> None:
    """Copy the journal to `journal.db.before-N`, unless an interrupted migration has already made this copy."""
    backup = path.with_name(f"{path.name}.before-{number}")
    draft = path.with_name(f"{backup.name}-draft")
    if backup.exists():
        return
    try:
        _copy(db, path, draft)
        draft.replace(backup)
    except (OSError, sqlite3.Error) as error:
        failures.note("backup", f"no backup of {path} was made: {error}", cure="The journal is upgraded without it.")
    for old in backups_of(path):
        if old != backup and (backup.exists() or old == draft):  # only the newest backup is kept
            old.unlink(missing_ok=True)


def _copy(db: sqlite3.Connection, path: Path, draft: Path) -> None:
    needed = path.stat().st_size + _SPARE_BYTES
    if shutil.disk_usage(path.parent).free < needed:
        raise OSError(f"{needed / 1e6:,.0f} MB of free disk space are needed")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    with closing(sqlite3.connect(draft)) as copy:
        db.backup(copy)  # in one step: between two steps, a write by another process would restart the copy
